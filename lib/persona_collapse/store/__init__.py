"""Answers on disk, and the one way out: `Ratings`.

In: a study and answers. Out: immutable `Ratings`, as counts (persona, item, category), with how they came.
"""

__all__ = ["answers", "bulk", "column_names", "held", "imported", "labels", "ratings", "rows", "store", "text_answers"]
