"""Answers on disk, and the one way out: counts.

In: a study and answers. Out: ratings as counts (persona, item, category), how they came, and a hash of them.
"""

__all__ = ["counts", "store"]
