"""Rating noise where choices of one request share some of it: what the cells of a run say that were asked in several requests.

With R requests of c_j choices a cell, n = sum c_j: MSW and MSB are the mean squares within and between requests, c0 = (n - sum
c_j^2 / n) / (R - 1), the shared variance is (MSB - MSW) / c0, not cut at zero. The noise of a rating is MSW plus the shared
variance, the variance of the cell mean MSW / n + shared sum c_j^2 / n^2, which is MSB / n where all c_j are alike.
"""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Ratings of every cell by requests, each (persona, item), in squared scale points where they are sums of squares."""

    n: np.ndarray  #: ratings
    requests: np.ndarray
    squares: np.ndarray  #: sum of c_j^2
    within: np.ndarray  #: sum of squares about the means of requests
    between: np.ndarray  #: sum of squares of these means about that of the cell

    @property
    def separable(self) -> np.ndarray:
        """Whether shared noise can be told from the rest: two requests or more, and one of them with two choices or more."""
        return (self.requests > 1) & (self.n > self.requests)

    @property
    def msw(self) -> np.ndarray:
        """Mean square within requests; 0 where each has one choice."""
        return self.within / np.maximum(self.n - self.requests, 1)

    @property
    def shared(self) -> np.ndarray:
        """Variance that the choices of a request have in common; 0 with a single request, which tells nothing."""
        more = np.maximum(self.requests - 1, 1)
        choices = (self.n - self.squares / np.maximum(self.n, 1)) / more  # c0
        found = (self.between / more - self.msw) / np.where(choices > 0, choices, 1)
        return np.where(self.requests > 1, found, 0)


class Noise(NamedTuple):
    """Of every cell, (persona, item) each, in squared scale points; single cells may lie below 0, only means are unbiased."""

    rating: np.ndarray  #: variance of a rating; 0 with a single one
    of_mean: np.ndarray  #: variance of the cell mean


def split(by_request: np.ndarray, categories: range) -> Split:
    """Sums of squares within and between the requests of every cell.

    Parameters
    ----------
    by_request : (persona, item, request, category) int array
        Ratings; requests that a cell did not have are empty.
    categories : range
        Points of the scale.
    """
    c, one, two = _sums(by_request, categories)
    n, requests = c.sum(axis=-1), (c > 0).sum(axis=-1).astype(float)
    own = np.divide(one**2, c, out=np.zeros_like(one), where=c > 0)  # c_j times its mean squared
    # n times the sums of squares are differences of whole numbers as far as can be: nothing varies, nothing is left.
    all_ = np.divide(one.sum(axis=-1) ** 2, n, out=np.zeros_like(n), where=n > 0)
    within = np.maximum((two - own).sum(axis=-1), 0)
    between = np.maximum(own.sum(axis=-1) - all_, 0)
    return Split(n, requests, (c**2).sum(axis=-1), _without_dust(within), _without_dust(between))


def tells(by_request: np.ndarray, categories: range) -> bool:
    """Whether shared noise can be told in most of the cells that have ratings."""
    found = split(by_request, categories)
    answered = found.n > 0
    return bool(answered.any() and found.separable[answered].mean() > 0.5)


def noise(by_request: np.ndarray, categories: range) -> Noise:
    """Noise of every cell; one with a single request takes the mean shared variance of the cells that have several."""
    found = split(by_request, categories)
    known = found.separable
    usual = found.shared[known].mean() if known.any() else 0.0
    shared = np.where(found.requests > 1, found.shared, np.where(found.n > 1, usual, 0))
    n = np.maximum(found.n, 1)
    return Noise(found.msw + shared, found.msw / n + shared * found.squares / n**2)


def _sums(by_request: np.ndarray, categories: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number, sum and sum of squares of the ratings of every request (persona, item, request)."""
    # About the middle of the scale: smaller numbers, the same spread.
    points = np.asarray(categories, dtype=float) - categories[len(categories) // 2]
    return by_request @ np.ones_like(points), by_request @ points, by_request @ points**2


def _without_dust(squares: np.ndarray) -> np.ndarray:
    """Sums of squares of whole numbers divided by small ones: what lies below any that there can be is rounding."""
    return np.where(squares < 1e-9, 0, squares)
