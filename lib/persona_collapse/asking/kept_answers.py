"""Answers that were asked otherwise before a study file was changed: how many are kept without use, and what differs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from persona_collapse.asking import slots
from persona_collapse.store.store import Store
from persona_collapse.study.study import Run, Study

#: What the entries of an origin are called, after the kind of study.
_NAMES = ("base_url", "model", "temperature", "max_tokens", "method")


def remember(study: Study, run: Run, store: Store) -> None:
    """Keep how a run is asked now, so that a change can be named."""
    known, now = _known(run, store), slots.origin(study, run)
    if now not in known:
        store.remember(f"origins {run.key}", json.dumps([*known, now]))


def _known(run: Run, store: Store) -> list[list[Any]]:
    return json.loads(store.recall(f"origins {run.key}") or "[]")


def kept_lines(study: Study) -> list[str]:
    """What a live study is about to ask anew because it is asked otherwise than before, a line each; mostly nothing."""
    from persona_collapse.asking.estimate import opened  # it waits for pandas, which asking does not need

    kept: Counter[str] = Counter()
    with opened(study) as store:
        for run in study.runs if store else ():
            assert store is not None  # else no run is looked at
            kept.update(dict(_kept(study, run, store)))
    return [f"{study.name}: {said.format(f'{number:,}')} are kept, unused" for said, number in kept.items()]


def _kept(study: Study, run: Run, store: Store) -> Iterator[tuple[str, int]]:
    """What was asked otherwise, in words with a place for the number, and the number of answers."""
    answered, now = store.answered(run.family.key, run.variant.key), slots.origin(study, run)
    asked = {q[:4]: q.repetitions for q in slots.questions(study, run)}
    if all(answered.get(key, 0) >= number for key, number in asked.items()):
        return  # nothing is asked
    unused = {key: number for key, number in answered.items() if key not in asked}
    for before in _known(run, store):
        cells = {q[:4] for q in slots.questions(study, run, before)} if before != now else set()
        if number := sum(unused.pop(key, 0) for key in cells):
            yield _change(before, now), number
    if unused:
        yield "{} answers to other prompts or of other personas, or asked otherwise,", sum(unused.values())


def _change(before: Sequence[Any], now: Sequence[Any]) -> str:
    old, new = _named(before), _named(now)
    changes = [(name, old.get(name), new.get(name)) for name in {**old, **new} if old.get(name) != new.get(name)]
    said = ", ".join(f"{name} {_shown(was)} -> {_shown(becomes)}" for name, was, becomes in changes)
    so = f"at {_shown(changes[0][1])}" if len(changes) == 1 else "asked as before"
    return said.replace("{", "{{").replace("}", "}}") + ": {} answers " + so.replace("{", "{{").replace("}", "}}")


def _named(origin: Sequence[Any]) -> dict[str, Any]:
    """The entries of an origin by their names in a study file."""
    found: dict[str, Any] = {"top_p": 1} | dict(zip(_NAMES, origin[1:], strict=False))
    for more in origin[1 + len(_NAMES) :]:
        found |= json.loads(more) if isinstance(more, str) else {"provider": more}
    return {name: value for name, value in found.items() if value not in ({}, None)}


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
