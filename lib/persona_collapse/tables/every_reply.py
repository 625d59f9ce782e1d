"""Every different reply of a study, how it was read, and how often it came in every cell."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from persona_collapse.store.ratings import Ratings
from persona_collapse.store.store import Store
from persona_collapse.study.load_study import keys
from persona_collapse.tables.cell_replies import shares
from persona_collapse.text import tamed

#: Stands where a reply held a key.
REMOVED = "[key removed]"
#: The reason of a requested rating of which the store holds nothing.
ABSENT = "absent"


class Reply(NamedTuple):
    """A different reply: its text, None where the store holds none, and the rating that was read or the reason for none."""

    text: str | None
    rating: int | None
    reason: str | None


#: What was said in the cells of a run in one condition, by row of the persona and place of the item, both from 0.
Cells = Mapping[tuple[int, int], Mapping[Reply, int]]


class EveryReply(NamedTuple):
    """What all runs said, cell by cell: `cells` by key of the run and condition, each reply with the times that it came.

    ``people`` are the personas of a condition as (id, words), by row; ``shares`` the distribution of every answer of a study
    asked by logprobs, in words; ``removed`` how many different replies held a key, which is not shown.
    """

    cells: Mapping[tuple[str, str], Cells]
    people: Mapping[str, list[tuple[str, str]]]
    shares: Mapping[tuple[str, str], list[list[str]]]
    removed: int

    def times(self, run: str) -> Counter[Reply]:
        """How often each reply of a run came, in all of its cells."""
        found: Counter[Reply] = Counter()
        for (key, _), cells in self.cells.items():
            for said in cells.values() if key == run else ():
                found.update(said)
        return found


def every_reply(ratings: Ratings, store: Store) -> EveryReply:
    """Every reply of a study from its store, as texts are no part of its ratings: whole, tamed, without keys of its endpoints.

    `REMOVED` stands where a key was. Replies that differ only in characters that act on a screen are one. A requested rating
    of which nothing is stored counts as a reply without a text, for the reason `ABSENT`.
    """
    study, cells = ratings.study, {}
    clean = Cleaner(keys(study).values())
    for run, condition in study.conditions_asked():
        at = *run.keys, condition, study.instrument.key
        found: dict[tuple[int, int], Counter[Reply]] = {}
        for persona, item, rating, reason, text, times in store.said(*at):
            said = found.setdefault((persona, item - 1), Counter())
            said[Reply(None if text is None else clean(text), rating, reason)] += times
        for persona, item, asked in store.asked(*at):
            said = found.setdefault((persona, item - 1), Counter())
            if (missing := asked - said.total()) > 0:
                said[Reply(None, None, ABSENT)] += missing
        cells[run.key, condition] = found
    conditions = dict.fromkeys(condition for _, condition in cells)
    return EveryReply(
        cells=cells,
        people={condition: _people(ratings, condition) for condition in conditions},
        shares={(run, c): _shares(ratings, run, c) for run, c in cells} if study.by_logprobs else {},
        removed=clean.removed,
    )


class Cleaner:
    """Makes texts harmless and takes keys of endpoints out, each different text once; `removed` counts those that held one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets, self.removed = tuple(secrets), 0
        self._cleaned = lru_cache(maxsize=100_000)(self._clean)

    def __call__(self, text: str) -> str:
        return self._cleaned(text)

    def _clean(self, text: str) -> str:
        held = [secret for secret in self.secrets if secret in text]
        for secret in held:
            text = text.replace(secret, REMOVED)
        self.removed += bool(held)
        return tamed(text.replace("\r\n", "\n"))


def _people(ratings: Ratings, condition: str) -> list[tuple[str, str]]:
    study = ratings.study
    each = [ratings.of(run, condition) for run in study.runs]
    number = max((found.shape[0] for found in each), default=0)
    if condition == "self":
        return [("", "no persona")] * min(number, 1)
    deck = [(str(p.index + 1), f"{p.index + 1}. {tamed(p.text)}") for p in study.deck(condition) or ()]
    ids = [(tamed(label), f"persona {tamed(label)}") for label in next((found.ids for found in each if found.ids), ())]
    return [*deck, *ids, *((str(p + 1), f"persona {p + 1}") for p in range(len(deck) + len(ids), number))]


def _shares(ratings: Ratings, run: str, condition: str) -> list[list[str]]:
    return [["".join(shares(cell, ratings.study)) for cell in row] for row in ratings.counts(run, condition)]
