"""A study's notebooks and its page.

In: a study with its store, and the committed notebooks. Out: executed notebooks, report.html, replies.html, report.pdf,
provenance.json.
"""

__all__ = [
    "citing",
    "dictionary",
    "make",
    "make_tables",
    "markdown",
    "notebook_section",
    "page",
    "page_sections",
    "pdf",
    "provenance",
    "replies",
    "reproduce",
    "run_notebooks",
    "study_page",
]
