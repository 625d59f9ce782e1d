"""The multiverse of a study: every headline under every defensible choice, and what is claimed more widely beside it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.statistics import persona_jackknife, presence, recommended_estimators, wider_intervals
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run
from persona_collapse.tables import headlines
from persona_collapse.tables.choices import CONSTRUCT, ESTIMATOR, REPEATED, Choice, Views
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import CHANGE, EXCESS, Contrast
from persona_collapse.tables.headlines import Found, Headline, Values
from persona_collapse.tables.multiverse import Multiverse, every
from persona_collapse.tables.published_contrasts import as_numbers
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.vocabulary import CLAIMED, METRICS, PUBLISHED, RECOMMENDED, twin

#: Columns of validity.csv. `family` is a key, or `mean` for the mean over these families (a family's own number in a study of
#: one); `agrees` is whether a choice gives the verdict that the recommended one gives there.
COLUMNS = (
    "kind", "variant", "headline", "group", "choice", "family", "quantity", "value", "lo", "hi", "agrees", "verdict",
)  # fmt: skip
#: Columns of foundation_claims.csv.
FOUNDATIONS = ("family", "variant", "scope", "metric", "value", "lo", "hi", "p", "p_holm")
FAMILIES, WIDER = "families as a sample", "wider claim"
#: Groups of rows that are no choices: what choices are set beside, another population, another construct.
NO_CHOICE = (RECOMMENDED, WIDER, CONSTRUCT)


def validity_table(multiverse: Multiverse, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Every headline of a study under every choice: validity.csv.

    Parameters
    ----------
    multiverse : Multiverse
        Of the study.
    contrasts : DataFrame
        contrasts.csv, for the intervals of the published method.
    """
    rows: list[tuple[Any, ...]] = []
    published = _published(contrasts)
    for headline, sides in multiverse.sides.items():
        lines = list(_of_headline(multiverse.analysis, headline, sides, multiverse.views(headline), published))
        recommended = {family: headlines.verdict(found) for group, _, family, found in lines if group == RECOMMENDED}
        rows += [_row(headline, recommended, *line) for line in lines]
    return as_numbers(pd.DataFrame(rows, columns=list(COLUMNS))).astype({"agrees": bool})


def _row(
    headline: Headline, recommended: dict[str, str], group: str, choice: str, family: str, found: Found[float]
) -> tuple[Any, ...]:
    verdict = headlines.verdict(found)
    # Families are compared by ratios, also where each excess is in points of its own base.
    unit = "%" if choice == FAMILIES and headline.quantity == EXCESS else headline.unit
    about = headline.kind, headline.variant, headline.topic, group, choice, family, unit
    agrees = verdict == recommended.get(family) and verdict not in (headlines.NO_INTERVAL, headlines.UNKNOWN)
    return *about, *found, agrees, verdict


Line = tuple[str, str, str, Found[float]]


def _of_headline(
    analysis: Analysis,
    headline: Headline,
    sides: list[Contrast],
    views: Views,
    published: dict[tuple[str, str, str, str], Found[float]],
) -> Iterator[Line]:
    """Group, choice, family and numbers of a headline under every choice."""
    look = views.as_asked
    for line in _everywhere(headline, sides, Choice([(RECOMMENDED, "recommended estimator")], look.recommended, headline.metric)):
        yield _near_zero(analysis, headline, sides, views, line)
    unlike = views.unlike(sides)
    for family in (["mean"] if len(sides) > 1 else []) + [contrast.variant.family.key for contrast in sides]:
        if found := published.get((family, headline.variant, headline.quantity, twin(headline.metric))):
            yield _without_vote((ESTIMATOR, "the paper's formula and interval", family, found), unlike)
    for choice in look.choices(headline):
        for line in _everywhere(headline, sides, choice):
            yield _without_vote(line, unlike if hangs_on_n(choice) else "")
    yield from _stacks(analysis, headline, sides)
    if len(sides) > 1:
        for left in sides:
            kept = [contrast for contrast in sides if contrast is not left]
            words = f"without {left.variant.family.name}"
            yield "family left out", words, "mean", _numbers(_mean(headline, headline.metric, kept, look.recommended), 0)
        yield WIDER, FAMILIES, "mean", _families(headline, sides, look.recommended)
    for family, found in _items(headline, sides, views):
        yield WIDER, "items as a sample", family, found
    for choice in look.other_constructs(headline):
        yield from _everywhere(headline, sides, choice)


def _near_zero(analysis: Analysis, headline: Headline, sides: list[Contrast], views: Views, line: Line) -> Line:
    """The recommended line of a family; the change of pooled S in place of that of S where S is too near zero for a logarithm."""
    contrast = next((one for one in sides if one.variant.family.key == line[2]), None)
    if headline.metric != "susceptibility" or headline.quantity != CHANGE or contrast is None:
        return line
    if not views.near_zero & set(contrast.runs):
        return line
    own, base = analysis.together(*contrast.runs).loo
    return RECOMMENDED, "pooled S (S is too near zero)", line[2], Found(*presence.change(own, base))


def hangs_on_n(choice: Choice) -> bool:
    """Whether the numbers of a choice depend on the number of ratings a cell, unequal as it may be."""
    return choice.metric in METRICS and METRICS[choice.metric].method == PUBLISHED and choice.ways[0][0] != REPEATED


def _without_vote(line: Line, reason: str) -> Line:
    """A line that has no interval, and so is not counted, if there is a reason."""
    group, choice, family, found = line
    return (group, f"{choice} (not counted: {reason})", family, Found(found.value, np.nan, np.nan)) if reason else line


def _everywhere(headline: Headline, sides: Sequence[Contrast], choice: Choice) -> Iterator[Line]:
    each = headlines.in_families(headline, choice.metric, sides, choice.values)
    mean = _mean(headline, choice.metric, sides, choice.values) if len(sides) > 1 else None
    for way, name in enumerate(choice.ways):
        if mean is not None:
            yield *name, "mean", _numbers(mean, way)
        for place, contrast in enumerate(sides):
            yield *name, contrast.variant.family.key, _numbers(each, place, way)


def _numbers(found: Found[np.ndarray], *place: int) -> Found[float]:
    """One way to look of several, in one family of several."""
    return Found(*(float(field[place]) for field in found))


def _mean(headline: Headline, metric: str, sides: Sequence[Contrast], values: Values) -> Found[np.ndarray]:
    """Mean over these families; a single family keeps the scale of its own."""
    if len(sides) == 1:
        return Found(*(field[0] for field in headlines.in_families(headline, metric, sides, values)))
    return headlines.interval(averaged(headline, metric, sides, values))


def averaged(headline: Headline, metric: str, sides: Sequence[Contrast], values: Values) -> np.ndarray:
    """Mean over these families of a headline's quantity without each persona (1 + persona, way)."""
    return persona_jackknife.average([headlines.plain(headline, metric, contrast, values) for contrast in sides])


def _published(contrasts: pd.DataFrame) -> dict[tuple[str, str, str, str], Found[float]]:
    """What the published estimator says by family, variant, quantity and metric, with the published interval, which takes the
    runs as independent; its means have none."""
    rows = contrasts[(contrasts["method"] == "published") & (contrasts["scope"] == OVERALL)]
    return {(r.family, r.variant, r.quantity, r.metric): Found(r.value, r.lo, r.hi) for r in rows.itertuples(index=False)}


def _stacks(analysis: Analysis, headline: Headline, sides: list[Contrast]) -> Iterator[Line]:
    """The base's weights as otherwise served in the base's place, in the families that have it."""
    if headline.kind == "anchor":
        return  # a comparison with the control alone
    alternates = [run for run in analysis.study.runs if run.variant.role == "alternate"]
    for key in dict.fromkeys(run.variant.key for run in alternates):
        other = {run.family.key: run for run in alternates if run.variant.key == key}
        if not other.keys() & {contrast.base.family.key for contrast in sides}:
            continue
        served = [contrast._replace(base=other.get(contrast.base.family.key, contrast.base)) for contrast in sides]
        runs = every(served)
        at = dict(zip(runs, analysis.together(*runs).loo, strict=True))
        changed = [contrast for contrast in served if contrast.base.variant.key == key]
        named = ", ".join(contrast.base.family.name for contrast in changed)
        words = f"{named} base served by {analysis.study.stack(changed[0].base)}"

        def values(run: Run, metric: str, at: dict[Run, recommended_estimators.LeaveOneOut] = at) -> np.ndarray:
            return at[run].of(metric)[:, :1]

        if len(sides) > 1:
            yield "serving stack", words, "mean", _numbers(_mean(headline, headline.metric, served, values), 0)
        found = headlines.in_families(headline, headline.metric, changed, values)
        for place, contrast in enumerate(changed):
            yield "serving stack", words, contrast.base.family.key, _numbers(found, place, 0)


def _families(headline: Headline, sides: Sequence[Contrast], values: Values) -> Found[float]:
    """The mean over families as a sample of families; of an excess the ratio to the control, in percent."""
    if headline.quantity == headlines.LOGIT:
        each = [headlines.plain(headline, headline.metric, contrast, values)[0, 0] for contrast in sides]
    else:
        each = [headlines.log_ratio(contrast, headline.metric, values)[0, 0] for contrast in sides]
    found = wider_intervals.over_families(np.array(each))
    numbers = Found(float(found.mean), float(found.lo), float(found.hi))
    return numbers if headline.quantity == headlines.LOGIT else Found(*map(float, headlines.percent(numbers)))


def _items(headline: Headline, sides: Sequence[Contrast], views: Views) -> Iterator[tuple[str, Found[float]]]:
    """Intervals for other personas and other items like these, for the mean over families and for each."""
    place, own, scope = recommended_estimators.METRICS.index(headline.metric), views.as_asked.recommended, views.scope
    z = [headlines.plain(headline, headline.metric, contrast, own)[:, 0] for contrast in sides]
    spread = [_spread(headline, contrast, own, views.contributions, place) for contrast in sides]
    mean = [(persona_jackknife.average(z), persona_jackknife.average(spread))] if len(sides) > 1 else []
    ratios = headline.quantity == CHANGE
    if ratios:  # a family's own interval is made on the scale of logarithms
        each = [
            (headlines.log_ratio(contrast, headline.metric, own)[:, 0], part / (100 + one[0]))
            for contrast, one, part in zip(sides, z, spread, strict=True)
        ]
    else:
        each = list(zip(z, spread, strict=True))
    without, items = map(np.array, zip(*mean, *each, strict=True))
    value, lo, hi = _over_items(without, items, scope)
    for place, family in enumerate(["mean"] * len(mean) + [contrast.variant.family.key for contrast in sides]):
        found = Found(value[place], lo[place], hi[place])
        yield family, Found(*map(float, headlines.percent(found) if ratios and family != "mean" else found))


def _spread(headline: Headline, contrast: Contrast, own: Values, each: dict[Run, np.ndarray], place: int) -> np.ndarray:
    """What each item (item,) contributes to a headline's quantity in one family."""
    x, other, base = (own(run, headline.metric)[0, 0] for run in (contrast.variant, contrast.against, contrast.base))
    part, part_other, part_base = (each[run][place] for run in (contrast.variant, contrast.against, contrast.base))
    with np.errstate(invalid="ignore", divide="ignore"):
        if headline.quantity == CHANGE:
            return 100 * (part - part_other) * x / other
        if headline.quantity == EXCESS:
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
