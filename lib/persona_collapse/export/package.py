"""What an author takes away: tables, figures, data and what describes them, as one folder and one zip."""

import gzip
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from persona_collapse.export import croissant, data_files, latex, print_figures, print_tables
from persona_collapse.export.readme import cite, readme
from persona_collapse.files import as_csv, epoch, guarded, write_text
from persona_collapse.report import dictionary
from persona_collapse.report.provenance import as_json, provenance
from persona_collapse.report.replies import Home, render_replies
from persona_collapse.report.run_notebooks import jobs
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import Ratings, read_ratings, with_mark
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.load_study import keys
from persona_collapse.study.reference import people
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables

#: The first date that a zip file can hold.
_ZIP_EPOCH = 315_532_800


class Wishes(NamedTuple):
    """What an export holds beyond the default, and the licence it is given.

    ``replies``: the text of every reply; ``ratings``: those of an imported study, or of human respondents, which are somebody
    else's; ``titles``: in figures, which a paper has in captions instead.
    """

    replies: bool = False
    ratings: bool = False
    licence: str = ""
    titles: bool = True


#: No more than the default.
PLAIN = Wishes()


def make_export(study: Study, wishes: Wishes = PLAIN, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Write outputs/<study>/export/ and its zip from the store and the executed notebooks; returns the zip.

    Both are there whole or as they were before. Raises FileNotFoundError where ratings or a notebook are missing.
    """
    target = study.outputs / "export"
    packed = study.outputs / f"{study.name}-export.zip"
    with open_store(study.store_path) as store, _workshop(study.outputs) as folder:
        study = with_mark(study, store)
        for line in _left_out(study, wishes):
            say(line)
        content = folder / "export"
        content.mkdir()
        _fill(study, store, content, wishes)
        _pack(content, folder / "export.zip", f"{_name(study)}-export")
        _replace(content, target)
        os.replace(folder / "export.zip", packed)
    return packed


def with_ratings(study: Study, wishes: Wishes) -> bool:
    """Whether the export holds ratings: those of an imported study only if asked for."""
    return study.file.kind != "imported" or wishes.ratings


def _left_out(study: Study, wishes: Wishes) -> Iterator[str]:
    """What is left out and why, a line each."""
    if not with_ratings(study, wishes):
        yield (
            f"{study.name}: imported ratings are somebody else's and are left out; RATINGS=1 puts them in, "
            "where their licence or their authors allow it"
        )
    elif not wishes.replies:
        yield f"{study.name}: reply texts are left out; REPLIES=1 puts them in"
    if study.file.reference and not wishes.ratings:
        yield f"{study.name}: ratings of {people(study)} are left out; RATINGS=1 puts them in, where they may be passed on"


# --- filling the folder ----------------------------------------------------------------------------------------------


def _fill(study: Study, store: Store, folder: Path, wishes: Wishes) -> None:
    every = print_figures.of_notebooks(jobs(study, store), study.instrument.group)
    simulated = not study.is_evidence
    with print_figures.drawing(every, folder / "figures", simulated=simulated, titles=wishes.titles) as listed:
        ratings = read_ratings(study, store, digests=True)
        found = _tables(ratings, folder / "tables")
        data = _data(ratings, store, folder / "data", wishes)
        figures = listed()
    write_text(folder / "figures" / "figures.csv", as_csv(figures))
    found |= {"figures": ("figures/figures.csv", list(figures.columns))} | data
    described = dictionary.describe({name: columns for name, (_, columns) in found.items()})
    paths = {name: path for name, (path, _) in found.items()}
    write_text(folder / "data" / "data-dictionary.csv", as_csv(described))
    write_text(folder / "data" / "data-dictionary.md", dictionary.as_markdown(described, paths))
    if study.file.replies and wishes.replies and with_ratings(study, wishes):
        write_text(folder / "replies.html", render_replies(ratings, store, Home("", "data/ratings.csv.gz")))
    made = _provenance(ratings, wishes)
    write_text(folder / "provenance.json", as_json(made))
    write_text(folder / "study.yaml", _study_file(study))
    write_text(folder / "README.md", readme(study, made, licence=wishes.licence, ratings=with_ratings(study, wishes)))
    about = croissant.About(
        name=_name(study), description=_description(study), cite=cite(study), licence=wishes.licence, date=_date(made),
        version="1.0.0",
    )  # fmt: skip
    write_text(folder / "croissant.json", croissant.describe(about, _data_files(folder, paths), described))
    sums = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    write_text(folder / "SHA256SUMS", "".join(sums))
    _refuse_keys(study, folder)


def _tables(ratings: Ratings, folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Every table as CSV, and as a paper prints it; returns file and columns of each by name."""
    tables = Tables(ratings)
    study, built = ratings.study, all_tables(tables)
    found = {}
    for name, table in built.items():
        if table is not None:
            write_text(folder / f"{name}.csv", as_csv(table))
            found[name] = f"tables/{name}.csv", list(table.columns)
    # Tables on paper are of the instrument that headlines speak of; the CSV files have all.
    printed = print_tables.every(tables.study, {name: _of(tables.study, table) for name, table in built.items()})
    for table in printed:
        write_text(folder / f"{table.name}.tex", latex.render(table, _name(study)))
    note = "Every table of the study; numbers are rounded here, and at full precision in the CSV files."
    whole = latex.document(study.file.title, note, [f"{table.name}.tex" for table in printed])
    write_text(folder / "all-tables.tex", whole)
    return found


def _of(study: Study, table: pd.DataFrame | None) -> pd.DataFrame | None:
    """The rows of a table that are of the study's instrument."""
    if table is None or "instrument" not in table or table["instrument"].nunique() < 2:
        return table
    return table[table["instrument"] == study.instrument.key].reset_index(drop=True)


def _data(ratings: Ratings, store: Store, folder: Path, wishes: Wishes) -> dict[str, tuple[str, list[str]]]:
    """The tidy files; returns file and columns of each by name."""
    study = ratings.study
    folder.mkdir()
    found: dict[str, tuple[str, list[str]]] = {}
    tidy = {"runs": data_files.runs(study), "items": data_files.items(study), "personas": data_files.personas(study)}
    if ratings.reference and wishes.ratings:
        tidy["respondents"] = data_files.reference(ratings.reference)
    for name, table in tidy.items():
        if table is not None:
            write_text(folder / f"{name}.csv", as_csv(table))
            found[name] = f"data/{name}.csv", [guarded(column) for column in table.columns]
    if with_ratings(study, wishes):
        data_files.write_ratings(study, store, folder, replies=wishes.replies)
        found["ratings"] = "data/ratings.csv.gz", list(data_files.rating_columns(study, replies=wishes.replies))
    return found


def _provenance(ratings: Ratings, wishes: Wishes) -> dict[str, Any]:
    """provenance.json of the report, with what the export was asked for, and no path of a machine."""
    study, found = ratings.study, provenance(ratings)
    if Path(found["study"]).is_absolute():
        found["study"] = study.path.name
    asked = {"replies": wishes.replies and with_ratings(study, wishes), "ratings": with_ratings(study, wishes)}
    asked |= {"respondents": wishes.ratings} if ratings.reference else {}
    return found | {"export": asked | {"licence": wishes.licence or None}}


def _study_file(study: Study) -> str:
    """What the study file says, without its comments, which may say anything."""
    return yaml.safe_dump(
        study.file.model_dump(mode="json", by_alias=True, exclude_unset=True), sort_keys=False, allow_unicode=True
    )


def _refuse_keys(study: Study, folder: Path) -> None:
    """Raise ValueError if a file holds a key of the study's endpoints, as one that an endpoint sent back in a reply."""
    for name, key in keys(study).items():
        for path in _files(folder):
            content = path.read_bytes()
            if key.encode() in (gzip.decompress(content) if path.suffix == ".gz" else content):
                raise ValueError(
                    f"{path.relative_to(folder).as_posix()}: holds the value of {name}, which the endpoint must have sent back; "
                    "nothing was exported; leave replies out, and change the key"
                )


def _data_files(folder: Path, paths: dict[str, str]) -> list[croissant.DataFile]:
    every = list(paths.items())
    if (folder / "data" / "ratings.parquet").is_file():
        every.append(("ratings", "data/ratings.parquet"))
    return [croissant.DataFile(name, p, _sha256(folder / p), (folder / p).stat().st_size) for name, p in every]


def _description(study: Study) -> str:
    kind = "Simulated ratings, made to look like published figures: evidence of nothing. " if not study.is_evidence else ""
    return (
        f"{kind}{study.file.title}. Ratings of language models that answer {study.instrument.title} as many personas, with "
        "susceptibility S (how differently they answer as different people) and robustness R (how steadily as the same one)."
    )


def _date(made: dict[str, Any]) -> str:
    """The day of publication: SOURCE_DATE_EPOCH, else that of the last answer; empty if there is neither."""
    if (seconds := epoch()) is not None:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    return max((run["last"][:10] for run in made["runs"].values() if run["last"]), default="")


def _name(study: Study) -> str:
    """The study's name as letters, digits and dashes: whatever its file is called, it leads nowhere."""
    return latex.label(study.name)


# --- whole or not at all ---------------------------------------------------------------------------------------------


@contextmanager
def _workshop(outputs: Path) -> Iterator[Path]:
    """A folder beside the result, on the same disk; gone at the end, as is what a killed export left."""
    for left in outputs.glob(".export.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    folder = outputs / f".export.{os.getpid()}.part"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(new: Path, target: Path) -> None:
    """Put a folder in the place of another, which is put back if that fails."""
    old = new.with_name("old")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(new, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise


def _files(folder: Path) -> list[Path]:
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.relative_to(folder).as_posix())


def _pack(folder: Path, target: Path, root: str) -> None:
    """A zip of the folder under one root: sorted, one date, one set of rights, so that the same is the same bytes."""
    moment = datetime.fromtimestamp(max(epoch(_ZIP_EPOCH) or 0, _ZIP_EPOCH), UTC)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(f"{root}/{path.relative_to(folder).as_posix()}", moment.timetuple()[:6])
            entry.external_attr, entry.create_system, entry.compress_type = 0o100644 << 16, 3, zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
