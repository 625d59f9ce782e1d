"""Whether choices of one request are independent draws: a few cells are asked a second time, in a request of their own.

Where every cell is one request, nothing tells what its choices share. So twenty cells of a run are asked twice. The second
ratings are kept beside the others, and enter no number but rho.
"""

import json
from collections.abc import Callable, Sequence

from persona_collapse.asking import spending, supported_parameters
from persona_collapse.asking.dialect_openai import Completion, RefusedError
from persona_collapse.asking.extra_requests import Cell, ExtraRequests, spread_cells
from persona_collapse.asking.slots import answer_of, hash_of
from persona_collapse.store.store import Store, probe_key
from persona_collapse.study.study import Run, Study


def due(study: Study, run: Run, store: Store | None) -> bool:
    """Whether a run is still to be probed: its cells come in one request of several choices, and none was asked twice so far."""
    protocol = study.file.protocol
    if (
        protocol.method != "samples"
        or not protocol.request_probe
        or protocol.requests > 1
        or protocol.repetitions == 1
        or protocol.vary
    ):
        return False
    if store is None:
        return protocol.repetitions <= supported_parameters.MOST_CHOICES
    known = supported_parameters.recall(store, study.file.endpoints[run.variant.endpoint or ""], run.variant.model or "")
    if min(known.choices or supported_parameters.MOST_CHOICES, supported_parameters.MOST_CHOICES) < protocol.repetitions:
        return False
    asked = store.recall(probe_key(*run.keys, "second"))
    return not (asked and json.loads(asked)["asked"] == _asked(study, run))


def tokens(study: Study, run: Run, store: Store | None) -> tuple[int, int, int]:
    """Requests of the probe that a run still takes, and their tokens in and out."""
    if not due(study, run, store):
        return 0, 0, 0
    cells, protocol = _cells(study), study.file.protocol
    characters = sum(len(cell.prompt) for cell in cells)
    return len(cells), characters // int(spending.CHARACTERS_A_TOKEN), len(cells) * protocol.repetitions * protocol.max_tokens


async def probe(
    study: Study, runs: Sequence[Run], store: Store, extra: ExtraRequests,
    cached: Callable[[Run, str, Completion], bool], say: Callable[[str], None],
) -> None:  # fmt: skip
    """Ask the cells of every run that is due, and keep their ratings beside the others; what `cached` knows is no second draw."""
    protocol, cells = study.file.protocol, _cells(study)
    for run in (run for run in runs if due(study, run, store)):
        known = supported_parameters.recall(store, study.file.endpoints[run.variant.endpoint or ""], run.variant.model or "")
        # Named as repetitions that the study does not have, so that nobody takes them for its own.
        slots = [f"persona/{cell.persona}/{cell.item}/{protocol.repetitions + 1}" for cell in cells]
        prompts = [cell.prompt for cell in cells]
        try:
            found = await extra.ask(run, prompts, known, protocol, choices=protocol.repetitions, slots=slots)
        except RefusedError as error:
            say(f"{study.name}: {run.key}: no cell could be asked a second time ({error})")
            continue
        if found is None:
            return
        rated = [
            (cell.persona, cell.item, [answer_of(study, 0, 0, choice, None).rating for choice in completion.choices])
            for cell, completion in zip(cells, found, strict=True)
            if not cached(run, cell.prompt, completion)
        ]
        store.remember(probe_key(*run.keys, "second"), json.dumps({"asked": _asked(study, run), "cells": rated}))


def _cells(study: Study) -> list[Cell]:
    """The cells that are asked twice, each once."""
    return list(dict.fromkeys(spread_cells(study, study.file.protocol.request_probe)))


def _asked(study: Study, run: Run) -> str:
    """How the run is asked: another model, endpoint, temperature or number of choices is probed anew."""
    endpoint, protocol = study.file.endpoints[run.variant.endpoint or ""], run.variant.protocol(study.file.protocol)
    said = [text for text in (protocol.system, protocol.prefix) if text]
    how = [protocol.temperature, protocol.top_p, protocol.max_tokens, protocol.repetitions, protocol.request_probe]
    return hash_of(json.dumps([endpoint.base_url, run.variant.model, *how, endpoint.extra_body, *said]))
