"""Ratings somebody else collected, from files, with every oddity counted and none repaired in silence."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.asking.find_columns import find_columns
from persona_collapse.asking.read_ratings import NONE, Wanted, read_ratings, select
from persona_collapse.asking.read_table import KEPT_BYTES, column_names, read_columns, read_table
from persona_collapse.asking.source_files import RunFiles, candidates, columns_given, origin, run_files
from persona_collapse.paths import shown
from persona_collapse.store.imported import Imported
from persona_collapse.store.labels import ordered, texts
from persona_collapse.store.ratings import report_key
from persona_collapse.store.store import Store
from persona_collapse.study import rating_parser
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run, Study

#: What a file may have beside a rating.
_BESIDE = ("reason", "reply", "served_model", "fingerprint", "attempts", "time")


class _File(NamedTuple):
    """One candidate file: its path, hash, rows as `read_ratings` gives them, oddities."""

    path: Path
    sha256: str
    rows: pd.DataFrame
    repeated: int
    notes: tuple[str, ...] = ()
    simulated: bool = False


class ReadRun(NamedTuple):
    """A run as read from its files, by what its report is kept under, and a hash of what that depends on."""

    origin: str
    conditions: Mapping[str, Imported]
    labels: Mapping[str, Sequence[str]]

    def put(self, run: Run, store: Store) -> None:
        """Replace the run in the store, whole."""
        questions: list[tuple[Any, ...]] = []
        parts = []
        for one in self.conditions.values():
            parts.append(one.slots(len(questions)))
            questions += one.questions()
        slots: dict[str, list[Any]] = {name: [] for name in dict.fromkeys(chain.from_iterable(parts))}
        for part in parts:
            for name, column in slots.items():
                column += part.get(name, [None] * len(part["question"]))
        report = {condition: one.report for condition, one in self.conditions.items()}
        store.replace_run(*run.keys, self.origin, report, questions, slots, self.labels)


def read_run(study: Study, run: Run, files: RunFiles, labels: Mapping[str, Sequence[str]]) -> ReadRun:
    """Read a run's files whole; `labels` are the ids of personas in all of the study's files, by condition (`all_ids`).

    Raises ValueError that names file and row: a column is missing, a rating is off the scale, a slot stands twice with
    different ratings, the file is empty or not the one that the study names.
    """
    found = {}
    for (key, condition), paths in files.paths.items():
        one = study.of_instrument(key)
        chosen, report = _checked(one, run, condition, paths, files.sums)
        report |= _against_replies(chosen.rows, one.instrument)
        place = report_key(condition, key, first=key == study.instrument.key)
        found[place] = _lay_out(one, condition, _numbered(chosen.rows, labels.get(condition, [""])), report)
    own = labels_of(files, labels)
    return ReadRun(origin(study, run, files, own), found, own)


def labels_of(files: RunFiles, labels: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Ids of the personas in the conditions that a run has files of."""
    return {condition: labels[condition] for _, condition in files.paths if condition != "self"}


def look(study: Study, run: Run) -> list[str]:
    """What the importer would say of a run's files, a line each; nothing is stored. Raises as `read_run`."""
    found: dict[str, Any] = {}
    files = run_files(study, run)
    for (key, condition), paths in files.paths.items():
        place = report_key(condition, key, first=key == study.instrument.key)
        _, found[place] = _checked(study.of_instrument(key), run, condition, paths, files.sums)
    return describe(found)


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
    read = read_ratings(path, Wanted(condition, columns_given(study), run.variant.rows, study.instrument.key), study.instrument)
    return _File(path, sha256, *_without_repeats(shown(path), read.rows, condition), read.notes, read.simulated)


def check(study: Study, files: Mapping[Run, RunFiles]) -> None:
    """Read the files of every run and keep nothing. Raises as `read_run`."""
    for run, own in files.items():
        for (key, condition), paths in own.paths.items():
            _checked(study.of_instrument(key), run, condition, paths, own.sums)


def all_ids(study: Study) -> dict[str, list[str]]:
    """Ids of the personas in all of a study's files, by condition and in order: the place of each is its number in every run."""
    return {c: _ids(study, c) for c in dict.fromkeys(c for one in study.each for _, c in one.conditions_asked()) if c != "self"}


def _ids(study: Study, condition: str) -> list[str]:
    columns = tuple(columns_given(study).items())
    every = {
        (path, tuple(run.variant.rows.items()))
        for one in study.each
        for run in one.runs
        if condition in one.conditions(run)
        for path in candidates(one, run, condition)
    }
    # Files that stay in memory are read once; of large ones a few columns are read first.
    whole = sum(path.stat().st_size for path in {path for path, _ in every}) <= KEPT_BYTES
    found = (_ids_in(path, path.stat().st_mtime_ns, condition, columns, rows, whole) for path, rows in every)
    return ordered(label for own in found for label in own)


def _checked(
    study: Study, run: Run, condition: str, paths: Sequence[Path], sums: Mapping[Path, str]
) -> tuple[_File, dict[str, Any]]:  # fmt: skip
    """The file of a run in one condition, of the named one and its twins, and what was odd about them."""
    _check_sum(study, paths[0], sums[paths[0]])
    return _choose([_read(study, run, path, sums[path], condition) for path in paths], condition)


@lru_cache(maxsize=1024)
def _ids_in(
    path: Path, changed: int, condition: str, columns: tuple[tuple[str, str], ...], rows: tuple[tuple[str, str | int], ...],
    whole: bool,
) -> frozenset[str]:  # fmt: skip
    """Ids of the personas in a file; none of one that cannot be read, which is said when its own run is."""
    given = dict(columns)
    try:
        # A file of several runs is read whole once, and kept while its runs are read; of others a few columns are enough.
        whole = whole or bool(rows)
        names = list(read_table(path).fields.columns) if whole else column_names(path)
        persona = find_columns(names, given, alone=False, where=shown(path)).names["persona"]
        beside = {name for name in (*dict(rows), given.get("condition", "condition")) if name in names}
        table = read_table(path).fields if whole else read_columns(path, [persona, *beside])
        fields = select(shown(path), table, Wanted(condition, given, dict(rows)))
    except (ValueError, OSError):
        return frozenset()
    return frozenset(texts(pd.Series(fields[persona].unique(), dtype=str))) - {""}


def _numbered(rows: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Rows with personas by their place among the ids, from 0, and repetitions in the order of their labels, from 1."""
    repetitions = rows["repetition"].cat.categories
    numbered = {"persona": _places(rows["persona"], labels), "repetition": _places(rows["repetition"], ordered(repetitions)) + 1}
    return rows.assign(**numbered)


def _places(column: pd.Series, labels: Sequence[str]) -> np.ndarray:
    """The place of each label of a column among all labels."""
    place = {label: number for number, label in enumerate(labels)}
    return np.array([place[label] for label in column.cat.categories], int)[column.cat.codes]


def _without_repeats(where: str, rows: pd.DataFrame, condition: str) -> tuple[pd.DataFrame, int]:
    """Rows with each slot once: the valid one of a pair, an error if both are valid and differ."""
    slot = ["persona", "item", "repetition"]
    persona, repetition = rows["persona"].cat, rows["repetition"].cat
    cell = persona.codes.to_numpy(int) * (int(rows["item"].max()) + 1) + rows["item"].to_numpy()
    if pd.Series(cell * len(repetition.categories) + repetition.codes.to_numpy()).is_unique:
        return rows, 0
    valid = _as_texts(rows[rows["rating"] != NONE])
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


def _as_texts(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their ids as texts, which are alike in all files."""
    return rows.astype({"persona": str, "repetition": str})


def _named(slot: tuple[str, int, str], condition: str) -> str:
    """A slot as an error names it; a self file has no personas."""
    persona, item, repetition = slot
    return f"{'' if condition == 'self' else f'persona {persona}, '}item {item}, repetition {repetition}"


def _choose(read: list[_File], condition: str) -> tuple[_File, dict[str, Any]]:
    """The candidate with the most valid slots (the plain name wins a tie), once all agree where they overlap."""
    chosen = max(read, key=lambda file: int((file.rows["rating"] != NONE).sum()))
    slot = ["persona", "item", "repetition"]
    for other in (file for file in read if file is not chosen):
        valid, own = (_as_texts(file.rows[file.rows["rating"] != NONE]).set_index(slot)["rating"] for file in (chosen, other))
        both = own.to_frame("other").join(valid, how="inner")
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
    if "reply" not in rows:
        return {}
    found = dict.fromkeys(("strict_rule_differs", "published_rule_differs", "published_rule_alone"), 0)
    places, replies = pd.factorize(rows["reply"])
    points, ratings = pd.factorize(rows["rating"])
    pairs, numbers = np.unique(places * len(ratings) + points, return_counts=True)
    for pair, number in zip(pairs.tolist(), numbers.tolist(), strict=True):
        reply, rating = replies[pair // len(ratings)], int(ratings[pair % len(ratings)])
        strict = rating_parser.parse_reply(reply, *instrument.scale, instrument.labels)
        published = rating_parser.published_rule(reply, *instrument.scale)
        found["published_rule_alone"] += number * (strict is None and published is not None)
        if rating != NONE:
            found["strict_rule_differs"] += number * (strict != rating)
            found["published_rule_differs"] += number * (published != rating)
    return found


def _lay_out(study: Study, condition: str, rows: pd.DataFrame, report: dict[str, Any]) -> Imported:
    """A file's cells and slots as the store will hold them; the report gets the number of slots that have no row at all.

    A persona of whom the file has no row is none of this run.
    """
    items, personas = len(study.instrument.items), int(rows["persona"].max()) + 1
    cell = rows["persona"].to_numpy() * items + rows["item"].to_numpy() - 1
    place = cell * (int(rows["repetition"].max()) + 1) + rows["repetition"].to_numpy()
    if (np.diff(place) <= 0).any():
        order = np.argsort(place)
        rows, cell = rows.iloc[order], cell[order]
    number = np.bincount(cell, minlength=personas * items)
    last = np.zeros(personas * items, dtype=int)
    last[cell] = rows["repetition"]  # the highest comes last
    # What the file was meant to hold is not in it; the number of rows that most cells have is.
    usual = int(np.bincount(number[number > 0]).argmax())
    cells = np.flatnonzero(number.reshape(personas, items).any(axis=1).repeat(items))
    report["absent"] = int(np.maximum(usual - number, 0)[cells].sum())
    rating = rows["rating"].to_numpy()
    beside = {name: rows[name].to_numpy(dtype=object) for name in _BESIDE if name in rows}
    why, valid = beside.pop("reason", np.full(len(rows), None)), rating != NONE
    if not valid.all():
        failed = beside["reply"] == "ERROR" if "reply" in beside else np.zeros(len(rows), bool)
        beside["reason"] = np.array([w or ("transport" if f else "invalid") for w, f in zip(why, failed, strict=True)], object)
        beside["reason"][valid] = None
    repetition, asked = rows["repetition"].to_numpy(), np.maximum(last[cells], usual)
    return Imported(condition, items, cell, repetition, rating, valid, beside, cells, asked, report, study.instrument.key)


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
