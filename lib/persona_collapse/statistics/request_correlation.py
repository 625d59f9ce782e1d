"""How far choices of one request are alike beyond what their cell explains: rho, with an interval for other personas."""

from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.request_noise import split


class Rho(NamedTuple):
    """The share of rating noise that choices of one request have in common, with its 95 % interval.

    1 where all choices of a request are copies of one, 0 where they are independent, below 0 where they differ more than
    independent ones; NaN where nothing varies, or no cell was asked in two requests. Limits lie between -1 and 1.
    """

    value: float
    lo: float
    hi: float
    cells: int  #: in which it can be told


def rho(by_request: np.ndarray, categories: range) -> Rho:
    """Shared variance over shared and single variance, both pooled over the cells of a run that were asked in several requests.

    Parameters
    ----------
    by_request : (persona, item, request, category) int array
        Ratings; requests that a cell did not have are empty.
    categories : range
        Points of the scale.

    Returns
    -------
    Rho
        The interval leaves out one persona at a time, on the scale of rho itself, as it may lie below zero.

    References
    ----------
    R. A. Fisher (1925), intraclass correlation from mean squares; for unequal numbers S. R. Searle (1971), Linear Models.
    """
    found = split(by_request, categories)
    told = found.separable.any(axis=1)
    known = found.separable[told]
    shared, single = ((values[told] * known).sum(axis=1) for values in (found.shared, found.msw))
    cells = int(known.sum())
    if cells == 0:
        return Rho(np.nan, np.nan, np.nan, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_request, of_rating = (np.concatenate([[part.sum()], part.sum() - part]) for part in (shared, single))
        values = of_request / (of_request + of_rating)
    if not np.isfinite(values).all() or len(values) < 3:
        return Rho(float(values[0]) if np.isfinite(values[0]) else np.nan, np.nan, np.nan, cells)
    estimate = persona_jackknife.estimate(values[:, None], carried=False)
    lo, hi = (float(np.clip(limit[0], -1, 1)) for limit in persona_jackknife.limits(estimate))
    return Rho(float(values[0]), lo, hi, cells)
