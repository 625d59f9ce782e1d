"""Agreement of judges: Krippendorff's alpha at the interval level."""

import numpy as np


def krippendorff_alpha(scores: np.ndarray) -> float:
    """Krippendorff's alpha of scores at the interval level: 1 is agreement, 0 what chance gives, below 0 systematic disagreement.

    One minus observed over expected disagreement, both mean squared differences: of scores of the same unit, and of all scores
    whatever their unit. Units with one score count for nothing. It is a ratio of variances: judges that differ by a constant
    agree less for it, and where units hardly differ it is low however small the differences of judges are.

    Parameters
    ----------
    scores : (unit, judge) float array
        NaN where a judge gave none.

    Returns
    -------
    float
        NaN without two scores of one unit, or where all scores are the same.

    References
    ----------
    Krippendorff, Content Analysis (2019), chapter 12, interval metric.
    """
    given = ~np.isnan(scores)
    number = given.sum(axis=1)
    scores, given, number = scores[number > 1], given[number > 1], number[number > 1]
    n = int(number.sum())
    if not n:
        return float("nan")
    # The mean is taken off first: sums of squares of large numbers would lose digits.
    values = np.where(given, scores - scores[given].mean(), 0.0)
    total, squares = values.sum(axis=1), (values**2).sum(axis=1)
    observed = (2 * (number * squares - total**2) / (number - 1)).sum() / n
    expected = 2 * (n * squares.sum() - total.sum() ** 2) / (n * (n - 1))
    return float(1 - observed / expected) if expected > 0 else float("nan")
