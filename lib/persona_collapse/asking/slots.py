"""What is asked of a run, slot by slot, and what is stored of a reply; simulated respondents answer here."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, NoReturn

from tqdm import tqdm

from persona_collapse.asking.dialect_openai import Choice, Completion, Failure
from persona_collapse.asking.local_weights import marks
from persona_collapse.store.rows import Answer, MissingCell, Question
from persona_collapse.store.store import Store
from persona_collapse.study import first_token, rating_parser
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run, Study
from persona_collapse.study.study_file import Protocol
from persona_collapse.study.treatment import messages, named
from persona_collapse.study.wording import WORDING_EFFECTS, dealt, is_own, of_condition


def plan(study: Study, run: Run, store: Store) -> int:
    """Make the study's design the run's design in the store; returns how many slots are to be asked."""
    design = [
        Question(*q[:4], hash_of(q.bare), q.repetitions, q.instrument.key, q.wording, q.before) for q in questions(study, run)
    ]
    family, variant = run.family.key, run.variant.key
    store.plan(family, variant, design)
    cells = [cell for c in study.conditions(run) for cell in store.missing_cells(family, variant, c)]
    if study.file.kind == "live" and (times := study.file.protocol.reask):
        cells += [cell for c in study.conditions(run) for cell in store.unrated_cells(family, variant, c, times)]
    return sum(len(cell.repetitions) for cell in cells)


class Asked(NamedTuple):
    """A cell as a study asks it: the question of the store, and the prompt it stands for."""

    condition: str
    persona: int | None
    item: int
    identity: str
    prompt: str
    repetitions: int
    instrument: Instrument  #: worded as it is asked
    wording: str = ""  #: names its levels, where wording varies
    before: int = 0  #: repetitions of the cell that are asked at other levels before
    system: str = ""  #: the message before the prompt, where there is one
    bare: str = ""  #: both as the instrument words them, by which runs are compared, without what treats the model


def origin(study: Study, run: Run) -> list[Any]:
    """Where a run's answers come from and how they are asked, beside the prompt: what tells a slot from one asked otherwise.

    Simulated respondents are those of the study's (first) instrument.
    """
    protocol, variant = _protocol(study, run), run.variant
    if study.simulated:
        from persona_collapse.study.respondent_parameters import load_respondent

        respondent = load_respondent(variant.figures or "", study.instrument, steered=bool(protocol.system))
        own = [["temperature", variant.temperature]] * (variant.temperature is not None)
        return ["simulated", respondent.fingerprint, study.file.seed, run.key, *["logprobs"] * study.by_logprobs, *own]
    if study.file.kind == "local":
        return ["local", *marks(study, run), protocol.template, protocol.prefill, study.file.local.dtype, "logprobs"]
    endpoint = study.file.endpoints[variant.endpoint or ""]
    found: list[Any] = ["live", endpoint.base_url, variant.model, protocol.temperature, protocol.max_tokens, protocol.method]
    if endpoint.provider:
        found.append(list(endpoint.provider))
    # Only what a study says otherwise: slots that were asked before there was a choice stay what they are.
    more = {"extra_body": endpoint.extra_body, "headers": endpoint.headers, "top_p": protocol.top_p}
    more |= {"prefill": protocol.prefill} if protocol.prefill else {}
    if more != {"extra_body": {}, "headers": {}, "top_p": 1}:
        found.append(json.dumps(more, sort_keys=True))
    return found


def _protocol(study: Study, run: Run) -> Protocol:
    """The protocol as a run is asked by it."""
    protocol = run.variant.protocol(study.file.protocol)
    if study.by_logprobs:
        # One token at T = 1 gives every temperature: what the study file says of it decides what is shown, not what is asked.
        return protocol.model_copy(update={"temperature": 1.0, "max_tokens": 1, "repetitions": 1, "top_p": 1.0})
    return protocol


def questions(study: Study, run: Run, asked: Sequence[Any] | None = None) -> Iterator[Asked]:
    """Every cell of a run, with the hash that tells it from one asked otherwise; `asked` is another origin than its own."""
    digit = study.by_logprobs if asked is None else asked[5] == "logprobs"
    for one in study.each:
        came, protocol = asked or origin(one, run), _protocol(one, run)
        as_worded = lru_cache(one.instrument.worded_as)
        for condition in one.conditions(run):
            vary = of_condition(protocol.vary, condition)
            deals = [(item, list(dealt(vary, protocol.repetitions, at))) for at, item in enumerate(one.instrument.items)]
            for persona in study.deck(condition) or (None,):
                index, text = (persona.index, persona.text) if persona else (None, None)
                # Simulated respondents lean on attributes, which no prompt holds.
                lean = [persona.attributes] if study.simulated and persona and persona.attributes else []
                # A prompt stands before what is the same of all of them, which is written once.
                ends = lru_cache(partial(_end, [*came, *lean], study.simulated))
                for item, dealt_out in deals:
                    for wording, number, before in dealt_out:
                        worded = as_worded(wording)
                        own = worded.prompt(item, text, digit=digit), worded.system(text)
                        prompt, system = messages(protocol, *own)
                        identity = hash_of(f"[{json.dumps(prompt)}, {ends(wording, system)}")
                        words = (worded, wording, before, system, whole(*own))
                        yield Asked(condition, index, item.number, identity, prompt, number, *words)


def _end(came: Sequence[Any], simulated: bool, wording: str, system: str) -> str:
    """What stands behind the prompt in the JSON list that a cell is identified by."""
    said = [{"system": system}] if system else []
    return json.dumps([*said, *came, *(WORDING_EFFECTS if simulated and not is_own(wording) else [])])[1:]


def whole(prompt: str, system: str) -> str:
    """A prompt and the system message before it as one text, unlike that of a prompt which holds both."""
    return f"system: {system}\n\nuser: {prompt}" if system else prompt


def hash_of(text: str) -> str:
    """A short hash of a text, as the store keeps it of prompts."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def answer_of(
    study: Study, question: int, repetition: int, found: Choice | Failure, time: str | None, served: Completion | None = None,
    *, sends: int = 1, first: bool = True, instrument: Instrument | None = None,
) -> Answer:  # fmt: skip
    """What is stored of an answer: the rating it gives on the scale of `instrument` (the study's first), or why there is none.

    An instrument that is asked with its scale in reverse gives ratings that are turned back.

    `served` is the request that brought it; its tokens stand with its `first` choice, as it was paid once. `sends` counts how
    often the slot was asked until it was answered.
    """
    rating: int | None = None
    reason: str | None = None
    instrument = instrument or study.instrument
    if isinstance(found, Failure):
        reason = "wrong_server" if found.kind == "wrong_server" else "transport"
        return Answer(question, repetition, None, reason, found.said, attempts=sends, time=time)
    if not (found.refused or found.finish_reason == "content_filter"):
        if study.by_logprobs:
            rating, _, reason = first_token.read(found.alternatives, instrument.categories)
        else:
            cut = found.finish_reason == "length"
            given = rating_parser.parse_reply(found.text or "", *instrument.scale, instrument.labels, cut=cut)
            rating = None if given is None else instrument.on_scale(given)
    if rating is None and reason is None:
        reason = rating_parser.missing_reason(found.text, finish_reason=found.finish_reason, refused=found.refused)
    served = served or Completion((found,), 0.0)
    return Answer(
        question, repetition, rating, reason, found.text, found.finish_reason,
        first_token.as_text(found.alternatives) if found.alternatives and first_token.usable(found.alternatives) else None,
        served.served_model, served.fingerprint, served.request_id, sends,
        served.input_tokens if first else 0, served.output_tokens if first else 0, time, served.latency or None, served.provider,
        served.completion if first else None,
    )  # fmt: skip


def simulate(study: Study, run: Run, store: Store, bar: "tqdm[NoReturn]") -> None:
    """Draw the missing slots of a run; they carry no time, so that the same study is the same file. `bar` counts slots."""
    for one in study.each:
        for condition in one.conditions(run):
            cells = [c for c in store.missing_cells(*run.keys, condition) if c.instrument == one.instrument.key]
            if cells:
                store.add(_drawn(one, run, condition, cells), foreign=False)
                bar.update(sum(len(cell.repetitions) for cell in cells))


def _drawn(study: Study, run: Run, condition: str, cells: Sequence[MissingCell]) -> Iterator[Answer]:
    """What the simulated respondents say to these cells of one instrument."""
    from persona_collapse.simulated import response_model
    from persona_collapse.study.respondent_parameters import load_respondent

    deck, instrument, protocol = study.deck(condition), study.instrument, _protocol(study, run)
    respondent = load_respondent(run.variant.figures or "", instrument, steered=bool(protocol.system))
    own_key = run.key + named(protocol.system, protocol.prefix)
    served = Completion((), 0.0, served_model="simulated")
    if study.by_logprobs:
        chances = response_model.cell_probabilities(respondent, instrument, deck, toxic=condition == "toxic")
        for cell in cells:
            found = response_model.alternatives(chances[cell.persona or 0, cell.item - 1], instrument.categories)
            yield answer_of(study, cell.question, 1, Choice(found[0][0], alternatives=found), None, served)
        return
    said = {category: Choice(str(category)) for category in instrument.categories}
    for wording in dict.fromkeys(cell.wording for cell in cells):
        worded = instrument.worded_as(wording)
        # Its own wording is answered as in a study that varies nothing.
        key = own_key if is_own(wording) else f"{own_key}\n{wording}"
        shift = response_model.wording_shift(instrument, deck, wording)
        chances = response_model.cell_probabilities(respondent, instrument, deck, toxic=condition == "toxic", shift=shift)
        if run.variant.temperature is not None:  # the study's own is that of the figures
            chances = response_model.at_temperature(chances, run.variant.temperature)
        ratings = response_model.draw(
            chances, seed=study.file.seed, run=key, condition=condition, personas=deck,
            instrument=instrument, repetitions=study.file.protocol.repetitions,
        ).tolist()  # fmt: skip
        for cell in (one for one in cells if one.wording == wording):
            own = ratings[cell.persona or 0][cell.item - 1]
            for repetition in cell.repetitions:
                given = said[worded.on_scale(own[repetition - 1])]  # turning is its own inverse
                yield answer_of(study, cell.question, repetition, given, None, served, instrument=worded)
