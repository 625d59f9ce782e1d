"""Estimators that mean the same at any number of repetitions, for every scope, with and without every persona or cluster of them.

With V the variance over personas of the cell mean of an item, v the variance of a cell, n its ratings and M the item mean:
anchor t2 = V - mean v/n, noise W = mean v (of cells asked in several requests: `request_noise`), ceiling
C = (M - a)(b - M) + V/P on a scale from a to b. Susceptibility is the mean over items of sqrt(t2); pooled, the root of the mean
t2; within_rms the root of the mean W and robustness its inverse; over the items of a scope ICC = t2 / (t2 + W) and extremity =
(t2 + W) / C, relative susceptibility and noise the roots of t2 / C and W / C; fidelity is the covariance of cell means with the
base's over the root of both t2; information share is what knowing the persona takes off the entropy of an item's ratings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from persona_collapse.statistics import published_estimators
from persona_collapse.statistics.moments import Parts, cells

#: Standard errors of an item's persona variance, of noise alone, below which S is biased: where coverage was simulated.
FAINT = 4


class Means:
    """Means over the items of every scope of a run's parts, each (1 + unit, scope), and the metrics they make.

    Parameters
    ----------
    parts : Parts
        Of the run.
    scope : (item, scope) array
        Weights, see `scopes.scope_matrix`; a scope without items is NaN.
    base : Parts, optional
        Of the base, from the same personas, for `fidelity`; without it the run is its own base.
    """

    def __init__(self, parts: Parts, scope: np.ndarray, base: Parts | None = None) -> None:
        self.parts, self.scope, self.base = parts, scope, base
        self._within = (scope > 0).astype(float)
        self._empty = scope.sum(axis=0) == 0

    def metric(self, name: str) -> np.ndarray:
        """One of `METRICS`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return _FORMULAE[name](self)

    def part(self, name: str) -> np.ndarray:
        """A part (1 + unit, item): one of `moments.Parts`, `shared` with the base, or the `base_anchor`."""
        if name == "shared":
            return self.parts.between if self.base is None else self.parts.shared(self.base)
        return (self.base or self.parts).anchor if name == "base_anchor" else getattr(self.parts, name)

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("__"):  # what Python asks of any object, such as one that is being copied
            raise AttributeError(name)
        found = self.over(self.part(name))
        if name == "anchor":
            found = np.maximum(found, 0)
        setattr(self, name, found)
        return found

    def over(self, values: np.ndarray) -> np.ndarray:
        """Mean over the items of each scope; NaN only in scopes that hold a NaN item, or none at all."""
        found = values @ self.scope
        if np.isnan(found).any():
            unknown = np.isnan(values)
            found = np.where(unknown, 0, values) @ self.scope
            found[unknown @ self._within > 0] = np.nan
        found[..., self._empty] = np.nan
        return found


_FORMULAE: dict[str, Callable[[Means], np.ndarray]] = {
    "susceptibility": lambda m: m.over(np.sqrt(np.maximum(m.parts.anchor, 0))),
    "susceptibility_pooled": lambda m: np.sqrt(m.anchor),
    "within_rms": lambda m: np.sqrt(m.noise),
    "robustness": lambda m: 1 / np.sqrt(m.noise),
    "icc": lambda m: m.anchor / (m.anchor + m.noise),
    "extremity": lambda m: (m.anchor + m.noise) / m.ceiling,
    "ceiling": lambda m: m.ceiling,
    "relative_susceptibility": lambda m: np.sqrt(m.anchor / m.ceiling),
    "relative_noise": lambda m: np.sqrt(m.noise / m.ceiling),
    "fidelity": lambda m: np.ones_like(m.anchor) if m.base is None else _correlation(m.shared, m.anchor * m.base_anchor),
    "endpoint_mass": lambda m: m.ends,
    "information_share": lambda m: 1 - m.cell_entropy / m.entropy,
    "susceptibility_published": lambda m: m.over(np.sqrt(m.parts.between)),
    "within_sd": lambda m: m.cell_sd,
    "robustness_published": lambda m: 1 / m.cell_sd,
}


def _correlation(shared: np.ndarray, product: np.ndarray) -> np.ndarray:
    """A covariance over the root of a product of variances; NaN where one of them is none, and nothing is correlated."""
    return shared / np.sqrt(np.where(product > 0, product, np.nan))


#: What `leave_one_out` finds, in the order of its first axis; `vocabulary` has what else a metric is.
METRICS = tuple(_FORMULAE)


@dataclass(frozen=True)
class LeaveOneOut:
    """Every metric of one run for all personas and without each unit: each persona, or where they come in clusters each cluster.

    Attributes
    ----------
    values : (metric, 1 + unit, scope) float array
        In the order of `METRICS`; index 0 of the second axis is the value itself.
    personas : (persona,) int array
        Which rows of the counts the personas are.
    varying : (scope,) int array
        Number of units whose ratings vary in at least one cell of the scope.
    repetitions : (int, int)
        Fewest and most ratings a cell; (0, 0) for probabilities or without personas.
    means : Means, optional
        What the values were made of; None without personas.
    clusters : (unit,) int array, optional
        Which clusters are left out one by one, in the order of `values`; None where personas are.
    """

    values: np.ndarray
    personas: np.ndarray
    varying: np.ndarray
    repetitions: tuple[int, int]
    means: Means | None = None
    clusters: np.ndarray | None = None

    @property
    def units(self) -> np.ndarray:
        """What is left out, one by one: rows of the counts, or numbers of clusters (unit,)."""
        return self.personas if self.clusters is None else self.clusters

    def of(self, metric: str) -> np.ndarray:
        """One metric (1 + unit, scope)."""
        return self.values[METRICS.index(metric)]

    @property
    def parts(self) -> Parts:
        """What the values were made of, of a run with personas."""
        assert self.means is not None
        return self.means.parts

    @property
    def by_request(self) -> np.ndarray | None:
        """The ratings by request, where they tell what requests share."""
        return None if self.means is None else self.means.parts.by_request

    @cached_property
    def persona_variance(self) -> np.ndarray:
        """theta, the persona variance, not cut at zero, for all personas and without each one (1 + persona, scope)."""
        if self.means is None:
            return np.full(self.values.shape[1:], np.nan)
        with np.errstate(invalid="ignore"):
            return self.means.over(self.parts.anchor)

    @cached_property
    def logs(self) -> np.ndarray:
        """Logarithms of `values`, which every contrast needs; not finite where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(self.values)

    @property
    def full(self) -> np.ndarray:
        """Every metric of all personas (metric, scope)."""
        return self.values[:, 0]


def leave_one_out(
    counts: np.ndarray, categories: range, scope: np.ndarray, *, base: np.ndarray | None = None, exact: bool = False,
    by_request: np.ndarray | None = None, base_by_request: np.ndarray | None = None, clusters: np.ndarray | None = None,
) -> LeaveOneOut:  # fmt: skip
    """Every metric, for every scope, of all personas and without each one, or each cluster, of them, in closed form.

    Parameters
    ----------
    counts : (persona, item, category) array
        Ratings; personas with an empty cell, here or in `base`, are left out.
    categories : range
        Points of the scale.
    scope : (item, scope) array
        Weights from `scopes.scope_matrix`; a scope without items is NaN.
    base : (persona, item, category) array, optional
        The base's ratings by the same personas, for ``fidelity``; without it the run is its own base, and fidelity 1.
    exact : bool
        Counts are probabilities (method logprobs): there is no rating noise to take off the cell means.
    by_request, base_by_request : (persona, item, request, category) arrays, optional
        The same ratings by request, see `moments.Parts`.
    clusters : (persona,) int array, optional
        The cluster of each persona, where clusters are to be left out whole.

    Returns
    -------
    LeaveOneOut
        Scale points for susceptibilities, within_rms and within_sd, their inverse for robustness, squared scale points for
        the ceiling; the others are shares. Undefined values are NaN; robustness is ``inf`` where nothing varies.
    """
    used = (
        published_estimators.answered(counts)
        if base is None
        else published_estimators.answered(counts) & published_estimators.answered(base)
    )
    if not used.any() or not counts.shape[1]:  # no personas, or no items, are left
        nothing = np.full((len(METRICS), 1, scope.shape[1]), np.nan)
        return LeaveOneOut(nothing, np.flatnonzero(used), np.zeros(scope.shape[1], int), (0, 0))

    def parts(of: np.ndarray, requests: np.ndarray | None) -> Parts:
        own = cells(of[used], categories, exact=exact)
        return Parts(of[used], own, categories, *(None if given is None else given[used] for given in (requests, clusters)))

    other = None if base is None else parts(base, base_by_request)
    return of_means(Means(parts(counts, by_request), scope, other), np.flatnonzero(used))


def of_means(means: Means, personas: np.ndarray) -> LeaveOneOut:
    """Every metric of these means; `personas` (persona,) says which rows of the counts they were made of."""
    n = means.parts.own.n
    repetitions = (int(n.min()), int(n.max())) if np.isfinite(n).all() else (0, 0)
    values = np.stack([means.metric(name) for name in METRICS])
    units = means.parts.units
    labels = None if units.alone else units.labels
    return LeaveOneOut(values, personas, varying(means.parts, means.scope), repetitions, means, labels)


def varying(parts: Parts, scope: np.ndarray) -> np.ndarray:
    """Number of personas, or clusters, whose ratings vary in at least one cell of a scope (scope,)."""
    cells_of = (parts.own.variance > 0) @ (scope > 0).astype(float)
    return (parts.units.within(cells_of) > 0).sum(axis=0)


def faint(run: LeaveOneOut) -> np.ndarray:
    """Where personas differ too little beside rating noise for S, which takes an item's persona variance as 0 at least (scope,).

    With t2 and u means over items of the persona variance and of the noise in a cell mean: t2 < `FAINT` sqrt(2 / (P - 1)) u, in
    standard errors of t2 where there is noise alone. Simulated (P = 20 and 100, n = 3 and 10, ICC .03 to .34): beyond it interval
    A of S holds the truth in 94 to 97 % of studies, below it in 60 to 90 %; that of pooled S holds all the same.
    """
    if run.means is None:
        return np.zeros(len(run.varying), bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_means = run.means.over(run.parts.between - run.parts.anchor)[0]
        spread = np.sqrt(2 / np.float64(len(run.units) - 1)) * of_means
        return (of_means > 0) & (run.means.over(run.parts.anchor)[0] < FAINT * spread)


def faint_remark(run: LeaveOneOut, column: int) -> str:
    """A sentence beside S of personas that differ too little, or nothing."""
    if not faint(run)[column]:
        return ""
    return (
        "Personas differ little beside rating noise, and S takes no item's persona variance as negative: it is too large, and "
        "its interval holds the truth too seldom; pooled S is not so."
    )


def at_n(run: LeaveOneOut) -> str:
    """The number of repetitions without which published robustness and within_sd mean nothing, as in "at n = 9-10"."""
    least, most = run.repetitions
    if not most:
        return "from exact probabilities"
    return f"at n = {least}" if least == most else f"at n = {least}-{most}"


def remark(run: LeaveOneOut) -> str:
    """A sentence on what single ratings leave out, or nothing."""
    least, most = run.repetitions
    if most == 1:
        return (
            "One rating a cell: robustness, ICC and the interval for repeated requests are not available, and S "
            "by the paper's formula is an upper bound, because rating noise spreads the cell means too."
        )
    if least == 1:
        return "Cells with a single rating say nothing about noise: they are left out of it, and count in susceptibility."
    return ""
