"""Ids of personas and repetitions are labels: any text, in an order of its own; those of items end in the item's number."""

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


def item_numbers(column: pd.Series, items: int) -> tuple[pd.Series, str]:
    """Numbers of items, NaN where an id gives none, and what stands before the number: q of q1, q2, ..., mostly nothing.

    Ids that are no numbers themselves give theirs if all begin alike and end in a number from 1 to `items`.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().any():
        return numbers, ""
    named = {label: re.fullmatch(r"(.*\D)(\d{1,9})", label) for label in column.astype(str).str.strip().unique()}
    begins = {match[1] for match in named.values() if match}
    known = {label: int(match[2]) for label, match in named.items() if match}
    if len(known) < len(named) or len(begins) != 1 or not all(1 <= number <= items for number in known.values()):
        return numbers, ""
    return column.astype(str).str.strip().map(known), begins.pop()
