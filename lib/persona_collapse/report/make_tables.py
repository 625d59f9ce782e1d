"""From a study file to its tables, without notebooks: what is missing is asked or read, and what changed is computed."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from persona_collapse.asking.collect import collect, import_report, importing
from persona_collapse.files import atomic_text
from persona_collapse.input_errors import closest
from persona_collapse.report.run_notebooks import code_digest, ratings_key
from persona_collapse.sections.record import all_tables, sections
from persona_collapse.store.ratings import Ratings, read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.study import Study

if TYPE_CHECKING:
    import pandas as pd


def make_tables(study: Study, only: Sequence[str] = (), *, say: Callable[[str], None] = lambda line: None) -> str:
    """Complete a study's ratings and write its tables, or only those named; returns what was done, in words.

    Ratings that are read into a new store go straight into the numbers, and the store is whole before a table is written.
    Raises ValueError for a table that the study does not have.
    """
    named = _checked(study, only)
    found: Mapping[str, pd.DataFrame | None] | None = None
    if study.file.kind == "imported":
        with importing(study) as came:
            found = _tables(came.ratings, named) if came.ratings else None
        if came.new:
            for line in import_report(study):
                say(line)
    else:
        collect(study, say=say)
    made = _made_from(study)
    if found is None:
        if _is_fresh(study, made, named):
            return "nothing to do"
        with open_store(study.store_path) as store:
            ratings = read_ratings(study, store)
        found = _tables(ratings, named)
    from persona_collapse.tables.build import write

    written = write(study, found)
    _remember(study, made, found, whole=not only)
    return f"{len(written)} table{'s' * (len(written) != 1)} written"


def _checked(study: Study, only: Sequence[str]) -> Sequence[str]:
    """Names of tables, all of them where none is given; unknown ones are refused."""
    if set(only) <= _read_note(study).tables.keys():
        return only  # what the sections are takes longer to import than to see that nothing is to be done
    known = [table.name for section in sections(study) for table in section.tables]
    for name in only:
        if name not in known:
            raise ValueError(f"only: no table {name!r}; {closest(name, known)}")
    return only


def _tables(ratings: Ratings, only: Sequence[str]) -> Mapping[str, "pd.DataFrame | None"]:
    from persona_collapse.tables.build import Tables  # what is up to date needs none of it

    return all_tables(Tables(ratings), only)


def _made_from(study: Study) -> str:
    """A hash of the ratings, the study's file and the library: tables made from the same are the same."""
    named = study.file.cluster
    beside = (study.path.parent / named.file).read_bytes() if named and named.file else b""
    if study.file.kind == "live":  # a visit that finds nothing missing leaves traces in the file
        with open_store(study.store_path) as store:
            ratings = ratings_key(study, store)
    else:
        file = study.store_path.stat()
        ratings = f"{file.st_size} bytes of {file.st_mtime_ns}"  # to hash what is in it takes as long as all tables but two
    parts = [code_digest(), ratings, study.path.read_bytes().hex(), beside.hex(), *([repr(study.tasks)] if study.tasks else [])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class _Note(NamedTuple):
    """What tables/ was made from, whether every table was, and the hash of each file, empty where it has nothing to hold."""

    made_from: str = ""
    whole: bool = False
    tables: Mapping[str, str] = MappingProxyType({})


def _note(study: Study) -> Path:
    return study.outputs / "tables" / ".made"


def _read_note(study: Study) -> _Note:
    try:
        found = _Note(**json.loads(_note(study).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Note()
    return found if isinstance(found.tables, dict) else _Note()


def _is_fresh(study: Study, made: str, only: Sequence[str]) -> bool:
    note = _read_note(study)
    names = only or note.tables
    return note.made_from == made and (note.whole or bool(only)) and all(note.tables.get(n) == _hash(study, n) for n in names)


def _hash(study: Study, name: str) -> str:
    path = study.outputs / "tables" / f"{name}.csv"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _remember(study: Study, made: str, tables: Iterable[str], *, whole: bool) -> None:
    note = _read_note(study)
    known = note if note.made_from == made else _Note()
    found = {**known.tables, **{name: _hash(study, name) for name in tables}}
    atomic_text(_note(study), json.dumps(_Note(made, known.whole or whole, found)._asdict(), indent=1))
