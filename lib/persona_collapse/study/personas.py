"""The characters a model plays: decks of personas, ours or a user's own."""

import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from persona_collapse.input_errors import listing
from persona_collapse.paths import PERSONAS, shown
from persona_collapse.text import visible

_OTHER_MARKS = {";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class Persona:
    """One character: its place in the deck (0-based), the sentence the prompt carries, and attributes for reading."""

    index: int
    text: str
    attributes: dict[str, str] = field(default_factory=dict)


def load_personas(name: str | Path, first: int | None = None) -> tuple[Persona, ...]:
    """Load a deck by its name in params/personas/ or by a path to .csv (a column `persona`) or .json (a list of strings).

    `first` takes that many from the top and is an error where the deck has fewer.
    """
    path = PERSONAS / f"{name}.csv" if "/" not in str(name) and "." not in str(name) else Path(name)
    if not path.is_file():
        known = sorted(p.stem for p in PERSONAS.glob("*.csv"))
        raise FileNotFoundError(f"{shown(path)}: no such personas; expected one of {listing(known)}, or a path to .csv or .json")
    rows = _from_json(path) if path.suffix == ".json" else _from_csv(path)
    deck = tuple(Persona(i, text, attributes) for i, (text, attributes) in enumerate(rows))
    seen: dict[str, Persona] = {}
    for persona in deck:
        where, read = f"{shown(path)}, persona {persona.index + 1}", visible(persona.text)
        if not read:
            nothing = f"holds nothing that can be seen ({persona.text!a})" if persona.text else "is empty"
            raise ValueError(f"{where}: {nothing}; write it or remove the row")
        if not persona.text.isascii() and (broken := re.search("[\ud800-\udfff]", persona.text)):
            raise ValueError(f"{where}: holds {broken[0]!a}, half of a character, which no request can carry; correct it")
        if twin := seen.get(read):
            same = "the same text as" if twin.text == persona.text else "differs only in what cannot be seen from"
            raise ValueError(f"{where}: {same} persona {twin.index + 1}; keep one")
        seen[read] = persona
    if len(deck) < 2:
        raise ValueError(f"{shown(path)}: {len(deck)} personas; susceptibility needs at least two")
    if first is not None and first > len(deck):
        raise ValueError(
            f"{shown(path)}: {len(deck)} personas, but the protocol asks for {first}; lower protocol.personas or add personas"
        )
    return deck[:first]


def _from_json(path: Path) -> list[tuple[str, dict[str, str]]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{shown(path)}: not JSON ({error}); expected a list of strings") from None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError(f"{shown(path)}: expected a list of strings, one a persona")
    return [(text.strip(), {}) for text in found]


def load_attributes(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Rows of a CSV file with a column `persona`: what stands there, and in the other columns; ValueError for another file."""
    return _from_csv(path)


def _from_csv(path: Path) -> list[tuple[str, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)  # else an open quote would take the rest for one text
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            if "persona" not in columns:
                split = next((name for mark, name in _OTHER_MARKS.items() if len(columns) == 1 and mark in columns[0]), "")
                commas = f"; {split} stand between its columns; save it with commas" if split else ""
                raise ValueError(f"{shown(path)}: columns {listing(columns)}; expected one called 'persona'{commas}")
            rows = []
            for row in reader:
                if None in row:
                    raise ValueError(
                        f"{shown(path)}, line {reader.line_num}: more fields than the {len(columns)} columns; "
                        "put a text that holds a comma in double quotes"
                    )
                rows.append(row)
    except csv.Error as error:
        raise ValueError(f"{shown(path)}: not CSV ({error}); check its double quotes") from None
    except UnicodeDecodeError:
        raise ValueError(f"{shown(path)}: not UTF-8 text; save it as UTF-8") from None
    others = [column for column in columns if column != "persona"]
    return [((row["persona"] or "").strip(), {c: row[c] or "" for c in others}) for row in rows]
