"""The headlines of a study as claims that can be tested: what is compared, in which metric, in which direction."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from persona_collapse.statistics import persona_jackknife
from persona_collapse.study.study import Run
from persona_collapse.tables.contrast import CHANGE, EXCESS, Contrast
from persona_collapse.tables.run_statistics import Analysis, of_role

#: A metric of a run over all personas and without each one, in every way to look (1 + persona, way), by the run and the metric's
#: name.
Values = Callable[[Run, str], np.ndarray]
_Number = TypeVar("_Number", float, np.ndarray)
LOGIT = "logit"
HOLDS, SAME, OPPOSITE, CONTRARY, UNKNOWN = "holds", "same direction", "other direction", "contradicted", "not available"


#: Unit of a claim's numbers, by quantity.
UNITS = {CHANGE: "%", EXCESS: "pp", LOGIT: "logit"}


class Claim(NamedTuple):
    """A headline about the variants of one key."""

    kind: str  #: one of `ABOUT`
    variant: str
    words: str  #: what is claimed, as a sentence without its end
    metric: str
    quantity: str  #: one of `UNITS`: of the base, over the control in points of the base, or logit (less the control's)
    sign: int  #: direction of the claim
    weak: bool = False  #: holds unless the interval lies wholly on the other side

    @property
    def unit(self) -> str:
        """Unit of its numbers."""
        return UNITS[self.quantity]


class Found(NamedTuple, Generic[_Number]):
    """What a way to look gives for one family, or for the mean over families; numbers, or arrays (way,) of several ways."""

    value: _Number
    lo: _Number
    hi: _Number


#: What each kind of claim is about, in words.
ABOUT = {
    "susceptibility": "susceptibility S of harmful variants against the base",
    "noise": "within-persona noise of harmful variants against the base",
    "susceptibility_excess": "susceptibility S of harmful variants beyond their control, in percentage points of the base",
    "noise_excess": "within-persona noise of harmful variants beyond their control, in percentage points of the base",
    "anchor": "the share of variation that is the persona's (ICC, logit), harmful variants less their control",
    "control": "susceptibility S of controls against the base",
}
#: In place of a claim's own metric: the choice in words, and the metric of `recommended_estimators`; `noise_share` is 1 - ICC.
INSTEAD = {
    "susceptibility": (
        ("published S, same interval", "susceptibility_published"),
        ("S pooled over items", "susceptibility_pooled"),
        ("S relative to what the scale allows", "relative_susceptibility"),
        ("ICC instead of S", "icc"),
    ),
    "within_rms": (
        ("published within_sd, same interval", "within_sd"),
        ("noise relative to what the scale allows", "relative_noise"),
        ("1 - ICC instead of noise", "noise_share"),
    ),
    "icc": (("fidelity to the base instead of ICC", "fidelity"),),
}


def claims(analysis: Analysis) -> list[Claim]:
    """Every headline of a study, harmful variants first; those over a control only where one is named."""
    study = analysis.study
    found = []
    for variant in of_role(study, "harmful"):
        controlled = any(run.variant.key == variant and run.variant.control for run in study.runs)
        found += [
            Claim("susceptibility", variant, f"S rises under {variant}", "susceptibility", CHANGE, 1),
            Claim("noise", variant, f"noise rises under {variant}", "within_rms", CHANGE, 1),
        ]
        if controlled:
            beyond = f"under {variant} beyond the matched control"
            found += [
                Claim("susceptibility_excess", variant, f"S rises {beyond}", "susceptibility", EXCESS, 1),
                Claim("noise_excess", variant, f"noise rises {beyond}", "within_rms", EXCESS, 1),
                Claim("anchor", variant, f"personas explain less of {variant}'s answers than of its control's", "icc", LOGIT, -1),
            ]
    for variant in of_role(study, "control"):
        words = f"{variant} leaves S at or below its base"
        found.append(Claim("control", variant, words, "susceptibility", CHANGE, -1, weak=True))
    return found


def sides(analysis: Analysis, claim: Claim) -> list[Contrast]:
    """The contrast that a claim is about in every family that has its variant."""
    return [
        contrast
        for contrast in analysis.contrasts
        if contrast.variant.variant.key == claim.variant
        and contrast.variant.variant.role in ("harmful", "control")
        and not contrast.variant.variant.of
        and (contrast.control is None) == (claim.quantity == CHANGE)
    ]


def in_families(claim: Claim, metric: str, sides: Sequence[Contrast], values: Values) -> Found[np.ndarray]:
    """The claim's quantity in every family (family, way), with interval A on the scale that contrasts are made on."""
    if claim.quantity == CHANGE:
        return percent(interval(np.array([log_ratio(contrast, metric, values) for contrast in sides])))
    return interval(np.array([plain(claim, metric, contrast, values) for contrast in sides]))


def plain(claim: Claim, metric: str, contrast: Contrast, values: Values) -> np.ndarray:
    """The claim's quantity without each persona (1 + persona, way), on the scale on which families are averaged."""
    own, other = values(contrast.variant, metric), values(contrast.against, metric)
    with np.errstate(invalid="ignore", divide="ignore"):
        if claim.quantity == CHANGE:
            return 100 * (own / other - 1)
        if claim.quantity == EXCESS:
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


def verdict(claim: Claim, found: Found[float]) -> str:
    """Whether a number bears a claim out: beyond its interval, in its direction only, or not at all."""
    value, (lo, hi) = claim.sign * found.value, sorted((claim.sign * found.lo, claim.sign * found.hi))
    if np.isnan(value):
        return UNKNOWN
    if np.isnan(lo):
        return SAME if value > 0 else OPPOSITE
    if claim.weak:
        return CONTRARY if hi < 0 else HOLDS
    if lo > 0:
        return HOLDS
    if hi < 0:
        return CONTRARY
    return SAME if value > 0 else OPPOSITE
