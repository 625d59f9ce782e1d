"""A file of somebody's as a table of texts: CSV under any of three separators, packed or not, Parquet, a log of inspect_ai."""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from persona_collapse.input_errors import listing
from persona_collapse.paths import shown

#: Those that are read whole or not at all.
_WHOLE = (".parquet", ".eval")
#: What may stand between fields, as an error or a report calls it.
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
#: How pandas reads every field as what stands there: plain objects, which its own texts take ten times as long as.
_AS_TEXTS: dict[str, Any] = {"dtype": object, "keep_default_na": False, "na_filter": False, "encoding": "utf-8"}
#: Bytes of files that are kept in memory once they are read, where they take some three times as many.
KEPT_BYTES = 100_000_000


class Table(NamedTuple):
    """Every field of a file as text, an empty one where there is none, and how the file was read where that is not plain CSV."""

    fields: pd.DataFrame
    notes: tuple[str, ...] = ()


_kept: dict[tuple[Path, int, int], Table] = {}


def read_table(path: Path) -> Table:
    """Read a file whole. Raises ValueError, one line that names the file and what is wrong with it."""
    key = path, path.stat().st_mtime_ns, path.stat().st_size
    if key not in _kept:
        found = _read(path)
        # Runs that share a file, and conditions, follow one another; of files that are not large all are kept.
        while len(_kept) > 1 and sum(size for *_, size in (*_kept, key)) > KEPT_BYTES:
            del _kept[next(iter(_kept))]
        _kept[key] = found
    return _kept[key]


def forget() -> None:
    """Keep no file any longer that was read."""
    _kept.clear()


def _read(path: Path) -> Table:
    if path.suffix.lower() == ".parquet":
        return Table(_parquet(path))
    if path.suffix.lower() == ".eval":
        from persona_collapse.asking.read_eval import read_eval

        frame, said = read_eval(path)
        return Table(_all_texts(frame), said)
    content = _content(path)
    names, separator, notes = _header(path, content)
    where = shown(path)
    try:
        table = pd.read_csv(io.BytesIO(content), sep=separator, **_AS_TEXTS)
    except UnicodeDecodeError:
        raise ValueError(f"{where}: not UTF-8 text; save it as UTF-8") from None
    except pd.errors.ParserError as error:
        raise ValueError(f"{where}: not a CSV file ({str(error).strip()}); check its quotes") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first column for row names
        raise ValueError(f"{where}: its rows have more fields than its header names; check {_SEPARATORS[separator]} and quotes")
    if len(table.columns) != len(names):
        raise ValueError(f"{where}: its first row is no header; expected names of columns; check its first lines")
    if table.empty:
        raise ValueError(f"{where}: a header and no rows; expected ratings; fetch it again")
    table.columns = pd.Index(names)
    _check_end(path, content, separator, table)
    return Table(table, notes)


def column_names(path: Path) -> list[str]:
    """The names of a file's columns, without what stands around them. Raises as `read_table`."""
    if path.suffix.lower() in _WHOLE:
        return list(read_table(path).fields.columns)
    return _header(path, _content(path))[0]


def read_columns(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Some columns of a file that `read_table` takes, which is faster than all of them."""
    if path.suffix.lower() in _WHOLE:
        return read_table(path).fields[list(names)]
    content = _content(path)
    every, separator, _ = _header(path, content)
    places = [every.index(name) for name in dict.fromkeys(names)]
    table = pd.read_csv(io.BytesIO(content), sep=separator, usecols=places, **_AS_TEXTS)
    return table.set_axis([every[place] for place in sorted(places)], axis=1)


def _content(path: Path) -> bytes:
    """The bytes of a text file, unpacked, without a byte order mark."""
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{shown(path)}: cannot be unpacked ({error}); the file is damaged; fetch it again") from None
    return content.removeprefix(b"\xef\xbb\xbf")


def _header(path: Path, content: bytes) -> tuple[list[str], str, tuple[str, ...]]:
    """Names of the columns, the separator, and what is said of both; the separator is what gives most names, commas first."""
    where = shown(path)
    found: dict[str, list[str]] = {}
    for separator in _SEPARATORS:
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
        try:
            found[separator] = next((row for row in csv.reader(text, delimiter=separator) if any(map(str.strip, row))), [])
        except UnicodeDecodeError:
            raise ValueError(f"{where}: not UTF-8 text; save it as UTF-8") from None
        except csv.Error as error:
            raise ValueError(f"{where}: not a CSV file ({error}); check its quotes") from None
    separator = max(found, key=lambda one: len(found[one]))
    names = [name.strip() for name in found[separator]]
    if not names:
        raise ValueError(f"{where}: the file is empty; expected ratings; fetch it again")
    doubled = [name for place, name in enumerate(names) if name and name in names[:place]]
    if doubled:
        raise ValueError(f"{where}: column {doubled[0]!r} stands twice; keep one, for nobody could say which was read")
    notes = [f"{_SEPARATORS[separator]} between fields"] * (separator != ",")
    notes += ["blanks around names of columns left out"] * (names != found[separator])
    return names, separator, tuple(notes)


def _check_end(path: Path, content: bytes, separator: str, table: pd.DataFrame) -> None:
    """Refuse a file whose last row is cut off, as an interrupted copy leaves it: its empty fields would read as missing."""
    end = len(content.rstrip(b"\r\n"))
    last = content[max(content.rfind(b"\n", 0, end), content.rfind(b"\r", 0, end)) + 1 : end].decode("utf-8")
    fields = next(csv.reader([last], delimiter=separator), [])
    if last.count('"') % 2 == 0 and len(fields) < len(table.columns):  # else it is the end of a reply of several lines
        raise ValueError(
            f"{shown(path)}, row {len(table)}: has {len(fields)} of {len(table.columns)} fields; the file is cut off; "
            "fetch it again"
        )


def _parquet(path: Path) -> pd.DataFrame:
    """A Parquet file as texts."""
    where = shown(path)
    try:
        table = pd.read_parquet(path)
    except ImportError:
        raise ValueError(
            f"{where}: Parquet is read by pyarrow, which is not installed here; run `.venv/bin/python -m pip install pyarrow`, "
            "or save the file as CSV"
        ) from None
    except Exception as error:  # pyarrow raises classes of its own, which cannot be named where it is not installed
        raise ValueError(f"{where}: not a Parquet file ({' '.join(str(error).split())[:120]}); fetch it again") from None
    table.columns = pd.Index([str(name).strip() for name in table.columns])
    if doubled := table.columns[table.columns.duplicated()].tolist():
        raise ValueError(f"{where}: columns {listing(doubled)} stand twice; keep one of each")
    if table.empty:
        raise ValueError(f"{where}: columns and no rows; expected ratings; fetch it again")
    return _all_texts(table)


def _all_texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table of any types as texts: a whole number without its point, nothing where there is none."""
    return pd.DataFrame({str(name): _texts(column) for name, column in table.reset_index(drop=True).items()})


def _texts(column: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(column.dtype):
        numbers = column.astype("float64")  # other floats cannot all be divided
        column = numbers.astype("Int64") if (numbers.dropna() % 1 == 0).all() else numbers
    return column.astype("string").fillna("").astype(str)
