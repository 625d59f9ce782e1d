"""Estimators and intervals: arrays in, numbers out; it knows no study.

In: counts (persona, item, category) and weights of scopes. Out: values, standard errors, intervals, sample sizes.
"""

__all__ = [
    "alike",
    "common_cells",
    "components",
    "equivalence",
    "estimates",
    "missing_bounds",
    "moments",
    "near_duplicates",
    "noise_bounds",
    "permutation",
    "persona_jackknife",
    "power",
    "presence",
    "published_errors",
    "published_estimators",
    "rarefaction",
    "recommended_estimators",
    "repeat_interval",
    "sample_size",
    "style",
    "units",
    "wider_intervals",
]
