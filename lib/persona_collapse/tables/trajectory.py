"""A fine-tune step by step: what every checkpoint's answers are like, and whether S rises and then falls on the way."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import persona_jackknife, presence
from persona_collapse.statistics.moments import Parts
from persona_collapse.statistics.presence import NOTHING, Limits
from persona_collapse.statistics.published_errors import published_se
from persona_collapse.statistics.published_estimators import moments, published, ratings
from persona_collapse.statistics.recommended_estimators import LeaveOneOut, faint_remark
from persona_collapse.statistics.style import folds, style_share
from persona_collapse.statistics.trajectory import FEWEST_STEPS, FEWEST_UNITS, peak
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.scopes import keyed
from persona_collapse.study.study import Run
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.published_contrasts import NORMAL_95
from persona_collapse.tables.run_statistics import Analysis, Side, Together
from persona_collapse.tables.saturation import distance, profile
from persona_collapse.vocabulary import OF_PUBLISHED, PUBLISHED, RECOMMENDED

#: On whom a number is: personas that all steps of the path share, all of the step's own, or nobody, asked as itself.
SHARED, ALL, ALONE = "shared", "all", "self"
#: A step with fewer than this share of the personas of the fullest one would leave too few that all share: it stands by itself.
LEAST = 0.25
#: Metrics of `vocabulary` along a path, in the order of the table.
LEVELS = ("susceptibility", "robustness", "within_rms", "icc", "relative_susceptibility", "endpoint_mass")


class StepRow(NamedTuple):
    """A row of trajectory.csv."""

    family: str
    of: str
    variant: str
    step: float
    position: float
    instrument: str
    on: str
    metric: str
    method: str
    value: float
    lo: float
    hi: float
    personas: int
    stack: str
    other_stack: str
    note: str = ""


class PeakRow(NamedTuple):
    """A row of peaks.csv; rise, fall and change are in percent, or in scale points where S is 0 at some step."""

    family: str
    of: str
    instrument: str
    metric: str
    method: str
    steps: int
    personas: int
    variant: str = ""
    step: float = np.nan
    lo: float = np.nan
    hi: float = np.nan
    told: bool = False
    unit: str = ""
    rise: float = np.nan
    rise_lo: float = np.nan
    rise_hi: float = np.nan
    fall: float = np.nan
    fall_lo: float = np.nan
    fall_hi: float = np.nan
    change: float = np.nan
    change_lo: float = np.nan
    change_hi: float = np.nan
    top_pp: float = np.nan
    top_lo: float = np.nan
    top_hi: float = np.nan
    relative: float = np.nan
    relative_lo: float = np.nan
    relative_hi: float = np.nan
    with_ceiling: bool = False
    other_stack: str = ""
    left: str = ""
    why: str = ""


class Step(NamedTuple):
    """A run as a step of a path; `position` is where figures draw it, which stands in for a step that is not known."""

    run: Run
    step: float
    position: float


def steps_of(given: Ratings, run: Run) -> tuple[Step, ...]:
    """Base, checkpoints and the fine-tune itself by their steps; empty for a run without checkpoints.

    A fine-tune whose own step is not known stands behind its last checkpoint, by the median distance of steps.
    """
    *checkpoints, own = given.steps(run)
    if not checkpoints:
        return ()
    numbers = [0.0, *(float(one.variant.step or 0) for one in checkpoints)]
    beside = [b - a for a, b in pairwise(numbers) if b > a]
    last = run.variant.step
    behind = numbers[-1] + (median(beside) if beside else 1) if last is None else float(last)
    found = [Step(one, number, number) for one, number in zip(checkpoints, numbers[1:], strict=True)]
    found.append(Step(own, np.nan if last is None else behind, behind))
    base = Run(run.family, run.family.base)
    return (Step(base, 0.0, 0.0), *sorted(found, key=lambda one: one.position))


class OnPath(Analysis):
    """Recommended statistics where a persona counts at a step that rated most of its items.

    A half-finished checkpoint has rows without ratings for the personas that it did not come to; taken as asked in vain, they
    would take items from all steps.
    """

    def here(self, run: Run) -> np.ndarray:
        """Which personas a step came to (persona,)."""
        counts = self.counts(run)
        return super().here(run) & ((ratings(counts) > 0).mean(axis=1) > 0.5 if counts.size else np.zeros(len(counts), bool))


class Path:
    """One fine-tune from its base to its end, on the personas that its steps share."""

    def __init__(self, analysis: OnPath, guard: Guard, of: Run, steps: tuple[Step, ...]) -> None:
        self.analysis, self.of, self.base = analysis, of, steps[0].run
        refused = {one.run: guard.refusal(one.run, self.base) for one in steps}
        sizes = {one.run: int(analysis.here(one.run).sum()) for one in steps}
        #: Steps that are looked at, and those of them that are compared on shared personas.
        self.steps = tuple(one for one in steps if sizes[one.run] and not refused[one.run])
        self.compared = tuple(one for one in self.steps if sizes[one.run] >= LEAST * max(sizes.values()))
        self.left = [f"{one.run.variant.name}: {_why_left(sizes[one.run], refused[one.run])}"
                     for one in steps if one not in self.compared]  # fmt: skip
        stacks = [known for one in self.steps if (known := analysis.study.known_stack(one.run))]
        self.stack = max(stacks, key=lambda one: (Counter(stacks)[one], one == stacks[-1]), default="")

    @cached_property
    def shared(self) -> Together:
        """The compared steps on the personas and items of all of them."""
        return self.analysis.together(*(one.run for one in self.compared))

    def other_stack(self, run: Run) -> str:
        """Who served a step, where most steps were served by another."""
        own = self.analysis.study.known_stack(run)
        return own if own != self.stack else ""


def _why_left(personas: int, refused: str) -> str:
    if refused:
        return refused
    return f"only {personas} personas, compared with no other step" if personas else "no ratings"


def paths(analysis: OnPath, guard: Guard) -> list[Path]:
    """Every path of a study that has ratings, in the order of its variants."""
    given = analysis.ratings
    found = [(run, steps_of(given, run)) for run in given.runs if not run.variant.of and run.variant.role != "base"]
    made = [Path(analysis, guard, run, steps) for run, steps in found if steps]
    return [path for path in made if path.steps]


def trajectory_tables(given: Ratings, guard: Guard) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """trajectory.csv and peaks.csv; None for a study without checkpoints."""
    if not given.study.has_checkpoints:
        return None
    rows: list[StepRow] = []
    peaks: list[PeakRow] = []
    for path in paths(OnPath(given), guard):
        rows += _rows(path)
        peaks += _peaks(path)
    return pd.DataFrame(rows, columns=list(StepRow._fields)), pd.DataFrame(peaks, columns=list(PeakRow._fields))


# --- numbers of every step ---------------------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[StepRow]:
    analysis, study = path.analysis, path.analysis.study
    compared = [one.run for one in path.compared]
    for one in path.steps:
        about = (*path.of.keys, one.run.variant.key, one.step, one.position, study.instrument.key)
        stack = study.stack(one.run), path.other_stack(one.run)
        on: list[tuple[str, Together, Together]] = [(ALL, analysis.alone(one.run), analysis.together(one.run, path.base))]
        if one.run in compared and len(compared) > 1:
            on.insert(0, (SHARED, path.shared, path.shared))
        for whom, own, beside in on:
            place = compared.index(one.run) if whom == SHARED else 0
            personas = len(own.common.personas)
            if not personas:
                continue
            for metric, method, found, note in _numbers(analysis, own, own.sides[place]):
                yield StepRow(*about, whom, metric, method, *found, personas, *stack, note)
            if one.run != path.base and (whom == ALL or path.base in compared):
                of_base = compared.index(path.base) if whom == SHARED else 1
                style, why = _style(analysis, beside, place, of_base, path.base)
                yield StepRow(*about, whom, "style_share", RECOMMENDED, *style, len(beside.common.personas), *stack, why)
        for metric, found in _alone(analysis, one.run):
            yield StepRow(*about, ALONE, metric, RECOMMENDED, *found, 0, *stack)


def _numbers(analysis: OnPath, on: Together, side: Side) -> Iterator[tuple[str, str, Limits, str]]:
    """Metric, method, value with limits and a note, of one step on some personas."""
    loo = side.loo
    levels = persona_jackknife.level(loo)
    for metric in LEVELS:
        at = levels.of(metric).at(0)
        note = faint_remark(loo, 0) if metric == "susceptibility" else ""
        yield metric, RECOMMENDED, Limits(float(at.value), float(at.lo), float(at.hi)), note
    found = presence.presence(loo)
    yield "persona_variance", RECOMMENDED, found.variance, presence.verdict(found, np.nan, np.nan)
    for metric, each, logit in _uses(loo, analysis.study.instrument, on.common.items):
        yield metric, RECOMMENDED, _jackknifed(each, logit=logit), ""
    level = published(side.counts, analysis.categories, on.common.scope[:, :1])
    se = published_se(side.counts, analysis.categories, on.common.scope[:, :1])
    for metric in OF_PUBLISHED:
        value, error = float(getattr(level, metric)[0]), NORMAL_95 * float(getattr(se, metric)[0])
        yield metric, PUBLISHED, Limits(value, value - error, value + error), ""


def _uses(loo: LeaveOneOut, instrument: Instrument, items: np.ndarray) -> Iterator[tuple[str, np.ndarray, bool]]:
    """How the scale is used, of all personas and without each unit (1 + unit,), and whether it is a share between 0 and 1."""
    given = _given(loo.parts)
    yield "entropy", -(given * np.log2(np.where(given > 0, given, 1))).sum(axis=1), False
    yield "commonest_share", given.max(axis=1), True
    yield "ceiling_share", _top(loo.parts, instrument, items), True


def _given(parts: Parts, counts: np.ndarray | None = None) -> np.ndarray:
    """Share of each category among all ratings, of all personas and without each unit (1 + unit, category)."""
    totals = parts.units.totals((parts.counts if counts is None else counts).sum(axis=1))
    return totals / totals.sum(axis=1, keepdims=True)


def _top(parts: Parts, instrument: Instrument, items: np.ndarray) -> np.ndarray:
    """Share of the scale's upper end among all ratings, reversed items turned (1 + unit,)."""
    turned = np.array([instrument.items[item].reversed for item in items])
    counts = np.where(turned[:, None], parts.counts[..., ::-1], parts.counts)
    return _given(parts, counts)[:, -1]


def _jackknifed(each: np.ndarray, *, logit: bool = False) -> Limits:
    """A value with interval A, on its own scale or on the logit scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.log(each / (1 - each)) if logit else each
        found = persona_jackknife.estimate(z[:, None], carried=False)
        lo, hi = (float(limit[0]) for limit in persona_jackknife.limits(found))
    if not np.isfinite([lo, hi]).all():
        return NOTHING._replace(value=float(each[0]))
    if logit:
        lo, hi = (float(1 / (1 + np.exp(-limit))) for limit in (lo, hi))
    return Limits(float(each[0]), lo, hi)


def _style(analysis: OnPath, on: Together, place: int, of_base: int, base: Run) -> tuple[Limits, str]:
    """Style share of a step against the base, and why there is none."""
    own, other = on.loo[place], on.loo[of_base]
    if own.means is None or other.means is None:
        return NOTHING, "No style share: no persona has a rating for every item on both sides."
    if np.array_equal(on.sides[place].counts, on.sides[of_base].counts):
        return NOTHING, "No style share: no rating differs from the base's."
    answers = analysis.ratings.of(base)
    fold = folds([answers.persona_id(row) for row in range(answers.shape[0])])[on.common.personas]
    found = Limits(*style_share(own.parts, other.parts, fold))
    return found, "" if np.isfinite(found.value) else "No style share: too few personas, or ratings, to tell it."


def _alone(analysis: OnPath, run: Run) -> Iterator[tuple[str, Limits]]:
    """Answers without a persona: their mean, with its interval for the same requests again, and how far they lie from the top."""
    study = analysis.study
    counts = analysis.ratings.counts(run, "self") if "self" in study.conditions(run) else np.empty((0, 0, 0), int)
    if not len(counts) or not counts.any():
        return
    cells = moments(keyed(counts, study.instrument), study.instrument.categories)
    n, mean, variance = (field[0][cells.n[0] > 0] for field in cells)
    beside = NORMAL_95 * np.sqrt((variance / n).sum()) / len(mean)
    middle = float(mean.mean())
    yield "self_mean", Limits(middle, middle - beside, middle + beside)
    by_group = profile(counts, study.instrument)["mean"].dropna().to_numpy(float)
    yield "self_to_ceiling", NOTHING._replace(value=distance(by_group, np.full(len(by_group), study.instrument.scale[1])))


# --- does it rise and fall? --------------------------------------------------------------------------------------------


def _peaks(path: Path) -> Iterator[PeakRow]:
    """The highest S of a path by either formula, and whether it is a peak."""
    loos = path.shared.loo if len(path.compared) > 1 else ()
    personas = len(path.shared.common.personas) if loos else 0
    units = len(loos[0].units) if loos and personas else 0
    for key, method in (("susceptibility", RECOMMENDED), ("susceptibility_published", PUBLISHED)):
        about = (*path.of.keys, path.analysis.study.instrument.key, "susceptibility", method, len(path.compared), personas)
        row = PeakRow(*about, other_stack=_stacks(path), left=" ".join(f"{one}." for one in path.left))
        if row.steps < FEWEST_STEPS or units < FEWEST_UNITS:
            found = f"{row.steps} steps that can be compared, on {personas} shared personas"
            yield row._replace(why=f"{found}; it takes at least {FEWEST_STEPS} steps and {FEWEST_UNITS} personas")
        else:
            yield _peak(path, row, key)


def _peak(path: Path, row: PeakRow, key: str) -> PeakRow:
    each = np.stack([loo.of(key)[:, 0] for loo in path.shared.loo])
    if not np.isfinite(each).all():
        return row._replace(why="S does not exist at some step")
    logs = bool((each > 0).all())
    found = peak(np.log(each) if logs else each)
    at = path.compared[found.at]
    row = row._replace(
        variant=at.run.variant.key, step=at.position, lo=path.compared[found.lo].position, hi=path.compared[found.hi].position,
        told=found.told, unit="%" if logs else "scale points",
    )  # fmt: skip
    for name, limits in (("rise", found.rise), ("fall", found.fall), ("change", found.whole)):
        value, lo, hi = (100 * np.expm1(number) if logs else number for number in limits)
        row = PeakRow(**row._asdict() | {name: value, f"{name}_lo": lo, f"{name}_hi": hi})
    return _ceiling(path, row, found.at) if found.at < len(path.compared) - 1 else row


def _ceiling(path: Path, row: PeakRow, at: int) -> PeakRow:
    """What the top of the scale and S relative to its room do from the highest step to the last."""
    high, last = path.shared.loo[at], path.shared.loo[-1]
    instrument, items = path.analysis.study.instrument, path.shared.common.items
    top = _jackknifed(100 * (_top(last.parts, instrument, items) - _top(high.parts, instrument, items)))
    relative = persona_jackknife.change(last, high).of("relative_susceptibility").at(0)
    found = row._replace(
        top_pp=top.value, top_lo=top.lo, top_hi=top.hi,
        relative=float(relative.value), relative_lo=float(relative.lo), relative_hi=float(relative.hi),
    )  # fmt: skip
    return found._replace(with_ceiling=bool(row.told and top.lo > 0 and not relative.hi < 0))


def _stacks(path: Path) -> str:
    """Steps that another stack served than most, in words; empty where one served all."""
    others: dict[str, list[str]] = {}
    for one in path.steps:
        if other := path.other_stack(one.run):
            others.setdefault(other, []).append(f"{one.position:g}")
    return "; ".join(f"{', '.join(steps)} by {stack}" for stack, steps in others.items())
