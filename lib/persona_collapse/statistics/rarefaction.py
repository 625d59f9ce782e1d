"""Published estimators as if every cell had fewer ratings, so that runs of different repetitions can be compared."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import comb

from persona_collapse.statistics.exchanged import Exchanged
from persona_collapse.statistics.histograms import Alike, sample_sd, ways
from persona_collapse.statistics.moments import Parts
from persona_collapse.statistics.published_estimators import ratings

#: Most ways to draw ratings that are held in memory at a time, over all histograms.
_AT_ONCE = 2_000_000


class Rarefied(NamedTuple):
    """Published estimators at n ratings a cell, each (1 + persona, scope): all personas, then without each one."""

    susceptibility: np.ndarray
    within_sd: np.ndarray
    robustness: np.ndarray
    short: int  #: cells with fewer than n ratings, which keep what they have
    note: str


def rarefied(parts: Parts, scope: np.ndarray, n: int) -> Rarefied:
    """S, within_sd and R by the published estimators as expected from n ratings a cell, drawn from those there are.

    Parameters
    ----------
    parts : Parts
        Of a run.
    scope : (item, scope) array
        Weights from `scopes.scope_matrix`.
    n : int
        Ratings a cell; at least 2.

    Returns
    -------
    Rarefied
        within_sd is exact: the mean sample SD over all ways to draw n ratings of a cell without replacement. S takes the
        exact expectation of the variance over personas, V - mean v/n_cell + mean v/n, and its root.

    Raises
    ------
    ValueError
        If n is below 2.
    """
    if n < 2:
        raise ValueError(f"rarefaction: {n} ratings a cell; expected 2 or more, for one rating has no SD")
    own = parts.own
    within_sd = parts.units.means(expected_sd(parts, n)) @ scope
    between = parts.anchor + parts.units.means(own.variance / np.minimum(own.n, n))
    susceptibility = np.sqrt(np.maximum(between, 0)) @ scope
    short = int((own.n < n).sum())
    note = f"The paper's formulas at n = {n}" + (f"; {_fewer(short)}." if short else ".")
    with np.errstate(divide="ignore"):
        return Rarefied(susceptibility, within_sd, 1 / within_sd, short, note)


def _fewer(cells: int) -> str:
    return "1 cell has fewer ratings and keeps them" if cells == 1 else f"{cells} cells have fewer ratings and keep them"


def smallest_common(counts: Sequence[np.ndarray]) -> int:
    """Number of ratings a cell at which runs can be compared: the smallest of what half of their cells have at least."""
    return min(int(np.median(ratings(one))) for one in counts)


def expected_sd(parts: Parts, n: int) -> np.ndarray:
    """Mean sample SD (persona, item) over all ways to draw n of the ratings of each cell; all of them where it has fewer."""
    if isinstance(parts, Exchanged):
        return np.concatenate([expected_sd(run, n) for run in parts.pair])
    if n not in parts.expected_sd:
        points = np.asarray(parts.categories)
        parts.expected_sd[n] = parts.histograms.each(
            lambda group: _expected_sd(group, points[group.category], min(n, group.ratings))
        )
    return parts.expected_sd[n]


def _expected_sd(group: Alike, values: np.ndarray, n: int) -> np.ndarray:
    """Mean sample SD (histogram,) over all ways to draw n of the ratings of each of these histograms."""
    if n == group.ratings:
        return sample_sd(n, (group.counts * values).sum(axis=1), (group.counts * values**2).sum(axis=1))
    drawn = ways(n, group.counts.shape[1])
    chosen = comb(np.arange(group.ratings + 1)[:, None], np.arange(n + 1))  # of how many, how many
    found, step = np.empty(len(values)), max(1, _AT_ONCE // len(drawn))
    for some in (slice(start, start + step) for start in range(0, len(values), step)):
        weight = np.ones((len(values[some]), len(drawn)))
        for counts, taken in zip(group.counts[some].T, drawn.T, strict=True):
            weight *= chosen[counts[:, None], taken]
        sd = sample_sd(n, values[some] @ drawn.T, values[some] ** 2 @ drawn.T)
        found[some] = (weight * sd).sum(axis=1) / weight.sum(axis=1)
    return found
