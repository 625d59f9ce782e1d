"""The rows of a file as ratings: a persona, an item, a repetition and a rating each, every wrong column named at once."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.asking.find_columns import Found, find_columns, may_be_text
from persona_collapse.asking.read_table import read_table
from persona_collapse.input_errors import listing
from persona_collapse.paths import shown
from persona_collapse.store.labels import item_numbers, texts
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.rating_parser import REASONS
from persona_collapse.text import tamed, visible
from persona_collapse.wire import SIMULATED_FINGERPRINT

#: Stands for no rating, below every scale.
NONE = -(10**6)
CONDITIONS = ("persona", "self", "toxic")
#: Columns of our exports, and what stands there where no model was asked.
_MARKS = {"served_model": "simulated", "fingerprint": SIMULATED_FINGERPRINT}
#: Columns that are read under these names where a file has them.
ALSO_READ = ("reason", "failures", "attempts", "collected_at", "time", *_MARKS)
#: Values of a column that an error lists.
_LISTED = 6


class Wanted(NamedTuple):
    """What is read of a file: its condition, the columns that the study file names, the rows that are a run's own, and the
    instrument, of which a column may say which rows are."""

    condition: str
    columns: Mapping[str, str]
    rows: Mapping[str, str | int]
    instrument: str = ""


class Read(NamedTuple):
    """Rows, how they were read, and whether they are of simulated respondents.

    Columns: persona, item, repetition (ids, categorical), rating, and of reply, reason, served_model, fingerprint, attempts and
    time those that the file has, as plain objects, None where there is nothing.
    """

    rows: pd.DataFrame
    notes: tuple[str, ...]
    simulated: bool


class _Problem(NamedTuple):
    text: str
    remedy: str = "correct the file or the study's instrument"


def read_ratings(path: Path, wanted: Wanted, instrument: Instrument) -> Read:
    """Read a file's rows.

    Raises ValueError, one line with all that is wrong: file, row (from 1, without the header), column, what was expected.
    """
    where = shown(path)
    table = read_table(path)
    alone = wanted.condition == "self"
    found = find_columns(list(table.fields.columns), wanted.columns, alone=alone, where=where)
    fields = select(where, table.fields, wanted)
    _refuse_distributions(where, fields)
    notes = [*table.notes, found.note]
    problems: list[_Problem] = []
    simulated = any(name in fields and (fields[name] == mark).any() for name, mark in _MARKS.items())
    persona = _one_id("", fields) if alone else _ids(fields, found.names["persona"], problems)
    if "repetition" in found.names:
        repetition = _ids(fields, found.names["repetition"], problems)
    else:
        repetition = _one_id("1", fields)
        _refuse_twice(persona, alone, problems)
        notes.append("one repetition, as no column numbers them")
    own = pd.DataFrame({"persona": persona, "repetition": repetition})
    if found.items:
        rows = _one_row_a_rating(own, fields, found, instrument, problems)
        notes.append(f"{len(fields):,} row{'s' * (len(fields) != 1)} in the file")
    else:
        called = found.names["rating"]
        if may_be_text(found, wanted.columns):
            _refuse_text(where, fields, found, instrument)
        item = _items(fields, found.names["item"], instrument, problems, notes)
        rating = _ratings(fields[called], called, instrument, problems)
        beside = {
            "reply": fields[found.names["reply"]] if "reply" in found.names else None,
            "reason": _reasons(fields), "attempts": _attempts(fields, problems), "time": _times(fields),
            **{name: _filled(fields[name]) for name in _MARKS if name in fields},
        }  # fmt: skip
        rows = own.assign(item=item, rating=rating, **{name: column for name, column in beside.items() if column is not None})
    if len(problems) == 1:
        raise ValueError(f"{where}, {problems[0].text}; {problems[0].remedy}")
    if problems:
        said = "; ".join(f"({number}) {problem.text}" for number, problem in enumerate(problems, start=1))
        raise ValueError(f"{where}: {len(problems)} problems: {said}; {_Problem('').remedy}")
    return Read(rows, tuple(note for note in notes if note), simulated)


def select(where: str, fields: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """The rows of a file that are of a run and condition. Raises ValueError where there are none, or a column is missing."""
    for column, value in wanted.rows.items():
        if column not in fields:
            raise ValueError(f"{where}: no column {column!r}, which rows names (it has {', '.join(fields.columns)})")
        places, values = _different(fields[column])
        labels = texts(values)
        own = np.isin(places, np.flatnonzero(labels == str(value)))
        if not own.any():
            known = beginning_of(labels.tolist())
            raise ValueError(f"{where}: no row with {column} {str(value)!r}; it has {known}; correct rows in the study file")
        fields = fields[own]
    if "instrument" in fields and (own := (fields["instrument"] == wanted.instrument).to_numpy()).any():
        fields = fields[own]
    said = wanted.columns.get("condition") or ("condition" if tells_conditions(fields) else "")
    if not said:
        return fields
    if said not in fields:
        raise ValueError(f"{where}: no column {said!r}, which columns.condition names (it has {', '.join(fields.columns)})")
    strange = ~fields[said].isin(CONDITIONS).to_numpy()
    if strange.any():
        raise ValueError(f"{where}, {_wrong(fields[said], strange, said, listing(CONDITIONS))}; correct the file")
    own = fields[said] == wanted.condition
    if not own.any():
        raise ValueError(f"{where}: no row of the condition {wanted.condition!r}; it has {listing(fields[said].unique())}")
    return fields[own]


def tells_conditions(fields: pd.DataFrame) -> bool:
    """Whether a file says in a column `condition`, row by row, which of our conditions it is of; others use the word too."""
    return "condition" in fields and bool(fields["condition"].isin(CONDITIONS).all())


def _different(column: pd.Series) -> tuple[np.ndarray, pd.Series]:
    """The different texts of a column, and which of them stands in each row: of a million rows few differ."""
    places, values = pd.factorize(column.to_numpy(dtype=object))
    return places, pd.Series(values, dtype=str)


def _filled(column: pd.Series) -> pd.Series:
    """A column with None where its texts are empty."""
    values = column.to_numpy(dtype=object)
    empty = values == ""
    return pd.Series(np.where(empty, None, values) if empty.any() else values, column.index, dtype=object)


def _wrong(column: pd.Series, wrong: np.ndarray, called: str, expected: str) -> str:
    """The first wrong row of a column, what was expected there, and how many more there are."""
    at, more = int(np.argmax(wrong)), int(wrong.sum()) - 1
    rest = f" ({more:,} more row{'s' * (more > 1)} like it)" if more else ""
    return f"row {column.index[at] + 1}: {called} is {column.iloc[at]!r}; expected {expected}{rest}"


def _ids(fields: pd.DataFrame, column: str, problems: list[_Problem]) -> pd.Series:
    """A column of ids, which are labels."""
    places, values = _different(fields[column])
    own, labels = pd.factorize(texts(values).to_numpy(dtype=object))  # 6 and 6.0 are one
    number = own[places]

    def row(label: int) -> str:
        return f"row {fields.index[int(np.argmax(number == label))] + 1}"

    read: dict[str, str] = {}
    for at, label in enumerate(labels):
        twin = read.setdefault(visible(label), label)
        if twin != label and visible(label):
            problems.append(_Problem(f"{row(at)}: {column} {label!a} differs from {twin!a} only in what cannot be seen"))
    if empty := [at for at, label in enumerate(labels) if not visible(label)]:
        problems.append(_Problem(f"{row(empty[0])}: no {column}; expected an id in every row", "fill it in"))
    return pd.Series(pd.Categorical.from_codes(number, labels), fields.index)


def _one_id(label: str, fields: pd.DataFrame) -> pd.Series:
    """The same id in every row."""
    return pd.Series(pd.Categorical.from_codes(np.zeros(len(fields), int), [label]), fields.index)


def _refuse_twice(persona: pd.Series, alone: bool, problems: list[_Problem]) -> None:
    """Without a column of repetitions there is one: a persona has one row."""
    again = persona.duplicated(keep=False)
    if again.any():
        rows = [int(row) + 1 for row in persona.index[again][:2]]
        who = "" if alone else f"{persona[again].iloc[0]!r} "
        problems.append(
            _Problem(
                f"rows {rows[0]} and {rows[1]}: persona {who}stands more than once, and no column numbers the repetitions; "
                "expected one, such as 'repetition'", "add it, or name it by columns.repetition",
            )
        )  # fmt: skip


def _one_row_a_rating(
    own: pd.DataFrame, fields: pd.DataFrame, found: Found, instrument: Instrument, problems: list[_Problem]
) -> pd.DataFrame:  # fmt: skip
    """Rows of a file with one column an item, as a row for each of its ratings, under the number of the row it stood in."""
    beyond = [name for name, number in found.items.items() if not 1 <= number <= len(instrument.items)]
    if beyond:
        problems.append(
            _Problem(f"columns {listing(beyond[:_LISTED])} are of no item; {instrument.key} has {len(instrument.items)}, from 1")
        )
    columns = {name: _ratings(fields[name], name, instrument, problems) for name in found.items}
    parts = [own.assign(item=number, rating=columns[name]) for name, number in found.items.items()]
    return pd.concat(parts)


def _items(
    fields: pd.DataFrame, column: str, instrument: Instrument, problems: list[_Problem], notes: list[str]
) -> np.ndarray:  # fmt: skip
    """Numbers of items, which count from 1 as in the instrument."""
    items = len(instrument.items)
    places, values = _different(fields[column])
    numbers, begins = item_numbers(values, items)
    wrong = ~((numbers % 1 == 0) & (numbers >= 1) & (numbers <= items))
    if wrong.any():
        problems.append(_Problem(_wrong(fields[column], wrong.to_numpy()[places], column, f"an integer from 1 to {items}")))
    if begins:
        notes.append(tamed(f"{column} {begins}1, {begins}2, ... by their numbers"))
    return numbers.where(~wrong, 1).to_numpy().astype(int)[places]


def _ratings(column: pd.Series, called: str, instrument: Instrument, problems: list[_Problem]) -> np.ndarray:
    """Ratings as integers, `NONE` where a field is empty, or -1 on a scale that begins at 0 or above."""
    places, values = _different(column)
    numbers, none, wrong = _numbers(values, instrument)
    if wrong.any():
        low, high = instrument.scale
        expected = f"an integer from {low} to {high}, or nothing for none"
        problems.append(_Problem(_wrong(column, wrong.to_numpy()[places], called, expected)))
    return np.where(none | wrong, NONE, numbers.where(~(none | wrong), 0)).astype(int)[places]


def _numbers(column: pd.Series, instrument: Instrument) -> tuple[pd.Series, pd.Series, pd.Series]:
    """A column as numbers, where it holds none, and where something that is no rating."""
    low, high = instrument.scale
    given = column.str.strip()
    none = (given == "") | ((given == "-1") & (low > -1))
    numbers = pd.to_numeric(given, errors="coerce")
    return numbers, none, ~(none | ((numbers % 1 == 0) & (numbers >= low) & (numbers <= high)))


def _refuse_text(where: str, fields: pd.DataFrame, found: Found, instrument: Instrument) -> None:
    """A column such as `response`, where no other can be the rating, is it if nothing else than ratings stands in it."""
    called = found.names["rating"]
    places, values = _different(fields[called])
    _, _, wrong = _numbers(values, instrument)
    if wrong.any():
        line = found.line().removesuffix("}") + ", rating: ?}"
        row = _wrong(fields[called], wrong.to_numpy()[places], called, "ratings alone")
        raise ValueError(
            f"{where}: no column is surely the rating; {called!r} may be it or the reply's text, and {row}; "
            f"say in the study file which is which: {line}"
        )


def _refuse_distributions(where: str, fields: pd.DataFrame) -> None:
    if "logprobs" in fields and (fields["logprobs"] != "").any():
        raise ValueError(
            f"{where}: column logprobs is filled, so a rating stands for a distribution over the scale and is no sample of it; "
            "only samples are imported; drop the column if they are samples all the same"
        )


def _reasons(fields: pd.DataFrame) -> pd.Series | None:
    """Why there is no rating, where a file says so in our words, as our exports do."""
    if "reason" not in fields or not fields["reason"].isin(("", *REASONS)).all():
        return None
    return _filled(fields["reason"])


def _attempts(fields: pd.DataFrame, problems: list[_Problem]) -> pd.Series | None:
    """Passes over a slot: those that brought no rating, outages included, and the last one."""
    for column, first in (("failures", 1), ("attempts", 0)):
        if column not in fields:
            continue
        places, values = _different(fields[column])
        given = values.str.strip()
        numbers = pd.to_numeric(given, errors="coerce")
        wrong = (given != "") & ~((numbers % 1 == 0) & (numbers >= 0) & (numbers < 10**9))
        if wrong.any() and first:
            said = _wrong(fields[column], wrong.to_numpy()[places], column, "an integer from 0 up, or nothing")
            problems.append(_Problem(said, "correct the file"))
        if wrong.any():
            return None
        # Without a number nothing failed, and how often was asked is not known.
        counted = [None if not first and pd.isna(n) else int(0 if pd.isna(n) else n) + first for n in numbers]
        return pd.Series(np.array(counted, dtype=object)[places], fields.index, dtype=object)
    return None


def _times(fields: pd.DataFrame) -> pd.Series | None:
    """When a reply came, as others or our exports say it; a column `time` of anything else than dates is none."""
    for column in ("collected_at", "time"):
        if column in fields:
            filled = _filled(fields[column])
            if column == "collected_at" or re.match(r"\d{4}-\d\d-\d\d", next(filter(None, filled), "")):
                return filled
    return None


def beginning_of(values: Sequence[str]) -> str:
    """Some values as an error or a comment lists them."""
    return listing(values[:_LISTED]) + (f" and {len(values) - _LISTED} more" if len(values) > _LISTED else "")
