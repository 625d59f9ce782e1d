"""How many personas and repetitions a study needs for a precision, and what they cost: what `make plan` says."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from persona_collapse import capability, estimating, jackknife, planning, spending
from persona_collapse.analysis import Analysis
from persona_collapse.planning import Design, Spread
from persona_collapse.recommended import METRICS
from persona_collapse.store import open_store
from persona_collapse.study import Run, Study

#: What has to reach the target: the changes of these metrics against the base.
CHANGED = ("susceptibility", "within_rms")
_NAMES = {"susceptibility": "S", "within_rms": "noise"}


class Designed(NamedTuple):
    """Plans for a study, and what the design that it has now would reach."""

    ways: dict[str, Design | None]  #: the cheapest by every way of asking, see `estimating.estimate`; None where there is none
    now: dict[str, Design]  #: personas and repetitions of the study file by the same ways; empty for imported ratings
    spreads: list[Spread]
    personas: int  #: how many there are to be asked
    together: int  #: repetitions that one request may bring
    source: str  #: where the variances come from


def design(study: Study, target: float) -> Designed:
    """The cheapest designs by which changes of S and of noise against the base reach a standard error of `target` (0.05: 5 %).

    Variances are those of the study's own ratings where its store holds a base and a variant, by logprobs or with two
    repetitions or more, a pilot; else those of the published runs.
    """
    found = dict(_pilot(study))
    if found:
        spreads = [spread for own in found.values() for spread in own]
        which = "1 variant" if len(found) == 1 else f"the largest of {len(found)} variants"
        source = f"the variances of this study's own ratings ({which})"
    else:
        spreads = [planning.TABLES[metric, "change"] for metric in CHANGED]
        source = "the variances of the published runs (those of a pilot take their place once there are ratings)"
    together = _together(study)
    ways = {"one by one": 1.0, "choices": float(together), "logprobs": math.inf}
    if study.by_logprobs:
        ways = {"logprobs": math.inf}
    elif together == 1:
        del ways["choices"]
    if study.instrument.digit_suffix is None:
        ways.pop("logprobs", None)
    about = {"items": len(study.instrument.items), "also": int("self" in study.file.conditions)}
    most = len(study.whole_deck()) or _personas(study)
    plans = {way: planning.plan(spreads, target, most_personas=most, together=n, **about) for way, n in ways.items()}
    now = {}
    if study.personas is not None:
        repetitions = study.file.protocol.repetitions
        for way, n in ways.items():
            if way == "logprobs" and not study.by_logprobs:
                continue
            if study.by_logprobs or repetitions >= planning.FEWEST:
                asked = math.inf if study.by_logprobs else repetitions
                now[way] = planning.design(spreads, len(study.personas), asked, together=n, **about)
    return Designed(plans, now, spreads, most, together, source)


def _together(study: Study) -> int:
    """Repetitions that one request brings from the leanest endpoint of a study."""
    if study.file.kind != "live":
        return capability.MOST_CHOICES
    with estimating.opened(study) as store:
        return min(estimating.choices(study, run, store) for run in study.runs)


def _personas(study: Study) -> int:
    """Personas that imported ratings have."""
    if not study.store_path.is_file():
        return 100
    with open_store(study.store_path) as store:
        analysis = Analysis(study, store)
        return max(len(analysis.counts(run)) for run in study.runs) or 100


def _pilot(study: Study) -> Iterator[tuple[str, list[Spread]]]:
    """For every variant that can be set beside its base, how far personas and ratings spread the changes."""
    if not study.store_path.is_file():
        return
    with open_store(study.store_path) as store:
        analysis = Analysis(study, store)
        for run in study.runs:
            base = analysis.base(run)
            if run.variant.role in ("control", "harmful") and (spreads := _spreads(analysis, run, base)):
                yield run.name, spreads


def _spreads(analysis: Analysis, run: Run, base: Run) -> list[Spread]:
    if not (len(analysis.counts(run)) and len(analysis.counts(base))):
        return []
    together = analysis.together(run, base)
    own, other = together.sides
    repetitions = float(np.mean([side.counts.sum(axis=-1).mean() for side in together.sides])) if len(own.counts) else 0.0
    if analysis.study.by_logprobs and repetitions:
        repetitions = math.inf
    if repetitions < planning.FEWEST:
        return []
    se = jackknife.estimate(own.loo.logs - other.loo.logs).se[:, 0]
    again = np.sqrt(own.redrawn.variance + other.redrawn.variance)[:, 0]
    found = []
    for metric in CHANGED:
        at = METRICS.index(metric)
        if np.isfinite([se[at], again[at]]).all():
            found.append(planning.from_pilot(metric, len(own.counts), repetitions, float(se[at]), float(again[at])))
    return found


def lines(study: Study, target: float) -> list[str]:
    """The plans as lines for people: by every way of asking, the floor, and the design that the study has now."""
    found = design(study, target)
    names = " and ".join(_NAMES[metric] for metric in CHANGED)
    said = [f"For changes of {names} against the base with a standard error of {100 * target:g} %, by {found.source}:"]
    said += [f"- {_WAYS[way].format(n=found.together)}: {_plan(study, found, way, target)}" for way in found.ways]
    lowest = 100 * max(planning.floor(spread, found.personas) for spread in found.spreads)
    said.append(
        f"With {found.personas} personas the standard error stays above {lowest:.1f} % however often they are asked; "
        "only more personas bring it lower."
        + (" Requests include those without a persona." if "self" in study.file.conditions else "")
    )
    if found.now:
        first = next(iter(found.now.values()))
        each = ", or ".join(
            f"{one.requests:,} requests a run{_by(way)}{_cost(study, one, way)}" for way, one in found.now.items()
        )
        said.append(f"The study file has {_shape(first)}: {each}; standard error {100 * first.se:.1f} %.")
    if study.file.kind == "live" and any(spending.price(study, run) is None for run in study.runs):
        said.append("No price: give the endpoint, or each variant, a price_per_million.")
    return said


#: How prose calls a way of asking.
_WAYS = {
    "one by one": "one rating a request",
    "choices": "repetitions as choices of one request, up to {n}",
    "logprobs": "by logprobs, which is another prompt and not to be set beside samples",
}


def _by(way: str) -> str:
    return {"one by one": " one by one", "choices": " with choices", "logprobs": ""}[way]


def _plan(study: Study, found: Designed, way: str, target: float) -> str:
    """The cheapest design by one way, or what would have to be there."""
    best = found.ways[way]
    if best is None:
        together = math.inf if way == "logprobs" else found.together if way == "choices" else 1
        more = planning.plan(found.spreads, target, items=1, most_personas=10**9, together=together)
        return f"not with {found.personas} personas; {_shape(more)} would do."
    return f"{_shape(best)}, {best.requests:,} requests a run{_cost(study, best, way)}; standard error {100 * best.se:.1f} %."


def _shape(one: Design) -> str:
    asked = "one request a cell" if math.isinf(one.repetitions) else f"{one.repetitions:g} repetitions"
    return f"{one.personas:,} personas x {asked}"


def _cost(study: Study, one: Design, way: str) -> str:
    """Dollars for every run and condition, as if nothing had been asked; empty without a price."""
    if study.file.kind != "live" or study.personas is None:
        return ""
    method = "logprobs" if way == "logprobs" else "samples"
    asked = {"personas": one.personas, "method": method} | ({} if method == "logprobs" else {"repetitions": int(one.repetitions)})
    planned = estimating.with_protocol(study, **asked)
    table = estimating.estimate(replace(planned, personas=study.whole_deck()[: one.personas]), whole=True)
    dollars = table.loc[table["way"] == way, "dollars"]
    runs = "" if len(study.runs) == 1 else f" for all {len(study.runs)}"
    return "" if dollars.isna().any() else f" (about ${dollars.sum():,.2f}{runs})"
