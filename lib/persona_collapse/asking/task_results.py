"""Answers to tasks with a right answer that somebody else collected: files that the variants of an imported study name."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from persona_collapse.asking.slots import hash_of
from persona_collapse.input_errors import listing
from persona_collapse.paths import shown
from persona_collapse.store.rows import TextAnswer
from persona_collapse.study.study import Run, Study
from persona_collapse.study.task_reader import number_in

#: The purpose under which a store keeps them.
TASK_RESULT = "task_result"
#: What columns may be called, the first that is there; the paper's repository has item_id, run_index, answer, gold, correct,
#: format_valid, response and subject, of its lookups table_id, correct_id and rating.
_NAMES = {
    "item": ("item_id", "table_id", "item", "id", "question_id"), "sample": ("run_index", "repetition", "sample", "epoch", "run"),
    "answer": ("answer", "rating", "prediction"), "gold": ("gold", "correct_id", "target", "label"),
    "correct": ("correct", "is_correct"), "valid": ("format_valid", "valid"), "reply": ("response", "reply", "output"),
    "group": ("subject", "group", "category"),
}  # fmt: skip
_YES_NO = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
#: What stands in the place of a reply that never came.
_NEVER = "ERROR"
#: Part of what an import depends on.
_VERSION = 1


def read_results(study: Study) -> tuple[TextAnswer, ...]:
    """Every answer of every run to every task, as JSON of what its row says; ValueError names file and row.

    `correct` and `format_valid` are the truth where a file has them; else an answer is right where it is the gold one, and valid
    where it is not empty. `odd` marks a row whose `correct` says otherwise than its answer and gold. A row without an answer
    whose reply is ERROR never came; every other one without is a result.
    """
    if study.data is None:
        return ()
    found: list[TextAnswer] = []
    for run in study.runs:
        for task, name in run.variant.tasks.items():
            found += _of_file(study.data / name, run, task)
    return tuple(found)


def _of_file(path: Path, run: Run, task: str) -> list[TextAnswer]:
    from persona_collapse.asking.read_table import read_table  # with pandas, which a study without tasks need not wait for

    where, fields = shown(path), read_table(path).fields
    columns = {what: next((name for name in names if name in fields), None) for what, names in _NAMES.items()}
    for what in ("item", "answer"):
        if columns[what] is None:
            raise ValueError(f"{where}: no column {listing(_NAMES[what])}; found {listing(fields.columns)}; name one so")
    if columns["correct"] is None and columns["gold"] is None:
        raise ValueError(f"{where}: neither correct nor gold is a column; an answer to a task needs one of them")
    identity = hash_of(f"{_VERSION}\n{hashlib.sha256(path.read_bytes()).hexdigest()}")
    given = {what: fields[name].str.strip().tolist() for what, name in columns.items() if name is not None}
    seen: dict[tuple[str, int], tuple[str, str | None]] = {}
    counted: dict[str, int] = {}
    for row in range(len(fields)):
        own = {what: texts[row] for what, texts in given.items()}
        if not own["item"]:
            raise ValueError(f"{where}, row {row + 1}: {columns['item']} is empty; every row is an answer to an item")
        counted[own["item"]] = counted.get(own["item"], 0) + 1
        key = own["item"], _sample(f"{where}, row {row + 1}", own.get("sample"), counted[own["item"]])
        said = _said(f"{where}, row {row + 1}", own)
        if seen.setdefault(key, said) != said:
            raise ValueError(
                f"{where}, row {row + 1}: item {key[0]!r}, repetition {key[1]} stands more than once with other answers; "
                "find out which is right and remove the other"
            )
    return [
        TextAnswer(*run.keys, TASK_RESULT, task, item, "plain", sample, identity, reply=reply, reason=reason)
        for (item, sample), (reply, reason) in seen.items()
    ]


def _sample(where: str, text: str | None, place: int) -> int:
    """The number of a repetition; without a column that says it, its place among the rows of its item, from 1."""
    if text is None:
        return place
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise ValueError(f"{where}: the repetition is {text!r:.40}; expected a whole number") from None


def _said(where: str, own: Mapping[str, str]) -> tuple[str, str | None]:
    """What a row says, as JSON, and why there is no answer where it never came."""
    answer, gold = own["answer"], own.get("gold", "")
    answer = "" if answer == "-1" else answer
    valid = _yes(where, "format_valid", own["valid"]) if own.get("valid") else bool(answer)
    same = bool(answer) and (number_in(answer) or answer) == (number_in(gold) or gold)
    right = _yes(where, "correct", own["correct"]) if own.get("correct") else same
    found: dict[str, Any] = {
        "answer": answer if valid else "", "valid": valid, "correct": right and valid, "group": own.get("group", ""),
        "reply": own.get("reply", ""),
    }  # fmt: skip
    if gold and own.get("correct") and right != same:
        found["odd"] = True
    never = not answer and own.get("reply") == _NEVER
    return json.dumps(found, sort_keys=True), "transport" if never else None


def _yes(where: str, name: str, text: str) -> bool:
    if text.lower() not in _YES_NO:
        raise ValueError(f"{where}: {name} is {text!r:.40}; expected 1 or 0")
    return _YES_NO[text.lower()]
