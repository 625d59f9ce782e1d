"""Two studies side by side.

In: two studies with their stores. Out: matched runs, tables of differences, figures, sentences and a page.
"""

__all__ = ["build", "figures", "make", "pair", "reading_tables", "sentences"]
