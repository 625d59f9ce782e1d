"""Estimators and intervals: arrays in, numbers out; it knows no study.

In: counts (persona, item, category) and weights of scopes. Out: values, standard errors, intervals, sample sizes.
"""

__all__ = [
    "alike",
    "another_finetune",
    "common_cells",
    "components",
    "distances",
    "drift",
    "equivalence",
    "estimates",
    "exchanged",
    "level_variance",
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
    "recoding",
    "recommended_estimators",
    "recovery",
    "repeat_interval",
    "request_correlation",
    "request_noise",
    "sample_size",
    "style",
    "trajectory",
    "units",
    "wider_intervals",
]
