"""What the jackknife leaves out: every persona by itself, or where personas come in clusters every cluster whole."""

import numpy as np


class Units:
    """Sums over personas of all of them first, then without each unit.

    Parameters
    ----------
    personas : int
        How many there are.
    clusters : (persona,) int array, optional
        The cluster of each persona, any numbers; a unit is a cluster then, in the order of the numbers, else a persona.
    """

    def __init__(self, personas: int, clusters: np.ndarray | None = None) -> None:
        self.personas, self.alone = personas, clusters is None
        self.of_personas = np.arange(personas) if clusters is None else clusters
        self.labels = np.unique(self.of_personas)
        self.number = len(self.labels)
        if clusters is not None:
            self._order = np.argsort(clusters, kind="stable")
            self._first = np.searchsorted(clusters[self._order], self.labels)
        left = personas - self.within(np.ones(personas))
        #: Personas in each row of a leave-one-out array, (1 + unit, 1).
        self.sizes = np.concatenate([[personas], left]).astype(float)[:, None]

    def within(self, values: np.ndarray) -> np.ndarray:
        """Sum of (persona, ...) values inside each unit, (unit, ...)."""
        return values if self.alone else np.add.reduceat(values[self._order], self._first, axis=0, dtype=float)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sum of (persona, ...) values over personas, (1 + unit, ...)."""
        total = values.sum(axis=0)
        return np.concatenate([total[None], total - self.within(values)])

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of (persona, ...) values over personas, (1 + unit, ...)."""
        found = self.totals(values)
        return found / self.sizes.reshape(-1, *[1] * (found.ndim - 1))

    def products(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Covariances (ddof = 1) over personas, (1 + unit, ...), of deviations (persona, ...) with mean 0; NaN of one."""
        personas, product = np.float64(self.personas), one * other  # a float, so that a division by nothing is NaN
        total = product.sum(axis=0)
        if self.alone:
            without = (total - product * (personas / (personas - 1))) / (personas - 2)
        else:
            left = self.sizes[1:].reshape(-1, *[1] * (product.ndim - 1))
            without = (total - self.within(product) - self.within(one) * self.within(other) / left) / (left - 1)
        return np.concatenate([total[None] / (personas - 1), without])
