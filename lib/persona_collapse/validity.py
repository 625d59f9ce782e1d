"""What a conclusion hangs on: every headline of a study under every defensible choice."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from persona_collapse import claims, generalising, jackknife
from persona_collapse.analysis import Analysis
from persona_collapse.choices import Views
from persona_collapse.claims import Claim, Found, Values
from persona_collapse.contrasts import as_numbers
from persona_collapse.guard import Guard
from persona_collapse.metrics import OVERALL
from persona_collapse.recommended import METRICS
from persona_collapse.study import Run

#: Columns of validity.csv. `family` is a key, or `mean` for the mean over these families (a family's own number in a study of
#: one); `agrees` is whether the interval lies wholly where the claim has it.
COLUMNS = (
    "kind", "variant", "claim", "group", "choice", "family", "quantity", "value", "lo", "hi", "agrees", "verdict",
)  # fmt: skip
#: Columns of foundation_claims.csv.
FOUNDATIONS = ("family", "variant", "scope", "metric", "value", "lo", "hi", "p", "p_holm")
RECOMMENDED, FAMILIES = "recommended", "families as a sample"
#: Metrics of which claims about single foundations are made.
_CLAIMED = ("susceptibility", "within_rms")


def table(analysis: Analysis, guard: Guard, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Every claim of a study under every choice: validity.csv.

    Parameters
    ----------
    analysis, guard
        Of the study; families whose sides cannot be compared are left out.
    contrasts : DataFrame
        contrasts.csv, for the intervals of the published method.
    """
    sides = {}
    for claim in claims.claims(analysis):
        usable = [runs for runs in claims.sides(analysis, claim) if not guard.refusal(*runs)]
        sides[claim] = [runs for runs in usable if len(analysis.together(*runs).common.personas)]
    rows: list[tuple] = []
    views = _Shared(analysis, _every(runs for found in sides.values() for runs in found))
    for claim, usable in sides.items():
        # Each family may have personas of its own, none of them common to all.
        if usable and (own := views.of(_every(usable))) is not None:
            rows += [_row(claim, *found) for found in _of_claim(analysis, claim, usable, own, contrasts)]
    return as_numbers(pd.DataFrame(rows, columns=list(COLUMNS))).astype({"agrees": bool})


def _every(sides: Iterable[tuple[Run, ...]]) -> tuple[Run, ...]:
    """All runs of these sides, each once."""
    return tuple(dict.fromkeys(run for runs in sides for run in runs))


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
        same = np.array_equal(own.personas, widest.personas) and np.array_equal(own.items, widest.items)
        key = self._all if same else runs
        if key not in self._found:
            self._found[key] = Views(self._analysis, list(key))
        return self._found[key]


def _row(claim: Claim, group: str, choice: str, family: str, found: Found) -> tuple:
    verdict = claims.verdict(claim, found)
    # Families are compared by ratios, also where each excess is in points of its own base.
    unit = "%" if choice == FAMILIES and claim.quantity == "excess_pp" else claim.unit
    about = claim.kind, claim.variant, claim.words, group, choice, family, unit
    return *about, *found, verdict == claims.HOLDS, verdict


Line = tuple[str, str, str, Found]


def _of_claim(
    analysis: Analysis, claim: Claim, sides: list[tuple[Run, ...]], views: Views, contrasts: pd.DataFrame
) -> Iterator[Line]:
    """Group, choice, family and numbers of a claim under every choice."""
    alternates = [run for run in analysis.study.runs if run.variant.role == "alternate"]
    own = views.recommended()
    yield from _everywhere(claim, claim.metric, sides, own, (RECOMMENDED, "recommended estimator"))
    yield from _published(claim, sides, contrasts)
    for choice in views.choices(claim):
        yield from _everywhere(claim, choice.metric, sides, choice.values, choice[:2])
    yield from _stacks(analysis, claim, sides, alternates)
    if len(sides) > 1:
        for left in sides:
            kept = [runs for runs in sides if runs is not left]
            words = f"without {left[0].family.name}"
            yield "family left out", words, "mean", _mean(claim, claim.metric, kept, own)
        yield "wider claim", FAMILIES, "mean", _families(claim, sides, own)
    for family, found in _items(analysis, claim, sides, views):
        yield "wider claim", "items as a sample", family, found


def _everywhere(
    claim: Claim, metric: str, sides: Sequence[tuple[Run, ...]], values: Values, name: tuple[str, str]
) -> Iterator[Line]:
    yield *name, "mean", _mean(claim, metric, sides, values)
    for runs in sides:
        yield *name, runs[0].family.key, claims.in_family(claim, metric, runs, values)


def _mean(claim: Claim, metric: str, sides: Sequence[tuple[Run, ...]], values: Values) -> Found:
    """Mean over these families; a single family keeps the scale of its own."""
    if len(sides) == 1:
        return claims.in_family(claim, metric, sides[0], values)
    return claims.interval(np.mean([claims.plain(claim, metric, runs, values) for runs in sides], axis=0))


def _published(claim: Claim, sides: Sequence[tuple[Run, ...]], contrasts: pd.DataFrame) -> Iterator[Line]:
    """The published estimator with the published interval, which takes the runs as independent; its means have none."""
    metric = {"within_rms": "within_sd"}.get(claim.metric, claim.metric)
    rows = contrasts[(contrasts["method"] == "published") & (contrasts["scope"] == OVERALL) & (contrasts["metric"] == metric)]
    rows = rows[(rows["variant"] == claim.variant) & (rows["quantity"] == claim.quantity)].set_index("family")
    families = [runs[0].family.key for runs in sides]
    for family in (["mean"] if len(families) > 1 else []) + families:
        if family in rows.index:
            found = Found(*rows.loc[family, ["value", "lo", "hi"]].astype(float))
            yield "estimator or measure", "published, printed interval", family, found


def _stacks(analysis: Analysis, claim: Claim, sides: list[tuple[Run, ...]], alternates: list[Run]) -> Iterator[Line]:
    """The base's weights as otherwise served in the base's place, in the families that have it."""
    for key in dict.fromkeys(run.variant.key for run in alternates):
        other = {run.family.key: run for run in alternates if run.variant.key == key}
        if not other.keys() & {runs[0].family.key for runs in sides}:
            continue
        served = [(*runs[:-1], other.get(runs[0].family.key, runs[-1])) for runs in sides]
        together = analysis.together(*dict.fromkeys(run for runs in served for run in runs))
        at = dict(zip(dict.fromkeys(run for runs in served for run in runs), together.loo, strict=True))
        if claim.kind == "anchor":
            continue  # a comparison with the control alone

        def values(run: Run, metric: str, at: dict = at) -> np.ndarray:
            return at[run].of(metric)[:, 0]

        changed = [runs for runs in served if runs[-1].variant.key == key]
        words = f"base of {', '.join(runs[0].family.name for runs in changed)}: {analysis.study.stack(changed[0][-1])}"
        if len(sides) > 1:
            yield "serving stack", words, "mean", _mean(claim, claim.metric, served, values)
        for runs in changed:
            yield "serving stack", words, runs[0].family.key, claims.in_family(claim, claim.metric, runs, values)


def _families(claim: Claim, sides: Sequence[tuple[Run, ...]], values: Values) -> Found:
    """The mean over families as a sample of families; of an excess the ratio to the control, in percent."""
    if claim.quantity == "logit":
        each = [claims.plain(claim, claim.metric, runs, values)[0] for runs in sides]
    else:
        each = [claims.log_ratio(runs, claim.metric, values)[0] for runs in sides]
    found = generalising.over_families(np.array(each))
    numbers = Found(float(found.mean), float(found.lo), float(found.hi))
    return numbers if claim.quantity == "logit" else claims.percent(numbers)


def _items(analysis: Analysis, claim: Claim, sides: Sequence[tuple[Run, ...]], views: Views) -> Iterator[tuple[str, Found]]:
    """Intervals for other personas and other items like these, for the mean over families and for each."""
    place, own, scope = METRICS.index(claim.metric), views.recommended(), views.together.common.scope
    each = {}
    wanted = set(_every(sides))
    for run, side in zip(views.runs, views.together.sides, strict=True):
        if run not in wanted:
            continue
        found = generalising.contributions(side.loo, side.counts, analysis.categories, scope, exact=analysis.study.by_logprobs)
        each[run] = found[place, :, 0]
    spread, z = [], []
    for runs in sides:
        value = [own(run, claim.metric)[0] for run in runs]
        with np.errstate(invalid="ignore", divide="ignore"):
            if claim.quantity == "change_pct":
                spread.append((each[runs[0]] - each[runs[1]]) * 100 * value[0] / value[1])
            elif claim.quantity == "excess_pp":
                share = (value[0] * each[runs[0]] - value[1] * each[runs[1]] - (value[0] - value[1]) * each[runs[2]]) / value[2]
                spread.append(100 * share)
            else:
                spread.append(each[runs[0]] / (1 - value[0]) - each[runs[1]] / (1 - value[1]))
        z.append(claims.plain(claim, claim.metric, runs, own))
    if len(sides) > 1:
        yield "mean", _over_items(np.mean(z, axis=0), np.mean(spread, axis=0), scope)
    for runs, one, part in zip(sides, z, spread, strict=True):
        if claim.quantity == "change_pct":
            ratio = 1 + one[0] / 100
            log = claims.log_ratio(runs, claim.metric, own)
            yield runs[0].family.key, claims.percent(_over_items(log, part / 100 / ratio, scope))
        else:
            yield runs[0].family.key, _over_items(one, part, scope)


def _over_items(z: np.ndarray, each: np.ndarray, scope: np.ndarray) -> Found:
    """Interval of a statistic without each persona (1 + persona,), widened by what each item (item,) contributes to it."""
    columns = scope.shape[1]
    contributed = np.zeros((1, len(each), columns))
    contributed[0, :, 0] = each
    spread = generalising.between_items(contributed, scope)[0]
    found, t = generalising.widened(jackknife.estimate(np.repeat(z[:, None], columns, axis=1)), spread, scope)
    centre, reach = float(found.centre[0]), float(t[0] * found.se[0])
    return Found(float(z[0]), centre - reach, centre + reach)


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
        change, p = jackknife.change(own, other), jackknife.p_value(own, other)
        for metric in _CLAIMED:
            at = METRICS.index(metric)
            for column, scope in list(enumerate(analysis.scopes))[1:]:
                numbers = (field[at, column] for field in change[:1] + change[2:4])
                rows.append((run.family.key, run.variant.key, scope, metric, *numbers, p[at, column], np.nan))
    found = as_numbers(pd.DataFrame(rows, columns=list(FOUNDATIONS)))
    for metric in _CLAIMED:
        chosen = found["metric"] == metric
        found.loc[chosen, "p_holm"] = generalising.holm(found.loc[chosen, "p"].to_numpy(float))
    return found
