"""What a metric is: one record each, which every room reads instead of keeping a part of its own."""

from typing import NamedTuple

#: Methods: the project's own estimators, and those of the paper's code.
RECOMMENDED, PUBLISHED = "recommended", "published"
#: What people read in their place.
METHODS = {RECOMMENDED: "recommended", PUBLISHED: "paper's formula"}


class Metric(NamedTuple):
    """One metric, as every room knows it; `recommended_estimators` has its formula."""

    key: str  #: in files
    title: str = ""  #: at the head of a figure or table; empty for the key in words
    name: str = ""  #: inside a sentence; empty for the key
    unit: str = "share of 1"
    digits: int = 3  #: behind the point, where people read it
    scale: str = "log"  #: on which intervals are made: log, logit, or plain (its own)
    noise: bool = False  #: hangs on variation inside cells, so that few varying personas leave it without an interval
    method: str = RECOMMENDED  #: of its rows; empty for one that has none
    written: str = ""  #: in rows of method `published`, where they call it otherwise; empty for the key
    twin: str = ""  #: what the published estimator of the same is called in those rows; empty if it has none

    @property
    def heading(self) -> str:
        """As a figure or a table is headed: "Susceptibility S"."""
        return self.title or words(self.key)

    @property
    def inside(self) -> str:
        """The heading inside a sentence: "susceptibility S"."""
        return inside(self.heading)


_POINTS, _INVERSE = "scale points", "1 / scale points"
_EVERY = (
    Metric("susceptibility", "Susceptibility S", "S", _POINTS, twin="susceptibility"),
    Metric("susceptibility_pooled", name="pooled S", unit=_POINTS),
    Metric("within_rms", "Within-persona noise", "noise", _POINTS, noise=True, twin="within_sd"),
    Metric("robustness", "Robustness R", "R", _INVERSE, 2, noise=True, twin="robustness"),
    Metric("icc", "ICC", "ICC", scale="logit", noise=True),
    Metric("extremity"),
    Metric("ceiling", unit="squared scale points"),
    Metric("relative_susceptibility", name="relative S"),
    Metric("relative_noise", name="relative noise", noise=True),
    Metric("fidelity", scale="plain", unit="correlation"),
    Metric("endpoint_mass", name="endpoint mass", scale="logit"),
    # It falls with the number of ratings a cell, so that no two runs of unequal n can be compared: known, and in no table.
    Metric("information_share", scale="logit", noise=True, method=""),
    Metric("susceptibility_published", "Susceptibility S", "S", _POINTS, method=PUBLISHED, written="susceptibility"),
    Metric("within_sd", "Within-persona SD", "the within-persona SD", _POINTS, noise=True, method=PUBLISHED),
    Metric(
        "robustness_published", "Robustness R", "R", _INVERSE, 2, noise=True, method=PUBLISHED, written="robustness"
    ),
)  # fmt: skip
#: Every metric by key, in the order of the tables.
METRICS = {metric.key: metric for metric in _EVERY}
#: Keys of the recommended method, and of the published one as its rows write them.
OF_RECOMMENDED = tuple(m.key for m in _EVERY if m.method == RECOMMENDED)
OF_PUBLISHED = ("susceptibility", "robustness", "within_sd")
#: What a page leads with, in its order.
HEADLINES = ("susceptibility", "robustness", "within_rms")
#: Metrics whose changes are claims: the two that collapse is about.
CLAIMED = ("susceptibility", "within_rms")


def words(key: str) -> str:
    """A key as words, with a capital."""
    return key[:1].upper() + key[1:].replace("_", " ")


def inside(heading: str) -> str:
    """A heading as it stands inside a sentence; an abbreviation stays."""
    return heading if heading.isupper() else heading[:1].lower() + heading[1:]


def twin(key: str) -> str:
    """What rows of method `published` call a metric that is known by its recommended key."""
    return METRICS[key].twin or key
