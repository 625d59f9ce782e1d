"""Personas that are nearly the same one twice: intervals for other personas take them as drawn one by one."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import published_estimators

#: Correlation of two profiles above which their personas are near-duplicates: a judgement. In the four published bases, of 4,950
#: pairs each, it takes 0 to 4.
NEAR = 0.9
#: Numbers that one pass may hold in an array.
_AT_ONCE = 4_000_000


class Near(NamedTuple):
    """Two personas, by row, with the correlation of their profiles; 1 where their words are the same."""

    one: int
    other: int
    correlation: float


def alike_profiles(counts: np.ndarray, categories: range) -> list[Near]:
    """Pairs of personas whose item-centred profiles correlate above `NEAR`, the most alike first.

    Parameters
    ----------
    counts : (persona, item, category) array
        Ratings, or probabilities; personas with an empty cell are left out, and so are those whose profile is flat.
    categories : range
        Points of the scale.

    Returns
    -------
    list of Near
        The profile of a persona is its cell means less the item means over personas. Rating noise in them makes the correlation
        smaller, never larger.
    """
    rows = np.flatnonzero(published_estimators.answered(counts))
    if len(rows) < 3:
        return []
    own = counts[rows]
    mean = (own @ np.asarray(categories, dtype=float)) / own.sum(axis=-1)
    profile = mean - mean.mean(axis=0)
    profile -= profile.mean(axis=1, keepdims=True)
    size = np.sqrt((profile**2).sum(axis=1))
    told = size > 1e-9  # of a flat one there is no correlation
    rows, profile = rows[told], profile[told] / size[told, None]
    found, step = [], max(1, _AT_ONCE // max(len(rows), 1))
    for first in range(0, len(rows), step):
        r = profile[first : first + step] @ profile.T
        place, other = np.nonzero(np.triu(r > NEAR, first + 1))
        found += [Near(int(rows[first + i]), int(rows[j]), float(r[i, j])) for i, j in zip(place, other, strict=True)]
    return sorted(found, key=lambda near: (-near.correlation, near.one, near.other))


def alike_texts(texts: Sequence[str]) -> list[Near]:
    """Pairs of texts that differ in case, space, punctuation or the form of their letters alone; each with the first like it."""
    seen: dict[str, int] = {}
    found = []
    for row, text in enumerate(texts):
        read = "".join(letter for letter in unicodedata.normalize("NFKC", text).casefold() if letter.isalnum())
        if read and read in seen:
            found.append(Near(seen[read], row, 1.0))
        seen.setdefault(read, row)
    return found
