"""The numbers of a study, as data frames.

In: `Ratings`. Out: what stands in outputs/<study>/tables/: metrics, contrasts, validity, profiles, quality, ...
"""

__all__ = [
    "build",
    "capability",
    "cell_replies",
    "choices",
    "comparability",
    "components",
    "contrast",
    "every_reply",
    "finetunes",
    "frontier",
    "headline_rows",
    "headlines",
    "incoherence",
    "instability",
    "instruments",
    "missing",
    "notes",
    "open_replies",
    "plan",
    "printed_figures",
    "published_contrasts",
    "quality",
    "recommended_rows",
    "reference",
    "run_statistics",
    "saturation",
    "task_answers",
    "trajectory",
    "validity",
    "verdict",
    "verification",
    "wordings",
]
