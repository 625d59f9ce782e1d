"""Do answers depend on the persona at all? What is exchanged within an item where they do not, and a p value from that."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

#: Draws, and the seed they start from: the same ratings give the same p.
DRAWS, SEED = 999, 13
#: Statistics that differ by less are the same number, added up in another order.
_DUST = 1e-9


class Requests(NamedTuple):
    """What moves from persona to persona within an item: the ratings of one request together, or single ratings.

    Each is (request,), in any order; all requests of all items stand one after another.
    """

    item: np.ndarray  #: from 0
    persona: np.ndarray  #: row, from 0
    ratings: np.ndarray  #: how many
    total: np.ndarray  #: sum of their categories, counted from 0
    squares: np.ndarray  #: sum of their squares


class Permuted(NamedTuple):
    """The persona variance where answers do not depend on the persona, and how the one found compares."""

    p: float  #: share of the draws, the ratings themselves included, with at least the persona variance found
    null_95: float  #: 95 % point of the draws, in squared scale points


def single_ratings(counts: np.ndarray) -> Requests:
    """Every rating for itself, from counts (persona, item, category)."""
    persona, item, category = np.nonzero(counts)
    times = counts[persona, item, category]
    item, persona, category = (np.repeat(values, times) for values in (item, persona, category))
    return Requests(item, persona, np.ones_like(item), category, category**2)


def whole_requests(slots: np.ndarray, request: np.ndarray) -> Requests:
    """The ratings of each request together.

    Parameters
    ----------
    slots : (rating, 3) int array
        Persona, item and category, counted from 0.
    request : (rating,) array
        Which request of its cell a rating came with: any labels.
    """
    persona, item, category = slots.T
    label = np.unique(request, return_inverse=True)[1]
    found, place, ratings = np.unique(np.stack([item, persona, label]), axis=1, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    total, squares = (np.bincount(place, weights=category**power).astype(int) for power in (1, 2))
    return Requests(found[0], found[1], ratings, total, squares)


def permutations(runs: Sequence[Requests], personas: int, items: int, draws: int = DRAWS) -> list[Permuted]:
    """The permutation test of each of several runs, with the same draws for all of them.

    Within each item the requests are dealt to the personas anew, each persona as many as it has. The statistic is the sum over
    items of the persona variance. p is 1 in 1000 at least. Where every cell is a single request, whole requests would
    exchange whole cells and leave the statistic as it is: deal single ratings then (`single_ratings`), which takes the choices
    of one request as independent.

    Parameters
    ----------
    runs : sequence of Requests
        With at least one rating in every cell, and two in some.
    personas, items : int
        Of each run.
    """
    totals = np.zeros((len(runs), 1 + draws))
    each = [_by_item(run, items) for run in runs]
    rng = np.random.default_rng(SEED)
    for own in zip(*each, strict=True):
        longest = max(len(one.item) for one in own)
        # Only as many numbers as there are requests; of those fewer, the order in which the smaller numbers stand is random too.
        order = rng.permuted(np.broadcast_to(np.arange(longest), (draws, longest)), axis=1)
        for place, one in enumerate(own):
            few = len(one.item)
            dealt = order if few == longest else order[order < few].reshape(draws, few)
            totals[place] += _item(one, personas, dealt)
    totals /= max(items, 1)
    return [
        Permuted(float((1 + (one[1:] >= one[0] - _DUST).sum()) / (1 + draws)), float(np.quantile(one[1:], 0.95)))
        for one in totals
    ]


def _by_item(run: Requests, items: int) -> Iterator[Requests]:
    order = np.lexsort((run.persona, run.item))
    ends = np.searchsorted(run.item[order], np.arange(1, items))
    return (Requests(*fields) for fields in zip(*(np.split(field[order], ends) for field in run), strict=True))


def _item(own: Requests, personas: int, dealt: np.ndarray) -> np.ndarray:
    """Persona variance of one item as it is, then as dealt (1 + draw,); `own` in the order of its personas."""
    found = np.zeros(1 + len(dealt))
    if (own.total * own.ratings[0] == own.total[0] * own.ratings).all() and (own.squares * own.ratings == own.total**2).all():
        return found  # nothing varies
    has = np.bincount(own.persona, minlength=personas)
    most = int(has.max())
    # Place j of a persona stands in row j, and is empty, which adds nothing, where it has fewer requests.
    row = np.arange(len(own.persona)) - np.repeat(np.cumsum(has) - has, has)
    at = row * personas + own.persona
    which = np.full((most * personas, 1 + len(dealt)), len(own.persona), np.intp)
    which[at, 0] = np.arange(len(own.persona))
    which[at, 1:] = dealt.T

    def summed(values: np.ndarray, dtype: type = np.float32) -> np.ndarray:
        given: np.ndarray = np.append(values, 0).astype(dtype)  # whole numbers far below 2^24, so exact
        return given[which].reshape(most, personas, -1).sum(axis=0)

    if own.ratings.max() > 1:
        return _of_requests(own, personas, has, summed)
    alike = (own.ratings == own.ratings[0]).all()
    n = (own.ratings[0] * has[:, None] if alike else summed(own.ratings)).astype(float)
    total = summed(own.total)
    between = (total / n).var(axis=0, ddof=1)
    if (n == n[0]).all() and n.flat[0] > 1:  # then the sum of all squares is the same in every draw
        size = float(n.flat[0])
        variance = (size * own.squares.sum() - (total.astype(float) ** 2).sum(axis=0)) / (size * (size - 1)) / personas
        return between - variance / size
    repeated = n > 1
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(repeated, (n * summed(own.squares) - total.astype(float) ** 2) / (n * (n - 1)), 0)
        number = repeated.sum(axis=0)
        single = np.where(number < personas, (personas - number) * variance.sum(axis=0) / number, 0)
    return between - ((variance / n).sum(axis=0) + single) / personas


def _of_requests(own: Requests, personas: int, has: np.ndarray, summed: Callable[..., np.ndarray]) -> np.ndarray:
    """As `_item` where ratings of one request may share noise: what makes cell means vary is how far requests lie apart.

    See `request_noise` for the formula. Each sum is (persona, 1 + draw), or a number where all requests and cells are alike.
    """
    total = summed(own.total).astype(float)
    about = own.total**2 / own.ratings  # c_j times the square of its mean
    requests = has[:, None].astype(float)
    if (own.ratings == own.ratings[0]).all() and has.min() == has.max() > 1:
        n = float(own.ratings[0] * has[0])
        of_mean = (about.sum() - (total**2).sum(axis=0) / n) / ((has[0] - 1) * n) / personas  # MSB / n
        return (total / n).var(axis=0, ddof=1) - of_mean
    ratings, squares = summed(own.ratings).astype(float), summed(own.ratings**2).astype(float)
    mean_squares, single = summed(about, np.float64), summed(own.squares).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        msw = np.where(ratings > requests, (single - mean_squares) / (ratings - requests), 0)
        choices = (ratings - squares / ratings) / (requests - 1)
        shared = np.where(requests > 1, ((mean_squares - total**2 / ratings) / (requests - 1) - msw) / choices, np.nan)
        told = np.isfinite(shared)
        usual = np.where(told, shared, 0).sum(axis=0) / np.maximum(told.sum(axis=0), 1)
        of_mean = msw / ratings + np.where(told, shared, usual) * squares / ratings**2
    return (total / ratings).var(axis=0, ddof=1) - of_mean.mean(axis=0)
