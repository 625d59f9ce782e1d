"""What a conclusion hangs on: every headline of a study under every defensible choice."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.statistics import persona_jackknife, recommended_estimators, wider_intervals
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run
from persona_collapse.tables import headlines
from persona_collapse.tables.choices import Choice, Views
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import CHANGE, EXCESS, Contrast
from persona_collapse.tables.headlines import Claim, Found, Values
from persona_collapse.tables.published_contrasts import as_numbers
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.vocabulary import CLAIMED, METRICS, PUBLISHED, RECOMMENDED, twin

#: Columns of validity.csv. `family` is a key, or `mean` for the mean over these families (a family's own number in a study of
#: one); `agrees` is whether the interval lies wholly where the claim has it.
COLUMNS = (
    "kind", "variant", "claim", "group", "choice", "family", "quantity", "value", "lo", "hi", "agrees", "verdict",
)  # fmt: skip
#: Columns of foundation_claims.csv.
FOUNDATIONS = ("family", "variant", "scope", "metric", "value", "lo", "hi", "p", "p_holm")
FAMILIES = "families as a sample"


def validity_table(analysis: Analysis, guard: Guard, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Every claim of a study under every choice: validity.csv.

    Parameters
    ----------
    analysis, guard
        Of the study; families whose sides cannot be compared are left out.
    contrasts : DataFrame
        contrasts.csv, for the intervals of the published method.
    """
    sides = {}
    for claim in headlines.claims(analysis):
        usable = [contrast for contrast in headlines.sides(analysis, claim) if not guard.refusal(*contrast.runs)]
        sides[claim] = [contrast for contrast in usable if len(analysis.together(*contrast.runs).common.personas)]
    rows: list[tuple[Any, ...]] = []
    views, published = (
        _Shared(analysis, _every(contrast for found in sides.values() for contrast in found)),
        _published(contrasts),
    )
    for claim, usable in sides.items():
        # Each family may have personas of its own, none of them common to all.
        if usable and (own := views.of(_every(usable))) is not None:
            rows += [_row(claim, *found) for found in _of_claim(analysis, claim, usable, own, published)]
    return as_numbers(pd.DataFrame(rows, columns=list(COLUMNS))).astype({"agrees": bool})


def _every(sides: Iterable[Contrast]) -> tuple[Run, ...]:
    """All runs of these contrasts, each once."""
    return tuple(dict.fromkeys(run for contrast in sides for run in contrast.runs))


class _Shared:
    """Views of the runs of claims: those of all runs serve every claim that has the same personas and items."""

    def __init__(self, analysis: Analysis, every: tuple[Run, ...]) -> None:
        self._analysis, self._all = analysis, every
        self._found: dict[tuple[Run, ...], Views] = {}

    def of(self, runs: tuple[Run, ...]) -> Views | None:
        """The views of these runs, or of more; None if no persona is common to them."""
        own, widest = (self._analysis.together(*some).common for some in (runs, self._all))
        if not len(own.personas):
            return None
        key = self._all if own.same(widest) else runs
        if key not in self._found:
            self._found[key] = Views(self._analysis, list(key))
        return self._found[key]


def _row(claim: Claim, group: str, choice: str, family: str, found: Found[float]) -> tuple[Any, ...]:
    verdict = headlines.verdict(claim, found)
    # Families are compared by ratios, also where each excess is in points of its own base.
    unit = "%" if choice == FAMILIES and claim.quantity == EXCESS else claim.unit
    about = claim.kind, claim.variant, claim.words, group, choice, family, unit
    return *about, *found, verdict == headlines.HOLDS, verdict


Line = tuple[str, str, str, Found[float]]


def _of_claim(
    analysis: Analysis,
    claim: Claim,
    sides: list[Contrast],
    views: Views,
    published: dict[tuple[str, str, str, str], Found[float]],
) -> Iterator[Line]:
    """Group, choice, family and numbers of a claim under every choice."""
    alternates = [run for run in analysis.study.runs if run.variant.role == "alternate"]
    own = views.recommended
    yield from _everywhere(claim, sides, Choice([(RECOMMENDED, "recommended estimator")], own, claim.metric))
    metric, unlike = twin(claim.metric), views.unlike(sides)
    for family in (["mean"] if len(sides) > 1 else []) + [contrast.variant.family.key for contrast in sides]:
        if found := published.get((family, claim.variant, claim.quantity, metric)):
            yield _without_vote(("estimator or measure", "published, printed interval", family, found), unlike)
    for choice in views.choices(claim):
        hangs_on_n = choice.metric in METRICS and METRICS[choice.metric].method == PUBLISHED
        at_equal_n = choice.ways[0][0] == "repetitions"
        for line in _everywhere(claim, sides, choice):
            yield _without_vote(line, unlike if hangs_on_n and not at_equal_n else "")
    yield from _stacks(analysis, claim, sides, alternates)
    if len(sides) > 1:
        for left in sides:
            kept = [contrast for contrast in sides if contrast is not left]
            words = f"without {left.variant.family.name}"
            yield "family left out", words, "mean", _numbers(_mean(claim, claim.metric, kept, own), 0)
        yield "wider claim", FAMILIES, "mean", _families(claim, sides, own)
    for family, found in _items(claim, sides, views):
        yield "wider claim", "items as a sample", family, found


def _without_vote(line: Line, reason: str) -> Line:
    """A line that has no interval, and so is not counted, if there is a reason."""
    group, choice, family, found = line
    return (group, f"{choice} (not counted: {reason})", family, Found(found.value, np.nan, np.nan)) if reason else line


def _everywhere(claim: Claim, sides: Sequence[Contrast], choice: Choice) -> Iterator[Line]:
    each = headlines.in_families(claim, choice.metric, sides, choice.values)
    mean = _mean(claim, choice.metric, sides, choice.values) if len(sides) > 1 else None
    for way, name in enumerate(choice.ways):
        if mean is not None:
            yield *name, "mean", _numbers(mean, way)
        for place, contrast in enumerate(sides):
            yield *name, contrast.variant.family.key, _numbers(each, place, way)


def _numbers(found: Found[np.ndarray], *place: int) -> Found[float]:
    """One way to look of several, in one family of several."""
    return Found(*(float(field[place]) for field in found))


def _mean(claim: Claim, metric: str, sides: Sequence[Contrast], values: Values) -> Found[np.ndarray]:
    """Mean over these families; a single family keeps the scale of its own."""
    if len(sides) == 1:
        return Found(*(field[0] for field in headlines.in_families(claim, metric, sides, values)))
    return headlines.interval(persona_jackknife.average([headlines.plain(claim, metric, contrast, values) for contrast in sides]))


def _published(contrasts: pd.DataFrame) -> dict[tuple[str, str, str, str], Found[float]]:
    """What the published estimator says by family, variant, quantity and metric, with the published interval, which takes the
    runs as independent; its means have none."""
    rows = contrasts[(contrasts["method"] == "published") & (contrasts["scope"] == OVERALL)]
    return {(r.family, r.variant, r.quantity, r.metric): Found(r.value, r.lo, r.hi) for r in rows.itertuples(index=False)}


def _stacks(analysis: Analysis, claim: Claim, sides: list[Contrast], alternates: list[Run]) -> Iterator[Line]:
    """The base's weights as otherwise served in the base's place, in the families that have it."""
    if claim.kind == "anchor":
        return  # a comparison with the control alone
    for key in dict.fromkeys(run.variant.key for run in alternates):
        other = {run.family.key: run for run in alternates if run.variant.key == key}
        if not other.keys() & {contrast.base.family.key for contrast in sides}:
            continue
        served = [contrast._replace(base=other.get(contrast.base.family.key, contrast.base)) for contrast in sides]
        every = _every(served)
        at = dict(zip(every, analysis.together(*every).loo, strict=True))
        changed = [contrast for contrast in served if contrast.base.variant.key == key]
        named = ", ".join(contrast.base.family.name for contrast in changed)
        words = f"base of {named}: {analysis.study.stack(changed[0].base)}"

        def values(run: Run, metric: str, at: dict[Run, recommended_estimators.LeaveOneOut] = at) -> np.ndarray:
            return at[run].of(metric)[:, :1]

        if len(sides) > 1:
            yield "serving stack", words, "mean", _numbers(_mean(claim, claim.metric, served, values), 0)
        found = headlines.in_families(claim, claim.metric, changed, values)
        for place, contrast in enumerate(changed):
            yield "serving stack", words, contrast.base.family.key, _numbers(found, place, 0)


def _families(claim: Claim, sides: Sequence[Contrast], values: Values) -> Found[float]:
    """The mean over families as a sample of families; of an excess the ratio to the control, in percent."""
    if claim.quantity == headlines.LOGIT:
        each = [headlines.plain(claim, claim.metric, contrast, values)[0, 0] for contrast in sides]
    else:
        each = [headlines.log_ratio(contrast, claim.metric, values)[0, 0] for contrast in sides]
    found = wider_intervals.over_families(np.array(each))
    numbers = Found(float(found.mean), float(found.lo), float(found.hi))
    return numbers if claim.quantity == headlines.LOGIT else Found(*map(float, headlines.percent(numbers)))


def _items(claim: Claim, sides: Sequence[Contrast], views: Views) -> Iterator[tuple[str, Found[float]]]:
    """Intervals for other personas and other items like these, for the mean over families and for each."""
    place, own, scope = recommended_estimators.METRICS.index(claim.metric), views.recommended, views.together.common.scope
    z = [headlines.plain(claim, claim.metric, contrast, own)[:, 0] for contrast in sides]
    spread = [_spread(claim, contrast, own, views.contributions, place) for contrast in sides]
    mean = [(persona_jackknife.average(z), persona_jackknife.average(spread))] if len(sides) > 1 else []
    ratios = claim.quantity == CHANGE
    if ratios:  # a family's own interval is made on the scale of logarithms
        each = [
            (headlines.log_ratio(contrast, claim.metric, own)[:, 0], part / (100 + one[0]))
            for contrast, one, part in zip(sides, z, spread, strict=True)
        ]
    else:
        each = list(zip(z, spread, strict=True))
    without, items = map(np.array, zip(*mean, *each, strict=True))
    value, lo, hi = _over_items(without, items, scope)
    for place, family in enumerate(["mean"] * len(mean) + [contrast.variant.family.key for contrast in sides]):
        found = Found(value[place], lo[place], hi[place])
        yield family, Found(*map(float, headlines.percent(found) if ratios and family != "mean" else found))


def _spread(claim: Claim, contrast: Contrast, own: Values, each: dict[Run, np.ndarray], place: int) -> np.ndarray:
    """What each item (item,) contributes to a claim's quantity in one family."""
    x, other, base = (own(run, claim.metric)[0, 0] for run in (contrast.variant, contrast.against, contrast.base))
    part, part_other, part_base = (each[run][place] for run in (contrast.variant, contrast.against, contrast.base))
    with np.errstate(invalid="ignore", divide="ignore"):
        if claim.quantity == CHANGE:
            return 100 * (part - part_other) * x / other
        if claim.quantity == EXCESS:
            return 100 * (x * part - other * part_other - (x - other) * part_base) / base
        return part / (1 - x) - part_other / (1 - other)


def _over_items(z: np.ndarray, each: np.ndarray, scope: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and limits (statistic,) of statistics without each persona (statistic, 1 + persona), widened by what each item
    (statistic, item) contributes to them."""
    contributed = np.zeros((*each.shape, scope.shape[1]))
    contributed[..., 0] = each
    spread = wider_intervals.between_items(contributed, scope)
    found, t = wider_intervals.widened(
        persona_jackknife.estimate(np.repeat(z[..., None], scope.shape[1], axis=-1)), spread, scope
    )
    centre, reach = found.centre[:, 0], (t * found.se)[:, 0]
    return z[:, 0], centre - reach, centre + reach


def foundation_claims(analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """Every change of S and of noise in a single foundation, with its p value, alone and adjusted by Holm: foundation_claims.csv.

    The claims about one metric are adjusted together, over all families, variants and foundations.
    """
    rows = []
    for run in analysis.study.runs:
        base = analysis.base(run)
        if run.variant.role not in ("control", "harmful") or guard.refusal(run, base):
            continue
        own, other = analysis.together(run, base).loo
        change, p = persona_jackknife.change(own, other), persona_jackknife.p_value(own, other)
        for metric in CLAIMED:
            at = recommended_estimators.METRICS.index(metric)
            for column, scope in list(enumerate(analysis.scopes))[1:]:
                numbers = (field[at, column] for field in change[:1] + change[2:4])
                rows.append((run.family.key, run.variant.key, scope, metric, *numbers, p[at, column], np.nan))
    found = as_numbers(pd.DataFrame(rows, columns=list(FOUNDATIONS)))
    for metric in CLAIMED:
        chosen = found["metric"] == metric
        found.loc[chosen, "p_holm"] = wider_intervals.holm(found.loc[chosen, "p"].to_numpy(float))
    return found
