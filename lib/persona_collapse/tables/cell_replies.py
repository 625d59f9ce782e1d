"""What a model said in every cell, short enough to stand under a heat map: different replies, and how often each came."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics.published_estimators import moments
from persona_collapse.store.ratings import Ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.study import Run, Study
from persona_collapse.text import tamed, wrapped

#: Different replies of a cell that are shown.
MOST = 6
#: Letters of a run's replies altogether: a chart that holds them stays light.
BUDGET = 250_000
#: A share of an answer's distribution that is worth a word.
_SHARE = 0.005

#: A different reply of a cell: (rating, reason, reply, times).
_Reply = tuple[int | None, str | None, str | None, int]


class CellReplies(NamedTuple):
    """What was said in every cell (persona, item), lines parted by newlines; how many cells lost their texts to the budget."""

    cells: list[list[str]]
    cut: int


def replies_of_cells(ratings: Ratings, run: Run, *, budget: int = BUDGET) -> CellReplies:
    """What a run said as personas, cell by cell, as in "5 × 7" or "no rating (refusal) × 2: “I cannot”"; plain text, tamed.

    A reply that is nothing but its rating is not repeated. Longer ones are cut to `text.LONGEST` letters, a cell to its `MOST`
    most frequent replies. Where all would take more than `budget` letters, the noisiest cells keep their replies and the
    others their ratings alone. Of a study asked by logprobs, the shares of its one answer's distribution come first.
    """
    study, given = ratings.study, ratings.counts(run)
    found: dict[tuple[int, int], list[_Reply]] = {}
    with open_store(study.store_path) as store:  # texts are not part of the ratings
        for persona, item, rating, reason, reply, times in store.said(*run.keys, "persona", study.instrument.key):
            found.setdefault((persona, item - 1), []).append((rating, reason, reply, times))
    full = {place: _lines(replies) for place, replies in found.items()}
    brief = {place: _lines([(rating, reason, None, n) for rating, reason, _, n in replies]) for place, replies in found.items()}
    kept = _affordable(full, brief, _noise(given, study), budget)
    chosen = {place: full[place] if place in kept else brief[place] for place in found}
    if study.by_logprobs:
        chosen = {place: shares(given[place], study) + lines for place, lines in chosen.items()}
    personas, items = given.shape[:2]
    cells = [["\n".join(chosen.get((p, i), ["nothing was asked"])) for i in range(items)] for p in range(personas)]
    return CellReplies(cells, len(found) - len(kept))


def replies_without_rating(ratings: Ratings, run: Run, limit: int) -> pd.DataFrame:
    """The first replies of a run that gave no rating, for reading: condition, persona, item, repetition, reason, reply."""
    with open_store(ratings.study.store_path) as store:
        found = store.replies(*run.keys, ratings.study.instrument.key, limit)
    at = zip(found["condition"], found["persona"], strict=True)
    return found.assign(persona=["" if pd.isna(row) else ratings.of(run, c).persona_id(int(row)) for c, row in at])


def _lines(replies: list[_Reply]) -> list[str]:
    """The lines of one cell, from (rating, reason, reply, times), most frequent first."""
    merged: dict[tuple[int | None, str | None, str], int] = {}
    for rating, reason, reply, times in replies:
        text = "" if reply is None or reply.strip() == str(rating) else " ".join(tamed(reply).split())
        merged[rating, reason, text] = merged.get((rating, reason, text), 0) + times
    shown = sorted(merged.items(), key=lambda pair: -pair[1])
    lines = []
    for (rating, reason, text), times in shown[:MOST]:
        what = f"{rating} × {times}" if reason is None else f"no rating ({reason}) × {times}"
        lines += wrapped(f"{what}: “{text}”" if text else what)
    if len(shown) > MOST:
        lines.append(f"… and {len(shown) - MOST} more replies, × {sum(times for _, times in shown[MOST:])}")
    return lines


def _affordable(
    full: dict[tuple[int, int], list[str]], brief: dict[tuple[int, int], list[str]], noise: np.ndarray, budget: int
) -> set[tuple[int, int]]:
    """The cells that keep their replies: all, or the noisiest whose texts fit beside the ratings of the others."""
    size = {place: sum(map(len, lines)) for place, lines in full.items()}
    left = budget - sum(len(line) for lines in brief.values() for line in lines)
    kept = set()
    for place in sorted(full, key=lambda place: (-noise[place], place)):
        more = size[place] - sum(map(len, brief[place]))
        if more and more > left:
            continue
        left -= more
        kept.add(place)
    return kept


def _noise(given: np.ndarray, study: Study) -> np.ndarray:
    return np.nan_to_num(moments(given, study.instrument.categories).variance)


def shares(probabilities: np.ndarray, study: Study) -> list[str]:
    """The distribution of a cell's answer (category,) on one line, likeliest first; no line where there is none."""
    pairs = sorted(zip(probabilities, study.instrument.categories, strict=True), key=lambda pair: (-pair[0], pair[1]))
    told = [f"{category}: {100 * share:.0f} %" for share, category in pairs if share >= _SHARE]
    return [f"at T = {study.file.protocol.temperature:g}   " + ", ".join(told)] if told else []
