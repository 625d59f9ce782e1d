"""S and R of one run from an array of counts, each with its interval: for whoever has counts and no study."""

from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.recommended_estimators import leave_one_out


class Estimate(NamedTuple):
    """A value with its 95 % interval for other personas drawn like these; NaN limits where there is none.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> pc.Estimate(1.2, 1.0, 1.5).hi
    1.5
    """

    value: float
    lo: float
    hi: float


def susceptibility(counts: np.ndarray) -> Estimate:
    """Susceptibility S: how much answers differ between personas, without the noise of a cell's mean.

    S is the mean over items of the SD over personas of the cell mean, less what rating noise adds to it.

    Parameters
    ----------
    counts : (persona, item, category) int array
        How often each point of the scale was given in each cell, not the ratings themselves; personas with an empty cell are
        left out. `Ratings.from_frame(df).counts(run)` makes it from rows.

    Returns
    -------
    Estimate
        In scale points. Items whose personas differ by less than rating noise explains count as 0, so that S of a model that
        answers alike as everybody is above 0, and its interval too narrow; pooled S in `levels` does not do so.

    Examples
    --------
    Two personas, one item: always 0 and always 2; their SD is sqrt(2).

    >>> import numpy as np, persona_collapse as pc
    >>> counts = np.array([[[2, 0, 0]], [[0, 0, 2]]])
    >>> round(pc.susceptibility(counts).value, 4)
    1.4142
    """
    return _estimate(counts, "susceptibility")


def robustness(counts: np.ndarray) -> Estimate:
    """Robustness R: how steady one persona's answers are, one over the root mean variance within a cell.

    Parameters
    ----------
    counts : (persona, item, category) int array
        As for `susceptibility`, two ratings a cell or more.

    Returns
    -------
    Estimate
        In inverse scale points; ``inf`` if no rating ever varies.

    Examples
    --------
    Every cell holds 0 and 2: variance 2, so R is 1 / sqrt(2).

    >>> import numpy as np, persona_collapse as pc
    >>> counts = np.array([[[1, 0, 1]], [[1, 0, 1]]])
    >>> round(pc.robustness(counts).value, 4)
    0.7071
    """
    return _estimate(counts, "robustness")


def _estimate(counts: np.ndarray, metric: str) -> Estimate:
    counts = np.asarray(counts)
    if counts.ndim != 3 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(
            f"counts: an array of shape {counts.shape} and type {counts.dtype}; expected whole numbers from 0 of shape (persona, "
            "item, category); Ratings.from_frame makes them from rows"
        )
    scope = np.full((counts.shape[1], 1), 1 / max(counts.shape[1], 1))
    found = persona_jackknife.level(leave_one_out(counts, range(counts.shape[2]), scope)).of(metric).at(0)
    return Estimate(float(found.value), float(found.lo), float(found.hi))
