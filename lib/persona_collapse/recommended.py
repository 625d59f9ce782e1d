"""Estimators that mean the same at any number of repetitions, for every scope, with and without every single persona.

With V the variance over personas of the cell mean of an item, v the variance of a cell, n its ratings and M the item mean:
anchor t2 = V - mean v/n, noise W = mean v, ceiling C = (M - a)(b - M) + V/P on a scale from a to b. Susceptibility is the mean
over items of sqrt(t2); pooled, the root of the mean t2; within_rms the root of the mean W and robustness its inverse; over the
items of a scope ICC = t2 / (t2 + W) and extremity = (t2 + W) / C, relative susceptibility and noise the roots of t2 / C and
W / C; fidelity is the covariance of cell means with the base's over the root of both t2; information share is what knowing the
persona takes off the entropy of an item's ratings.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from persona_collapse import metrics
from persona_collapse.moments import Parts, cells, parts

#: What `leave_one_out` finds, in the order of its first axis; the last three are the published estimators.
METRICS = (
    "susceptibility", "susceptibility_pooled", "within_rms", "robustness", "icc", "extremity", "ceiling",
    "relative_susceptibility", "relative_noise", "fidelity", "endpoint_mass", "information_share",
    "susceptibility_published", "within_sd", "robustness_published",
)  # fmt: skip
#: Metrics that hang on variation inside cells: with few varying personas they get a bound instead of an interval.
NOISE = frozenset({"within_rms", "robustness", "icc", "relative_noise", "information_share", "within_sd", "robustness_published"})


@dataclass(frozen=True)
class LeaveOneOut:
    """Every metric of one run for all personas and without each one of them.

    Attributes
    ----------
    values : (metric, 1 + persona, scope) float array
        In the order of `METRICS`; index 0 of the second axis is the value itself.
    personas : (persona,) int array
        Which rows of the counts the personas are.
    varying : (scope,) int array
        Number of personas whose ratings vary in at least one cell of the scope.
    repetitions : (int, int)
        Fewest and most ratings a cell; (0, 0) for probabilities or without personas.
    """

    values: np.ndarray
    personas: np.ndarray
    varying: np.ndarray
    repetitions: tuple[int, int]

    def of(self, metric: str) -> np.ndarray:
        """One metric (1 + persona, scope)."""
        return self.values[METRICS.index(metric)]

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
    counts: np.ndarray, categories: range, scope: np.ndarray, *, base: np.ndarray | None = None, exact: bool = False
) -> LeaveOneOut:
    """Every metric, for every scope, of all personas and without each one of them, in closed form.

    Parameters
    ----------
    counts : (persona, item, category) array
        Ratings; personas with an empty cell, here or in `base`, are left out.
    categories : range
        Points of the scale.
    scope : (item, scope) array
        Weights from `metrics.scope_matrix`; a scope without items is NaN.
    base : (persona, item, category) array, optional
        The base's ratings by the same personas, for ``fidelity``; without it the run is its own base, and fidelity 1.
    exact : bool
        Counts are probabilities (method logprobs): there is no rating noise to take off the cell means.

    Returns
    -------
    LeaveOneOut
        Scale points for susceptibilities, within_rms and within_sd, their inverse for robustness, squared scale points for
        the ceiling; the others are shares. Undefined values are NaN; robustness is ``inf`` where nothing varies.
    """
    used = metrics.answered(counts) if base is None else metrics.answered(counts) & metrics.answered(base)
    if not used.any():
        nothing = np.full((len(METRICS), 1, scope.shape[1]), np.nan)
        return LeaveOneOut(nothing, np.flatnonzero(used), np.zeros(scope.shape[1], int), (0, 0))
    own = cells(counts[used], categories, exact=exact)
    against = None if base is None else cells(base[used], categories, exact=exact)
    values = of_parts(parts(counts[used], own, categories, base=against), scope)
    if base is None:
        values[METRICS.index("fidelity")] = 1.0
    varying = (((own.variance > 0) @ (scope > 0).astype(float)) > 0).sum(axis=0)
    repetitions = (0, 0) if exact else (int(own.n.min()), int(own.n.max()))
    return LeaveOneOut(values, np.flatnonzero(used), varying, repetitions)


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
            "One rating a cell: robustness, ICC and the interval for repeated requests are not available, and the published "
            "susceptibility is an upper bound, because rating noise spreads the cell means too."
        )
    if least == 1:
        return "Cells with a single rating say nothing about noise: they are left out of it, and count in susceptibility."
    return ""


def of_parts(found: Parts, scope: np.ndarray) -> np.ndarray:
    """Every metric (metric, 1 + persona, scope) from its parts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        # One product for all: the mean over the items of a scope of each part and of the root of the anchor and of V.
        stacked = np.stack([*found, np.sqrt(np.maximum(found.anchor, 0)), np.sqrt(found.between)])
        mean = _over_items(stacked, scope)
        _, anchor, noise, ceiling, shared, base_anchor, cell_sd, ends, entropy, cell_entropy, s, s_published = mean
        anchor = np.maximum(anchor, 0)
        total = anchor + noise
        within_rms = np.sqrt(noise)
        return np.stack(
            [
                s,
                np.sqrt(anchor),
                within_rms,
                1 / within_rms,
                anchor / total,
                total / ceiling,
                ceiling,
                np.sqrt(anchor / ceiling),
                np.sqrt(noise / ceiling),
                shared / np.sqrt(anchor * base_anchor),
                ends,
                1 - cell_entropy / entropy,
                s_published,
                cell_sd,
                1 / cell_sd,
            ]
        )


def _over_items(values: np.ndarray, scope: np.ndarray) -> np.ndarray:
    """Mean over the items of each scope; NaN only in scopes that hold a NaN item, or none at all."""
    found = values @ scope
    if np.isnan(found).any():
        unknown = np.isnan(values)
        found = np.where(unknown, 0, values) @ scope
        found[unknown @ (scope > 0).astype(float) > 0] = np.nan
    found[..., scope.sum(axis=0) == 0] = np.nan
    return found
