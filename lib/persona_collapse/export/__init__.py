"""What an author takes away.

In: a study whose report is made. Out: LaTeX, print figures, data files and what describes them, as a folder and a zip.
"""

__all__ = ["package"]
