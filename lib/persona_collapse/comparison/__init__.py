"""Two studies side by side.

In: the `Ratings` of two studies. Out: matched runs, tables of differences, figures, sentences and a page.
"""

__all__ = ["build", "figures", "make", "pair", "reading_tables", "sentences"]
