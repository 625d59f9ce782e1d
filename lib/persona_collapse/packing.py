"""Many values as one text in a chart's data, and Vega's way to read them: a notebook file gives every entry of a list a line."""

from collections.abc import Iterable
from typing import Any

import numpy as np

#: Between numbers, and between texts, which hold no tab.
COMMA, TAB = ",", "\t"


def packed(values: Iterable[float], digits: int = 2) -> str:
    """Numbers as text, rounded; nothing where there is none (NaN)."""
    return COMMA.join(f"{float(v):.{digits}f}".rstrip("0").rstrip(".") if np.isfinite(v) else "" for v in values)


def unpacked(chart: Any, numbers: Iterable[str] = (), texts: Iterable[str] = ()) -> Any:
    """A chart's data with one row for every entry of these packed fields, which run in parallel; missing numbers are null."""
    numbers, texts = list(numbers), list(texts)
    split = {f: f"split(datum.{f}, '{COMMA}')" for f in numbers} | {f: f"split(datum.{f}, '\\t')" for f in texts}
    found = chart.transform_calculate(**split).transform_flatten(list(split))
    read = {f: f"datum.{f} === '' ? null : toNumber(datum.{f})" for f in numbers}
    return found.transform_calculate(**read) if read else found


def entry(field: str, place: str) -> str:
    """The number at a place of a packed field, as a Vega expression; null where it is missing."""
    text = f"split(datum.{field}, '{COMMA}')[{place}]"
    return f"{text} === '' ? null : toNumber({text})"
