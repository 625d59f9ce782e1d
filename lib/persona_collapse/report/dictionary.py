"""The data dictionary: what every column of every exported table means."""

import csv
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from persona_collapse.paths import PACKAGE, shown
from persona_collapse.text import escape_markdown

#: Stands for every table that says nothing of its own.
_ANY = "*"
_COLUMNS = ("table", "column", "meaning", "unit", "type", "missing")


class Entry(NamedTuple):
    """What a column holds: meaning, unit, type (text, integer, number, boolean, time), and when it is empty."""

    meaning: str
    unit: str
    type: str
    missing: str


@lru_cache
def entries() -> dict[tuple[str, str], Entry]:
    """Every entry by table and column, of every room and section; the table `*` is for columns that mean the same everywhere."""
    found: dict[tuple[str, str], Entry] = {}
    for path in sorted(PACKAGE.rglob("dictionary.csv")):
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            key = row["table"], row["column"]
            if key in found or None in row or None in row.values():
                what = f"{shown(path)}, {'.'.join(key)}"
                raise ValueError(f"{what}: stands twice or has the wrong number of fields; correct the line")
            found[key] = Entry(*(row[name] for name in Entry._fields))
    return found


def entry(table: str, column: str) -> Entry | None:
    """The entry of a column, its table's own before the general one; None if it has none."""
    known = entries()
    stem = column.split("_")[0] + "_*"  # attribute_age is an attribute_*
    for key in ((table, column), (table, stem), (_ANY, column)):
        if key in known:
            return known[key]
    return None


def describe(columns: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """The dictionary of these tables, one row a column, in their order; one without an entry says so."""
    unknown = Entry("not described", "", "text", "")
    rows = [(table, column, *(entry(table, column) or unknown)) for table, names in columns.items() for column in names]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def as_markdown(dictionary: pd.DataFrame, files_of: Mapping[str, str]) -> str:
    """The dictionary as a page, one section a table; `files_of` names each table's file."""
    parts = [
        "# Data dictionary\n",
        "Comma-separated UTF-8 with one line of headings. Missing is an empty field; `inf` is infinity. A text that a "
        "spreadsheet would take for a formula (it begins with = + - @ or a tab, and is no number) has an apostrophe before it.\n",
    ]
    for table, rows in dictionary.groupby("table", sort=False):
        parts.append(f"## {files_of[str(table)]}\n\n| column | meaning | unit | type | empty means |\n|---|---|---|---|---|")
        for row in rows.itertuples(index=False):
            cells = [_cell(row.column), *map(_cell, (row.meaning, row.unit, row.type, row.missing))]
            parts.append("| " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return escape_markdown(str(text)).replace("\n", " ")
