"""Moments of cells, and what every recommended metric is made of, with and without every single persona or cluster of them."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import request_noise
from persona_collapse.statistics.histograms import Recurring
from persona_collapse.statistics.units import Units

#: A variance over personas below this, in squared scale points, is rounding: two cell means that differ do so by more.
DUST = 1e-12


class Cells(NamedTuple):
    """The ratings of every cell, each (persona, item)."""

    n: np.ndarray  #: ratings; infinite where the distribution itself is known
    mean: np.ndarray
    variance: np.ndarray  #: unbiased, in squared scale points; 0 with a single rating
    repeated: np.ndarray  #: whether there are at least two ratings, so that `variance` says something


def cells(counts: np.ndarray, categories: range, *, exact: bool = False) -> Cells:
    """Number, mean and unbiased variance of the ratings of every cell; every cell must have one.

    Parameters
    ----------
    counts : (persona, item, category) array
        Ratings, or probabilities where `exact`.
    categories : range
        Points of the scale.
    exact : bool
        Counts are probabilities: the variance is the distribution's own.
    """
    points = np.asarray(categories, dtype=float)
    powers = np.stack([np.ones_like(points), points, points**2]) @ counts.reshape(-1, len(points)).T
    n, one, two = powers.reshape(3, *counts.shape[:-1])
    if exact:
        mean = one / n
        return Cells(np.full_like(n, np.inf), mean, np.maximum(two / n - mean**2, 0), np.full(n.shape, True))
    # Whole numbers, so the numerator is exact: 0 where nothing varies, not the dust of a difference of large sums.
    return Cells(n, one / n, (n * two - one**2) / np.maximum(n * (n - 1), 1), n > 1)


def within_levels(own: Cells, by_level: np.ndarray, categories: range) -> Cells:
    """The same cells with the noise of a rating in one wording: their variance pooled within wordings, that between left out.

    Parameters
    ----------
    own : Cells
        Of all ratings.
    by_level : (persona, item, wording, category) int array
        The same ratings by wording. One that a cell has a single rating of says nothing about noise; a cell that has no more
        than one of each counts as not repeated.
    categories : range
        Points of the scale.
    """
    split = request_noise.split(by_level, categories)
    return own._replace(variance=split.msw, repeated=split.n > split.requests)


class Parts:
    """What every metric of a run is made of, each (1 + unit, item): all personas first, then without each unit.

    A unit is a persona, or where personas come in clusters a whole cluster. In squared scale points unless said otherwise; NaN
    where an item has no cell with two ratings. Each is computed when it is first asked for.

    Parameters
    ----------
    counts : (persona, item, category) array
        Ratings of personas that answered every item.
    own : Cells
        Of the same counts.
    categories : range
        Points of the scale.
    by_request : (persona, item, request, category) array, optional
        The same ratings by request, where most cells were asked in several: then ratings of one request may share noise, and
        `spread` says how much. Without it every rating is an independent draw.
    clusters : (persona,) int array, optional
        The cluster of each persona; without it every persona is a unit of its own.

    References
    ----------
    Without persona p the sum of squares loses d^2 P / (P - 1), with d the deviation from the mean over all P. Without a cluster
    of m personas it loses sum d^2 + (sum d)^2 / (P - m), sums over the cluster.
    """

    def __init__(
        self, counts: np.ndarray, own: Cells, categories: range, by_request: np.ndarray | None = None,
        clusters: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self.counts, self.own, self.categories, self.by_request, self.clusters = counts, own, categories, by_request, clusters
        self.units = Units(len(counts), clusters)
        self.expected_sd: dict[int, np.ndarray] = {}  #: what `rarefaction` has found, by number of ratings

    def of(self, who: np.ndarray) -> "Parts":
        """Those of some personas alone."""
        own = Cells(*(field[who] for field in self.own))
        requests, clusters = (None if given is None else given[who] for given in (self.by_request, self.clusters))
        return Parts(self.counts[who], own, self.categories, requests, clusters)

    @cached_property
    def spread(self) -> request_noise.Noise:
        """Noise of every cell, and how uncertain it makes the cell mean; all that this room knows of either comes from here."""
        if self.by_request is None:
            return request_noise.Noise(self.own.variance, self.own.variance / self.own.n)
        return request_noise.noise(self.by_request, self.categories)

    @cached_property
    def deviation(self) -> np.ndarray:
        """Cell means less their mean over personas (persona, item), in scale points."""
        return self.own.mean - self.own.mean.mean(axis=0)

    @cached_property
    def between(self) -> np.ndarray:
        """V, variance over personas of the cell mean."""
        between = self.shared(self)
        between[between < DUST] = 0
        return between

    @cached_property
    def anchor(self) -> np.ndarray:
        """V without rating noise: the variance over personas of the true cell mean."""
        size, of_means = self.units.sizes, self.units.totals(self.spread.of_mean)
        if not self.own.repeated.all():
            # A single rating is kept as a cell mean, as uncertain as the item's other cells are on average.
            repeated = self.units.totals(self.own.repeated)
            of_means = of_means + np.where(repeated < size, (size - repeated) * self.noise, 0)
        return self.between - of_means / size

    @cached_property
    def noise(self) -> np.ndarray:
        """W, mean over personas of the cell variance."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.units.totals(self.spread.rating) / self.units.totals(self.own.repeated)

    @cached_property
    def ceiling(self) -> np.ndarray:
        """Largest variance that the item mean allows."""
        middle = self.units.means(self.own.mean)
        return (middle - self.categories[0]) * (self.categories[-1] - middle) + self.between / self.units.sizes

    @cached_property
    def cell_sd(self) -> np.ndarray:
        """Mean over personas of the cell SD, 0 with one rating; scale points."""
        return self.units.means(np.sqrt(self.own.variance))

    @cached_property
    def histograms(self) -> Recurring:
        """The ratings of every cell, for what takes each different histogram once."""
        return Recurring(self.counts)

    @cached_property
    def share(self) -> np.ndarray:
        """Share of each category in a cell (persona, item, category)."""
        return self.counts / (self.counts @ np.ones(self.counts.shape[-1]))[..., None]

    @cached_property
    def ends(self) -> np.ndarray:
        """Mean over personas of the share of both ends of the scale."""
        return self.units.means(self.share[..., 0] + self.share[..., -1])

    @cached_property
    def entropy(self) -> np.ndarray:
        """Entropy of the item's ratings over all personas, in nats."""
        return entropy(self.units.means(self.share))

    @cached_property
    def cell_entropy(self) -> np.ndarray:
        """Mean over personas of the entropy of a cell, in nats, with Miller and Madow's correction."""
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(self.own.repeated, _corrected(self.share, self.own.n), 0)
            return self.units.totals(each) / self.units.totals(self.own.repeated)

    def shared(self, other: "Parts") -> np.ndarray:
        """Covariance (ddof = 1) over personas with the cell means of another run of the same personas."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.units.products(self.deviation, other.deviation)


def entropy(share: np.ndarray) -> np.ndarray:
    """Entropy in nats of shares that add up to one over the last axis."""
    # A product with ones: numpy adds up a short last axis far more slowly.
    return -(share * np.log(np.where(share > 0, share, 1))) @ np.ones(share.shape[-1])


def _corrected(share: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Entropy of cells with Miller and Madow's correction (K - 1) / 2n, K being the categories seen among n ratings."""
    return entropy(share) + ((share > 0) @ np.ones(share.shape[-1]) - 1) / (2 * n)
