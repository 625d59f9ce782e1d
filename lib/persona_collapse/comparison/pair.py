"""Two studies as a pair: which runs go together, what they share, and both runs of a match on what is common to them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from persona_collapse.asking.collect import open_study
from persona_collapse.comparison import interval_arithmetic, match_runs
from persona_collapse.comparison.interval_arithmetic import Group
from persona_collapse.comparison.match_runs import Match, asked_alike, shared
from persona_collapse.statistics import common_cells, recommended_estimators
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run
from persona_collapse.tables import comparability
from persona_collapse.tables.build import Tables, tables_of
from persona_collapse.tables.run_statistics import Analysis, Side

#: The notebook of two studies, which belongs to the report of neither.
NOTEBOOK = "06_compare_studies"


class Pair:
    """Two studies with their ratings, tables, and what they have in common."""

    def __init__(self, first: Ratings, second: Ratings) -> None:
        """Of several instruments the first that both studies asked is compared."""
        both = [key for key in first.instruments if key in second.instruments]
        first, second = (each.of_instrument((both or each.instruments)[0]) for each in (first, second))
        self.ratings = first, second
        self.studies = a, b = first.study, second.study
        self.names = a.name, b.name
        self.analyses = Analysis(first), Analysis(second)
        self.matches = match_runs.matches(a, b)
        self.shared = shared(a, b)
        self._sides: dict[tuple[int, str, bytes, bytes], Side] = {}
        self._differs: dict[tuple[str, str, str], str] = {}
        self._refusals: dict[tuple[str, str, str], str] = {}

    @cached_property
    def tables(self) -> tuple[Tables, Tables]:
        """Every table of each study by itself."""
        a, b = (tables_of(ratings) for ratings in self.ratings)
        return a, b

    @property
    def is_evidence(self) -> bool:
        """Whether both say anything about a model; see `Study.is_evidence`."""
        return all(study.is_evidence for study in self.studies)

    @property
    def simulated(self) -> tuple[str, ...]:
        """Names of the studies whose ratings are simulated."""
        return tuple(study.name for study in self.studies if not study.is_evidence)

    @property
    def folder(self) -> Path:
        """Where the comparison leaves what it makes: beside the outputs of the first study."""
        return self.studies[0].outputs.parent / "compare" / "--".join(self.names)

    @cached_property
    def together(self) -> list[Match]:
        """Runs that stand on both sides."""
        return [match for match in self.matches if match.a and match.b]

    @cached_property
    def guards(self) -> tuple[comparability.Guard, comparability.Guard]:
        """What contrasts inside each study have to say about their sides."""
        each = zip(self.ratings, self.tables, strict=True)
        a, b = (comparability.Guard(ratings, tables.quality) for ratings, tables in each)
        return a, b

    def refusal(self, *matches: Match) -> str:
        """Why these runs cannot be set against each other, or nothing."""
        if self.shared.refusal:
            return self.shared.refusal
        for match in matches:
            if match.key not in self._refusals:
                self._refusals[match.key] = self._unlike(match)
            if said := self._refusals[match.key]:
                return said
        each = (self.guards[side].refusal(*(match.both[side] for match in matches)) for side in (0, 1))
        return next((said for said in each if said), "")

    def _unlike(self, match: Match) -> str:
        for side in (0, 1):
            run = match.both[side]
            if not self.analyses[side].counts(run).any():
                return f"Not compared: {run.key} of {self.names[side]} has no ratings yet."
        return asked_alike(self.shared, match.both, self.ratings)

    def name_of(self, family: str, variant: str, variant_b: str) -> str:
        """How charts and prose call a match, or the mean over families, by its key."""
        if family == "mean":
            runs = [m.either for m in self.matches if (m.key[1] or m.key[2]) == (variant or variant_b)]
            return f"{runs[0].variant.name if runs else variant or variant_b}, mean of families"
        match = next(m for m in self.matches if m.key == (family, variant, variant_b))
        if match.a and match.b and match.a.variant.name != match.b.variant.name:
            return f"{match.a.name} / {match.b.variant.name}"
        return match.either.name

    def base(self, match: Match) -> Match | None:
        """The bases of a match's families, if they belong together and are not the match itself."""
        return self._others(match, *(run.family.base.key for run in match.both))

    def control(self, match: Match) -> Match | None:
        """The controls that both runs of a match name, if they belong together."""
        return self._others(match, *(run.variant.control or "" for run in match.both))

    def _others(self, match: Match, a: str, b: str) -> Match | None:
        family = match.key[0]
        return next((other for other in self.together if other.key == (family, a, b) and other != match), None)

    def differs(self, match: Match) -> str:
        """What else differs between the two runs of a match: who was asked, how, by whom, when, how often."""
        if match.key not in self._differs:
            self._differs[match.key] = self._differing(match)
        return self._differs[match.key]

    def _differing(self, match: Match) -> str:
        own, other = (
            self.tables[side].quality.query("condition == 'persona'").set_index(["family", "variant"])
            .loc[(match.both[side].family.key, match.both[side].variant.key)]
            for side in (1, 0)
        )  # fmt: skip
        first, samples = self.names[0], not any(study.by_logprobs for study in self.studies)
        found = [f"{what} {there}, in {first} {here}" for what, here, there in self._setting(match) if here != there]
        return "; ".join(found + comparability.differences(own, other, f"run of {first}", samples=samples))

    def _setting(self, match: Match) -> Iterator[tuple[str, str | None, str | None]]:
        """What a run is and how it was asked, in the first study and in the second."""
        a, b = self.studies
        own, other = (run.variant for run in match.both)
        yield "role", own.role, other.role
        yield "ratings", "real" if a.is_evidence else "simulated", "real" if b.is_evidence else "simulated"
        if a.simulated and b.simulated:
            yield "imitating", own.figures, other.figures
        if a.file.kind == b.file.kind == "live":
            yield "model", own.model, other.model
        if "imported" not in (a.file.kind, b.file.kind):
            yield "temperature", f"{a.file.protocol.temperature:g}", f"{b.file.protocol.temperature:g}"
            yield "max_tokens", str(a.file.protocol.max_tokens), str(b.file.protocol.max_tokens)

    def on_common(self, matches: Sequence[Match]) -> "OnCommon":
        """Both runs of every match on the personas and items that all of them have."""
        counts = [
            [self.analyses[side].counts(match.both[side])[:, self.shared.items[side]] for match in matches] for side in (0, 1)
        ]
        counts = [[one[: min(map(len, own))] for one in own] for own in counts]
        here = [[self.analyses[side].here(match.both[side])[: len(counts[side][0])] for match in matches] for side in (0, 1)]
        scope = self.analyses[0].scope[self.shared.items[0]]
        if self.shared.paired:
            rows = self.shared.personas((len(counts[0][0]), len(counts[1][0])))
            given, have = ([one[rows[side]] for side in (0, 1) for one in each[side]] for each in (counts, here))
            found = common_cells.common(given, scope, have)
            each = found.counts[: len(matches)], found.counts[len(matches) :]
            # A persona goes by its number in the first study.
            commons = tuple(found._replace(counts=own, personas=rows[0][found.personas]) for own in each)
        else:
            # An item that leaves one side leaves both.
            own, other = (common_cells.common(*side).items for side in ((counts[s], scope, here[s]) for s in (0, 1)))
            kept = np.intersect1d(own, other)
            commons = tuple(common_cells.common([one[:, kept] for one in counts[s]], scope[kept], here[s]) for s in (0, 1))
            commons = tuple(found._replace(items=kept[found.items]) for found in commons)
        a, b = (
            tuple(
                self._side(side, m.both[side], one, commons[side]) for m, one in zip(matches, commons[side].counts, strict=True)
            )
            for side in (0, 1)
        )
        return OnCommon((a, b), (commons[0], commons[1]), self.shared.paired)

    def _side(self, side: int, run: Run, counts: np.ndarray, common: common_cells.Common) -> Side:
        key = side, run.key, common.personas.tobytes(), common.items.tobytes()
        if key not in self._sides:
            about, exact = (counts, self.studies[0].instrument.categories, common.scope), self.studies[side].by_logprobs
            # Where the personas are the same, so are their clusters: those of the first study.
            whose = self.analyses[0 if self.shared.paired else side]
            loo = recommended_estimators.leave_one_out(
                *about, exact=exact, by_request=self._by_request(side, run, common), clusters=whose.clusters_of(common.personas)
            )
            self._sides[key] = Side(counts, replace(loo, personas=common.personas))
        return self._sides[key]

    def _by_request(self, side: int, run: Run, common: common_cells.Common) -> np.ndarray | None:
        """Ratings of a run by request on what is common, where they tell what requests share."""
        asked = self.analyses[side].by_request(run)
        if asked is None:
            return None
        personas, (here, there) = common.personas, self.shared.deck
        if side == 1 and len(here):  # a persona goes by its number in the first study
            personas = there[np.searchsorted(here, personas)]
        return asked[:, self.shared.items[side]][np.ix_(personas, common.items)]


class OnCommon(NamedTuple):
    """Runs of two studies on what they have in common."""

    sides: tuple[tuple[Side, ...], tuple[Side, ...]]  #: each study's runs, in the order of the matches
    commons: tuple[common_cells.Common, common_cells.Common]
    paired: bool

    @property
    def about(self) -> dict[str, Any]:
        """Whether it is paired, the personas of each study, the items, and whether the ratings are the same, as in tables."""
        a, b = self.commons
        return {
            "paired": self.paired, "personas_a": len(a.personas), "personas_b": len(b.personas), "items": len(a.items),
            "same_ratings": self.same_ratings,
        }  # fmt: skip

    def joined(self, groups: Sequence[Group]) -> list[Group]:
        """The parts of both studies, as one group where their personas are the same."""
        return [interval_arithmetic.merged(groups)] if self.paired else list(groups)

    @property
    def same_ratings(self) -> bool:
        """Whether every cell holds the same ratings on both sides."""
        return self.paired and all(np.array_equal(a.counts, b.counts) for a, b in zip(*self.sides, strict=True))


def open_pair(a: str, b: str) -> Pair:
    """Two studies side by side, each opened as `open_study` does; `figures`, `say` and `tabulate` take pairs, too.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> pair = pc.open_pair("mini", "mini-again")
    >>> len(pair.together)
    6
    """
    return Pair(open_study(a, digests=True), open_study(b, digests=True))
