"""Means and shares of answers to a few questions, with standard errors clustered by question: one left out at a time."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

#: Questions below which their number says nothing of other questions.
FEWEST = 3


class Clustered(NamedTuple):
    """A value with its standard error and 95 % interval for other questions like these; NaN where there is none."""

    value: float
    se: float
    lo: float
    hi: float


def ratios(sums: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Means over questions and without each: (..., 1 + question) from sums and numbers of answers (..., question).

    The first is over all answers, each counting once. NaN where no answer is left.
    """
    total, number = sums.sum(axis=-1, keepdims=True), numbers.sum(axis=-1, keepdims=True)
    top = np.concatenate([total, total - sums], axis=-1)
    below = np.concatenate([number, number - numbers], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, top / below, np.nan)


def clustered(found: np.ndarray, low: float = -np.inf, high: float = np.inf) -> Clustered:
    """The jackknife over questions of a value (1 + question,): over all, then without each.

    SE^2 = (K - 1)/K sum_k (z_(k) - mean)^2 with K questions; the interval is value -+ t with K - 1 degrees of freedom, cut where
    a value can go no further. Answers to one question are not independent: standard errors that count answers are too small.
    """
    value, rest = float(found[0]), found[1:]
    k = len(rest)
    if k < FEWEST or not np.isfinite(found).all():
        return Clustered(value, np.nan, np.nan, np.nan)
    se = float(np.sqrt((k - 1) / k * ((rest - rest.mean()) ** 2).sum()))
    reach = float(stdtrit(k - 1, 0.975)) * se
    return Clustered(value, se, max(low, value - reach), min(high, value + reach))


def most(answers: int) -> float:
    """Upper 95 % limit of a share of which none was seen in so many answers to the same questions: 1 - 0.05^(1/n)."""
    return float(1 - 0.05 ** (1 / answers)) if answers else float("nan")
