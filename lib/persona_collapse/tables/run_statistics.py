"""Recommended statistics of the runs of a study, side by side on what they can be compared on, each computed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import common_cells, noise_bounds, request_noise
from persona_collapse.statistics.moments import Parts, cells, within_levels
from persona_collapse.statistics.recommended_estimators import LeaveOneOut, Means, leave_one_out, of_means
from persona_collapse.statistics.repeat_interval import Redrawn, redrawn
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.scopes import scope_matrix, scopes
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.contrast import Contrast


@dataclass(frozen=True)
class Side:
    """One run on the personas and items that it shares with the runs it is compared with."""

    counts: np.ndarray  #: (persona, item, category), no cell empty
    loo: LeaveOneOut

    @cached_property
    def redrawn(self) -> Redrawn:
        """Every metric, and how far it moves when the requests are repeated."""
        return redrawn(self.loo)


class Together(NamedTuple):
    """Several runs on the personas and items common to all of them, in the order in which they were asked for."""

    sides: tuple[Side, ...]
    common: common_cells.Common

    @property
    def items(self) -> int:
        """How many items stayed."""
        return len(self.common.items)

    @property
    def loo(self) -> tuple[LeaveOneOut, ...]:
        """Every metric of each run, with and without each persona."""
        return tuple(side.loo for side in self.sides)

    @property
    def redrawn(self) -> tuple[Redrawn, ...]:
        """Every metric of each run, and how far it moves when the requests are repeated."""
        return tuple(side.redrawn for side in self.sides)


class Analysis:
    """Recommended statistics of a study; what several contrasts need is computed once."""

    def __init__(self, ratings: Ratings) -> None:
        self.ratings, self.study = ratings, ratings.study
        self.categories = self.study.instrument.categories
        self.scope = scope_matrix(self.study.instrument)
        self.scopes = scopes(self.study.instrument)
        names = {name: number for number, name in enumerate(self.study.cluster_names)}
        #: Number of each persona's cluster, (persona,), where personas come in clusters.
        self.clusters = np.array([names[name] for name in self.study.clusters]) if names else None
        self._parts: dict[tuple[str, bytes, bytes], Parts] = {}
        self._by_request: dict[str, np.ndarray | None] = {}
        self._sides: dict[tuple[str, str | None, bytes, bytes], Side] = {}
        self._found: dict[tuple[str, ...], Together] = {}
        self._restricted: dict[bytes, Analysis] = {}

    def counts(self, run: Run) -> np.ndarray:
        """Ratings of a run as personas (persona, item, category), or probabilities of a study asked by logprobs."""
        return self.ratings.counts(run)

    def by_request(self, run: Run) -> np.ndarray | None:
        """Ratings of a run by request (persona, item, request, category), where most cells tell what requests share; else None.

        With one request a cell, or one rating a request, all ratings are taken as independent draws.
        """
        if run.key not in self._by_request:
            found = self.ratings.of(run).by_request
            # Where wording varies a request has one wording: what it shares is an effect of that, and no noise.
            varied = self.ratings.of(run).by_level is not None
            told = found is not None and not varied and request_noise.tells(found, self.categories)
            self._by_request[run.key] = found if told else None
        return self._by_request[run.key]

    def here(self, run: Run) -> np.ndarray:
        """Which personas a run has at all (persona,)."""
        present = self.ratings.of(run).present
        return np.full(len(self.counts(run)), True) if present is None else present

    def base(self, run: Run) -> Run:
        """The base of a run's family."""
        return Run(run.family, run.family.base)

    def control(self, run: Run) -> Run | None:
        """The matched control that a run names, if it names one."""
        return next((Run(run.family, v) for v in run.family.variants if v.key == run.variant.control), None)

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Every change and every excess of the study, run by run: first against the base, then beyond a control it names."""
        found = []
        for run in self.study.runs:
            if run.variant.role != "base":
                control = self.control(run)
                found.append(Contrast(run, self.base(run)))
                found += [Contrast(run, self.base(run), control)] if control else []
        return found

    def restricted(self, personas: np.ndarray) -> "Analysis":
        """The same of these personas alone, by row, where there are others."""
        key = personas.tobytes()
        if key not in self._restricted:
            others = np.setdiff1d(np.arange(max((len(self.counts(run)) for run in self.study.runs), default=0)), personas)
            self._restricted[key] = Analysis(self.ratings.without(others.tolist())) if len(others) else self
        return self._restricted[key]

    def alone(self, run: Run) -> Together:
        """One run on the personas that answered every item of its own; fidelity is 1, as there is no base."""
        return self._together((run,), {})

    def together(self, *runs: Run) -> Together:
        """Runs on what all of them have; fidelity is to the base of the run's family where that is among them."""
        bases = {run: base for run in runs if (base := self.base(run)) in runs and base != run}
        return self._together(runs, bases)

    def bounds(self, together: Together, place: int) -> list[noise_bounds.NoiseBound | None]:
        """Bounds of the noise of one of the runs, for each scope in which too few personas vary; none for logprobs."""
        if self.study.by_logprobs or not len(together.common.personas):
            return [None] * self.scope.shape[1]
        return noise_bounds.noise_bounds(together.sides[place].counts, self.categories, together.common.scope)

    def slots(self, run: Run) -> int:
        """Ratings that a cell of a run was asked for: the design's number, or what most cells of imported files have."""
        if self.study.file.kind != "imported":
            return self.study.file.protocol.repetitions
        found = self.counts(run)[self.here(run)].sum(axis=-1)
        return int(np.bincount(found.reshape(-1).astype(int)).argmax()) if found.size else 0

    def _together(self, runs: Sequence[Run], bases: dict[Run, Run]) -> Together:
        key = *(run.key for run in runs), *(base.key for base in bases.values())
        if key not in self._found:
            given = [self.counts(run) for run in runs]
            # Of decks of different length the first ones are common.
            fewest = min(len(one) for one in given)
            common = common_cells.common([one[:fewest] for one in given], self.scope, [self.here(run) for run in runs])
            cut = dict(zip(runs, common.counts, strict=True))
            self._found[key] = Together(tuple(self._side(run, cut, bases.get(run), common) for run in runs), common)
        return self._found[key]

    def _side(self, run: Run, cut: dict[Run, np.ndarray], base: Run | None, common: common_cells.Common) -> Side:
        key = run.key, base.key if base else None, common.personas.tobytes(), common.items.tobytes()
        if key not in self._sides:
            if len(common.personas):
                parts = self._parts_of(run, cut[run], common)
                other = self._parts_of(base, cut[base], common) if base else None
                loo = of_means(Means(parts, common.scope, other), np.arange(len(common.personas)))
            else:
                loo = leave_one_out(cut[run], self.categories, common.scope)
            self._sides[key] = Side(cut[run], loo)
        return self._sides[key]

    def clusters_of(self, personas: np.ndarray) -> np.ndarray | None:
        """Clusters of some personas, by row; None where every persona is a unit of its own."""
        return None if self.clusters is None else self.clusters[personas]

    def _parts_of(self, run: Run, counts: np.ndarray, common: common_cells.Common) -> Parts:
        key = run.key, common.personas.tobytes(), common.items.tobytes()
        if key not in self._parts:
            own = cells(counts, self.categories, exact=self.study.by_logprobs)
            by_level = self.ratings.of(run).by_level
            if by_level is not None:
                own = within_levels(own, by_level[np.ix_(common.personas, common.items)], self.categories)
            asked = self.by_request(run)
            by_request = None if asked is None else asked[np.ix_(common.personas, common.items)]
            self._parts[key] = Parts(counts, own, self.categories, by_request, self.clusters_of(common.personas))
        return self._parts[key]


def of_role(study: Study, *roles: str) -> Sequence[str]:
    """Keys of the variants that have one of these roles in some family, in the study's order; none of checkpoints or treatments,
    which enter no average and no headline."""
    return list(dict.fromkeys(run.variant.key for run in study.runs if run.variant.role in roles and not run.variant.of))
