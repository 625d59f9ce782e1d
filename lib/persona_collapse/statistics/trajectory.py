"""Does a number rise and then fall along the steps of a training? A peak is told where both a rise to it and a fall from it are.

The steps of a path answer as the same personas, so that they move together: without persona p all of them change. With z the
value at each step, on a scale, and z_(p) the values without p, their covariance is C = (P - 1)/P sum (z_(p) - mean)(z_(p) -
mean)'. What rises is z_k - z_0, what falls z_k - z_K, for every step k between the first and the last. Intervals of all rises
hold together, and so do those of all falls: centre -+ c SE, with c the 95 % point of the largest |draw| / SE over the steps, in
draws from C, each divided by the root of a chi square over its P - 1 degrees of freedom. A peak is told where the intervals of
both, at the highest step, leave out 0. On a path without a peak, be it flat, falling, or rising to a plateau, all rises or all
falls are truly none at the step that is highest, so that an interval must miss its truth on one side. Where the highest step
lies is the distribution of the highest in draws about the values.

References
----------
R. L. Berger, Technometrics 24 (1982) 295: two hypotheses that must both be rejected, each at the level. Y. Hochberg and A. C.
Tamhane, Multiple Comparison Procedures (1987): intervals that hold together. Rust and Rao (1996), as in `persona_jackknife`.
"""

from typing import NamedTuple

import numpy as np

from persona_collapse.statistics.persona_jackknife import estimate
from persona_collapse.statistics.presence import NOTHING, Limits

#: Draws of a path, and where they begin.
DRAWS, SEED = 10_000, 1509
#: Steps and personas, or clusters, below which nothing can be told.
FEWEST_STEPS, FEWEST_UNITS = 3, 5
_LEVEL = 0.95


class Peak(NamedTuple):
    """The highest step of a path, and whether it is a peak; steps are places, from 0."""

    at: int  #: the step with the highest value
    lo: int  #: the first step of the 95 % interval of where the highest is
    hi: int  #: and the last
    told: bool  #: whether rise and fall both leave out 0
    rise: Limits  #: from the first step to the highest, on the scale of the values
    fall: Limits  #: from the highest to the last; below 0 is a fall
    whole: Limits  #: from the first step to the last


def peak(z: np.ndarray) -> Peak:
    """Whether a path has a peak, and where.

    Parameters
    ----------
    z : (step, 1 + unit) float array
        Values of all personas, then without each persona or cluster, the same ones at every step; on the scale on which
        differences are taken.

    Returns
    -------
    Peak
        Without limits, and nothing told, where a value is not finite, or steps or personas are fewer than `FEWEST_STEPS` and
        `FEWEST_UNITS`.
    """
    steps, units = len(z), z.shape[1] - 1
    if steps < FEWEST_STEPS or units < FEWEST_UNITS or not np.isfinite(z).all():
        return Peak(0, 0, max(steps - 1, 0), False, NOTHING, NOTHING, NOTHING)
    value, found = z[:, 0], estimate(z.T, carried=False)
    at, last = int(value.argmax()), steps - 1
    off = z[:, 1:] - z[:, 1:].mean(axis=1, keepdims=True)
    spread = np.sqrt((units - 1) / units) * off
    rng = np.random.default_rng(SEED)
    drawn = rng.standard_normal((DRAWS, units)) @ spread.T
    drawn /= np.sqrt(rng.chisquare(units - 1, (DRAWS, 1)) / (units - 1))
    lo, hi = _where((found.centre + drawn).argmax(axis=1))

    eye = np.eye(steps)

    def moved(one: int, other: int, among: np.ndarray) -> Limits:
        """From a step to another, with an interval that holds together with those of other contrasts `among` (contrast, step)."""
        se = np.sqrt(((among @ spread) ** 2).sum(axis=1))
        moves = se > 0  # two steps may be alike to the last rating
        reach = np.quantile(np.abs(drawn @ among[moves].T / se[moves]).max(axis=1, initial=0), _LEVEL)
        contrast = eye[other] - eye[one]
        middle, beside = contrast @ found.centre, reach * np.sqrt(((contrast @ spread) ** 2).sum())
        return Limits(float(contrast @ value), float(middle - beside), float(middle + beside))

    whole = moved(0, last, (eye[last] - eye[0])[None])
    if at in (0, last):
        return Peak(at, lo, hi, False, whole if at else NOTHING, NOTHING if at else whole, whole)
    rise, fall = moved(0, at, eye[1:last] - eye[0]), moved(at, last, eye[last] - eye[1:last])
    return Peak(at, lo, hi, rise.lo > 0 and fall.hi < 0, rise, fall, whole)


def _where(places: np.ndarray) -> tuple[int, int]:
    """The places between which at least 95 % of these lie, as much on either side."""
    below = np.cumsum(np.bincount(places)) / len(places)
    beside = (1 - _LEVEL) / 2
    return int((below > beside).argmax()), int((below >= 1 - beside).argmax())
