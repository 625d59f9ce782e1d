"""The register: every run of every study on one page, so that it is seen which were reported and which were not.

In: stores, tables and pages of outputs/, and study files named by the user. Out: outputs/registry.csv and registry.html.
"""

__all__ = ["make", "rows"]
