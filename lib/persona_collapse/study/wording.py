"""Wording as a factor of the design: its levels, how they are dealt over the repetitions of a cell, and what they are called."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from persona_collapse.input_errors import listing

#: Levels as an instrument is worded by itself.
OWN = ("wording=a", "scale=up", "persona_in=user")
#: Stated effects of wording on simulated respondents, as shares of the width of the scale: SD of an item's location and of a
#: cell's, and by how much a reversed scale moves all of them down.
WORDING_EFFECTS = (0.06, 0.02, 0.03)

#: Levels of the factors that have two: the direction of the scale, and the message that says who is asked.
_LEVELS = {"scale": ("up", "down"), "persona_in": ("user", "system")}
_NAMED = {"scale": "direction", "persona_in": "message"}
_FACTORS = ("wording", *_LEVELS)


def check_vary(vary: Mapping[str, Sequence[str]], repetitions: int, requests: int, *, logprobs: bool) -> None:
    """Raise ValueError, one line, for levels that cannot be dealt; which wordings an instrument has is checked with it."""
    for factor, levels in vary.items():
        if factor not in _FACTORS:
            raise ValueError(f"vary: {factor!r} is nothing that varies; expected {listing(_FACTORS)}; remove it")
        if len(levels) < 2 or len(set(levels)) < len(levels):
            raise ValueError(f"vary.{factor}: has {listing(levels) or 'nothing'}; expected two different levels or more")
        if factor in _LEVELS and (unknown := [level for level in levels if level not in _LEVELS[factor]]):
            expected = " and ".join(_LEVELS[factor])
            raise ValueError(f"vary.{factor}: {unknown[0]!r} is no {_NAMED[factor]}; expected {expected}")
    number = len(combinations(vary))
    if logprobs:
        raise ValueError("vary: method logprobs asks a cell once, so nothing can vary in it; use method: samples, or remove vary")
    if number >= repetitions:
        raise ValueError(
            f"vary: {number} combinations of levels for {repetitions} repetitions of a cell; a single rating tells no "
            f"noise, and S and R need it; give repetitions: {2 * number}, or fewer levels"
        )
    if requests > 1:
        raise ValueError("vary: every combination of levels is a request of its own already; remove requests")


def combinations(vary: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Every combination of levels as the store names it, such as "wording=b scale=down", in whatever order a file has them.

    One empty text where nothing varies.
    """
    each = itertools.product(*([f"{factor}={level}" for level in vary[factor]] for factor in _FACTORS if factor in vary))
    return tuple(" ".join(levels) for levels in each)


def dealt(vary: Mapping[str, Sequence[str]], repetitions: int, item: int) -> Iterator[tuple[str, int, int]]:
    """The combinations of levels of a cell, with the repetitions that each gets and how many others get before it.

    Repetitions that are left over go round by the place of the item, counted from 0: all personas are asked an item alike, so
    that no difference between them comes of it.
    """
    each, before = combinations(vary), 0
    share, left = divmod(repetitions, len(each))
    for place, wording in enumerate(each):
        number = share + ((place - item * left) % len(each) < left)
        yield wording, number, before
        before += number


def of_condition(vary: Mapping[str, Sequence[str]], condition: str) -> Mapping[str, Sequence[str]]:
    """What varies in a condition: where nobody is played, no message says who."""
    return {factor: levels for factor, levels in vary.items() if factor != "persona_in" or condition != "self"}


def is_own(wording: str) -> bool:
    """Whether an instrument is asked in its own words, its scale as it is."""
    return all(level in OWN for level in wording.split())
