"""The table in the end: a row for each feature of each server."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_HEAD = ("server", "version", "feature", "result")


class Row(NamedTuple):
    """What came of one feature; `fine` is false where the project and the server disagree."""

    server: str
    version: str
    feature: str
    result: str
    fine: bool = True


def as_text(rows: Sequence[Row]) -> str:
    """Rows in aligned columns under a head."""
    lines = [_HEAD, *(row[:4] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line[:3], widths, strict=True)), line[3]]) for line in lines
    )


def write(rows: Sequence[Row], path: Path) -> None:
    """The same as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([_HEAD, *(row[:4] for row in rows)])
