"""How many personas and repetitions a study needs for a precision, and what they cost: what `make plan` says."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.asking import spending, supported_parameters
from persona_collapse.asking.estimate import choices, estimate, opened, with_protocol
from persona_collapse.statistics import persona_jackknife, power, sample_size
from persona_collapse.statistics.power import Margin, Signal
from persona_collapse.statistics.recommended_estimators import METRICS
from persona_collapse.statistics.sample_size import Asking, Design, Spread
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.build import tables_of
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.vocabulary import CLAIMED

#: What has to reach the target: the changes of these metrics against the base.
CHANGED = CLAIMED


class Designed(NamedTuple):
    """Plans for a study, and what the design that it has now would reach."""

    ways: dict[str, Design | None]  #: the fewest requests by each way of `estimate.estimate`; None where there is none
    by_price: Design | None  #: repetitions as choices at the lowest price; None without a price
    now: dict[str, Design]  #: personas and repetitions of the study file by the same ways; empty for imported ratings
    spreads: list[Spread]
    personas: int  #: how many there are to be asked
    asking: dict[str, Asking]  #: by way
    variants: int  #: whose own ratings the variances come from; 0 if they are those of the published runs
    signals: list[Signal]  #: what the personas of each would be called gone by


def design(study: Study, target: float) -> Designed:
    """The cheapest designs by which changes of S and of noise against the base reach a standard error of `target` (0.05: 5 %).

    Variances are those of the study's own ratings where its store holds a base and a variant, by logprobs or with two
    repetitions or more, a pilot; else those of the published runs.
    """
    pilot = list(_pilot(study))
    spreads = [spread for own, _ in pilot for spread in own]
    signals = [signal for _, signal in pilot] or [power.PUBLISHED]
    spreads = spreads or [sample_size.TABLES[metric, "change"] for metric in CHANGED]
    asking, most = _ways(study), len(study.whole_deck()) or _personas(study)
    plans = {way: sample_size.plan(spreads, target, one, most_personas=most) for way, one in asking.items()}
    by_price, costs = None, _costs(study)
    if costs and "choices" in asking:
        priced = asking["choices"]._replace(of_request=costs[0], of_rating=costs[1])
        by_price = sample_size.plan(spreads, target, priced, most_personas=most)
    return Designed(plans, by_price, _now(study, spreads, asking), spreads, most, asking, len(pilot), signals)


def _ways(study: Study) -> dict[str, Asking]:
    """How the study could be asked; one that is asked by logprobs is planned for logprobs alone."""
    others = [condition for _, condition in study.conditions_asked() if condition != "persona"]
    # How many toxic characters imported ratings have is not known before they are read.
    also = sum(1 if condition == "self" else len(study.deck(condition) or ()) for condition in others)
    one = Asking(sum(len(asked.items) for asked in study.instruments), len(study.runs), also)
    together = _together(study)
    found = {"one by one": one, "choices": one._replace(together=together), "logprobs": one._replace(together=math.inf)}
    if study.by_logprobs:
        return {"logprobs": found["logprobs"]}
    if together == 1:
        del found["choices"]
    if any(asked.digit_suffix is None for asked in study.instruments):
        del found["logprobs"]
    return found


def _now(study: Study, spreads: list[Spread], asking: dict[str, Asking]) -> dict[str, Design]:
    """The design of the study file by every way that brings its method's ratings."""
    if study.personas is None:
        return {}
    repetitions = math.inf if study.by_logprobs else study.file.protocol.repetitions
    if repetitions < sample_size.FEWEST:
        return {}
    own = {way: one for way, one in asking.items() if (way == "logprobs") == study.by_logprobs}
    return {way: sample_size.design(spreads, len(study.personas), repetitions, one) for way, one in own.items()}


def _costs(study: Study) -> tuple[float, float] | None:
    """Dollars of a request's prompt and of one rating, means over all runs; None without a price."""
    if study.file.kind != "live" or any(spending.price(study, run) is None for run in study.runs):
        return None
    table = estimate(study, whole=True).query("way == 'one by one'")
    rows = list(zip(study.runs, table["input_tokens"], table["output_tokens"], strict=True))
    requests = table["requests"].sum()
    prompts = sum(spending.dollars(study, run, tokens, 0) for run, tokens, _ in rows)
    ratings = sum(spending.dollars(study, run, 0, tokens) for run, _, tokens in rows)
    return prompts / requests, ratings / requests


def _together(study: Study) -> int:
    """Repetitions that one request brings from the leanest endpoint of a study."""
    if study.file.kind != "live":
        return supported_parameters.MOST_CHOICES
    with opened(study) as store:
        return min(choices(study, run, store) for run in study.runs)


def _personas(study: Study) -> int:
    """Personas that imported ratings have."""
    if not study.store_path.is_file():
        return 100
    with open_store(study.store_path) as store:
        analysis = tables_of(read_ratings(study, store)).analysis
        return max(len(analysis.counts(run)) for run in study.runs) or 100


def _pilot(study: Study) -> Iterator[tuple[list[Spread], Signal]]:
    """For every variant that can be set beside its base, how far personas and ratings spread the changes, and its signal."""
    if not study.store_path.is_file():
        return
    with open_store(study.store_path) as store:
        analysis = tables_of(read_ratings(study, store)).analysis
        for run in study.runs:
            base = analysis.base(run)
            if run.variant.role in ("control", "harmful") and (found := spreads(analysis, run, base)):
                yield found, _signal(analysis, run, base)


def _signal(analysis: Analysis, run: Run, base: Run) -> Signal:
    own, other = analysis.together(run, base).loo
    noise = own.parts.noise[0]
    uneven = float((noise**2).mean() / noise.mean() ** 2) if noise.any() else 1.0
    return Signal(float(other.of("susceptibility_pooled")[0, 0]), float(own.of("within_rms")[0, 0]), uneven, len(noise))


def spreads(analysis: Analysis, run: Run, base: Run) -> list[Spread]:
    """How far personas and ratings spread the change of each of `CHANGED` from base to run; empty without repetitions."""
    if not (len(analysis.counts(run)) and len(analysis.counts(base))):
        return []
    together = analysis.together(run, base)
    own, other = together.sides
    repetitions = float(np.mean([side.counts.sum(axis=-1).mean() for side in together.sides])) if len(own.counts) else 0.0
    if analysis.study.by_logprobs and repetitions:
        repetitions = math.inf
    if repetitions < sample_size.FEWEST:
        return []
    with np.errstate(invalid="ignore"):  # of a metric that is 0 on both sides
        se = persona_jackknife.estimate(own.loo.logs - other.loo.logs).se[:, 0]
    again = np.sqrt(own.redrawn.variance + other.redrawn.variance)[:, 0]
    found = []
    for metric in CHANGED:
        at = METRICS.index(metric)
        if np.isfinite([se[at], again[at]]).all():
            found.append(sample_size.from_pilot(metric, len(own.counts), repetitions, float(se[at]), float(again[at])))
    return found


def plan_lines(study: Study, target: float) -> list[str]:
    """The plans as lines for people: by every way of asking, the floor, and the design that the study has now."""
    found = design(study, target)
    said = [
        "Personas and repetitions by which changes of S and of noise against the base have a standard error of at most "
        f"{100 * target:g} %; requests{_and_price(study)} are those of {_runs(study)}{_besides(study)}.",
        _source(study, found),
    ]
    for way, best in found.ways.items():
        both = way == "choices" and found.by_price not in (None, best)
        said.append(f"- {_words(study, found, way)}{', fewest requests' * both}: {_plan(study, found, way, best, target)}")
        if both:
            said.append(f"- {_words(study, found, way)}, lowest price: {_plan(study, found, way, found.by_price, target)}")
    said += [_floor(found), *_power(study, found), *_as_it_stands(study, found), *_second_request(study, found)]
    if study.file.kind == "live" and any(spending.price(study, run) is None for run in study.runs):
        said.append("No price is known: give the endpoint, or each variant, a price_per_million.")
    if study.file.kind != "live":
        said.append("This study sends no requests; they are counted as if an endpoint were asked, and have no price.")
    return said


def _and_price(study: Study) -> str:
    return " and price" if study.file.kind == "live" else ""


def _runs(study: Study) -> str:
    alone = not any(run.variant.role in ("control", "harmful") for run in study.runs)
    number = "the one run" if len(study.runs) == 1 else f"all {len(study.runs)} runs"
    return number + " (none of them a control or harmful variant yet)" * alone


def _besides(study: Study) -> str:
    """What requests include besides those of personas."""
    asked = {condition for _, condition in study.conditions_asked()}
    parts = ["without a persona"] * ("self" in asked) + ["as toxic characters"] * ("toxic" in asked and study.toxic is not None)
    return f", those {' and '.join(parts)} included" if parts else ""


def _source(study: Study, found: Designed) -> str:
    """Where the variances come from."""
    if not found.variants:
        return (
            "Variances are those of the published runs; "
            "once this study has ratings of a base and a variant to set beside it, its own take their place."
        )
    kind = "simulated ratings" if study.simulated else "ratings"
    who = "the variant that has them" if found.variants == 1 else f"all {found.variants} variants that have them"
    return f"Variances are those of this study's own {kind}; a design has to do for {who}."


#: How prose calls a way of asking.
_WAYS = {
    "one by one": "One rating a request",
    "choices": "Repetitions as choices of one request, up to {n}",
    "logprobs": "Logprobs instead of samples (another prompt: never set one beside the other)",
}


def _words(study: Study, found: Designed, way: str) -> str:
    """A way of asking, and whether it is the one that the study is asked by."""
    if study.by_logprobs:
        return "Logprobs"
    own = "choices" if "choices" in found.ways else "one by one"
    words = _WAYS[way].format(n=found.asking[way].together)
    return words + " (as `make elicit` asks)" * (way == own and study.file.kind == "live")


def _plan(study: Study, found: Designed, way: str, best: Design | None, target: float) -> str:
    """The cheapest design by one way, or what would have to be there."""
    if best is None:
        more = sample_size.plan(found.spreads, target, found.asking[way], most_personas=sample_size.NO_LIMIT)
        assert more is not None  # with enough personas any target is reached
        return f"out of reach of {found.personas} personas; {_shape(*more[:2])} would do."
    fewest = " (no plan has fewer personas)" if best.personas == sample_size.FEWEST_PERSONAS < found.personas else ""
    return f"{_shape(*best[:2])}{fewest}, {_asked(study, best, way)}; standard error {100 * best.se:.1f} %."


def _floor(found: Designed) -> str:
    """What no number of repetitions can pass."""
    lowest = 100 * max(sample_size.floor(spread, found.personas) for spread in found.spreads)
    if not lowest:
        return f"Floor: none for {found.personas} personas; by these ratings nothing but repetitions limits the standard error."
    return (
        f"Floor: with all {found.personas} personas the standard error stays above {lowest:.1f} % "
        "however often they are asked; only more personas lower it."
    )


def _power(study: Study, found: Designed) -> Iterator[str]:
    """How likely the study file's design, and the cheapest by its way of asking, are to show what they look for."""
    way = "logprobs" if study.by_logprobs else "choices" if "choices" in found.ways else "one by one"
    shapes: dict[tuple[int, float], str] = {}
    for one, what in ((next(iter(found.now.values()), None), "the study file"), (found.ways[way], "fewest requests")):
        if one:
            shapes.setdefault((one.personas, one.repetitions), what)
    smallest = study.file.smallest
    s, r = (
        [Margin(own, share) for own in found.spreads if own.degrees == noise]
        for noise, share in ((False, smallest.S), (True, smallest.R))
    )
    for shape, what in shapes.items() if s and r else ():
        gone = min(power.gone(signal, *shape, study.file.half) for signal in found.signals)
        yield (
            f"Power of {_shape(*shape)} ({what}): where nothing changed, S is shown to be within {100 * smallest.S:g} % in "
            f"{_percent(power.of_design(s, *shape))} of studies and R within {100 * smallest.R:g} % in "
            f"{_percent(power.of_design(r, *shape))}, and {_percent(power.WANTED)} for both takes "
            f"{power.personas_for([*s, *r], shape[1]):,} personas; where no persona effect is left, personas are called gone in "
            f"{_percent(gone)}."
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _as_it_stands(study: Study, found: Designed) -> Iterator[str]:
    """What the design of the study file reaches and costs; nothing for imported ratings."""
    if found.now:
        first = next(iter(found.now.values()))
        each = " or ".join(f"{_asked(study, one, way)}{_BY[way]}" for way, one in found.now.items())
        yield f"The study file as it stands: {_shape(*first[:2])}, {each}; standard error {100 * first.se:.1f} %."
    elif study.personas is not None:
        yield "The study file as it stands: 1 repetition, which cannot tell noise from personas; ask for 2 or more."


def _second_request(study: Study, found: Designed) -> Iterator[str]:
    """What it costs to ask every cell in two requests; nothing where one request is not a whole cell of several choices."""
    now, asked = found.now.get("choices"), found.asking.get("choices")
    if study.file.kind != "live" or now is None or asked is None:
        return
    if study.file.protocol.requests > 1 or asked.together < now.repetitions:
        return
    one, two = (_estimated(with_protocol(study, requests=requests), now, "choices") for requests in (1, 2))
    more, dollars = (float(two[name].sum() - one[name].sum()) for name in ("requests", "dollars"))
    price = "" if np.isnan(two["dollars"]).any() else f" (about {dollars:,.2f} USD)"
    yield (
        f"A second request a cell costs {more:,.0f} more requests{price}: with `protocol: {{requests: 2}}`, noise that choices "
        "of one request share is counted."
    )


_BY = {"one by one": " one by one", "choices": " as choices", "logprobs": ""}


def _shape(personas: int, repetitions: float) -> str:
    asked = "one request a cell" if math.isinf(repetitions) else f"{repetitions:g} repetitions"
    return f"{personas:,} personas x {asked}"


def _asked(study: Study, one: Design, way: str) -> str:
    """Requests and dollars of every run and condition, as if nothing had been asked; of a live study as it is estimated."""
    if study.file.kind != "live":
        return f"{one.requests:,} requests"
    table = _estimated(study, one, way)
    # Not $: two of them in a paragraph of a notebook are a formula.
    dollars = "" if table["dollars"].isna().any() else f" (about {table['dollars'].sum():,.2f} USD)"
    return f"{table['requests'].sum():,} requests{dollars}"


def _estimated(study: Study, one: Design, way: str) -> pd.DataFrame:
    """Rows of `estimate` of a live study for a design by one way of asking, as if nothing had been asked."""
    method = "logprobs" if way == "logprobs" else "samples"
    asked = {"personas": one.personas, "method": method} | ({} if method == "logprobs" else {"repetitions": int(one.repetitions)})
    planned = with_protocol(study, **asked)
    table = estimate(replace(planned, personas=study.whole_deck()[: one.personas]), whole=True)
    return table[table["way"] == way]
