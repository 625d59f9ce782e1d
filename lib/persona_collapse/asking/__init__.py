"""Filling the store: asking endpoints, collecting batches, importing files, simulating.

In: a study and its store. Out: every missing slot answered or its reason kept, and what that costs.
"""

__all__ = [
    "clean",
    "collect",
    "estimate",
    "fetch_files",
    "import_files",
    "kept_answers",
    "repository_names",
    "spending",
    "study_from",
    "supported_parameters",
    "train_adapters",
]
