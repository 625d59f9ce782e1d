"""Isotonic (increasing) regression of many small problems at once, on points that they share."""

import numpy as np


def isotonic(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Increasing least-squares fit of each problem, by pool adjacent violators.

    Parameters
    ----------
    y : (problem, point) array
        Mean of the responses at each point, points in increasing order; anything where `weight` is 0.
    weight : (problem, point) array
        How many responses a point has in a problem; 0 where it has none there.

    Returns
    -------
    (problem, point) array
        The fit at every point with responses; elsewhere that of the nearest such point below (`between` has the line).

    References
    ----------
    R. E. Barlow et al. (1972): neighbors that decrease are pooled into their weighted mean until none does.
    """
    problems, points = y.shape
    rows = np.arange(problems)
    top = np.full(problems, -1)  # blocks of each problem are a stack
    value, mass = np.zeros_like(y), np.zeros_like(y)
    start = np.zeros(y.shape, int)
    for point in range(points):
        pushed = rows[weight[:, point] > 0]
        top[pushed] += 1
        at = pushed, top[pushed]
        value[at], mass[at], start[at] = y[pushed, point], weight[pushed, point], point
        while len(pushed := pushed[top[pushed] > 0]):
            last = top[pushed]
            pushed = pushed[value[pushed, last - 1] >= value[pushed, last]]
            last = top[pushed]
            one, two = (pushed, last - 1), (pushed, last)
            total = mass[one] + mass[two]
            value[one] = (value[one] * mass[one] + value[two] * mass[two]) / total
            mass[one] = total
            top[pushed] -= 1
    begins = np.zeros(y.shape, int)
    here = np.arange(points) <= top[:, None]
    begins[np.broadcast_to(rows[:, None], y.shape)[here], start[here]] = 1
    block = np.maximum(np.cumsum(begins, axis=1) - 1, 0)
    return np.take_along_axis(value, block, axis=1)


def between(fitted: np.ndarray, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Fits at every point: as fitted where a problem has responses, on the line between those points, flat outside them.

    Parameters
    ----------
    fitted, weight : (problem, point) arrays
        See `isotonic`; every problem has a point with responses.
    x : (problem, point) array
        Where the points lie, increasing.
    """
    has = weight > 0
    place = np.arange(weight.shape[1])
    below = np.maximum.accumulate(np.where(has, place, -1), axis=1)
    above = np.minimum.accumulate(np.where(has, place, len(place))[:, ::-1], axis=1)[:, ::-1]
    below, above = np.where(below < 0, above, below), np.where(above == len(place), below, above)
    (x0, x1), (y0, y1) = ([np.take_along_axis(of, at, axis=1) for at in (below, above)] for of in (x, fitted))
    gap = x1 - x0
    part = np.divide(x - x0, gap, out=np.zeros_like(gap), where=gap > 0)
    return y0 + part * (y1 - y0)
