"""What stands beside the numbers of metrics.csv and contrasts.csv: their column `note`."""

from collections.abc import Callable, Sequence

import numpy as np

from persona_collapse.statistics import (
    common_cells,
    noise_bounds,
    persona_jackknife,
    presence,
    rarefaction,
    recommended_estimators,
    wider_intervals,
)
from persona_collapse.study.study import Run
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.run_statistics import Analysis, Together
from persona_collapse.vocabulary import METRICS

#: The note of a metric (by name) in a scope (by column), given its interval there.
Note = Callable[[str, int, persona_jackknife.Interval], str]
_NEAR_ONE = "In some family S is too near 0 for an interval."
_NEAR = "S is too near 0 for an interval."


def level_note(analysis: Analysis, run: Run, alone: Together) -> Note:
    """What stands beside the numbers of one run, by metric, scope and interval."""
    found = analysis.bounds(alone, 0)
    single = recommended_estimators.remark(alone.loo[0])
    near = persona_jackknife.near_zero(alone.loo[0])
    too_few = _too_few(analysis, alone)
    missing = ""
    if not analysis.study.by_logprobs:
        missing = common_cells.missing(analysis.counts(run)[analysis.here(run)], analysis.categories, analysis.slots(run)).note

    def note(metric: str, column: int, interval: persona_jackknife.Interval) -> str:
        said = [alone.common.note, _NEAR if near[column] and _anchored(metric) else ""]
        if METRICS[metric].noise:
            bound = found[column]
            said += [bound.note if bound else "", too_few, missing]
        if metric == "susceptibility" and not near[column]:
            said.append(recommended_estimators.faint_remark(alone.loo[0], column))
        said += [single, _carrier(analysis, metric, column, interval)]
        return " ".join(part for part in said if part)

    return note


def _carrier(analysis: Analysis, metric: str, column: int, interval: persona_jackknife.Interval) -> str:
    """The persona that carries most of an interval, if one does."""
    return persona_jackknife.remark(interval, named(metric), analysis.scopes[column], analysis.study.unit_name)


def _too_few(analysis: Analysis, together: Together) -> str:
    """What stands beside the noise of too few personas, or clusters."""
    return noise_bounds.too_few(len(together.loo[0].units), "personas" if analysis.clusters is None else "clusters")


def _anchored(metric: str) -> bool:
    return bool(persona_jackknife.ANCHORED[recommended_estimators.METRICS.index(metric)])


def named(metric: str) -> str:
    """How notes call a metric."""
    return METRICS[metric].name or metric


class ContrastNotes:
    """What stands beside the numbers of a contrast: lost personas, bounds, fewer repetitions, one persona that carries it."""

    def __init__(self, analysis: Analysis, contrast: Contrast, together: Together, also: str = "") -> None:
        self._analysis, self._together, self._also = analysis, together, also
        self._lost = together.common.note
        if self._lost:
            own = analysis.alone(contrast.base).loo[0].of("susceptibility")[0, 0]
            shared = together.loo[-1].of("susceptibility")[0, 0]
            if np.isfinite(shared):
                self._lost += " " + common_cells.base_note(shared, len(together.common.personas), own)
        self._base_bounds = analysis.bounds(together, len(contrast.runs) - 1)
        self._own_bounds = analysis.bounds(together, 0)
        self._own_lo = persona_jackknife.level(together.loo[0]).of("within_rms").lo
        self._rarefied = () if contrast.control else _rarefied(analysis, together)
        self._too_few = _too_few(analysis, together)
        self._near = np.any([persona_jackknife.near_zero(side) for side in together.loo], axis=0)
        singles = [run.name for run, side in zip(contrast.runs, together.loo, strict=True) if side.repetitions[1] == 1]
        self._single = f"One rating a cell in {', '.join(singles)}: noise cannot be told from spread." if singles else ""

    def of(self, metric: str, column: int, interval: persona_jackknife.Interval) -> str:
        """The note of one metric in one scope."""
        said = [self._also, self._lost]
        if self._near[column] and _anchored(metric):
            said.append(self._pooled(column))
        if METRICS[metric].noise:
            said += [self._bound(column), self._too_few]
        if metric == "susceptibility" and not self._near[column]:
            faint = {recommended_estimators.faint_remark(side, column) for side in self._together.loo}
            said += sorted(faint)
        if np.isnan(interval.value):
            said.append(self._single)
        if self._rarefied and metric in ("robustness", "within_rms"):
            said.append(self._rarefied[column])
        said.append(_carrier(self._analysis, metric, column, interval))
        return " ".join(part for part in said if part)

    def _pooled(self, column: int) -> str:
        """How pooled S changed where the logarithm of a side does not exist."""
        changed = presence.change(self._together.loo[0], self._together.loo[-1], column)
        if np.isnan(changed.lo):
            return _NEAR
        return f"{_NEAR[:-1]}; pooled S changes by {changed.value:.0f} % [{changed.lo:.0f}, {changed.hi:.0f}] against the base."

    def _bound(self, column: int) -> str:
        base, own = self._base_bounds[column], self._own_bounds[column]
        if base is not None:
            return f"Base: {base.note} " + noise_bounds.change_sentence(noise_bounds.change_at_least(self._own_lo[column], base))
        return "" if own is None else f"Variant: {own.note}"


def _rarefied(analysis: Analysis, together: Together) -> tuple[str, ...]:
    """Change of the published R as both sides would have it at equally many repetitions, for sides that differ in them."""
    own, base = together.sides
    if analysis.study.by_logprobs or own.loo.repetitions == base.loo.repetitions or min(own.loo.repetitions) < 1:
        return ()
    n = rarefaction.smallest_common([own.counts, base.counts])
    if n < 2 or max(own.loo.repetitions[1], base.loo.repetitions[1]) == n:
        return ()
    with np.errstate(invalid="ignore", divide="ignore"):
        r, r_base = (rarefaction.rarefied(side.loo.parts, together.common.scope, n).robustness[0] for side in (own, base))
        change = 100 * (r / r_base - 1)
    return tuple(
        f"R by the paper's formula at n = {n} on both sides: {value:+.1f} %." if np.isfinite(value) else "" for value in change
    )


class MeanNotes:
    """What stands beside a mean over families: how many agree, and what they say as a sample of families."""

    def __init__(
        self,
        analysis: Analysis,
        together: Together,
        pairs: Sequence[tuple[recommended_estimators.LeaveOneOut, ...]],
        left: list[str],
    ) -> None:
        self._analysis = analysis
        self._lost = " ".join(part for part in (without_families(left), together.common.note) if part)
        with np.errstate(invalid="ignore"):
            ratios = np.array([one.logs[:, 0] - other.logs[:, 0] for one, other in pairs])  # (family, metric, scope)
        self._families = wider_intervals.over_families(ratios)
        self._near = np.any([persona_jackknife.near_zero(side) for pair in pairs for side in pair], axis=0)

    def of(self, metric: str, column: int, interval: persona_jackknife.Interval) -> str:
        """The note of one metric in one scope."""
        at = recommended_estimators.METRICS.index(metric), column
        said = [self._lost, _NEAR_ONE if self._near[column] and _anchored(metric) else "", self._families.note(*at)]
        mean, lo, hi = (100 * np.expm1(field[at]) for field in self._families[:3])
        if np.isfinite([mean, lo, hi]).all():
            said.append(f"As a sample of families: ratio {mean:+.0f} % [{lo:.0f}, {hi:.0f}].")
        said.append(_carrier(self._analysis, metric, column, interval))
        return " ".join(part for part in said if part)


def without_families(left: list[str]) -> str:
    """Which families a mean leaves out, as a sentence; empty if none."""
    return f"Without {', '.join(left)}, whose sides cannot be compared." if left else ""
