"""Sections of a report: one folder each, for a notebook with its tables, its sentences at a page's head and its dictionary.

In: the tables of a study. Out: records of what a notebook adds to pages, exports and the data dictionary, in their order.
"""

__all__ = ["record"]
