"""Many rows at once into a store, and a new store in one piece."""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

#: Rows of one statement: enough that what a statement costs by itself does not count.
_ROWS = 1000


def insert(db: sqlite3.Connection, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Insert rows given as columns of one length; columns that are not given are NULL."""
    head, one = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ", f"({', '.join('?' * len(columns))})"
    many = min(_ROWS, db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(columns))
    rows = zip(*columns.values(), strict=True)
    while block := list(islice(rows, many)):
        db.execute(head + ", ".join([one] * len(block)), list(chain.from_iterable(block)))


@contextmanager
def in_one_piece(path: Path) -> Iterator[Path]:
    """The name under which a new file is written that appears as `path` when the block ends: whole, or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # of a process that was killed
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
