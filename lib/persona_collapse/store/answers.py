"""What was asked of a run in one condition, and what was answered: ratings slot by slot, and as counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from persona_collapse.study import first_token


@dataclass(frozen=True, eq=False)
class Asked:
    """How a run was asked in one condition, and what came of it."""

    slots: int  #: of the design
    recorded: int
    valid: int
    missing: Mapping[str, int] = field(default_factory=dict)  #: by reason
    first: str | None = None  #: time of the first answer
    last: str | None = None
    models: str | None = None
    providers: str | None = None
    imported: Mapping[str, Any] | None = None  #: what the importer found in the file
    sampling: str = ""  #: parameters of sampling that the endpoint was told beside the temperature; of live runs
    probe: tuple[tuple[str, str | None], ...] = ()  #: replies with more tokens, and why they ended; no ratings
    published_alone: int = 0  #: replies that the published rule reads and ours does not
    commonest: tuple[tuple[str, int], ...] = ()  #: commonest replies that gave no rating, where most did not, and their number
    outcomes: Mapping[str, int] = field(default_factory=dict)  #: requests by what they came to
    seconds: np.ndarray = field(default_factory=lambda: np.empty(0))  #: from request to answer


@dataclass(frozen=True, eq=False)
class Answers:
    """One run in one condition: every valid rating as a row (persona, item, repetition, category), all counted from 0."""

    slots: np.ndarray
    shape: tuple[int, int, int]  #: personas, items, categories
    asked: Asked
    offered: first_token.Offered | None = None  #: where it was asked by logprobs
    temperature: float = 0.0  #: at which `offered` is read
    ids: tuple[str, ...] = ()  #: of the personas, by row; empty for those of a deck, who go by their number from 0
    requests: np.ndarray = field(
        default_factory=lambda: np.empty(0, int)
    )  #: number of the request of each slot; empty if unknown
    second: np.ndarray = field(
        default_factory=lambda: np.empty((0, 3), int)
    )  #: ratings of cells that were asked a second time, beside the slots: persona, item and category, counted from 0
    present: np.ndarray | None = None  #: which personas the run has at all (persona,); None if it has all of them

    levels: np.ndarray = field(
        default_factory=lambda: np.empty(0, int)
    )  #: number of the wording in which each slot was asked; empty where it does not vary
    wordings: tuple[str, ...] = ()  #: the names of those wordings, such as "wording=b scale=down"

    @property
    def here(self) -> np.ndarray:
        """Which personas the run has at all (persona,): of imported files those whose ids occur in its own."""
        return np.full(self.shape[0], True) if self.present is None else self.present

    def persona_id(self, row: int) -> str:
        """The id of a persona, as tables have it."""
        return self.ids[row] if self.ids else str(row)

    @cached_property
    def requests_a_cell(self) -> np.ndarray:
        """How many requests brought the ratings of each cell that has any (cell,)."""
        cells = np.unique(np.column_stack([self.slots[:, :2], self.requests]), axis=0)[:, :2]
        return np.unique(cells, axis=0, return_counts=True)[1]

    @cached_property
    def by_request(self) -> np.ndarray | None:
        """The counts of each request, (persona, item, request, category) ints, read-only; None where requests are unknown.

        Requests of a cell are numbered as they are met, and those that it lacks are empty.
        """
        if not len(self.requests):
            return None
        persona, item, _, category = self.slots.T
        asked = np.column_stack([persona, item, self.requests])
        each, of_slot = np.unique(asked, axis=0, return_inverse=True)
        first = np.flatnonzero(np.any(np.diff(each[:, :2], axis=0, prepend=-1), axis=1))  # of each cell
        number = np.arange(len(each)) - np.repeat(first, np.diff(first, append=len(each)))
        shape = (*self.shape[:2], int(number.max()) + 1, self.shape[2])
        place = np.ravel_multi_index((persona, item, number[of_slot.reshape(-1)], category), shape)
        found = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
        found.flags.writeable = False
        return found

    @cached_property
    def by_level(self) -> np.ndarray | None:
        """The counts of each wording, (persona, item, wording, category) ints, read-only; None where it does not vary."""
        if not len(self.levels):
            return None
        persona, item, _, category = self.slots.T
        shape = (*self.shape[:2], int(self.levels.max()) + 1, self.shape[2])
        place = np.ravel_multi_index((persona, item, self.levels, category), shape)
        found = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
        found.flags.writeable = False
        return found

    @cached_property
    def asked_twice(self) -> np.ndarray | None:
        """As `by_request`, of the cells that were asked a second time alone, that request last; None without any."""
        if self.by_request is None or not len(self.second):
            return None
        persona, item, category = self.second.T
        found = np.pad(self.by_request, ((0, 0), (0, 0), (0, 1), (0, 0)))
        np.add.at(found, (persona, item, -1, category), 1)
        return np.where((found[:, :, -1:] > 0).any(axis=-1, keepdims=True), found, 0)

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each category was given, (persona, item, category) ints, or probabilities by logprobs; read-only."""
        if self.offered is not None:
            found = first_token.probabilities(self.offered, self.temperature)
        else:
            persona, item, _, category = self.slots.T
            place = np.ravel_multi_index((persona, item, category), self.shape) if len(self.slots) else np.empty(0, int)
            found = np.bincount(place, minlength=int(np.prod(self.shape))).reshape(self.shape)
        found.flags.writeable = False
        return found
