"""Files as they are written: whole or not at all, safe to open in a spreadsheet, the same bytes on every machine."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:  # what asks endpoints need not wait for pandas
    import pandas as pd

#: A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

#: The last second, since 1970, that a zip can date: the end of 2107.
_LAST_SECOND = 4_354_819_198


def atomic_text(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all, even when killed or out of disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file with newlines as they are; what has no UTF-8 becomes a question mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "replace"))
    return path


def guarded(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, with an apostrophe before it; everything else as it is.

    A text that is a number, such as -1.5, stays.
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value


def guarded_table(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table with its texts and headings guarded; numbers are untouched."""
    from pandas.api.types import is_numeric_dtype

    found = table.rename(columns=guarded)
    for place, kind in enumerate(found.dtypes):
        if not is_numeric_dtype(kind):
            found.isetitem(place, [guarded(value) for value in found.iloc[:, place]])
    return found


def as_csv(table: "pd.DataFrame") -> str:
    """A guarded table as CSV: full precision, lines end with a newline, missing is empty."""
    return guarded_table(table).to_csv(index=False, lineterminator="\n")


@overload
def epoch(default: int) -> int: ...
@overload
def epoch(default: None = None) -> int | None: ...
def epoch(default: int | None = None) -> int | None:
    """Seconds since 1970 that SOURCE_DATE_EPOCH gives, else `default`; ValueError if it gives no such number."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return default
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > _LAST_SECOND:
        raise ValueError(
            f"SOURCE_DATE_EPOCH: {text!r}; expected seconds since 1970, up to the year 2107, such as 1767225600; "
            "correct or unset it"
        )
    return int(text)
