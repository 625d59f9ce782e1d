"""Estimators and intervals: arrays in, numbers out; it knows no study.

In: counts (persona, item, category) and weights of scopes. Out: values, standard errors, intervals, sample sizes.
"""

__all__ = [
    "agreement",
    "alike",
    "another_finetune",
    "common_cells",
    "components",
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
    "question_jackknife",
    "rarefaction",
    "recommended_estimators",
    "repeat_interval",
    "request_correlation",
    "request_noise",
    "sample_size",
    "style",
    "trajectory",
    "units",
    "wider_intervals",
]
