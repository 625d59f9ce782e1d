"""What metrics are made of where personas answer now as one run, now as another: what a joint test compares a study with."""

from functools import cached_property

import numpy as np

from persona_collapse.statistics import request_noise
from persona_collapse.statistics.moments import Cells, Parts

#: Times that labels are exchanged, and the seed they start from: the same ratings give the same p.
DRAWS, SEED = 199, 17


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
        self.pair, self._taken = (own, other), taken
        taken = np.concatenate([np.zeros((1, taken.shape[1]), bool), taken])
        self._chosen = np.concatenate([~taken, taken], axis=1).astype(float)  # (1 + draw, persona of either run)
        self._size = np.full((len(taken), 1), float(taken.shape[1]))

    def of(self, who: np.ndarray) -> "Exchanged":
        """Those of some personas alone."""
        own, other = self.pair
        return Exchanged(own.of(who), other.of(who), self._taken[:, who])

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sum over the personas of each draw of values (persona of either run, ...)."""
        return (self._chosen @ values.reshape(len(values), -1)).reshape(len(self._chosen), *values.shape[1:])

    @cached_property
    def spread(self) -> request_noise.Noise:
        """Rating noise of each cell of either run, as that run has it."""
        own, other = (run.spread for run in self.pair)
        return request_noise.Noise(*(np.concatenate(both) for both in zip(own, other, strict=True)))

    @cached_property
    def between(self) -> np.ndarray:
        """V, variance over personas of the cell mean."""
        total, square = self.totals(self.deviation), self.totals(self.deviation**2)
        return np.maximum(square - total**2 / self._size, 0) / (self._size - 1)

    def shared(self, other: Parts) -> np.ndarray:
        """Not worked out: fidelity to a base is no choice that a joint test is about."""
        raise NotImplementedError("exchanged runs: no covariance with another run is worked out")


def exchanges(personas: int, draws: int = DRAWS) -> np.ndarray:
    """Who answers as in the other run (draw, persona), each with a chance of one half."""
    return np.random.default_rng(SEED).random((draws, personas)) < 0.5


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
