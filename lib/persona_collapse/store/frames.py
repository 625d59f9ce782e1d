"""Ratings from a data frame in memory: nothing is written, and ids are labels in any order."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from persona_collapse.input_errors import first_error, listing
from persona_collapse.store.answers import Answers, Asked
from persona_collapse.store.column_names import candidates
from persona_collapse.store.labels import item_numbers, ordered, texts
from persona_collapse.store.ratings import Ratings
from persona_collapse.study import clusters
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.study import Study
from persona_collapse.study.study_file import StudyFile

#: Columns that a frame must have, and those that it may have; what else they are called.
NEEDED, OPTIONAL = ("persona", "item", "repetition", "rating"), (
    "family", "variant", "role", "control", "of", "step", "method", "seed", "context", "cluster",
)  # fmt: skip
ALIASES = {"persona_id": "persona", "question_id": "item", "run_index": "repetition"}
_WHERE = "data frame"


def of_frame(frame: pd.DataFrame, instruments: Sequence[str | Path], title: str) -> Ratings:
    """See `Ratings.from_frame`."""
    asked = [load_instrument(instrument) for instrument in instruments]
    table = _columns(frame, [instrument.key for instrument in asked])
    names = ordered(table["persona"])
    runs = list(table.groupby(["family", "variant"], sort=False).indices)
    study = _study(table, runs, title, asked[0])
    study = replace(study, labels=tuple(names), further=tuple(asked[1:]), clusters=_clusters(table, names))
    answers: dict[tuple[str, str, str], Answers] = {}
    for instrument in asked:
        answers |= _of_instrument(table[table["instrument"] == instrument.key], names, instrument)
    return Ratings(study=study, answers=answers)


def _of_instrument(table: pd.DataFrame, names: list[str], instrument: Instrument) -> dict[tuple[str, str, str], Answers]:
    """The answers of every run to one instrument."""
    place = {label: row for row, label in enumerate(names)}
    rows = np.column_stack(
        [table["persona"].map(place), _items(table, instrument), _repetitions(table), _ratings(table, instrument)]
    )
    runs = table.groupby(["family", "variant"], sort=False).indices
    return {("/".join(run), "persona", instrument.key): _answers(rows[at], names, instrument) for run, at in runs.items()}


def _columns(frame: pd.DataFrame, instruments: list[str]) -> pd.DataFrame:
    """The columns that are used, under the names that we use, with one base where no variant is named."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{_WHERE}: found {type(frame).__name__}; expected a pandas DataFrame with columns {listing(NEEDED)}")
    named = _by_our_names(frame.rename(columns=lambda name: ALIASES.get(name, name)))
    doubled = named.columns[named.columns.duplicated()].tolist()
    if doubled:
        raise ValueError(f"{_WHERE}: column {doubled[0]!r} stands twice, under that name or another for it; keep one")
    for name in NEEDED:
        if name not in named:
            raise ValueError(
                f"{_WHERE}: no column {name!r} (it has {listing(frame.columns)}); expected {listing(NEEDED)}, and where there "
                f"are several runs {listing(OPTIONAL)}"
            )
    for name in named.columns.difference([*NEEDED, *OPTIONAL, "instrument"]):
        near = difflib.get_close_matches(str(name), OPTIONAL, n=1, cutoff=0.75)
        if near and near[0] not in named:  # it would be passed over, and what it says with it
            raise ValueError(f"{_WHERE}: column {name!r} is not known; did you mean {near[0]!r}? Rename it, or drop it")
    if named.empty:
        raise ValueError(f"{_WHERE}: has no rows; expected one a rating")
    table = named[[name for name in (*NEEDED, *OPTIONAL) if name in named]].reset_index(drop=True)
    table["instrument"] = _instruments(named, instruments)
    for name, one in (("family", "model"), ("variant", "base")):
        if name in table:
            _key(table, name)
        table[name] = table[name].astype(str) if name in table else one
    if "role" not in table:
        others = [key for key in dict.fromkeys(table["variant"]) if key != "base"]
        if others:
            raise ValueError(
                f"{_WHERE}: no column 'role', but variants {listing(others)}; say for every row whether its variant is base, "
                "control, harmful, mitigated or alternate"
            )
        table["role"] = "base"
    for name in (*NEEDED[:3], "role"):
        if table[name].isna().any():
            row = int(np.argmax(table[name].isna()))
            raise ValueError(f"{_WHERE}, row {row}: no {name}; expected one in every row; fill it in, or drop the row")
    return table.assign(persona=texts(table["persona"]), repetition=texts(table["repetition"]))


def _by_our_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns that go by a common name, such as subject and score, under ours."""
    for name in NEEDED:
        found = candidates(name, frame.columns)
        if name not in frame and len(found) > 1:
            raise ValueError(f"{_WHERE}: columns {listing(found)} may each be the {name}; rename the right one to {name!r}")
        if name not in frame and found:
            frame = frame.rename(columns={found[0]: name})
    return frame


def _clusters(table: pd.DataFrame, names: list[str]) -> tuple[str, ...]:
    """The cluster of each persona, in the order of `names`; none without the column."""
    if "cluster" not in table:
        return ()
    own = table.assign(cluster=texts(table["cluster"].astype(object).fillna(""))).groupby("persona")["cluster"].unique()
    for name in names:
        if len(own[name]) > 1:
            raise ValueError(f"{_WHERE}: persona {name!r} has cluster {listing(own[name].tolist())}; expected one")
    return clusters.checked(_WHERE, "cluster", [(f"persona {name!r}", own[name][0]) for name in names])


def _instruments(named: pd.DataFrame, known: list[str]) -> list[str]:
    """The key of the instrument of every row."""
    if len(known) == 1:
        return known * len(named)
    if "instrument" not in named:
        raise ValueError(f"{_WHERE}: no column 'instrument'; expected one, with {listing(known)} in every row")
    found = named["instrument"].astype(str).tolist()
    for row, key in enumerate(found):
        if key not in known:
            raise ValueError(f"{_WHERE}, row {row}: instrument is {key!r}; expected one of {listing(known)}")
    return found


def _key(table: pd.DataFrame, name: str) -> None:
    """Refuse what cannot name a run: nothing, and what a file or a table could not hold."""
    wrong = ~table[name].astype(str).str.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*") | table[name].isna()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{_WHERE}, row {row}: {name} is {_shown(table, name, row)}; expected letters, digits, points, dashes and "
            "underscores, of which the first is a letter or a digit; rename it"
        )


def _shown(table: pd.DataFrame, column: str, row: int) -> str:
    """A value as an error quotes it: as Python writes it, not as an array holds it."""
    value = table[column].iloc[[row]].tolist()[0]
    return "nothing" if pd.isna(value) else repr(value)


def _refuse(table: pd.DataFrame, column: str, wrong: pd.Series, expected: str) -> None:
    """Raise ValueError for the first row that is `wrong`, if one is."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{_WHERE}, row {table.index[row]}: {column} is {_shown(table, column, row)}; expected {expected}")


def _items(table: pd.DataFrame, instrument: Instrument) -> np.ndarray:
    """Places of items from 0; they go by their numbers."""
    numbers, _ = item_numbers(table["item"], len(instrument.items))
    wrong = ~numbers.isin([item.number for item in instrument.items])
    _refuse(table, "item", wrong, f"a number from 1 to {len(instrument.items)}, as {instrument.key} counts its items")
    return numbers.to_numpy(int) - 1


def _repetitions(table: pd.DataFrame) -> np.ndarray:
    """Repetitions of a cell from 0, in the order of their labels; a label that stands twice is an error."""
    slot = ["family", "variant", "persona", "item", "repetition"]
    again = table.duplicated(slot)
    if again.any():
        row = int(np.argmax(again))
        named = ", ".join(f"{name} {_shown(table, name, row)}" for name in slot)
        raise ValueError(
            f"{_WHERE}, row {table.index[row]}: {named} stands twice; a slot has one rating; remove the other, or say by "
            "a column variant or family that they are of different runs"
        )
    order = {label: place for place, label in enumerate(ordered(table["repetition"]))}
    known = table.assign(order=table["repetition"].map(order))
    return known.groupby(slot[:4])["order"].rank(method="first").to_numpy(int) - 1


def _ratings(table: pd.DataFrame, instrument: Instrument) -> np.ndarray:
    """Places of ratings on the scale, -1 where there is none."""
    low, high = instrument.scale
    given = table["rating"].where(table["rating"].astype(str).str.strip() != "")  # as a CSV file has it that was read as text
    numbers = pd.to_numeric(given, errors="coerce")
    wrong = ~(numbers.isin(instrument.categories) | given.isna()) | given.map(lambda value: isinstance(value, bool | np.bool_))
    remedy = f"correct it, or name another instrument than {instrument.key}"
    _refuse(table, "rating", wrong, f"an integer from {low} to {high}, or nothing where there is none; {remedy}")
    return (numbers - low).fillna(-1).to_numpy(int)


def _study(table: pd.DataFrame, runs: Sequence[Any], title: str, instrument: Instrument) -> Study:
    """A study of these runs that is in no file."""
    about = table.groupby(["family", "variant"], sort=False)
    families: dict[str, list[dict[str, str]]] = {}
    for family, variant in runs:
        own = about.get_group((family, variant))
        said: dict[str, str] = {"key": variant, "persona": _WHERE}
        for name in ("role", "control", "of", "step", "method", "seed", "context"):
            values = texts(own[name].astype(object).fillna("")).unique().tolist() if name in own else []
            if len(values) > 1:
                raise ValueError(f"{_WHERE}: {family}/{variant} has {name} {listing(values)}; expected one")
            if values and values[0] != "":
                said[name] = str(values[0])
        families.setdefault(family, []).append(said)
    content = {"title": title, "kind": "imported", "families": [{"key": k, "variants": v} for k, v in families.items()]}
    path = Path(_WHERE)
    try:
        file = StudyFile.model_validate(content)
    except ValidationError as error:
        raise ValueError(first_error(path, error)) from None
    return Study(path, file, None, instrument, None, None)


def _answers(rows: np.ndarray, names: list[str], instrument: Instrument) -> Answers:
    """One run; what most cells hold is what each was meant to hold."""
    personas, items, valid = len(names), len(instrument.items), rows[:, 3] >= 0
    number = np.bincount(rows[:, 0] * items + rows[:, 1], minlength=personas * items)
    usual = int(np.bincount(number[number > 0]).argmax())
    here = np.any(number.reshape(personas, items), axis=1)
    absent = int(np.maximum(usual - number, 0).reshape(personas, items)[here].sum())
    asked = Asked(len(rows) + absent, len(rows), int(valid.sum()), {"invalid": int((~valid).sum())})
    shape = personas, items, len(instrument.categories)
    return Answers(rows[valid], shape, asked, ids=tuple(names), present=np.asarray(here))
