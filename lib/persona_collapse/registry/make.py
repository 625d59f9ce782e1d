"""outputs/registry.csv and registry.html: every run of every study, with filters and sorting that need no server."""

import base64
import hashlib
import shlex
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from tqdm import tqdm

from persona_collapse import __version__, paths
from persona_collapse.files import as_csv, atomic_text
from persona_collapse.registry import rows
from persona_collapse.registry.rows import PLANNED, REPORTED, STATES
from persona_collapse.text import tamed

#: Columns of the page: heading, columns of the table it shows, and whether it is a number.
_SHOWN = (
    ("study", "study"), ("family", "family"), ("variant", "variant"), ("state", "state"), ("ratings", "simulated"),
    ("role", "role"), ("dataset", "dataset"), ("recipe", "recipe"), ("seed", "seed"), ("of", "of"), ("step", "step"),
    ("questionnaire", "instrument"), ("stack", "stack"),
    ("first answer", "first"), ("last answer", "last"), ("personas", "personas"), ("repetitions", "repetitions"),
    ("missing %", "missing_pct"), ("S", "s"), ("S change %", "s_change_pct"), ("R", "r"), ("R change %", "r_change_pct"),
    ("style share", "style_share"), ("personas told apart", "presence"), ("verdict", "verdict"),
)  # fmt: skip
_NUMBERS = {"step", "personas", "missing_pct", "s", "s_change_pct", "r", "r_change_pct", "style_share"}
#: What can be chosen.
_FILTERS = ("study", "family", "dataset", "recipe", "role", "instrument", "verdict", "state", "simulated")


def make_registry(named: Sequence[str] = (), *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Write registry.csv and registry.html to the folder of outputs; returns the page.

    `named` are study files, or names, that have no outputs yet; one text may hold several, quoted as in a shell. Nothing is
    asked, and no table of a study is written. The same studies give the same bytes. Raises ValueError where there is no study at
    all, or two of one name.
    """
    found = rows.studies([name for text in named for name in _names(text)])
    if not found:
        raise ValueError(
            f"{paths.shown(paths.OUTPUTS)}: holds no study yet; make one first (make report), or name study files: "
            "make registry STUDIES='a.yaml b.yaml'"
        )
    every: list[dict[str, Any]] = []
    with tqdm(found.values(), unit="study", leave=False, disable=None, delay=1) as bar:
        for name in bar:
            every += rows.of_study(name)
    table = rows.frame(every)
    page = paths.OUTPUTS / "registry.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    atomic_text(paths.OUTPUTS / "registry.csv", as_csv(table))
    atomic_text(page, render(table))
    for line in rows.sentences(table):
        say(line)
    return page


def _names(text: str) -> list[str]:
    if Path(text).is_file():  # whose name may hold a space
        return [text]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"studies: {text!r} cannot be read ({error}); expected studies, such as STUDIES='a.yaml b'") from None


def render(table: pd.DataFrame) -> str:
    """The text of the page, without columns that are empty; everything in it is text, and it runs one script, by its hash."""
    folder = FileSystemLoader([Path(__file__).parent])
    environment = Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    script = _part(__package__, "registry.js")
    every = [_row(row) for row in table.to_dict("records")]
    filled = [place for place in range(len(_SHOWN)) if not place or any(row["cells"][place][0] for row in every)]
    shown = [_SHOWN[place] for place in filled]
    for row in every:
        row["cells"] = [row["cells"][place] for place in filled]
    filters = []
    for place, (heading, column) in enumerate(shown):
        values = sorted({row["cells"][place][0] for row in every} - {""})
        if column in _FILTERS and len(values) > 1:
            filters.append((heading, place, values))
    text = environment.get_template("registry.html").render(
        sentences=rows.sentences(table),
        funnel=rows.funnel(table).to_dict("records"),
        states=STATES,
        columns=[(heading, column in _NUMBERS) for heading, column in shown],
        filters=filters,
        rows=every,
        number=len(table),
        version=__version__,
        style=Markup(_part("persona_collapse.report", "page.css") + _part(__package__, "registry.css")),
        script=Markup(script),
        hashed=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return tamed(text)


def _part(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the page has it: cells as text, numbers with what they are sorted by, and the page that reports it."""
    cells = []
    for _, column in _SHOWN:
        value = row[column]
        missing = value is None or pd.isna(value) or value == ""
        number = column in _NUMBERS
        cells.append(("" if missing else _text(column, row), float(value) if number and not missing else "", number))
    linked = f"{row['study']}/{_page(row)}" if row["state"] == REPORTED else ""
    return {
        "cells": cells, "page": linked, "simulated": row["simulated"] is True,
        "note": "" if pd.isna(row["note"]) else row["note"], "wrong": row["state"] == "",
    }  # fmt: skip


def _page(row: dict[str, Any]) -> str:
    """The name of the page with a run: of the first instrument report.html, of others with their key."""
    own = f"report-{row['instrument']}.html"
    return own if (paths.OUTPUTS / str(row["study"]) / own).is_file() else "report.html"


def _text(column: str, row: dict[str, Any]) -> str:
    value = row[column]
    if column in ("first", "last"):
        return str(value)[:10]
    if column == "simulated":
        return "" if row["state"] == "" else "simulated" if value else "of a model" if row["state"] != PLANNED else "none yet"
    if column == "state":
        return "reported, incomplete" if value == REPORTED and row["complete"] is False else str(value)
    if column not in _NUMBERS:
        return str(value)
    if column in ("step", "personas"):
        return f"{int(value):,}"
    shown = f"{value:+.0f}" if column.endswith("change_pct") else f"{value:.1f}" if column == "missing_pct" else f"{value:.2f}"
    lo, hi = row.get(f"{column}_lo"), row.get(f"{column}_hi")
    digits = 0 if column.endswith("change_pct") else 2
    return shown + (f" [{lo:.{digits}f}, {hi:.{digits}f}]" if lo is not None and hi is not None and pd.notna(lo) else "")
