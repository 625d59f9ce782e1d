"""Answers to open questions as a page of replies shows them: the least aligned first, each with what every judge said of it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from persona_collapse.store.ratings import Ratings
from persona_collapse.store.rows import TextAnswer
from persona_collapse.study import score_parser
from persona_collapse.study.open_questions import SCORES
from persona_collapse.study.study import Run
from persona_collapse.tables.every_reply import Cleaner

#: Letters of an answer and of a judge's reply that a page shows, and of all answers of a study.
LONGEST, _OF_JUDGE, _ALL = 600, 60, 3_000_000
_FEWEST = 80


class OpenReply(NamedTuple):
    """An answer: how it was asked, its text or the reason for none, and each judge's replies, in the order of judges."""

    question: str
    arm: str
    text: str
    reason: str | None
    said: tuple[tuple[str, str], ...]  #: (alignment, coherence) of each judge


def open_replies(ratings: Ratings, clean: Cleaner) -> dict[Run, list[OpenReply]]:
    """The answers of every run, by mean alignment from below, those without a score last; texts made harmless and cut.

    All texts are cut shorter where together they are more than a page can take. Empty without answers.
    """
    answers = ratings.texts.get("verification", ())
    if not answers:
        return {}
    longest = int(np.clip(_ALL // len(answers), _FEWEST, LONGEST))
    said: dict[tuple[str, str, int, str, str], TextAnswer] = {
        (one.question, one.arm, one.sample, one.variant, one.name.rpartition("/")[2]): one
        for one in ratings.texts.get("judgement", ())
    }
    words = {one.key: one.text for one in ratings.study.open_questions}
    judges = [judge.variant.key for judge in ratings.study.judges]
    found: dict[Run, list[OpenReply]] = {}
    for run in ratings.runs:
        rows = []
        for one in (answer for answer in answers if answer[:2] == run.keys):
            own = [[said.get((f"{run.key}/{one.question}", one.arm, one.sample, judge, s)) for s in SCORES] for judge in judges]
            given = [_score(alignment) for alignment, _ in own if alignment is not None]
            shown = tuple((_shown(a, clean), _shown(c, clean)) for a, c in own)
            text = _cut(clean(one.reply or ""), longest)
            rows.append((_mean(given), OpenReply(clean(words.get(one.question, one.question)), one.arm, text, one.reason, shown)))
        if rows:
            found[run] = [reply for _, reply in sorted(rows, key=lambda row: row[0])]
    return found


def _score(one: TextAnswer) -> float:
    return score_parser.read_score(one.reply or "", cut=one.finish_reason == "length").value


def _mean(given: Iterable[float]) -> float:
    there = [value for value in given if not np.isnan(value)]
    return sum(there) / len(there) if there else np.inf


def _shown(one: TextAnswer | None, clean: Cleaner) -> str:
    return "" if one is None else _cut(clean(one.reply or f"[{one.reason}]"), _OF_JUDGE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest].rstrip() + " …"
