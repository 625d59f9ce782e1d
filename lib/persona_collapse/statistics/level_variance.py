"""How much the levels of a factor of the design, such as the wording, change the ratings of a cell beyond noise."""

import numpy as np

from persona_collapse.statistics.persona_jackknife import estimate, limits


def level_variance(by_level: np.ndarray, categories: range) -> tuple[float, float, float]:
    """Variance between the levels of a cell, in squared scale points, with its 95 % interval for other personas.

    Parameters
    ----------
    by_level : (persona, item, level, category) int array
        Ratings by level; levels of which a cell has none do not count in it.
    categories : range
        Points of the scale.

    Returns
    -------
    tuple of three floats
        Value, lo and hi; NaN where no cell has two levels, or no level of a cell two ratings. What a level adds in every cell,
        in an item and in a single cell are all part of it. It is not cut at zero.

    References
    ----------
    One-way analysis of variance of unequal groups, pooled over cells: (MS_between - MS_within) / n0, with n0 = sum over cells of
    (n - sum n_l^2 / n) by the degrees of freedom between (Searle, Casella and McCulloch, Variance Components, 1992, ch. 3). The
    interval leaves out each persona, on the identity scale.
    """
    points = np.array(categories, dtype=float)
    n, total = by_level.sum(axis=-1).astype(float), by_level @ points
    squares = (by_level @ points**2).sum(axis=-1)
    of_cell = n.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_levels = np.where(n > 0, total**2 / n, 0).sum(axis=-1)
        between = of_levels - total.sum(axis=-1) ** 2 / of_cell
        size = of_cell - (n**2).sum(axis=-1) / of_cell
    there = (n > 0).sum(axis=-1)
    parts = [between, np.maximum(there - 1, 0), squares - of_levels, of_cell - there, size]
    sums = np.stack([np.where(of_cell > 0, part, 0).sum(axis=1) for part in parts])  # (part, persona)
    leaving = np.concatenate([sums.sum(axis=1, keepdims=True), sums.sum(axis=1, keepdims=True) - sums], axis=1)
    ssb, dfb, ssw, dfw, size = leaving
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where((dfb > 0) & (dfw > 0), (ssb / dfb - ssw / dfw) / (size / dfb), np.nan)
    found = estimate(z[:, None], carried=False)
    lo, hi = limits(found)
    return float(found.value[0]), float(lo[0]), float(hi[0])
