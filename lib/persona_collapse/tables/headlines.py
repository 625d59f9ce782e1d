"""The headlines of a study as claims that can be tested: what is compared, in which metric, in which direction."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from persona_collapse.statistics import persona_jackknife
from persona_collapse.study.study import Run
from persona_collapse.tables.run_statistics import Analysis, of_role

#: A metric of a run over all personas and without each one, in every way to look (1 + persona, way), by the run and the metric's
#: name.
Values = Callable[[Run, str], np.ndarray]
_Number = TypeVar("_Number", float, np.ndarray)
HOLDS, SAME, OPPOSITE, CONTRARY, UNKNOWN = "holds", "same direction", "other direction", "contradicted", "not available"


class Claim(NamedTuple):
    """A headline about the variants of one key."""

    kind: str  #: susceptibility, noise, susceptibility_excess, noise_excess, anchor, control
    variant: str
    words: str  #: what is claimed, as a sentence without its end
    metric: str
    quantity: str  #: change_pct (of base), excess_pp (over the control, in points of base), logit (less the control's)
    sign: int  #: direction of the claim
    weak: bool = False  #: holds unless the interval lies wholly on the other side

    @property
    def unit(self) -> str:
        """Unit of its numbers."""
        return {"change_pct": "%", "excess_pp": "pp", "logit": "logit"}[self.quantity]


class Found(NamedTuple, Generic[_Number]):
    """What a way to look gives for one family, or for the mean over families; numbers, or arrays (way,) of several ways."""

    value: _Number
    lo: _Number
    hi: _Number


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
    "icc": (
        ("information share instead of ICC", "information_share"),
        ("fidelity to the base instead of ICC", "fidelity"),
    ),
}


def claims(analysis: Analysis) -> list[Claim]:
    """Every headline of a study, harmful variants first; those over a control only where one is named."""
    study = analysis.study
    found = []
    for variant in of_role(study, "harmful"):
        controlled = any(run.variant.key == variant and run.variant.control for run in study.runs)
        found += [
            Claim("susceptibility", variant, f"S rises under {variant}", "susceptibility", "change_pct", 1),
            Claim("noise", variant, f"noise rises under {variant}", "within_rms", "change_pct", 1),
        ]
        if controlled:
            beyond = f"under {variant} beyond the matched control"
            found += [
                Claim("susceptibility_excess", variant, f"S rises {beyond}", "susceptibility", "excess_pp", 1),
                Claim("noise_excess", variant, f"noise rises {beyond}", "within_rms", "excess_pp", 1),
                Claim("anchor", variant, f"{variant} is less persona-determined than its control", "icc", "logit", -1),
            ]
    for variant in of_role(study, "control"):
        words = f"{variant} leaves S at or below its base"
        found.append(Claim("control", variant, words, "susceptibility", "change_pct", -1, weak=True))
    return found


def sides(analysis: Analysis, claim: Claim) -> list[tuple[Run, ...]]:
    """The runs that a claim compares, one tuple a family: variant, its control if the claim is about one, base."""
    found: list[tuple[Run, ...]] = []
    for run in analysis.study.runs:
        if run.variant.key != claim.variant or run.variant.role not in ("harmful", "control"):
            continue
        control = analysis.control(run)
        if claim.quantity == "change_pct":
            found.append((run, analysis.base(run)))
        elif control is not None:
            found.append((run, control, analysis.base(run)))
    return found


def in_families(claim: Claim, metric: str, sides: Sequence[Sequence[Run]], values: Values) -> Found[np.ndarray]:
    """The claim's quantity in every family (family, way), with interval A on the scale that contrasts are made on."""
    if claim.quantity == "change_pct":
        return percent(interval(np.array([log_ratio(runs, metric, values) for runs in sides])))
    return interval(np.array([plain(claim, metric, runs, values) for runs in sides]))


def plain(claim: Claim, metric: str, runs: Sequence[Run], values: Values) -> np.ndarray:
    """The claim's quantity without each persona (1 + persona, way), on the scale on which families are averaged."""
    every = [values(run, metric) for run in runs]
    with np.errstate(invalid="ignore", divide="ignore"):
        if claim.quantity == "change_pct":
            return 100 * (every[0] / every[-1] - 1)
        if claim.quantity == "excess_pp":
            return 100 * (every[0] - every[1]) / every[-1]
        return scaled(every[0], metric) - scaled(every[1], metric)


def scaled(values: np.ndarray, metric: str) -> np.ndarray:
    """Logit of a share, Fisher's z of fidelity."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.arctanh(values) if metric == "fidelity" else np.log(values) - np.log1p(-values)


def log_ratio(runs: Sequence[Run], metric: str, values: Values) -> np.ndarray:
    """Logarithm of a metric of the first run over that of the second, without each persona."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(values(runs[0], metric)) - np.log(values(runs[1], metric))


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
