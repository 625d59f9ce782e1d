"""Ids of personas and repetitions are labels: any text, in an order of its own, whatever the order and the gaps of rows."""

import re
from collections.abc import Iterable

import pandas as pd

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def texts(column: pd.Series) -> pd.Series:
    """Ids as text: 6, 6.0 and "6" are one id, and white space around an id is none of it."""
    return column.astype(str).str.strip().str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def ordered(labels: Iterable[str]) -> list[str]:
    """Different labels: numbers by value, then all else as text."""

    def place(label: str) -> tuple[int, float, str]:
        if not _NUMBER.fullmatch(label):
            return 1, 0, label
        return 0, float(label) if "." in label else int(label), label

    return sorted(set(labels), key=place)
