"""The headlines of a study as questions that can be tested: what is compared, in which metric."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from scipy.special import stdtr

from persona_collapse.statistics import persona_jackknife
from persona_collapse.study.study import Run
from persona_collapse.tables.contrast import CHANGE, EXCESS, Contrast
from persona_collapse.tables.run_statistics import Analysis, of_role

#: A metric of a run over all personas and without each one, in every way to look (1 + persona, way), by the run and the metric's
#: name.
Values = Callable[[Run, str], np.ndarray]
_Number = TypeVar("_Number", float, np.ndarray)
LOGIT = "logit"
#: What a number says of a headline: its 95 % interval lies above no change, below it, or holds it; it is exactly none; it has
#: no interval; there is no number.
UP, DOWN, UNCLEAR, NONE, NO_INTERVAL, UNKNOWN = "up", "down", "unclear", "no difference", "no interval", "not available"


#: Unit of a headline's numbers, by quantity.
UNITS = {CHANGE: "%", EXCESS: "pp", LOGIT: "logit"}


class Headline(NamedTuple):
    """A question about the variants of one key that can be answered either way."""

    kind: str  #: one of `ABOUT`
    variant: str
    metric: str
    quantity: str  #: one of `UNITS`: of the base, over the control in points of the base, or logit (less the control's)

    @property
    def unit(self) -> str:
        """Unit of its numbers."""
        return UNITS[self.quantity]

    @property
    def topic(self) -> str:
        """What it is about, in words."""
        return topic(self.kind, self.variant)


class Found(NamedTuple, Generic[_Number]):
    """What a way to look gives for one family, or for the mean over families; numbers, or arrays (way,) of several ways."""

    value: _Number
    lo: _Number
    hi: _Number


#: What each kind of headline is about, in words.
ABOUT = {
    "susceptibility": "susceptibility S against the base",
    "noise": "within-persona noise against the base",
    "susceptibility_excess": "susceptibility S beyond the matched control, in percentage points of the base",
    "noise_excess": "within-persona noise beyond the matched control, in percentage points of the base",
    "anchor": "the share of variance that is the persona's (ICC, logit), harmful variants less their matched control",
}
_TOPICS = {
    "susceptibility": "S under {}",
    "noise": "noise under {}",
    "susceptibility_excess": "S under {} beyond its matched control",
    "noise_excess": "noise under {} beyond its matched control",
    "anchor": "the personas' share of variance (ICC) under {} against its matched control",
}
_CLAIMS = {
    "susceptibility": ("S rises under {}", "S falls under {}"),
    "noise": ("noise rises under {}", "noise falls under {}"),
    "susceptibility_excess": ("S is higher under {} than under its matched control",
                              "S is lower under {} than under its matched control"),
    "noise_excess": ("noise is higher under {} than under its matched control",
                     "noise is lower under {} than under its matched control"),
    "anchor": ("personas explain more of {}'s answers than of its matched control's",
               "personas explain less of {}'s answers than of its matched control's"),
}  # fmt: skip
#: In place of a headline's own metric, for the same construct: the choice in words, and the metric of `recommended_estimators`.
SAME_CONSTRUCT = {
    "susceptibility": (
        ("S by the paper's formula", "susceptibility_published"),
        ("S pooled over items", "susceptibility_pooled"),
        ("S relative to what the scale allows", "relative_susceptibility"),
    ),
    "within_rms": (
        ("within-persona SD by the paper's formula", "within_sd"),
        ("noise relative to what the scale allows", "relative_noise"),
    ),
    "icc": (),
}
#: Another construct in its place, which is another question; `noise_share` is 1 - ICC.
OTHER_CONSTRUCT = {
    "susceptibility": (("ICC instead of S", "icc"),),
    "within_rms": (("1 - ICC instead of noise", "noise_share"),),
    "icc": (("fidelity to the base instead of ICC", "fidelity"),),
}


def topic(kind: str, variant: str) -> str:
    """What a headline is about, in words."""
    return _TOPICS[kind].format(variant)


def claim(kind: str, variant: str, verdict: str) -> str:
    """A headline as a sentence without its end, where its numbers lie `UP` or `DOWN`."""
    return _CLAIMS[kind][verdict == DOWN].format(variant)


def headlines(analysis: Analysis) -> list[Headline]:
    """Every headline of a study, harmful variants first; those over a control only where one is named."""
    study = analysis.study
    found = []
    for variant in of_role(study, "harmful"):
        controlled = any(run.variant.key == variant and run.variant.control for run in study.runs)
        found += _against_base(variant)
        if controlled:
            found += [
                Headline("susceptibility_excess", variant, "susceptibility", EXCESS),
                Headline("noise_excess", variant, "within_rms", EXCESS),
                Headline("anchor", variant, "icc", LOGIT),
            ]
    for variant in of_role(study, "control"):
        found += _against_base(variant)
    return found


def _against_base(variant: str) -> list[Headline]:
    return [
        Headline("susceptibility", variant, "susceptibility", CHANGE), Headline("noise", variant, "within_rms", CHANGE)
    ]  # fmt: skip


def sides(analysis: Analysis, headline: Headline) -> list[Contrast]:
    """The contrast that a headline is about in every family that has its variant."""
    return [
        contrast
        for contrast in analysis.contrasts
        if contrast.variant.variant.key == headline.variant
        and contrast.variant.variant.role in ("harmful", "control")
        and not contrast.variant.variant.of
        and (contrast.control is None) == (headline.quantity == CHANGE)
    ]


def in_families(headline: Headline, metric: str, sides: Sequence[Contrast], values: Values) -> Found[np.ndarray]:
    """The headline's quantity in every family (family, way), with interval A on the scale that contrasts are made on."""
    if headline.quantity == CHANGE:
        return percent(interval(np.array([log_ratio(contrast, metric, values) for contrast in sides])))
    return interval(np.array([plain(headline, metric, contrast, values) for contrast in sides]))


def plain(headline: Headline, metric: str, contrast: Contrast, values: Values) -> np.ndarray:
    """The headline's quantity without each persona (1 + persona, way), on the scale on which families are averaged."""
    own, other = values(contrast.variant, metric), values(contrast.against, metric)
    with np.errstate(invalid="ignore", divide="ignore"):
        if headline.quantity == CHANGE:
            return 100 * (own / other - 1)
        if headline.quantity == EXCESS:
            return 100 * (own - other) / values(contrast.base, metric)
        return scaled(own, metric) - scaled(other, metric)


def scaled(values: np.ndarray, metric: str) -> np.ndarray:
    """Logit of a share, Fisher's z of fidelity."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.arctanh(values) if metric == "fidelity" else np.log(values) - np.log1p(-values)


def log_ratio(contrast: Contrast, metric: str, values: Values) -> np.ndarray:
    """Logarithm of a metric of the variant over that of the run it is set beside, without each persona."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(values(contrast.variant, metric)) - np.log(values(contrast.against, metric))


def interval(z: np.ndarray) -> Found[np.ndarray]:
    """Values and jackknife intervals (..., way) of statistics without each persona (..., 1 + persona, way)."""
    found = persona_jackknife.estimate(z, carried=False)
    return Found(found.value, *persona_jackknife.limits(found))


def percent(found: Found[_Number]) -> Found[_Number]:
    """A logarithm of a ratio as a change in percent."""
    return Found(*(100 * np.expm1(number) for number in found))


def p_value(z: np.ndarray) -> float:
    """Two-sided p value of no change, from a statistic without each persona (1 + persona, way), of its first way."""
    found = persona_jackknife.estimate(z[..., :1], carried=False)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(2 * stdtr(found.df, -np.abs(found.centre / found.se))[0])


def verdict(found: Found[float]) -> str:
    """What a number says: its 95 % interval lies above no change, below it, or holds it."""
    value, (lo, hi) = found.value, sorted((found.lo, found.hi))
    if np.isnan(value):
        return UNKNOWN
    if value == 0 and not lo < 0 < hi:
        return NONE
    if np.isnan(lo):
        return NO_INTERVAL
    return UP if lo > 0 else DOWN if hi < 0 else UNCLEAR
