"""How often the intervals of the persona variance, pooled S and the ICC hold, no persona effect at all included."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from known_truths import Latent, population
from persona_collapse.statistics import permutation
from persona_collapse.statistics.presence import presence
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.scopes import scope_matrix

#: True pooled S, in scale points, and the numbers of personas; repetitions of each.
TRUE_S, PERSONAS, REPETITIONS = (0.0, 0.3, 1.2), (12, 30, 100), 5
QUANTITIES = ("persona variance", "pooled S", "ICC")
#: Draws of the permutation null, whose 95 % point may be the upper limit of pooled S.
_DRAWS = 99


class Held(NamedTuple):
    """Percentage of runs in which each interval held the truth, (quantity,); and how often personas are told apart."""

    personas: int
    true_s: float
    held: np.ndarray
    told_apart: float


def with_pooled(instrument: Instrument, true_s: float) -> np.ndarray:
    """Probabilities (persona, item, category) of a population whose pooled S is this."""
    base = population(instrument)
    if true_s == 0:
        alike = Latent(np.broadcast_to(base.location.mean(axis=0), base.location.shape), base.noise[:1] + 0 * base.noise)
        return alike.probabilities()
    factor = brentq(lambda by: _pooled(base.wider(by).probabilities()) - true_s, 0.01, 5, xtol=1e-6)
    return base.wider(float(factor)).probabilities()


def _moments(probabilities: np.ndarray) -> tuple[float, float]:
    """True persona variance and noise variance, means over items."""
    points = np.arange(probabilities.shape[-1])
    mean = probabilities @ points
    return float(mean.var(axis=0).mean()), float((probabilities @ points**2 - mean**2).mean())


def _pooled(probabilities: np.ndarray) -> float:
    return _moments(probabilities)[0] ** 0.5


def presence_coverage(instrument: Instrument, runs: int) -> list[Held]:
    """Draw runs of every truth and size, and count."""
    scope, found = scope_matrix(instrument)[:, :1], []
    for number, true_s in enumerate(TRUE_S):
        probabilities = with_pooled(instrument, true_s)
        theta, noise = _moments(probabilities)
        truth = np.array([theta, theta**0.5, theta / (theta + noise)])
        for personas in PERSONAS:
            rng = np.random.default_rng([number, personas])
            held = [_one(probabilities, scope, personas, truth, rng) for _ in range(runs)]
            shares = 100 * np.mean(held, axis=0)
            found.append(Held(personas, true_s, shares[:3], float(shares[3])))
    return found


def _one(probabilities: np.ndarray, scope: np.ndarray, personas: int, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whether each interval of one drawn run holds the truth, and whether its personas are told apart (4,)."""
    counts = rng.multinomial(REPETITIONS, probabilities[rng.integers(len(probabilities), size=personas)])
    (null,) = permutation.permutations([permutation.single_ratings(counts)], personas, counts.shape[1], _DRAWS)
    limits = presence(leave_one_out(counts, range(counts.shape[-1]), scope), null.null_95)
    inside = [one.lo <= value <= one.hi for one, value in zip(limits, truth, strict=True)]
    return np.array([*inside, limits.variance.lo > 0 or null.p <= 0.05])


def show_presence(found: list[Held], runs: int, within: tuple[float, float] = (92, 97.5)) -> None:
    """Print truth by quantity; a star where coverage lies beyond what is promised by more than Monte Carlo error."""
    error = (95 * 5 / runs) ** 0.5
    print(f"  interval A on the identity scale, {REPETITIONS} repetitions; * outside {within[0]:g} to {within[1]:g} %")
    print("    true S  personas" + "".join(f"{name:>18}" for name in QUANTITIES) + "   told apart")
    for one in found:
        cells = [
            f"{share:.1f}{'*' if share < within[0] - 2 * error or share > within[1] + 2 * error else ' '}" for share in one.held
        ]
        print(f"    {one.true_s:<8}{one.personas:>8}" + "".join(f"{cell:>18}" for cell in cells) + f"{one.told_apart:>13.1f}")
