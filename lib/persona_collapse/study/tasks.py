"""Tasks with a right answer: what a study file says of them, and their files, JSON lines of items checked one by one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from persona_collapse.input_errors import listing
from persona_collapse.paths import TASKS, shown
from persona_collapse.study.endpoint import Checked
from persona_collapse.study.task_reader import LETTERS, number_in

Name = Annotated[str, Field(min_length=1)]
#: How an answer is read from a reply (`task_reader`): behind the last marker, from the last box, or as the whole reply.
Read = Literal["marker", "boxed", "whole"]
_FIELDS, _ASKED = {"id", "question", "choices", "answer", "group"}, {"id", "question", "answer"}
#: Behind a question, by how its answer is read; none names an example answer, which a model might copy.
_WISHES = {
    ("choice", "whole"): "Reply with the letter of the right answer and nothing else.",
    ("choice", "marker"): 'End your reply with a line that begins with "Answer:", followed by the letter of the right answer.',
    ("choice", "boxed"): "End your reply with the letter of the right answer in \\boxed{}.",
    ("number", "whole"): "Reply with one number and nothing else.",
    ("number", "marker"): "Work it out step by step. End your reply with a line that begins with "
    '"Answer:", followed by one number.',
    ("number", "boxed"): "Work it out step by step. End your reply with one number in \\boxed{}.",
}


class Task(Checked):
    """A task of a study file: its items, and how they are asked; what is not given is as in the protocol."""

    file: Name
    read: Read | None = None  # by default whole for choices, marker for numbers
    repetitions: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None

    @property
    def key(self) -> str:
        """What tables call it: the stem of its file."""
        return Path(self.file).stem


class TaskItem(NamedTuple):
    """An item: its question, the texts of its choices (none where a number is asked for), and the right answer."""

    id: str
    question: str
    choices: tuple[str, ...]
    answer: str  #: a letter, or a number as it is written
    group: str = ""


class TaskSet(NamedTuple):
    """A task with its items, ready to be asked."""

    key: str
    items: tuple[TaskItem, ...]
    read: str
    repetitions: int
    temperature: float
    max_tokens: int

    @property
    def kind(self) -> str:
        """`choice` or `number`: what its answers are."""
        return "choice" if self.items[0].choices else "number"

    def prompt(self, item: TaskItem) -> str:
        """The question, its choices by letters, and what the reply is to look like."""
        choices = "".join(f"\n{letter}. {text}" for letter, text in zip(LETTERS, item.choices, strict=False))
        return f"{item.question}{choices}\n\n{_WISHES[self.kind, self.read]}"


def task_file(study: Path, name: str) -> Path:
    """Where a task lies: relative to the study file where that is a path, beside it where it is there, else one of ours."""
    own = (study.parent / name).resolve()
    ours = TASKS / (name if name.endswith(".jsonl") else f"{name}.jsonl")
    return own if "/" in name or (name.endswith(".jsonl") and own.is_file()) else ours


def load_items(path: Path) -> tuple[TaskItem, ...]:
    """The items of a file; ValueError names the line, what was found, what was expected and what to do."""
    if not path.is_file():
        ours = listing(sorted(one.stem for one in TASKS.glob("*.jsonl")))
        raise FileNotFoundError(f"{shown(path)}: no such task (a path works too); ours are {ours}")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise ValueError(f"{shown(path)}: not UTF-8 text; save it as UTF-8") from None
    found: list[TaskItem] = []
    places: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{shown(path)}, line {number}"
        item = _item(where, line)
        if item.id in places:
            raise ValueError(f"{where}, id: {item.id!r} stands in line {places[item.id]} as well; items need different ids")
        if found and bool(item.choices) != bool(found[0].choices):
            raise ValueError(
                f"{where}: {'has choices' if item.choices else 'has no choices'}, unlike the items before it; a file holds "
                "multiple choice or numbers; make two files"
            )
        places[item.id] = number
        found.append(item)
    if not found:
        raise ValueError(f"{shown(path)}: holds no item; expected a line of JSON for each, with id, question, answer")
    return tuple(found)


def _item(where: str, line: str) -> TaskItem:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({str(error)[:60]}); write one object a line") from None
    if not isinstance(given, dict):
        raise ValueError(f"{where}: found {type(given).__name__}; expected an object with id, question, answer")
    for name in sorted(_ASKED - set(given)):
        raise ValueError(f"{where}: {name} is missing; an item has id, question and answer, and may have choices and group")
    for name in sorted(set(given) - _FIELDS):
        raise ValueError(f"{where}: unknown key {name!r}; expected id, question, choices, answer, group; remove it")
    for name in ("id", "question", "group"):
        if isinstance(given.get(name), int) and not isinstance(given[name], bool) and name != "question":
            given[name] = str(given[name])
        if not isinstance(given.get(name, "-"), str) or not given.get(name, "-").strip():
            raise ValueError(f"{where}, {name}: found {given[name]!r:.60}; expected a text that is not empty")
    choices = tuple(_choices(where, given["choices"])) if given.get("choices") is not None else ()
    answer = _answer(where, given["answer"], choices)
    return TaskItem(given["id"], given["question"].strip(), choices, answer, given.get("group", ""))


def _choices(where: str, given: Any) -> Iterator[str]:
    if not isinstance(given, list) or not 2 <= len(given) <= len(LETTERS):
        raise ValueError(f"{where}, choices: found {given!r:.60}; expected a list of 2 to {len(LETTERS)} texts")
    for text in given:
        text = str(text) if isinstance(text, int | float) and not isinstance(text, bool) else text
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{where}, choices: found {text!r:.60}; expected texts that are not empty")
        yield text.strip()


def _answer(where: str, given: Any, choices: tuple[str, ...]) -> str:
    """The right answer as a letter or a number: choices may name it by letter, by place from 0, or by their text."""
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError(f"{where}, answer: found {given!r:.60}; expected {'a letter' if choices else 'a number'}")
    text = str(given).strip()
    if not choices:
        if (number := number_in(text)) is None:
            raise ValueError(f"{where}, answer: {text!r:.60} is no number; give one, or choices to choose from")
        return number
    letters = LETTERS[: len(choices)]
    if isinstance(given, int):
        if 0 <= given < len(choices):
            return letters[given]
        raise ValueError(f"{where}, answer: {given} is no place among {len(choices)} choices, counted from 0; give a letter")
    if text.upper() in letters and len(text) == 1:
        return text.upper()
    if choices.count(text) == 1:
        return letters[choices.index(text)]
    raise ValueError(f"{where}, answer: {text!r:.60} is none of its choices; expected one of {', '.join(letters)}")
