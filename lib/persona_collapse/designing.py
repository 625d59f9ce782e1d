"""How many personas and repetitions a study needs for a precision, and what they cost: what `make plan` says."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from persona_collapse import jackknife, planning, spending
from persona_collapse.analysis import Analysis
from persona_collapse.planning import Design, Plan, Spread
from persona_collapse.recommended import METRICS
from persona_collapse.store import open_store
from persona_collapse.study import Run, Study

#: What has to reach the target: the changes of these metrics against the base.
CHANGED = ("susceptibility", "within_rms")
_NAMES = {"susceptibility": "S", "within_rms": "noise"}


class Designed(NamedTuple):
    """A plan for a study, and what the design that it has now would reach."""

    plan: Plan
    now: Design | None  #: personas and repetitions of the study file; None for imported ratings
    source: str  #: where the variances come from


def design(study: Study, target: float) -> Designed:
    """The cheapest design by which changes of S and of noise against the base reach a standard error of `target` (0.05: 5 %).

    Variances are those of the study's own ratings where its store holds a base and a variant with two repetitions or more,
    a pilot; else those of the published runs.
    """
    found = dict(_pilot(study))
    items = len(study.instrument.items)
    if found:
        spreads = [spread for own in found.values() for spread in own]
        source = f"variances of this study's own ratings, the largest of {len(found)} variants"
    else:
        spreads = [planning.TABLES[metric, "change"] for metric in CHANGED]
        source = "variances of the published runs; ratings of a pilot take their place once there are some"
    most = len(study.whole_deck()) or _personas(study)
    planned = planning.plan(spreads, target, items=items, most_personas=most, exact=study.by_logprobs)
    return Designed(planned, _now(study, spreads, items), source)


def _now(study: Study, spreads: list[Spread], items: int) -> Design | None:
    if study.personas is None:
        return None
    personas = len(study.personas)
    repetitions = math.inf if study.by_logprobs else study.file.protocol.repetitions
    if repetitions < planning.FEWEST:
        return None
    reached = max(planning.expected_se(spread, personas, repetitions) for spread in spreads)
    return Design(personas, repetitions, personas * items * (1 if study.by_logprobs else int(repetitions)), reached)


def _personas(study: Study) -> int:
    """Personas that imported ratings have."""
    if not study.store_path.is_file():
        return 100
    with open_store(study.store_path) as store:
        analysis = Analysis(study, store)
        return max(len(analysis.counts(run)) for run in study.runs) or 100


def _pilot(study: Study) -> Iterator[tuple[str, list[Spread]]]:
    """For every variant that can be set beside its base, how far personas and ratings spread the changes."""
    if not study.store_path.is_file() or study.by_logprobs:
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
    """The plan as lines for people: design, floor, price, and the design that the study has now."""
    found = design(study, target)
    names = " and ".join(_NAMES[metric] for metric in CHANGED)
    said = [f"Changes of {names} against the base, standard error {100 * target:g} %; {found.source}.", found.plan.note]
    best, now = found.plan.design, found.now
    if now is not None:
        said.append(f"The study file has {_shape(now)}: {now.requests:,} requests a run, {100 * now.se:.1f} %.")
        if best is not None and best.requests < now.requests:
            said[-1] += f" The plan asks {100 * best.requests / now.requests:.0f} % of that."
    for name, one in (("plan", best), ("study file", now)):
        if one is not None and (cost := _price(study, one)) is not None:
            said.append(f"Price of the {name}, {len(study.runs)} runs as personas: {cost}.")
    if study.file.kind == "live" and best is not None and _price(study, best) is None:
        said.append("No price: give the endpoint, or each variant, a price_per_million.")
    return said


def _shape(one: Design) -> str:
    return f"{one.personas} personas x " + ("one request" if math.isinf(one.repetitions) else f"{one.repetitions:g} repetitions")


def _price(study: Study, one: Design) -> str | None:
    """Dollars for the persona condition of every run: a request a rating, and every repetition of a cell in one request."""
    if study.file.kind != "live" or study.personas is None:
        return None
    lengths = [
        len(study.instrument.prompt(item, persona.text, digit=study.by_logprobs))
        for persona in study.personas
        for item in study.instrument.items
    ]
    tokens = math.ceil(float(np.mean(lengths)) / spending.CHARACTERS_A_TOKEN)
    cells = one.personas * len(study.instrument.items)
    single = together = 0.0
    for run in study.runs:
        if spending.price(study, run) is None:
            return None
        written = one.requests * study.file.protocol.max_tokens
        single += spending.dollars(study, run, one.requests * tokens, written)
        together += spending.dollars(study, run, cells * tokens, written)
    if single == together:
        return f"{single:,.2f} dollars"
    return f"{single:,.2f} dollars one by one, {together:,.2f} where an endpoint gives every repetition in one request"
