"""What differs between two studies: every metric of matched runs, effect of fine-tuning and excess, each with both intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.comparison import interval_arithmetic
from persona_collapse.comparison.interval_arithmetic import Difference, Group
from persona_collapse.comparison.match_runs import Match
from persona_collapse.comparison.pair import OnCommon, Pair
from persona_collapse.statistics import (
    common_cells,
    noise_bounds,
    persona_jackknife,
    rarefaction,
    recommended_estimators,
    repeat_interval,
    wider_intervals,
)
from persona_collapse.study.scopes import OVERALL
from persona_collapse.tables.notes import named
from persona_collapse.tables.run_statistics import Side
from persona_collapse.vocabulary import CLAIMED, METRICS, OF_RECOMMENDED, PUBLISHED, RECOMMENDED


class DifferenceRow(NamedTuple):
    """A row of differences.csv."""

    family: str
    variant: str
    variant_b: str
    control: str
    scope: str
    metric: str
    quantity: str
    method: str
    value_a: float = np.nan
    value_b: float = np.nan
    value: float = np.nan
    se: float = np.nan
    lo: float = np.nan
    hi: float = np.nan
    lo_repeat: float = np.nan
    hi_repeat: float = np.nan
    p: float = np.nan
    p_holm: float = np.nan
    families: int | None = None
    paired: bool = False
    personas_a: int = 0
    personas_b: int = 0
    items: int = 0
    same_ratings: bool = False
    differs: str = ""
    note: str = ""


#: A row of which family, variants and control are known, and what else all rows of a match share.
_Begun = Callable[..., DifferenceRow]
_NUMBERS = [name for name, kind in DifferenceRow.__annotations__.items() if kind is float]
#: Quantities: the second study over the first, in percent; the effect (variant over base) in the second over that in the first;
#: the excess, and of means over families the change, in the second less that in the first, in points of base; how far personas
#: answer alike in both.
LEVEL, EFFECT, EXCESS, CHANGE = "difference_pct", "effect_pct", "excess_difference_pp", "change_difference_pp"
ALIKE = "agreement"
#: Quantities that are differences in points, not ratios.
_PLAIN = (EXCESS, CHANGE)
#: Methods: the recommended one, and the published estimators at equally many ratings a cell.
RAREFIED = "rarefied"
#: Metrics over all items whose differences are adjusted for their number.
COUNTED = CLAIMED
_PUBLISHED = {metric.key: metric.written or metric.key for metric in METRICS.values() if metric.method == PUBLISHED}


def differences_table(pair: Pair) -> pd.DataFrame:
    """Every difference between matched runs: differences.csv."""
    rows: list[DifferenceRow] = []
    for match in pair.together:
        for quantity, matches in _quantities(pair, match):
            rows += _refused(pair, quantity, matches) if pair.refusal(*matches) else _of_match(pair, quantity, matches)
    for (quantity, _), families in averaged(pair).items():
        rows += _mean(pair, quantity, families)
    found = pd.DataFrame(rows, columns=list(DifferenceRow._fields))
    return _counted_together(found.astype({"families": "Int64", **dict.fromkeys(_NUMBERS, float)}))


def _quantities(pair: Pair, match: Match) -> Iterator[tuple[str, list[Match]]]:
    """What can be asked of a match, with the runs that enter: its own, the bases', the controls'."""
    yield LEVEL, [match]
    base, control = pair.base(match), pair.control(match)
    if base:
        yield EFFECT, [match, base]
        if control:
            yield EXCESS, [match, control, base]


def averaged(pair: Pair) -> dict[tuple[str, str], list[list[Match]]]:
    """Quantities that are averaged over families, by quantity and variant key of the first study, with each family's matches.

    Effects and excesses of controls and harmful variants that two or more matched families have.
    """
    found: dict[tuple[str, str], list[list[Match]]] = {}
    for match in pair.together:
        a, b = match.both
        if a.variant.role == b.variant.role in ("control", "harmful"):
            for quantity, matches in _quantities(pair, match):
                if quantity != LEVEL and not pair.refusal(*matches):
                    found.setdefault((quantity, a.variant.key), []).append(matches)
    return {key: families for key, families in found.items() if len(families) > 1}


def _of_match(pair: Pair, quantity: str, matches: list[Match]) -> Iterator[DifferenceRow]:
    found = pair.on_common(matches)
    begun = partial(DifferenceRow, *_key(quantity, matches), **found.about, differs=_differ(pair, matches))
    groups = [_group(quantity, own, side) for side, own in enumerate(found.sides)]
    yield from _rows(pair, found, quantity, partial(begun, quantity=quantity), groups)
    if quantity == LEVEL:
        yield from _rarefied(pair, begun, found)
        if found.paired:
            yield from _alike(pair, begun, found)


def _key(quantity: str, matches: list[Match]) -> tuple[str, str, str, str]:
    """Family, variant on both sides, and control where the quantity is about one."""
    return *matches[0].key, matches[1].key[1] if quantity == EXCESS else ""


def _group(quantity: str, own: Sequence[Side], side: int) -> Group:
    """What one study adds to a quantity: the second enters with plus, the first with minus."""
    if quantity in _PLAIN:
        return (interval_arithmetic.excess if quantity == EXCESS else interval_arithmetic.change)(*own, sign=1 if side else -1)
    return interval_arithmetic.logs(own[:1], own[1:]) if side else interval_arithmetic.logs(own[1:], own[:1])


def _mean(pair: Pair, quantity: str, families: list[list[Match]]) -> Iterator[DifferenceRow]:
    """The mean of changes or of excesses over the matched families that have a variant."""
    found = pair.on_common([match for matches in families for match in matches])
    if min(len(common.personas) for common in found.commons) < 3:
        return  # each family has personas of its own
    # Like the mean of a study itself, that of changes is one of percentages, so the difference is in points.
    own_quantity = EXCESS if quantity == EXCESS else CHANGE
    size, groups = len(families[0]), []
    for side, own in enumerate(found.sides):
        each = [_group(own_quantity, own[first : first + size], side) for first in range(0, len(own), size)]
        groups.append(interval_arithmetic.mean(each))
    begun = partial(DifferenceRow, *mean_key(quantity, families), quantity=own_quantity, families=len(families), **found.about)
    yield from _rows(pair, found, own_quantity, begun, groups)


def mean_key(quantity: str, families: list[list[Match]]) -> tuple[str, str, str, str]:
    """Family, variant, its keys in the second study, and controls, as rows of a mean over families have them."""
    keys = [matches[0].key for matches in families]
    controls = dict.fromkeys(matches[1].key[1] for matches in families) if quantity == EXCESS else ()
    return "mean", keys[0][1], ", ".join(dict.fromkeys(key[2] for key in keys)), ", ".join(controls)


def _rows(pair: Pair, found: OnCommon, quantity: str, begun: _Begun, groups: list[Group]) -> Iterator[DifferenceRow]:
    difference = (interval_arithmetic.points if quantity in _PLAIN else interval_arithmetic.percent)(found.joined(groups))
    own, notes = _each(quantity, groups), _Notes(pair, found)
    for at, metric in enumerate(OF_RECOMMENDED):
        if metric == "fidelity":  # to the base of its own study
            continue
        for column, scope in enumerate(pair.analyses[0].scopes):
            numbers = _numbers(own, difference, at, column)
            note = notes.of(difference, metric, column)
            yield begun(scope=scope, metric=metric, method=RECOMMENDED, note=note, **numbers)


def _each(quantity: str, groups: list[Group]) -> tuple[np.ndarray, np.ndarray]:
    """What the quantity is in each study on what they have in common: a level, a change in percent, an excess in points."""
    a, b = -groups[0].z[:, 0], groups[1].z[:, 0]
    if quantity in _PLAIN:
        return a, b
    with np.errstate(invalid="ignore", over="ignore"):
        return (np.exp(a), np.exp(b)) if quantity == LEVEL else (100 * np.expm1(a), 100 * np.expm1(b))


def _numbers(own: tuple[np.ndarray, np.ndarray], difference: Difference, at: int, column: int) -> dict[str, float]:
    """The numbers of a row, but for p_holm, which needs all rows."""
    names = "value_a", "value_b", "value", "se", "lo", "hi", "lo_repeat", "hi_repeat", "p"
    fields = *own, *difference.interval[:4], difference.repeat.lo, difference.repeat.hi, difference.p
    return {name: field[at, column] for name, field in zip(names, fields, strict=True)}


def _refused(pair: Pair, quantity: str, matches: list[Match]) -> Iterator[DifferenceRow]:
    begun = partial(DifferenceRow, *_key(quantity, matches), differs=_differ(pair, matches), note=pair.refusal(*matches))
    for metric in OF_RECOMMENDED:
        for scope in pair.analyses[0].scopes:
            if metric != "fidelity":
                yield begun(scope=scope, metric=metric, quantity=quantity, method=RECOMMENDED)


def _differ(pair: Pair, matches: list[Match]) -> str:
    """What else differs between the sides, of every match that enters; the same is said once."""
    return " / ".join(dict.fromkeys(said for match in matches if (said := pair.differs(match))))


class _Notes:
    """What stands beside the numbers of a difference: lost personas, steady runs, one persona that carries it."""

    def __init__(self, pair: Pair, found: OnCommon) -> None:
        self._pair, self._paired = pair, found.paired
        lost = [(name, self._lost(common)) for name, common in zip(pair.names, found.commons, strict=True)]
        self._always = [lost[0][1]] if found.paired else [f"{name}: {said}" for name, said in lost if said]
        about = pair.studies[0].instrument.categories, found.commons[0].scope
        self._few = [
            [
                f"{name}: {said}" if (said := one.note if one else noise_bounds.too_few(len(side.counts))) else ""
                for one in noise_bounds.noise_bounds(side.counts, *about)
            ]
            for name, own in zip(pair.names, found.sides, strict=True)
            for side in own
            if not pair.studies[0].by_logprobs
        ]

    def _lost(self, common: common_cells.Common) -> str:
        # Where items are shared in part, their places are not their numbers.
        whole = len(self._pair.shared.items[0]) == len(self._pair.studies[0].instrument.items)
        return common.note if whole or not common.note else (
            f"On the {len(common.personas)} personas and {len(common.items)} items that have ratings on both sides."
        )  # fmt: skip

    def of(self, difference: Difference, metric: str, column: int) -> str:
        """The note of one metric in one scope."""
        place, whose = self._pair.analyses[0].scopes[column], 0
        if not self._paired:
            whose = int(difference.group[recommended_estimators.METRICS.index(metric), column])
            place += f", {self._pair.names[whose]}"
        interval = difference.interval.of(metric).at(column)
        carrier = persona_jackknife.remark(interval, named(metric), place, self._pair.studies[whose].unit_name)
        few = [own[column] for own in self._few] if METRICS[metric].noise else []
        return " ".join(said for said in (*self._always, *few, carrier) if said)


def _rarefied(pair: Pair, begun: _Begun, found: OnCommon) -> Iterator[DifferenceRow]:
    """Differences of the published estimators as both sides would have them at equally many ratings a cell."""
    sides = [own[0] for own in found.sides]
    if pair.studies[0].by_logprobs or not all(len(side.counts) for side in sides):
        return
    n = rarefaction.smallest_common([side.counts for side in sides])
    if n < 2:
        return
    fewer = [_at_n(side, found.commons[0].scope, n) for side in sides]
    groups = [_group(LEVEL, [side], place) for place, side in enumerate(fewer)]
    if any(side.loo.repetitions != (n, n) for side in sides):  # how far those would move with the ratings is not known
        groups = [group._replace(again=np.full_like(group.again, np.nan)) for group in groups]
    own, difference = _each(LEVEL, groups), interval_arithmetic.percent(found.joined(groups))
    note = f"The paper's formula at n = {n} on both sides."
    for name, metric in _PUBLISHED.items():
        for column, scope in enumerate(pair.analyses[0].scopes):
            numbers = _numbers(own, difference, recommended_estimators.METRICS.index(name), column)
            yield begun(scope=scope, metric=metric, quantity=LEVEL, method=RAREFIED, note=note, **numbers)


def _at_n(side: Side, scope: np.ndarray, n: int) -> Side:
    """A run with its published estimators as at n ratings a cell."""
    fewer, values = rarefaction.rarefied(side.loo.parts, scope, n), side.loo.values.copy()
    for name, metric in _PUBLISHED.items():
        values[recommended_estimators.METRICS.index(name)] = getattr(fewer, metric)
    return Side(side.counts, replace(side.loo, values=values))


def _alike(pair: Pair, begun: _Begun, found: OnCommon) -> Iterator[DifferenceRow]:
    """How far the same personas answer alike in both studies: correlation of their true cell means, noise removed."""
    a, b = (own[0] for own in found.sides)
    given, exact = (b.counts, pair.studies[0].instrument.categories, found.commons[0].scope), pair.studies[0].by_logprobs
    clusters = pair.analyses[0].clusters_of(found.commons[0].personas)
    loo = recommended_estimators.leave_one_out(
        *given, base=a.counts, exact=exact, clusters=clusters, by_request=b.loo.by_request, base_by_request=a.loo.by_request
    )
    level = persona_jackknife.level(loo).of("fidelity")
    again = repeat_interval.level(repeat_interval.redrawn(loo)).of("fidelity")
    same = np.array_equal(a.counts, b.counts)
    for column, scope in enumerate(pair.analyses[0].scopes):
        yield begun(
            scope=scope, metric="fidelity", quantity=ALIKE, method=RECOMMENDED, value=level.value[column], se=level.se[column],
            lo=level.lo[column], hi=level.hi[column], lo_repeat=again.lo[column], hi_repeat=again.hi[column],
            note=persona_jackknife.above_one(loo.of("fidelity")[0, column], same=same),
        )  # fmt: skip


def _counted_together(found: pd.DataFrame) -> pd.DataFrame:
    """With p values over all items adjusted by Holm over all runs, for each quantity of S and of noise by itself."""
    chosen = (found["scope"] == OVERALL) & (found["family"] != "mean") & (found["method"] == RECOMMENDED)
    for quantity in (LEVEL, EFFECT, EXCESS):
        for metric in COUNTED:
            own = chosen & (found["quantity"] == quantity) & (found["metric"] == metric)
            found.loc[own, "p_holm"] = wider_intervals.holm(found.loc[own, "p"].to_numpy(float))
    return found
