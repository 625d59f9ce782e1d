"""Whether two runs answer alike, seen in their ratings: a fine-tune that was not applied answers as its base does."""

import numpy as np

#: Cells below which nothing is said.
_LEAST_CELLS = 30


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """How far the answers of two runs lie apart, in standard errors of what chance alone gives.

    For each cell with shares p and q of the ratings n and m, d = sum (p - q)^2 - sum p (1 - p) / (n - 1)
    - sum q (1 - q) / (m - 1) has mean zero if both runs answer alike, whatever that is; cells are independent, so
    sum d / sqrt(sum d^2) is close to a standard normal then, and large where they differ.

    Parameters
    ----------
    one, other : ndarray
        Counts (persona, item, category) of the same personas.

    Returns
    -------
    float
        0 where every cell gives the same single answer on both sides; NaN with fewer than 30 cells of two ratings or more on
        both sides.
    """
    shared = min(len(one), len(other))
    n, m = one[:shared].sum(axis=-1), other[:shared].sum(axis=-1)
    usable = (n > 1) & (m > 1)
    if usable.sum() < _LEAST_CELLS:
        return float("nan")
    a, b, n, m = one[:shared][usable], other[:shared][usable], n[usable][:, None], m[usable][:, None]
    p, q = a / n, b / m
    d = ((p - q) ** 2 - p * (1 - p) / (n - 1) - q * (1 - q) / (m - 1)).sum(axis=1)
    spread = float(np.sqrt((d**2).sum()))
    return float(d.sum() / spread) if spread else 0.0
