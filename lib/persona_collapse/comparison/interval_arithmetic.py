"""Intervals of what differs between two studies: paired by persona where they are the same, else as of independent runs.

A statistic is a sum of parts z, of logarithms or in plain units. Parts that share personas are one group, from which every
persona is left out on all sides at once; groups without a persona in common are independent, so their variances add up:
SE^2 = sum SE_g^2, with Satterthwaite's degrees of freedom (sum SE_g^2)^2 / sum SE_g^4 / (P_g - 1).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr

from persona_collapse.statistics import persona_jackknife, repeat_interval
from persona_collapse.statistics.persona_jackknife import Estimate, Interval
from persona_collapse.statistics.recommended_estimators import LeaveOneOut
from persona_collapse.statistics.repeat_interval import NORMAL_95, Repeat
from persona_collapse.tables.run_statistics import Side

_Scale = Callable[[np.ndarray], np.ndarray]


class Group(NamedTuple):
    """Parts of a statistic that share their personas."""

    z: np.ndarray  #: their sum (metric, 1 + persona, scope): of all personas, then without each one
    again: np.ndarray  #: variance of the sum when only the ratings are drawn again (metric, scope)
    runs: tuple[LeaveOneOut, ...]  #: what it is made of


class Difference(NamedTuple):
    """A statistic with both intervals and its p value, (metric, scope) each."""

    interval: Interval
    repeat: Repeat
    p: np.ndarray  #: two-sided, of no difference; NaN where there is no interval
    group: np.ndarray  #: the group of the persona that carries most of the interval


def logs(plus: Sequence[Side], minus: Sequence[Side]) -> Group:
    """Sum of the logarithms of some runs less those of others, all of the same personas."""
    with np.errstate(invalid="ignore"):
        z = _total(side.loo.logs for side in plus) - _total(side.loo.logs for side in minus)
    return _group(z, _total(side.redrawn.variance for side in (*plus, *minus)), [*plus, *minus])


def change(variant: Side, base: Side, *, sign: int = 1) -> Group:
    """Change 100 (X / X_base - 1) in percent of base, times `sign`; on the plain scale, as for means over families."""
    with np.errstate(invalid="ignore", divide="ignore"):
        z = sign * 100 * (variant.loo.values / base.loo.values - 1)
    return _group(z, repeat_interval.change(variant.redrawn, base.redrawn).se ** 2, [variant, base])


def excess(harmful: Side, control: Side, base: Side, *, sign: int = 1) -> Group:
    """Excess 100 (X_harmful - X_control) / X_base in points of base, times `sign`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        z = sign * 100 * (harmful.loo.values - control.loo.values) / base.loo.values
    again = repeat_interval.excess(harmful.redrawn, control.redrawn, base.redrawn).se ** 2
    return _group(z, again, [harmful, control, base])


def mean(groups: Sequence[Group]) -> Group:
    """Mean of groups that share their personas, as over families."""
    z, number = np.mean([group.z for group in groups], axis=0), len(groups)
    return Group(z, _total(group.again for group in groups) / number**2, _runs(groups))


def merged(groups: Sequence[Group]) -> Group:
    """The sum of groups of the same personas as one group, so that these are left out of all at once."""
    with np.errstate(invalid="ignore"):
        return Group(_total(group.z for group in groups), _total(group.again for group in groups), _runs(groups))


def percent(groups: Sequence[Group]) -> Difference:
    """A sum of logarithms over independent groups as 100 (exp z - 1), in percent."""
    return _difference(groups, lambda z: 100 * np.expm1(z), lambda z: 100 * np.exp(z))


def points(groups: Sequence[Group]) -> Difference:
    """A sum over independent groups in its own unit."""
    return _difference(groups, lambda z: z, np.ones_like)


def _total(parts: Iterable[np.ndarray]) -> Any:
    """Their sum, an array; 0 where there are none."""
    return sum(parts)


def _group(z: np.ndarray, again: np.ndarray, sides: Sequence[Side]) -> Group:
    runs = tuple(side.loo for side in sides)
    persona_jackknife.same_personas(*runs)
    return Group(z, again, runs)


def _runs(groups: Sequence[Group]) -> tuple[LeaveOneOut, ...]:
    runs = tuple(run for group in groups for run in group.runs)
    persona_jackknife.same_personas(*runs)
    return runs


def _difference(groups: Sequence[Group], shown: _Scale, slope: _Scale) -> Difference:
    """The sum of independent groups, shown on another scale on which a small step is `slope` as large."""
    found, group = _combined(groups)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value, unit = shown(found.value), slope(found.value)
        lo, hi = (shown(limit) for limit in persona_jackknife.limits(found))
        interval = Interval(value, unit * found.se, lo, hi, found.carried, found.row)
        spread = np.sqrt(sum(one.again for one in groups))
        again = Repeat(value, unit * spread, *(shown(found.value + sign * NORMAL_95 * spread) for sign in (-1, 1)))
        p = 2 * stdtr(found.df, -np.abs(found.centre / found.se))
    interval = persona_jackknife.masked(interval, *(run for one in groups for run in one.runs))
    # Equal on both sides and for every persona: no difference, though there is nothing to divide by.
    p = np.where((found.se == 0) & (found.centre == 0), 1.0, p)
    return Difference(interval, again, np.where(np.isnan(interval.lo), np.nan, p), group)


def _combined(groups: Sequence[Group]) -> tuple[Estimate, np.ndarray]:
    """The sum of independent groups, its persona under its own number, and the group of that persona."""
    each = [persona_jackknife.estimate(group.z) for group in groups]
    with np.errstate(invalid="ignore"):  # an infinite R on both sides
        value, centre = (sum(getattr(one, name) for one in each) for name in ("value", "centre"))
    square = np.stack([one.se**2 for one in each])
    total = square.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        free = total**2 / sum(part**2 / one.df for part, one in zip(square, each, strict=True))
        carried = np.stack([one.carried for one in each]) * square / total
    # Where nothing varies at all any number of degrees will do.
    free = np.where(np.isfinite(free), free, min(one.df for one in each))
    most = np.where(np.isnan(carried), -1, carried).argmax(axis=0)
    who = np.stack([persona_jackknife.who(group.runs[0].units, one.row) for group, one in zip(groups, each, strict=True)])
    share, persona = (np.take_along_axis(part, most[None], axis=0)[0] for part in (carried, who))
    return Estimate(value, centre, np.sqrt(total), free, share, persona), most
