"""Histograms of ratings that recur from cell to cell, so that each different one is worked out once."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import combinations_with_replacement
from math import comb
from typing import NamedTuple

import numpy as np


def distinct(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different histograms among cells (..., category), and the place (...) of each cell's own among them."""
    rows = counts.reshape(-1, counts.shape[-1])
    radix = int(rows.max(initial=0)) + 1
    if radix ** rows.shape[1] < 2**62:
        # A histogram written as one number, its counts as digits: rows sort far more slowly than numbers.
        code = rows.astype(np.int64) @ radix ** np.arange(rows.shape[1], dtype=np.int64)
        _, first, place = np.unique(code, return_index=True, return_inverse=True)
        return rows[first], place.reshape(counts.shape[:-1])
    histograms, place = np.unique(rows, axis=0, return_inverse=True)
    return histograms, place.reshape(counts.shape[:-1])


class Alike(NamedTuple):
    """Histograms with equally many ratings in equally many categories, their empty categories left out."""

    place: np.ndarray  #: which histograms they are (histogram,)
    ratings: int  #: in each of them
    counts: np.ndarray  #: (histogram, seen) int array
    category: np.ndarray  #: which categories were seen (histogram, seen)


def alike(histograms: np.ndarray) -> Iterator[Alike]:
    """The histograms (histogram, category) that vary at all, in groups that can be worked out together."""
    size, seen = histograms.sum(axis=1), (histograms > 0).sum(axis=1)
    for ratings, categories in dict.fromkeys(zip(size.tolist(), seen.tolist(), strict=True)):
        if categories > 1:
            place = np.flatnonzero((size == ratings) & (seen == categories))
            category = np.nonzero(histograms[place])[1].reshape(len(place), categories)
            yield Alike(place, ratings, np.take_along_axis(histograms[place], category, axis=1), category)


class Recurring:
    """The histograms of cells (..., category), each different one once, in groups that can be worked out together."""

    def __init__(self, counts: np.ndarray) -> None:
        histograms, self._place = distinct(counts)
        self._number, self._groups = len(histograms), list(alike(histograms))

    def each(self, statistic: Callable[[Alike], np.ndarray]) -> np.ndarray:
        """A statistic (histogram,) of such a group, 0 where nothing varies, for every cell (...)."""
        found = np.zeros(self._number)
        for group in self._groups:
            found[group.place] = statistic(group)
        return found[self._place]


@lru_cache(maxsize=256)
def ways(n: int, categories: int) -> np.ndarray:
    """Every way in which n ratings fall into so many categories (way, category)."""
    # Stars and bars: bars at non-decreasing places 0..n cut n ratings into the categories.
    bars = np.array(list(combinations_with_replacement(range(n + 1), categories - 1)))
    return np.diff(bars, axis=1, prepend=0, append=n)


def number_of_ways(n: int, categories: int) -> int:
    """How many `ways` there are."""
    return comb(n + categories - 1, n)


def sample_sd(n: int, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """SD (ddof = 1) of n ratings from their sum and that of their squares."""
    return np.sqrt(np.maximum(n * squares - total**2, 0) / (n * (n - 1)))
