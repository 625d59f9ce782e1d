"""How far missing ratings could move S, noise and the mean: empty slots filled so as to make each as small or large as it gets.

A cell with ratings of sum S1 and sum of squares S2 takes m further ones. Of all fillings with the same sum, those at both ends of
the scale have the largest squares and those side by side the smallest; no other can be an extreme. Noise is extreme cell by
cell. Of an item, t2 = V - mean u, and V is the least over c of sum (m_p - c)^2 / (P - 1), so that the least t2 is the least over
c of what each cell adds, exactly. The largest is looked for from there, one cell at a time, until none can be filled otherwise
and make it larger.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: Places of the centre c at which fillings are looked for, along the scale.
_CENTRES = 201


class Bounds(NamedTuple):
    """The least and the most of a quantity over all ways to fill the empty slots; NaN where it does not exist."""

    least: float
    most: float


class MissingBounds(NamedTuple):
    """Bounds over all items, in scale points."""

    missing: int  #: empty slots
    slots: int  #: all slots
    mean: Bounds
    susceptibility: Bounds
    within_rms: Bounds


class _Cells(NamedTuple):
    """Cells of one item with all slots full, by the sum that a filling adds (cell, sum); a full one is the same in each."""

    mean: np.ndarray  #: in scale points above the lowest
    variance: np.ndarray  #: unbiased
    u: np.ndarray  #: that of the mean

    def of(self, which: np.ndarray) -> "_Cells":
        """Some of the cells."""
        return _Cells(*(field[which] for field in self))


def missing_bounds(counts: np.ndarray, categories: range, slots: int) -> MissingBounds:
    """Bounds of the mean rating, S and within_rms of a run over all ways to fill its empty slots with points of the scale.

    Parameters
    ----------
    counts : (persona, item, category) int array
        Ratings; cells may be empty. Reversed items are as they were given, or turned, as the mean is to be.
    categories : range
        Points of the scale.
    slots : int
        Ratings that every cell was asked for; a cell with more has no empty slot. S and noise are NaN with one slot, or one
        persona.
    """
    n = counts.sum(axis=-1)
    empty = np.maximum(slots - n, 0)
    points = np.arange(len(categories))
    low, high = (float((categories[0] + (counts @ points + end * empty) / (n + empty)).mean()) for end in points[[0, -1]])
    about = int(empty.sum()), int((n + empty).sum()), Bounds(low, high)
    if slots < 2 or len(counts) < 2:
        return MissingBounds(*about, Bounds(np.nan, np.nan), Bounds(np.nan, np.nan))
    found = np.array([_of_item(counts[:, q], empty[:, q]) for q in range(counts.shape[1])])  # (item, quantity, end)
    s, noise = np.sqrt(np.maximum(found[:, 0], 0)).mean(axis=0), np.sqrt(found[:, 1].mean(axis=0))
    return MissingBounds(*about, Bounds(*map(float, s)), Bounds(*map(float, noise)))


def _of_item(counts: np.ndarray, empty: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Least and most t2, and least and most mean variance, of one item (persona, category)."""
    top = counts.shape[-1] - 1
    added = np.minimum(np.arange(empty.max() * top + 1), empty[:, None] * top)
    each, rest = np.divmod(added, top)
    at_the_ends = _filled(counts, empty, added, each * top**2 + rest**2)
    each, rest = np.divmod(added, np.maximum(empty, 1)[:, None])
    side_by_side = _filled(counts, empty, added, (empty[:, None] - rest) * each**2 + rest * (each + 1) ** 2)
    noise = side_by_side.variance.min(axis=1).mean(), at_the_ends.variance.max(axis=1).mean()
    # The larger the variance of a cell, the more of V is noise and the less is left to t2.
    return (_least(at_the_ends, empty > 0, top), _most(side_by_side, empty > 0, top)), noise


def _filled(counts: np.ndarray, empty: np.ndarray, added: np.ndarray, squares: np.ndarray) -> _Cells:
    """Cells with ratings of these sums and sums of squares (cell, sum) in their empty slots."""
    points = np.arange(counts.shape[-1])
    n = (counts.sum(axis=-1) + empty)[:, None]
    one, two = (counts @ points)[:, None] + added, (counts @ points**2)[:, None] + squares
    variance = (n * two - one**2) / (n * (n - 1))
    return _Cells(one / n, variance, variance / n)


def _least(cells: _Cells, open_: np.ndarray, top: int) -> float:
    """The least t2: at the least, c is the mean over personas, and every cell the least that it can be about c."""
    personas = len(open_)
    t2 = np.array([np.inf])
    centres = np.linspace(0, top, _CENTRES)
    for _ in range(3):
        chosen = _chosen(cells.of(open_), centres, personas / (personas - 1), np.argmin)
        t2, mean = _t2(*chosen, cells.of(~open_), personas)
        centres = mean[[t2.argmin()]]  # may lie between those tried
    return float(t2[0])


def _most(cells: _Cells, open_: np.ndarray, top: int) -> float:
    """The most t2 that is found: no cell filled otherwise makes it larger."""
    personas = len(open_)
    filled, full = cells.of(open_), cells.of(~open_)
    mean, u = _chosen(filled, np.linspace(0, top, _CENTRES), 1, np.argmax)
    at = _t2(mean, u, full, personas)[0].argmax()
    mean, u = mean[:, at], u[:, at]
    total, before = mean.sum() + full.mean[:, 0].sum(), -np.inf
    # One cell at a time: with c the mean of the others, t2 moves by ((m - c)^2 - u) / P.
    while (t2 := _t2(mean[:, None], u[:, None], full, personas)[0][0]) > before:
        before = t2
        for p in range(len(mean)):
            others = total - mean[p]
            best = ((filled.mean[p] - others / (personas - 1)) ** 2 - filled.u[p]).argmax()
            mean[p], u[p] = filled.mean[p, best], filled.u[p, best]
            total = others + mean[p]
    return float(t2)


def _chosen(cells: _Cells, centres: np.ndarray, weight: float, best: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and u (cell, centre) of the fillings that make `weight` (m - c)^2 - u the least, or the most, about each centre c."""
    chosen = best(weight * (cells.mean[..., None] - centres) ** 2 - cells.u[..., None], axis=1)
    return np.take_along_axis(cells.mean, chosen, axis=1), np.take_along_axis(cells.u, chosen, axis=1)


def _t2(mean: np.ndarray, u: np.ndarray, full: _Cells, personas: int) -> tuple[np.ndarray, np.ndarray]:
    """t2 and the mean over personas (centre,) of chosen cells (cell, centre) and the full ones."""
    one, two = ((mean**power).sum(axis=0) + (full.mean[:, 0] ** power).sum() for power in (1, 2))
    return (two - one**2 / personas) / (personas - 1) - (u.sum(axis=0) + full.u[:, 0].sum()) / personas, one / personas
