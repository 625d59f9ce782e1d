"""How far repeated answers to the same question differ: Gini impurity, and the share of questions that are not answered alike.

With c_k of n answers being k: Gini impurity is 1 - sum p_k^2, p_k = c_k / n; a question is answered alike where one c_k is n.
Both grow with n whatever the respondent does. So that conditions with other numbers of repetitions can be compared, both are
taken as expected from n0 answers that are drawn from the n without replacement: impurity (1 - 1/n0) n / (n - 1) (1 - sum p_k^2),
the share of pairs that differ but for a factor; not alike 1 - sum C(c_k, n0) / C(n, n0). At n0 = n these are the plain ones.

References
----------
C. Gini (1912), *Variabilita e mutabilita*; S. H. Hurlbert, Ecology 52 (1971) 577: rarefaction.
"""

import numpy as np
from scipy.special import comb


def gini(counts: np.ndarray, n: int) -> np.ndarray:
    """Gini impurity of every cell at n answers, from counts (..., answer); NaN where there are fewer than n, or n is below 2."""
    total = counts.sum(axis=-1).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = (total**2 - (counts.astype(float) ** 2).sum(axis=-1)) / (total * (total - 1))
    return np.where((total >= n) & (n >= 2), (1 - 1 / max(n, 1)) * pairs, np.nan)


def not_alike(counts: np.ndarray, n: int) -> np.ndarray:
    """Chance that n answers of a cell are not all alike, from counts (..., answer); NaN as for `gini`."""
    total = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = comb(counts, n).sum(axis=-1) / comb(total, n)
    return np.where((total >= n) & (n >= 2), 1 - alike, np.nan)


def common_repetitions(counts: list[np.ndarray]) -> int:
    """The number of answers a cell at which all of these can be compared: the smallest of what half of their cells have."""
    each = [one.sum(axis=-1) for one in counts]
    return min((int(np.median(n[n > 0])) for n in each if (n > 0).any()), default=0)
