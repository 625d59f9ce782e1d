"""`make study-from`: a study file for a person to edit, from whatever ratings lie in a folder."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from persona_collapse.asking import import_files
from persona_collapse.asking.find_columns import find_columns
from persona_collapse.asking.read_ratings import beginning_of
from persona_collapse.asking.read_table import column_names, read_columns
from persona_collapse.asking.source_files import SUFFIXES
from persona_collapse.asking.study_drafts import ASK, Draft, comment, flow
from persona_collapse.asking.study_layouts import LAYOUTS
from persona_collapse.files import atomic_text
from persona_collapse.input_errors import listing, read_yaml
from persona_collapse.paths import INSTRUMENTS, STUDIES, shown
from persona_collapse.store.labels import item_numbers, texts
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.load_study import study_path
from persona_collapse.study.study import Study
from persona_collapse.study.study_file import StudyFile
from persona_collapse.text import as_yaml, tamed


def study_from(data: str, name: str, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Write params/studies/<name>.yaml, or the path that `name` gives, for the ratings in `data`, a folder or one file.

    `say` gets what was recognized, what was set aside and what is left to do, a line at a time. The same data give the same
    bytes. Raises ValueError or FileNotFoundError: nothing to read, or another file of that name, which is left as it is.
    """
    for value, variable, meaning in ((data, "DATA", "a file or folder of ratings"), (name, "NAME", "what the study is called")):
        if not value:
            raise ValueError(f"{variable} is missing; expected {meaning}: make study-from DATA=folder NAME=my-study")
    place = Path(data).expanduser().resolve()
    if not place.exists():
        raise FileNotFoundError(f"{data}: no such file or folder; DATA is where the ratings are")
    folder = place if place.is_dir() else place.parent
    files = [path for path in _files_in(place) if path.name.lower().endswith(SUFFIXES)]
    if not files:
        packed = "; unpack the zip file first" if any(path.suffix == ".zip" for path in _files_in(place)) else ""
        raise ValueError(f"{data}: holds no table of ratings; expected files that end in {', '.join(SUFFIXES)}{packed}")
    draft = next((found for layout in LAYOUTS if (found := layout(folder, files))), None)
    if draft is None or not draft.runs:
        aside = f": {'; '.join(draft.aside)}" if draft and draft.aside else ""
        raise ValueError(f"{data}: no ratings of personas were recognized{aside}; see docs/import.md")
    target = study_path(name if "/" not in name or name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    from_here = str(data) if place.is_dir() else str(Path(data).parent)
    called = target.stem if target.parent == STUDIES else shown(target)
    command = f"make report STUDY={shlex.quote(called)} DATA={shlex.quote(from_here)}"
    if not draft.instrument:
        instrument, why = _instrument(draft, folder)
        draft = draft._replace(instrument=instrument, why=why)
    text = "\n".join(_lines(draft, folder, from_here, command)) + "\n"
    if target.exists() and target.read_text(encoding="utf-8") != text:
        raise ValueError(f"{shown(target)}: is there and says something else; choose another NAME, or move it away")
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_text(target, text)
    for line in _said(draft, target, folder, command):
        say(line)
    return target


def _files_in(place: Path) -> list[Path]:
    """A file alone, or every file below a folder, hidden ones left out, in order."""
    if not place.is_dir():
        return [place]
    every = (path for path in place.rglob("*") if path.is_file())
    return sorted(path for path in every if not any(part.startswith(".") for part in path.relative_to(place).parts))


# --- what is written -------------------------------------------------------------------------------------------------


def _lines(draft: Draft, folder: Path, data: str, command: str) -> Iterator[str]:
    """The study file, with every choice that was made as a comment beside it."""
    yield f"# Written by `make study-from` for {' '.join(tamed(data).split())}, {draft.layout}; yours to edit."
    yield f"# {' '.join(tamed(command).split())}"
    yield "# Imported personas are known by their ids alone."
    title, why = (draft.title, "") if draft.title else (f"Ratings of {folder.name}", "what pages are headed by")
    yield f"title: {as_yaml(title)}{comment(why)}"
    yield "kind: imported"
    if draft.instruments:
        yield f"instruments: [{', '.join(map(as_yaml, draft.instruments))}]{comment('headlines speak of the first')}"
    else:
        yield f"instrument: {as_yaml(draft.instrument)}{comment(draft.why)}"
    yield from (f"{name}: {flow(value)}" for name, value in draft.keys.items())
    if draft.columns:
        yield f"{draft.columns}{comment('by their names')}"
    yield "families:"
    for family in draft.families:
        yield f"  - key: {as_yaml(family.key)}{comment(family.why)}"
        if family.label:
            yield f"    label: {as_yaml(family.label)}"
        yield "    variants:"
        for run in family.runs:
            yield from run.lines()
    if draft.aside:
        yield "# Set aside:"
        yield from (f"# - {' '.join(tamed(line).split())}" for line in draft.aside)


def _instrument(draft: Draft, folder: Path) -> tuple[str, str]:
    """The shipped instrument whose items and scale the first run's file has, and why; to be asked for if there is none."""
    run = draft.runs[0]
    path = folder / str(run.files["persona"])
    columns = find_columns(column_names(path), {}, alone=False, where=shown(path))
    table = pd.DataFrame()
    if columns.items:
        items, fields = pd.Series(list(columns.items.values())), read_columns(path, list(columns.items)).stack()
    else:
        table = read_columns(path, [columns.names["item"], columns.names["rating"]])
        items, fields = item_numbers(table[columns.names["item"]], 10**9)[0], table[columns.names["rating"]]
    ratings = pd.to_numeric(fields.str.strip(), errors="coerce").dropna()
    ratings, numbers = ratings[ratings != -1], sorted(items.dropna().unique())
    if not numbers:
        named = beginning_of(texts(table[columns.names["item"]]).unique().tolist())
        return ASK, f"items are named {named}, not numbered from 1; name an instrument, and number its items in the files"
    about = f"{len(numbers)} items" + ("" if numbers[0] == 1 else f" numbered from {numbers[0]:g}, not from 1,")
    about += f" rated {ratings.min():g} to {ratings.max():g}" if len(ratings) else ""
    shipped = [load_instrument(name) for name in sorted(file.stem for file in INSTRUMENTS.glob("*.yaml"))]
    fitting = [
        one
        for one in shipped
        if numbers == [item.number for item in one.items] and ratings.isin(one.categories).all() and items.notna().all()
    ]
    if len(fitting) == 1:
        return fitting[0].key, f"{about}; the first is {fitting[0].items[0].text!r}; another instrument is named by its path"
    which = f"may be {listing(one.key for one in fitting)}" if fitting else "no shipped instrument has these"
    return ASK, f"{about}: {which}; name one by its path, see docs/questionnaire.md"


# --- what is said ----------------------------------------------------------------------------------------------------


def _said(draft: Draft, target: Path, folder: Path, command: str) -> Iterator[str]:
    """What was recognized and why, what was set aside, what is left to do."""
    yield f"{shown(target)}: {draft.layout}, {len(draft.runs)} run{'s' * (len(draft.runs) != 1)}"
    named = f"instruments: {', '.join(draft.instruments)}" if draft.instruments else f"instrument: {draft.instrument}"
    yield f"{named} ({draft.why})"
    if draft.columns:
        yield f"{draft.columns}, by their names"
    study = _stand_in(target, folder)
    for family in draft.families:
        for run in family.runs:
            rows = ", ".join(f"{name} = {value}" for name, value in run.rows.items())
            yield f"{family.key}/{run.key}: {run.role}{f' ({run.why})' if run.why else ''}{f'; rows {rows}' if rows else ''}"
            yield from (f"  {line}" for line in [*run.notes, *_looked(study, family.key, run.key)])
    yield from (f"set aside: {line}" for line in draft.aside)
    asked = [f"the role of {family.key}/{run.key}" for family in draft.families for run in family.runs if run.role == ASK]
    asked += ["the instrument"] * (study is None)
    if asked:
        yield f"to be filled in first, where the file has a {ASK!r}: {', '.join(asked)}"
    yield f"next: {command}"


def _stand_in(target: Path, folder: Path) -> Study | None:
    """The study as far as files are read by it: with roles that stand for those to be filled in; None without an instrument."""
    content = read_yaml(target)
    instruments = content.get("instruments") or [content["instrument"]]
    if ASK in instruments:
        return None
    for family in content["families"]:
        for place, variant in enumerate(family["variants"]):
            for name in ("control", "of", "step"):  # which a stand-in cannot have
                variant.pop(name, None)
            variant["role"] = "alternate" if place else "base"
    first, *further = map(load_instrument, instruments)
    return Study(target, StudyFile.model_validate(content), folder, first, None, None, further=tuple(further))


def _looked(study: Study | None, family: str, variant: str) -> Sequence[str]:
    try:
        return import_files.look(study, study.run(family, variant)) if study else ()
    except ValueError as error:
        return (f"to be mended first: {error}",)
