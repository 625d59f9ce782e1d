"""How likely a design is to show what it looks for: that nothing changed, or that no persona effect is left."""

from collections.abc import Sequence
from math import inf, log1p, sqrt
from typing import NamedTuple

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from persona_collapse.statistics.sample_size import NO_LIMIT, Spread, expected_se

#: Power that is commonly asked for.
WANTED = 0.8
#: Beyond so many standard errors a margin is never missed, and the noncentral t has no more digits.
_FAR = 30
_UPPER, _ONE_SIDED = 0.975, 0.95


class Margin(NamedTuple):
    """What equivalence of a metric is judged by."""

    spread: Spread  #: of the logarithm of its change
    smallest: float  #: the smallest change worth caring about, as a share


class Signal(NamedTuple):
    """What the personas of a variant are called gone by."""

    pooled: float  #: pooled S of the base, in scale points
    noise: float  #: within_rms of the variant, in scale points
    uneven: float  #: mean over items of the squared noise variance, over the square of its mean; 1 where items are alike
    items: int


#: Of the published runs the least signal, base and secure variant of DeepSeek-V3.1.
PUBLISHED = Signal(0.8789, 0.6896, 2.23, 30)


def equivalence(se: float, df: int, smallest: float) -> float:
    """Probability that two one-sided tests at 5 % show a change within the margin where there is none.

    Parameters
    ----------
    se : float
        Standard error of the logarithm of the ratio.
    df : int
        Degrees of freedom of its t: personas less 1.
    smallest : float
        As a share: with .1, ratios from 1/1.1 to 1.1 are equivalent.

    Returns
    -------
    float
        1 - 2 P(T <= t_.95), at least 0, with T of the noncentral t distribution with df degrees of freedom and noncentrality
        log(1 + smallest) / se.

    References
    ----------
    K. F. Phillips, Journal of Pharmacokinetics and Biopharmaceutics 18 (1990) 137. Exact where both tests cannot fail at once
    (D. B. Owen, Biometrika 52 (1965) 437), which is so wherever it is above a half.
    """
    if df < 2:
        return 0.0
    far = log1p(smallest) / se if se > 0 else inf
    return 1.0 if far > _FAR else max(0.0, 1 - 2 * float(nctdtr(df, far, stdtrit(df, _ONE_SIDED))))


def of_design(margins: Sequence[Margin], personas: int, repetitions: float) -> float:
    """The least power of `equivalence` over several metrics or variants, of a design."""
    each = (equivalence(expected_se(own.spread, personas, repetitions), personas - 1, own.smallest) for own in margins)
    return min(each, default=0.0)


def personas_for(margins: Sequence[Margin], repetitions: float, wanted: float = WANTED) -> int:
    """Fewest personas by which `of_design` reaches the power that is wanted."""
    enough = 3
    while of_design(margins, enough, repetitions) < wanted and enough < NO_LIMIT:
        enough *= 2
    low, high = enough // 2, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if of_design(margins, middle, repetitions) >= wanted else (middle, high)
    return high


def gone(signal: Signal, personas: int, repetitions: float, half: float) -> float:
    """Probability that personas are called gone (`presence.verdict`) where their true variance is 0.

    Parameters
    ----------
    signal : Signal
    personas, repetitions
        Of the design; repetitions are infinite for exact cells, in which no variance is none, so that it is 1.
    half : float
        Share of the base's pooled S below which personas count as gone; the base's S is taken as known.

    Returns
    -------
    float
        Phi(min(H / tau - t, z)), 0 where H <= z tau: the estimated persona variance is normal with mean 0 and standard error tau,
        tau^2 = 2 / Q (W / n)^2 uneven (1 / (P - 1) + 1 / (P (n - 1))), with Q items and W the noise variance; H = (half S_pool)^2
        of the base; t = t_.975 with P - 1 degrees of freedom puts its upper limit below H; z = z_.95 is the permutation test's.
    """
    if repetitions == inf:
        return 1.0
    if personas < 3 or repetitions < 2:
        return 0.0
    freedom = 1 / (personas - 1) + 1 / (personas * (repetitions - 1))
    tau = signal.noise**2 / repetitions * sqrt(2 * signal.uneven * freedom / signal.items)
    z = float(ndtri(_ONE_SIDED))
    room = (half * signal.pooled) ** 2 / tau if tau > 0 else inf
    return 0.0 if room <= z else float(ndtr(min(room - float(stdtrit(personas - 1, _UPPER)), z)))
