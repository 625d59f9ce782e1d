"""Which files a run is imported from, and whether they are those that a store was filled from; no rating is read here."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from persona_collapse.store.ratings import report_key
from persona_collapse.store.store import Store
from persona_collapse.study.study import Run, Study

#: Ends of names of files that can be read, longest first.
SUFFIXES = (".csv.gz", ".tsv.gz", ".parquet", ".csv", ".tsv", ".txt", ".eval")
#: Part of what an import depends on; a change here imports again.
_VERSION = "5"
#: Under which a store remembers what all of its runs were read from.
_READ = "files read"


def stem(path: Path) -> tuple[str, str]:
    """A file's name without its ending, and the ending: `.csv.gz` is one."""
    ending = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), path.suffix)
    return path.name[: len(path.name) - len(ending)], path.name[len(path.name) - len(ending) :]


class RunFiles(NamedTuple):
    """The files of a run by instrument and condition, the named one first, then its twins, and the SHA-256 of each."""

    paths: Mapping[tuple[str, str], Sequence[Path]]
    sums: Mapping[Path, str]


def run_files(study: Study, run: Run) -> RunFiles:
    """What a run is read from, looked at now."""
    paths = {(one.instrument.key, c): candidates(one, run, c) for one in of_run(study, run) for c in one.conditions(run)}
    every = {path for own in paths.values() for path in own}
    return RunFiles(paths, {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in every})


def of_run(study: Study, run: Run) -> list[Study]:
    """The study of each instrument of which a run has ratings."""
    return [one for one in study.each if run.key in [own.key for own in one.runs]]


def candidates(study: Study, run: Run, condition: str) -> list[Path]:
    """The named file first, then its cloud-sync twins: `<stem> 2.csv`, `<stem> 3.csv`, ..."""
    path = (study.data or Path()) / run.variant.files(study.instrument.key)[condition]
    twin = re.compile(r" (\d+)".join(map(re.escape, stem(path))))
    numbered = [(int(match[1]), p) for p in path.parent.iterdir() if (match := twin.fullmatch(p.name))]
    return [path, *(p for _, p in sorted(numbered))]


def columns_given(study: Study) -> dict[str, str]:
    """What the study file says of columns."""
    return study.file.columns.given() if study.file.columns else {}


def origin(study: Study, run: Run, files: RunFiles, labels: Mapping[str, Sequence[str]] | None) -> str:
    """A hash of all that the import of a run depends on: of its files, how they are read, and the ids of all personas."""
    # Another scale under the same name must not reuse what was read.
    each = [one.instrument for one in of_run(study, run)]
    asked = [part for one in each for part in (one.key, one.scale, len(one.items))]
    conditions = {at: report_key(at[1], at[0], first=at[0] == study.instrument.key) for at in files.paths}
    named = [(conditions[at], path.name, files.sums[path]) for at, own in files.paths.items() for path in own]
    return _hash([_VERSION, *asked, named, labels, columns_given(study), run.variant.rows])


def unchanged(study: Study, store: Store, files: Mapping[Run, RunFiles]) -> bool:
    """Whether the files of every run are those that the store was filled from; told without reading a rating."""
    return store.recall(_READ) == _of_study(study, store, files)


def remember(study: Study, store: Store, files: Mapping[Run, RunFiles]) -> None:
    """Keep what every run was read from, for `unchanged`."""
    store.remember(_READ, _of_study(study, store, files))


def _of_study(study: Study, store: Store, files: Mapping[Run, RunFiles]) -> str:
    return _hash([(run.key, origin(study, run, own, None), store.origin(*run.keys)[0]) for run, own in files.items()])


def _hash(parts: list[Any]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
