"""What metrics are made of where personas answer now as one run, now as another: what a joint test compares a study with."""

from functools import cached_property

import numpy as np

from persona_collapse.statistics import request_noise
from persona_collapse.statistics.moments import Cells, Parts
from persona_collapse.statistics.units import Units

#: Times that labels are exchanged, and the seed they start from: the same ratings give the same p.
DRAWS, SEED = 199, 17


class Exchanges(Units):
    """Sums over the personas of each draw, of values (persona of either run, ...): (1 + draw, ...), the run itself first."""

    def __init__(self, taken: np.ndarray) -> None:
        """`taken` (draw, persona): who answers as in the other run."""
        taken = np.concatenate([np.zeros((1, taken.shape[1]), bool), taken])
        super().__init__(taken.shape[1])
        self._chosen = np.concatenate([~taken, taken], axis=1).astype(float)
        self.sizes = np.full((len(taken), 1), float(taken.shape[1]))

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sum of values over the personas of each draw."""
        return (self._chosen @ values.reshape(len(values), -1)).reshape(len(self._chosen), *values.shape[1:])

    def products(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Covariances (ddof = 1) over the personas of each draw."""
        found = self.totals(one * other) - self.totals(one) * self.totals(other) / self.sizes
        return found / (self.sizes - 1)


class Exchanged(Parts):
    """Parts of a run in which some personas answer as in another run, draw by draw: (1 + draw, item), the run itself first.

    Where fine-tuning changed nothing, it does not matter which of a persona's two sets of answers is called whose.

    Parameters
    ----------
    own, other : Parts
        Of two runs of the same personas and items.
    taken : (draw, persona) bool array
        Who answers as in the other run.
    """

    def __init__(self, own: Parts, other: Parts, taken: np.ndarray) -> None:
        both = [np.concatenate(pair) for pair in zip(own.own, other.own, strict=True)]
        super().__init__(np.concatenate([own.counts, other.counts]), Cells(*both), own.categories)
        self.pair, self._taken, self.units = (own, other), taken, Exchanges(taken)

    def of(self, who: np.ndarray) -> "Exchanged":
        """Those of some personas alone."""
        own, other = self.pair
        return Exchanged(own.of(who), other.of(who), self._taken[:, who])

    @cached_property
    def spread(self) -> request_noise.Noise:
        """Rating noise of each cell of either run, as that run has it."""
        own, other = (run.spread for run in self.pair)
        return request_noise.Noise(*(np.concatenate(both) for both in zip(own, other, strict=True)))


def exchanges(units: Units, draws: int = DRAWS) -> np.ndarray:
    """Who answers as in the other run (draw, persona), each with a chance of one half; clusters as a whole."""
    taken = np.random.default_rng(SEED).random((draws, units.number)) < 0.5
    return taken[:, np.searchsorted(units.labels, units.of_personas)]


def joint_p(medians: np.ndarray) -> float:
    """Two-sided p value of the median (1 + draw,) over all choices, that of the study itself first; NaN where it has none.

    References
    ----------
    U. Simonsohn, J. P. Simmons, L. D. Nelson, Specification curve analysis, Nature Human Behaviour 4 (2020) 1208-1214.
    """
    if not np.isfinite(medians[0]):
        return np.nan
    size = np.abs(medians[np.isfinite(medians)])
    return float((size >= size[0] * (1 - 1e-9)).sum() / len(size))
