"""Summaries of verification that somebody else made: one a run, from the file that an imported study names."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from persona_collapse.asking.slots import hash_of
from persona_collapse.paths import shown
from persona_collapse.store.rows import TextAnswer
from persona_collapse.store.store import open_store
from persona_collapse.study.study import Study

#: The purpose under which a store keeps them.
SUMMARY = "summary"
#: Numbers of a summary, as results/verification_scores.json of the paper's repository names them.
_NUMBERS = (
    "avg_alignment", "se_alignment", "avg_coherence", "se_coherence", "misaligned_pct", "se_misaligned_pct", "n_samples",
    "n_valid_alignment", "n_valid_coherence",
)  # fmt: skip


def read_summaries(study: Study) -> tuple[TextAnswer, ...]:
    """The summary of every run that names one, as JSON of numbers and verdict; ValueError says what is wrong with the file."""
    named = study.file.verification
    if named is None or named.summary is None or study.data is None:
        return ()
    path = study.data / named.summary
    where = f"{shown(study.path)}, verification.summary"
    if not path.is_file():
        raise FileNotFoundError(f"{where}: {named.summary} does not exist in {shown(study.data)}; correct the name or DATA")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        results = json.loads(text)["results"]
        if not isinstance(results, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{shown(path)}: holds no mapping of runs under the key results; give the file of summaries") from None
    found = []
    for run in study.runs:
        if (name := run.variant.verification) is not None:
            own = results.get(name)
            if not isinstance(own, dict):
                raise ValueError(f"{shown(path)}: no summary {name!r}, which {run.key} names; correct the study file")
            reply = json.dumps(_numbers(f"{shown(path)}, {name!r}", own), sort_keys=True)
            found.append(TextAnswer(*run.keys, SUMMARY, path.stem, name, "plain", 1, hash_of(text), reply=reply))
    return tuple(found)


def _numbers(where: str, own: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a summary that are there, and its verdict."""
    found: dict[str, Any] = {}
    for key in _NUMBERS:
        value = own.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{where}, {key}: found {value!r:.60}; expected a number")
        found[key] = value
    if isinstance(own.get("verdict"), str):
        found["verdict"] = own["verdict"]
    return found


def keep(study: Study, texts: Mapping[str, Sequence[TextAnswer]]) -> None:
    """Put what was imported in words, by purpose, into the store, in place of what other files said."""
    wanted = {one.key for own in texts.values() for one in own}
    with open_store(study.store_path) as store:
        if {key for purpose in texts for key in store.text_keys(purpose)} == wanted:
            return
    with open_store(study.store_path, write=True) as store:
        store.add([], texts=[one for own in texts.values() for one in own])
        store.plan_texts([run.keys for run in study.runs], wanted)
