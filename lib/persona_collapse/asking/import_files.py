"""Ratings somebody else collected, from files, with every oddity counted and none repaired in silence."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.asking.find_columns import find_columns
from persona_collapse.asking.read_ratings import NONE, Wanted, read_ratings, select
from persona_collapse.asking.read_table import column_names, read_columns, read_table, stem
from persona_collapse.paths import shown
from persona_collapse.store.labels import ordered, texts
from persona_collapse.store.store import Question, Store
from persona_collapse.study import rating_parser
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run, Study

#: Part of what an import depends on; a change here imports again.
_VERSION = "5"


class _File(NamedTuple):
    """One candidate file: its path, hash, rows as `read_ratings` gives them, oddities."""

    path: Path
    sha256: str
    rows: pd.DataFrame
    repeated: int
    notes: tuple[str, ...] = ()
    simulated: bool = False


def import_run(study: Study, run: Run, store: Store) -> bool:
    """Read a run's files into the store if they are new or changed; returns whether it read them.

    Raises ValueError that names file and row: a column is missing, a rating is off the scale, a slot stands twice with
    different ratings, the file is empty or not the one that the study names. Nothing of the run is replaced then.
    """
    files = {c: _candidates(study, run, c) for c in study.conditions(run)}
    labels = {c: ids(study, c) for c in files if c != "self"}
    sums = {path: _sha(path) for paths in files.values() for path in paths}
    named = _columns(study), run.variant.rows
    origin = hashlib.sha256(
        repr(
            [_VERSION, *_asked(study.instrument), [(c, p.name, sums[p]) for c in files for p in files[c]], labels, *named]
        ).encode()
    ).hexdigest()
    if store.origin(run.family.key, run.variant.key)[0] == origin:
        return False
    report: dict[str, Any] = {}
    questions: list[Question] = []
    slots: list[tuple[Any, ...]] = []
    for condition, paths in files.items():
        chosen, report[condition] = _checked(study, run, condition, paths, sums)
        report[condition] |= _against_replies(chosen.rows, study.instrument)
        rows = _numbered(chosen.rows, labels.get(condition, [""]))
        report[condition]["absent"] = _lay_out(study, condition, rows, questions, slots)
    store.replace_run(*run.keys, origin, report, questions, slots, labels)
    return True


def look(study: Study, run: Run) -> list[str]:
    """What the importer would say of a run's files, a line each; nothing is stored. Raises as `import_run`."""
    found: dict[str, Any] = {}
    for condition in study.conditions(run):
        paths = _candidates(study, run, condition)
        _, found[condition] = _checked(study, run, condition, paths, {path: _sha(path) for path in paths})
    return describe(found)


def _columns(study: Study) -> dict[str, str]:
    """What the study file says of columns."""
    return study.file.columns.given() if study.file.columns else {}


def _asked(instrument: Instrument) -> tuple[str, tuple[int, int], int]:
    """What the checks of an import depend on: another scale under the same name must not reuse what was read."""
    return instrument.key, instrument.scale, len(instrument.items)


def _candidates(study: Study, run: Run, condition: str) -> list[Path]:
    """The named file first, then its cloud-sync twins: `<stem> 2.csv`, `<stem> 3.csv`, ..."""
    variant = run.variant
    name = {"persona": variant.persona, "self": variant.self_, "toxic": variant.toxic}[condition]
    path = (study.data or Path()) / str(name)
    twin = re.compile(r" (\d+)".join(map(re.escape, stem(path))))
    numbered = [(int(match[1]), p) for p in path.parent.iterdir() if (match := twin.fullmatch(p.name))]
    return [path, *(p for _, p in sorted(numbered))]


def _check_sum(study: Study, path: Path, found: str) -> None:
    source = study.file.source
    if source is None or study.data is None:
        return
    name = path.relative_to(study.data).as_posix()
    expected = source.sha256.get(name)
    if expected is not None and expected != found:
        raise ValueError(
            f"{shown(path)}: SHA-256 is {found[:12]}..., but {shown(study.path)} expects {expected[:12]}...; "
            "fetch the file again, or correct source.sha256 if it was meant to change"
        )


def _read(study: Study, run: Run, path: Path, sha256: str, condition: str) -> _File:
    """Rows of one file, checked; a row that says the same as one before it is counted and left out."""
    read = read_ratings(path, Wanted(condition, _columns(study), run.variant.rows), study.instrument)
    return _File(path, sha256, *_without_repeats(shown(path), read.rows, condition), read.notes, read.simulated)


def check_ids(study: Study, store: Store) -> None:
    """Read every file of a study before the first run is replaced, if the ids of its personas are no longer those of the store.

    Personas have one number in all runs, so all of them are then read anew; one that is refused must not leave the others so.
    """
    conditions = {condition for run in study.runs for condition in study.conditions(run)} - {"self"}
    known = {condition: list(store.labels(condition)) for condition in conditions}
    if any(own and own != ids(study, condition) for condition, own in known.items()):
        for run in study.runs:
            for condition in study.conditions(run):
                paths = _candidates(study, run, condition)
                _checked(study, run, condition, paths, {path: _sha(path) for path in paths})


def ids(study: Study, condition: str) -> list[str]:
    """Ids of the personas in all of a study's files of one condition, in order: the place of each is its number in every run."""
    columns = tuple(_columns(study).items())
    every = {
        (path, tuple(run.variant.rows.items()))
        for run in study.runs
        if condition in study.conditions(run)
        for path in _candidates(study, run, condition)
    }
    found = (_ids_in(path, path.stat().st_mtime_ns, condition, columns, rows) for path, rows in every)
    return ordered(label for own in found for label in own)


def _checked(
    study: Study, run: Run, condition: str, paths: list[Path], sums: Mapping[Path, str]
) -> tuple[_File, dict[str, Any]]:  # fmt: skip
    """The file of a run in one condition, of the named one and its twins, and what was odd about them."""
    _check_sum(study, paths[0], sums[paths[0]])
    return _choose([_read(study, run, path, sums[path], condition) for path in paths], condition)


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=1024)
def _ids_in(
    path: Path, changed: int, condition: str, columns: tuple[tuple[str, str], ...], rows: tuple[tuple[str, str | int], ...]
) -> frozenset[str]:  # fmt: skip
    """Ids of the personas in a file; none of one that cannot be read, which is said when its own run is."""
    given = dict(columns)
    try:
        # A file of several runs is read whole once, and kept while its runs are read; of others a few columns are enough.
        names = list(read_table(path).fields.columns) if rows else column_names(path)
        persona = find_columns(names, given, alone=False, where=shown(path)).names["persona"]
        beside = {name for name in (*dict(rows), given.get("condition", "condition")) if name in names}
        table = read_table(path).fields if rows else read_columns(path, [persona, *beside])
        fields = select(shown(path), table, Wanted(condition, given, dict(rows)))
    except (ValueError, OSError):
        return frozenset()
    return frozenset(texts(fields[persona])) - {""}


def _numbered(rows: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Rows with personas by their place among the ids, from 0, and repetitions in the order of their labels, from 1."""
    place = {label: number for number, label in enumerate(labels)}
    order = {label: number for number, label in enumerate(ordered(rows["repetition"]), start=1)}
    return rows.assign(persona=rows["persona"].map(place), repetition=rows["repetition"].map(order)).astype({"persona": int})


def _without_repeats(where: str, rows: pd.DataFrame, condition: str) -> tuple[pd.DataFrame, int]:
    """Rows with each slot once: the valid one of a pair, an error if both are valid and differ."""
    slot = ["persona", "item", "repetition"]
    if not rows.duplicated(slot).any():
        return rows, 0
    valid = rows[rows["rating"] != NONE]
    clash = valid.groupby(slot)["rating"].nunique()
    if (clash > 1).any():
        first = clash[clash > 1].index[0]
        found = valid[(valid[slot] == list(first)).all(axis=1)]["rating"].tolist()
        raise ValueError(
            f"{where}: {_named(first, condition)} stands more than once with ratings {', '.join(map(str, found))}; "
            "a slot has one rating; find out which is right and remove the other"
        )
    kept = rows.sort_values("rating", ascending=False, kind="stable").drop_duplicates(slot).sort_index()
    return kept, len(rows) - len(kept)


def _named(slot: tuple[str, int, str], condition: str) -> str:
    """A slot as an error names it; a self file has no personas."""
    persona, item, repetition = slot
    return f"{'' if condition == 'self' else f'persona {persona}, '}item {item}, repetition {repetition}"


def _choose(read: list[_File], condition: str) -> tuple[_File, dict[str, Any]]:
    """The candidate with the most valid slots (the plain name wins a tie), once all agree where they overlap."""
    chosen = max(read, key=lambda file: int((file.rows["rating"] != NONE).sum()))
    slot = ["persona", "item", "repetition"]
    valid = chosen.rows[chosen.rows["rating"] != NONE].set_index(slot)["rating"]
    for other in read:
        both = other.rows[other.rows["rating"] != NONE].set_index(slot)["rating"].to_frame("other").join(valid, how="inner")
        clash = both[both["other"] != both["rating"]]
        if len(clash):
            raise ValueError(
                f"{shown(other.path)} and {chosen.path.name} disagree on {len(clash)} slot{'s' * (len(clash) > 1)}, first "
                f"{_named(clash.index[0], condition)}: {clash['other'].iloc[0]} and {clash['rating'].iloc[0]}; "
                "they are not copies of one run; move the wrong one away"
            )
    described = {
        "file": chosen.path.name,
        "sha256": chosen.sha256,
        "rows": len(chosen.rows) + chosen.repeated,
        "repeated": chosen.repeated,
        "set_aside": {f.path.name: int((f.rows["rating"] != NONE).sum()) for f in read if f is not chosen},
    }
    # Only where there is something to say, so that plain files leave what they always left.
    odd = {"read_as": list(chosen.notes), "simulated": chosen.simulated}
    return chosen, described | {name: found for name, found in odd.items() if found}


def _against_replies(rows: pd.DataFrame, instrument: Instrument) -> dict[str, int]:
    """How many valid ratings each parse rule would have read otherwise from the reply; reported, never applied.

    `published_rule_alone` counts the replies from which the published rule reads a number and ours none.
    """
    if rows["reply"].isna().all():
        return {}
    found = dict.fromkeys(("strict_rule_differs", "published_rule_differs", "published_rule_alone"), 0)
    for (reply, rating), number in rows.groupby(["reply", "rating"]).size().items():
        strict = rating_parser.parse_reply(reply, *instrument.scale, instrument.labels)
        published = rating_parser.published_rule(reply, *instrument.scale)
        found["published_rule_alone"] += int(number) * (strict is None and published is not None)
        if rating != NONE:
            found["strict_rule_differs"] += int(number) * (strict != rating)
            found["published_rule_differs"] += int(number) * (published != rating)
    return found


def _lay_out(
    study: Study, condition: str, rows: pd.DataFrame, questions: list[Question], slots: list[tuple[Any, ...]]
) -> int:  # fmt: skip
    """Append a file's cells and slots to what the store will hold; returns how many slots have no row at all.

    A persona of whom the file has no row is none of this run.
    """
    items, personas = len(study.instrument.items), int(rows["persona"].max()) + 1
    cell = rows["persona"].to_numpy() * items + rows["item"].to_numpy() - 1
    number = np.bincount(cell, minlength=personas * items)
    last = np.zeros(personas * items, dtype=int)
    np.maximum.at(last, cell, rows["repetition"].to_numpy())
    # What the file was meant to hold is not in it; the number of rows that most cells have is.
    usual = int(np.bincount(number[number > 0]).argmax())
    first = len(questions)
    here = number.reshape(personas, items).any(axis=1).repeat(items)
    where = np.cumsum(here) - 1 + first
    for place in np.flatnonzero(here).tolist():
        persona = None if condition == "self" else place // items
        questions.append(Question(condition, persona, place % items + 1, "imported", None, int(max(last[place], usual))))
    error = (rows["reply"] == "ERROR").to_numpy()
    for place, repetition, rating, failed, reason, reply, model, fingerprint, attempts, time in zip(
        cell.tolist(), rows["repetition"].tolist(), rows["rating"].tolist(), error.tolist(),
        *(_plain(rows[name]) for name in ("reason", "reply", "served_model", "fingerprint", "attempts", "time")), strict=True,
    ):  # fmt: skip
        valid = rating != NONE
        why = None if valid else reason or ("transport" if failed else "invalid")
        slots.append(
            (int(where[place]), repetition, rating if valid else None, why, reply,
             None, None, model, fingerprint, None, attempts, None, None, time)
        )  # fmt: skip
    return int(np.maximum(usual - number, 0)[here].sum())


def _plain(column: pd.Series) -> list[Any]:
    """A column as plain Python values, None where there is none."""
    empty = column.isna()
    return [None] * len(column) if empty.all() else column.astype(object).where(~empty, None).tolist()


def describe(report: Mapping[str, Any]) -> list[str]:
    """What the importer found in a run's files, one line a file, for people."""
    lines = []
    for condition, found in report.items():
        parts = [f"{condition}: {found['file']}, {found['rows']:,} rows", *found.get("read_as", ())]
        if found.get("simulated"):
            parts.append("of simulated respondents, as its columns say")
        if found["repeated"]:
            parts.append(f"{found['repeated']:,} repeated rows left out")
        if found.get("absent"):
            parts.append(f"{found['absent']:,} slots without a row")
        if found["set_aside"]:
            twins = ", ".join(f"{name!r} ({valid:,} valid)" for name, valid in found["set_aside"].items())
            parts.append(f"twins set aside: {twins}")
        if found.get("published_rule_differs"):
            parts.append(f"{found['published_rule_differs']:,} ratings are not what the published rule reads from the reply")
        if found.get("strict_rule_differs"):
            parts.append(
                f"{found['strict_rule_differs']:,} replies do not give their rating by our rule (the rating column is kept)"
            )
        lines.append("; ".join(parts))
    return lines
