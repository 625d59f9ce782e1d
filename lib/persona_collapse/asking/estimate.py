"""What a live study still costs, run by run and way by way, before anything is sent."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from persona_collapse.asking import base_check, recital, request_probe, slots, spending, supported_parameters, text_questions
from persona_collapse.asking.bundles import requests_of
from persona_collapse.store.store import Store
from persona_collapse.study.study import Run, Study
from persona_collapse.study.study_file import Protocol

#: Seconds that an answer takes, for the hours; published endpoints gave 0.6 to 1.1.
_SECONDS_A_REQUEST = 1.0
#: Hours in which providers promise a batch, and the share of the price that it costs.
_BATCH_HOURS, _BATCH_PRICE = 24.0, 0.5
#: How a cell is asked by logprobs.
_ONE_TOKEN = Protocol(repetitions=1, max_tokens=1)


class _Load(NamedTuple):
    """Requests, and the tokens they bring in and out."""

    requests: int
    input_tokens: int
    output_tokens: int


_NOTHING = _Load(0, 0, 0)


def estimate(study: Study, *, whole: bool = False) -> pd.DataFrame:
    """Requests, tokens, dollars and hours for the slots that a study's store lacks; sends nothing.

    Parameters
    ----------
    study : Study
        Of kind live.
    whole : bool
        As if nothing had been answered yet.

    Returns
    -------
    DataFrame
        One row a run and way of asking: `one by one`; `choices`, as many repetitions of a cell in one request as the endpoint
        is known or hoped to give, which pays a prompt once; `logprobs`, a request a cell, absent where the instrument cannot
        be asked so; `batch`, the study's own method at half the price. `own` marks the way that `make elicit` would take.
        Questions without a persona, and what judges are asked about the answers, are rows of the way `in words`, whatever the
        method. What another method lacks is not what the study's own lacks: the two share no ratings. Tokens are estimates (4.6
        characters a token); the few requests that compare a fine-tune with its base, that probe for recited scales, and that
        ask some cells of choices a second time, are among the requests. Dollars are empty without a price, hours assume a
        second an answer with everything in flight that the study file allows; a batch takes up to 24.
    """
    if study.file.kind != "live":
        raise ValueError(f"{study.path.name}: a study of kind {study.file.kind} costs nothing; estimate is for kind live")
    rows = []
    with opened(study) as store:
        left = None if whole else store
        compared = [run for run in base_check.due(study, left) if _missing(study, run, left)]
        for run in study.runs:
            probed, second = _NOTHING, _NOTHING
            if _missing(study, run, left):
                probed, second = (_Load(*each.tokens(study, run, left)) for each in (recital, request_probe))
            beside = _Load(*base_check.tokens(study, compared, run)), probed, second
            rows += [(run.key, *row) for row in _ways(study, run, store, whole, *beside)]
        rows += _in_words(study, left)
    return pd.DataFrame(rows, columns=["run", "way", "requests", "input_tokens", "output_tokens", "dollars", "hours", "own"])


@contextmanager
def opened(study: Study) -> Iterator[Store | None]:
    """The study's store, None where nothing was asked yet; an estimate leaves nothing behind."""
    try:
        store = Store(study.store_path, write=False)
    except FileNotFoundError:
        yield None
        return
    with closing(store):
        yield store


def _ways(
    study: Study, run: Run, store: Store | None, whole: bool, compared: _Load, probed: _Load, second: _Load
) -> Iterator[tuple[str, int, int, int, float, float, bool]]:
    """Rows of one run: way, requests, tokens in and out, dollars, hours, and whether it is the study's own.

    Each holds what comparing with the base takes, those by samples what the probe for recited scales does, and those by choices
    what asking some cells a second time does.
    """
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    together, store = choices(study, run, store), None if whole else store
    samples = _missing(with_protocol(study, method="samples"), run, store)
    protocol = study.file.protocol
    loads = {"one by one": _load(samples, 1, protocol), "choices": _load(samples, together, protocol)}
    if all(asked.digit_suffix is not None for asked in study.instruments):
        loads["logprobs"] = _load(_missing(with_protocol(study, method="logprobs"), run, store), 1, _ONE_TOKEN)
    own = "logprobs" if study.by_logprobs else "one by one" if together == 1 else "choices"
    price = spending.price(study, run)
    for way, only in (loads | {"batch": loads[own]}).items():
        more = compared if way == "logprobs" else _sum(compared, probed)
        more = _sum(more, second) if "choices" in (way, own if way == "batch" else "") else more
        share, load = _BATCH_PRICE if way == "batch" else 1, _sum(only, more)
        cost = spending.dollars(study, run, *only[1:]) * share + spending.dollars(study, run, *more[1:]) if price else math.nan
        hours = load.requests * _SECONDS_A_REQUEST / endpoint.max_in_flight / 3600
        yield way, *load, cost, _BATCH_HOURS * bool(load.requests) if way == "batch" else hours, way == own


def _in_words(study: Study, store: Store | None) -> Iterator[tuple[str, str, int, int, int, float, float, bool]]:
    """Rows of what is asked and judged in words; every answer is taken to be judged, and to be as long as it may be."""
    settled = store.texts_settled() if store else set()
    asked = [(q, math.ceil(len(q.system + q.prompt) / spending.CHARACTERS_A_TOKEN))
             for run in study.runs for q in text_questions.of_run(study, run)]  # fmt: skip
    loads = {run.key: (run, [_Load(1, n, q.how.max_tokens) for q, n in asked if q.run is run and q.key not in settled])
             for run in study.runs}  # fmt: skip
    done = Counter(key[1] for key in settled if key[2] == text_questions.JUDGEMENT)
    for judge in study.judges:
        rubrics = math.ceil(sum(map(len, study.rubrics.values())) / spending.CHARACTERS_A_TOKEN)
        each = [_Load(len(study.rubrics), rubrics + len(study.rubrics) * q.how.max_tokens, len(study.rubrics) * 2)
                for q, _ in asked if q.purpose == text_questions.VERIFICATION]  # fmt: skip
        loads[judge.key] = judge, each[math.ceil(done[judge.variant.key] / len(study.rubrics)) :]
    for key, (run, each) in loads.items():
        if each:
            load = _Load(*(sum(column) for column in zip(*each, strict=True)))
            cost = spending.dollars(study, run, *load[1:]) if spending.price(study, run) else math.nan
            in_flight = study.file.endpoints[run.variant.endpoint or ""].max_in_flight
            yield key, "in words", *load, cost, load.requests * _SECONDS_A_REQUEST / in_flight / 3600, True


def _sum(one: _Load, other: _Load) -> _Load:
    return _Load(*map(sum, zip(one, other, strict=True)))


def choices(study: Study, run: Run, store: Store | None) -> int:
    """How many repetitions of a cell one request brings: as many as the endpoint is known, or else hoped, to give."""
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    known = supported_parameters.recall(store, endpoint, run.variant.model or "") if store else supported_parameters.Supported()
    return min(known.choices or supported_parameters.MOST_CHOICES, supported_parameters.MOST_CHOICES)


def with_protocol(study: Study, **changes: object) -> Study:
    """A study asked by another protocol."""
    protocol = study.file.protocol.model_copy(update=changes)
    return replace(study, file=study.file.model_copy(update={"protocol": protocol}))


def _load(missing: list[tuple[int, int]], together: int, protocol: Protocol) -> _Load:
    """What so many repetitions together cost, by a protocol that says how long replies are and how many requests a cell has."""
    requests = [requests_of(repetitions, together, protocol) for _, repetitions in missing]
    return _Load(
        sum(requests),
        sum(
            n * math.ceil(characters / spending.CHARACTERS_A_TOKEN) for n, (characters, _) in zip(requests, missing, strict=True)
        ),
        sum(repetitions for _, repetitions in missing) * protocol.max_tokens,
    )


def _missing(study: Study, run: Run, store: Store | None) -> list[tuple[int, int]]:
    """The cells of a run with something to ask: length of the prompt in characters, repetitions that are missing."""
    answered = store.answered(run.family.key, run.variant.key) if store else {}
    left = (
        (len(q.system + q.prompt), q.repetitions - answered.get((q.condition, q.persona, q.item, q.identity), 0))
        for q in slots.questions(study, run)
    )
    return [(characters, number) for characters, number in left if number > 0]


def estimate_line(study: Study) -> str:
    """What asking as the study says is about to cost, before the first request; empty if nothing is missing."""
    table = estimate(study)
    own = table[table["own"] & (table["requests"] > 0)]
    if own.empty:
        return ""
    runs, ways = f"{len(own)} run{'s' * (len(own) > 1)}", " and ".join(dict.fromkeys(own["way"]))
    dollars = "without a price" if own["dollars"].isna().any() else f"about ${own['dollars'].sum():,.2f}"
    budget = "" if study.file.budget_usd is None else f", at most ${study.file.budget_usd:g}"
    return (
        f"{study.name}: about {own['requests'].sum():,} requests ({ways}) for {runs}, {dollars}{budget}, "
        f"{own['hours'].sum():.2f} h; `make estimate` sets other ways beside it"
    )


def estimate_lines(study: Study) -> list[str]:
    """The estimate as lines for people, with totals and the budget."""
    table = estimate(study)
    found = [f"{'run':<28}{'way':<14}{'requests':>10}{'tokens in':>14}{'tokens out':>12}{'dollars':>10}{'hours':>9}"]
    total = table.groupby("way", sort=False, as_index=False).sum(numeric_only=True).assign(run="all")
    owned = table.groupby("way", sort=False)["own"].all()
    # A sum without a price would read as zero dollars, and batches of several runs are under way together.
    total["dollars"] = [math.nan if table[table["way"] == way]["dollars"].isna().any() else d
                        for way, d in zip(total["way"], total["dollars"], strict=True)]  # fmt: skip
    total["hours"] = [min(h, _BATCH_HOURS) if way == "batch" else h for way, h in zip(total["way"], total["hours"], strict=True)]
    for row in pd.concat([table, total.assign(own=total["way"].map(owned))]).itertuples():
        dollars = "-" if math.isnan(row.dollars) else f"{row.dollars:,.2f}"
        hours = f"up to {row.hours:.0f}" if row.way == "batch" else f"{row.hours:.2f}"
        found.append(
            f"{row.run:<28}{row.way + ' *' * row.own:<14}{row.requests:>10,}{row.input_tokens:>14,}{row.output_tokens:>12,}"
            f"{dollars:>10}{hours:>9}"
        )
    if study.file.budget_usd is not None:
        found.append(f"budget_usd: {study.file.budget_usd:g}; elicitation stops there")
    found.append(
        "* as `make elicit` asks; batch is `make batch`. Estimates: 4.6 characters a token, a second an answer. Nothing was sent."
    )
    return found
