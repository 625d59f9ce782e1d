"""Ratings of imported files in columns: what goes into the store, and `Ratings` without a detour through it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from persona_collapse.store.answers import Answers, Asked
from persona_collapse.study.study import Study


@dataclass(frozen=True, eq=False)
class Imported:
    """The file of a run in one condition: its slots in the order of persona, item and repetition, and its cells.

    Attributes
    ----------
    cell, repetition, rating, valid : (slot,) arrays
        Number of the cell (persona times items plus item, both from 0), repetition from 1, rating, and whether there is one.
    beside : mapping of (slot,) object arrays
        Reason, reply, served_model, fingerprint, attempts and time, those that there are; None where a slot has none.
    cells, asked : (cell,) int arrays
        The cells that the run has, in order, and of how many repetitions each is.
    report : mapping
        What the importer found in the file.
    """

    condition: str
    items: int
    cell: np.ndarray
    repetition: np.ndarray
    rating: np.ndarray
    valid: np.ndarray
    beside: Mapping[str, np.ndarray]
    cells: np.ndarray
    asked: np.ndarray
    report: Mapping[str, Any]
    instrument: str  #: its key

    def questions(self) -> list[tuple[Any, ...]]:
        """Its cells as `store.Question` has them; there is no persona in the condition self."""
        alone = self.condition == "self"
        persona = repeat(None) if alone else (self.cells // self.items).tolist()
        item, asked = (self.cells % self.items + 1).tolist(), self.asked.tolist()
        # Plain tuples, of which there are thousands.
        beside = repeat("imported"), repeat(None), asked, repeat(self.instrument)
        return list(zip(repeat(self.condition), persona, item, *beside, strict=False))

    def slots(self, first: int) -> dict[str, list[Any]]:
        """Its slots as the store's, where the question of its first cell has this place."""
        place = np.searchsorted(self.cells, self.cell) + first
        rating = self.rating.astype(object)
        rating[~self.valid] = None
        columns = {"question": place, "repetition": self.repetition, "rating": rating, **self.beside}
        return {name: column.tolist() for name, column in columns.items()}

    def answers(self, study: Study, labels: Sequence[str]) -> Answers:
        """As `read_ratings` gives them from the store; `labels` are the ids of the personas in all of the study's files."""
        categories, valid, beside = study.instrument.categories, self.valid, self.beside
        persona, item = np.divmod(self.cell[valid], self.items)
        slots = np.column_stack([persona, item, self.repetition[valid] - 1, self.rating[valid] - categories[0]])
        here = np.unique(self.cells // self.items)
        personas, reasons = int(here.max(initial=-1)) + 1, Counter(beside["reason"][~valid]) if "reason" in beside else {}
        times = [time for time in beside["time"] if time is not None] if "time" in beside else []
        models = dict.fromkeys(model for model in beside.get("served_model", ()) if model is not None)
        unread: Counter[str] = Counter()
        if "unparseable" in reasons and "reply" in beside:
            unread.update(beside["reply"][beside["reason"] == "unparseable"])
        few = 2 * len(slots) < len(self.cell)
        return Answers(
            slots, (personas, self.items, len(categories)),
            Asked(
                slots=int(self.asked.sum()), recorded=len(self.cell), valid=len(slots), missing=dict(sorted(reasons.items())),
                first=min(times, default=None), last=max(times, default=None), models=",".join(models) or None,
                imported=self.report, published_alone=self.report.get("published_rule_alone", 0),
                commonest=tuple(sorted(unread.items(), key=lambda pair: (-pair[1], pair[0]))[:3]) if few else (),
            ),
            temperature=study.file.protocol.temperature, ids=tuple(labels),
            present=np.isin(np.arange(personas), here),
        )  # fmt: skip
