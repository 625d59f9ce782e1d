"""Every defensible way to look at a study's ratings: which personas, items, repetitions, base, estimator."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from persona_collapse import collecting, logprobs, rarefaction
from persona_collapse.analysis import Analysis, Together
from persona_collapse.claims import INSTEAD, Claim, Values
from persona_collapse.jackknife import FEWEST_VARYING
from persona_collapse.recommended import METRICS, NOISE, LeaveOneOut, leave_one_out
from persona_collapse.study import Run

#: Times that the personas are cut into halves, and the seed of the cuts.
CUTS, _SEED = 3, 12850
#: Fewest personas that are cut into halves.
FEWEST_HALVED = 8
#: Fewest personas of a group of the deck that is left out, and most of them.
_FEWEST, _LARGEST = 5, 0.5
#: Repetitions to which the published estimators are brought down.
REPETITIONS = (2, 3, 5)
#: Temperatures at which a study by logprobs is looked at beside its own.
TEMPERATURES = (0.3, 0.7, 1.0)
#: Published estimators that rarefaction knows.
_RAREFIED = {"susceptibility": "susceptibility", "within_rms": "within_sd"}


class Choice(NamedTuple):
    """One way to look: values of a metric of a run, and which metric stands for the claim's own."""

    group: str
    words: str
    values: Values
    metric: str


class Views:
    """The runs of a claim on the personas and items that all of them have, looked at in every way."""

    def __init__(self, analysis: Analysis, runs: list[Run]) -> None:
        self._analysis, self.runs = analysis, runs
        self.together: Together = analysis.together(*runs)
        self._scope = self.together.common.scope
        self._counts = dict(zip(runs, (side.counts for side in self.together.sides), strict=True))
        #: Every run over all items, without each foundation, without each item; one column a name of `_columns`.
        self._columns = self._without_items()
        weights = np.array([kept for _, _, kept in self._columns], dtype=float).T
        self._loo = self._left_out(self._counts, weights / np.maximum(weights.sum(axis=0), 1))
        self._subsets = list(self._personas())
        self._rarefied: dict[int, dict[Run, rarefaction.Rarefied]] = {}

    def recommended(self) -> Values:
        """All of them."""
        return _reader(self._loo, 0)

    def choices(self, claim: Claim) -> Iterator[Choice]:
        """Every way to look that changes one thing against the recommended one."""
        for words, metric in INSTEAD[claim.metric]:
            yield Choice("estimator or measure", words, self.recommended(), metric)
        yield from self._repetitions(claim)
        for group, words, values in self._subsets:
            yield Choice(group, words, values, claim.metric)
        for column, (group, words, _) in enumerate(self._columns[1:], start=1):
            yield Choice(group, words, _reader(self._loo, column), claim.metric)
        for words, values in self._temperatures():
            yield Choice("temperature", words, values, claim.metric)

    def _without_items(self) -> list[tuple[str, str, np.ndarray]]:
        """What is left out, in words, and which items stay."""
        items = [self._analysis.study.instrument.items[i] for i in self.together.common.items]
        foundations = np.array([item.foundation for item in items])
        found = [("", "", np.full(len(items), True))]
        for name in dict.fromkeys(foundations):
            if len(set(foundations)) > 1:
                found.append(("foundation left out", f"without {name}", foundations != name))
        for place, item in enumerate(items):
            found.append(("item left out", f"without item {item.number}", np.arange(len(items)) != place))
        return found

    def _left_out(self, counts: dict[Run, np.ndarray], scope: np.ndarray, *, exact: bool | None = None) -> dict[Run, LeaveOneOut]:
        exact = self._analysis.study.by_logprobs if exact is None else exact
        found = {}
        for run, own in counts.items():
            base = self._analysis.base(run)
            other = counts[base] if base in counts and base != run else None
            found[run] = leave_one_out(own, self._analysis.categories, scope, base=other, exact=exact)
        return found

    def _personas(self) -> Iterator[tuple[str, str, Values]]:
        everywhere = self._scope[:, :1]
        for group, words, who in subsets(self._labels()):
            yield group, words, _reader(self._left_out({r: c[who] for r, c in self._counts.items()}, everywhere), 0)

    def _labels(self) -> list[tuple[str, str]]:
        """For each persona the attribute by which halves are balanced, and what it says; empty without attributes."""
        deck = self._analysis.study.personas
        number = len(self.together.common.personas)
        if not deck or not deck[0].attributes:
            return [("", "")] * number
        own = [deck[i].attributes for i in self.together.common.personas]
        names = [name for name in own[0] if len({a.get(name) for a in own}) > 1] if own else []
        if not names:
            return [("", "")] * number
        name = "outlook" if "outlook" in names else min(names, key=lambda n: len({a.get(n) for a in own}))
        return [(name, a.get(name, "")) for a in own]

    def _repetitions(self, claim: Claim) -> Iterator[Choice]:
        metric = _RAREFIED.get(claim.metric)
        if metric is None or self._analysis.study.by_logprobs:
            return
        most = rarefaction.smallest_common(list(self._counts.values())) if len(self.together.common.personas) else 0
        for n in dict.fromkeys([*(n for n in REPETITIONS if n < most), most]):
            if n < 2:
                continue
            if n not in self._rarefied:
                about = self._analysis.categories, self._scope[:, :1], n
                self._rarefied[n] = {run: rarefaction.rarefied(own, *about) for run, own in self._counts.items()}
            yield Choice("repetitions", f"published estimator at n = {n}", _from_rarefied(self._rarefied[n]), metric)

    def _temperatures(self) -> Iterator[tuple[str, Values]]:
        study, common = self._analysis.study, self.together.common
        if not study.by_logprobs:
            return
        for at in TEMPERATURES:
            counts = {}
            for run in self.runs:
                offered = collecting.offered(study, self._analysis.store, run, "persona")
                counts[run] = logprobs.probabilities(offered, at)[common.personas][:, common.items]
            yield f"T = {at:g}", _reader(self._left_out(counts, self._scope[:, :1], exact=True), 0)


def subsets(labels: list[tuple[str, str]]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Halves of the personas, balanced over the groups that `labels` (attribute, value) tell apart, and each group left out.

    Yields the group of choices, the choice in words, and which personas stay (persona,).
    """
    rng = np.random.default_rng(_SEED)
    values = np.array([value for _, value in labels])
    name = labels[0][0] if labels else ""
    said = f", balanced over {name}" if name else ""
    for cut in range(1, 1 + (CUTS if len(labels) >= FEWEST_HALVED else 0)):
        order = rng.permutation(len(labels))
        # Sorted by group, in random order inside each: every other one is a half of every group.
        order = order[np.argsort(values[order], kind="stable")]
        half = np.zeros(len(labels), bool)
        half[order[::2]] = True
        yield "half of the personas", f"cut {cut}, one half{said}", half
        yield "half of the personas", f"cut {cut}, other half{said}", ~half
    for value in dict.fromkeys(values) if name else ():
        without = values != value
        if _FEWEST <= (~without).sum() <= _LARGEST * len(labels):
            yield "group of personas left out", f"without {name} {value}", without


def _from_rarefied(found: dict[Run, rarefaction.Rarefied]) -> Values:
    """Values of the published estimators at fewer repetitions."""
    return lambda run, metric: getattr(found[run], metric)[:, 0]


def _reader(found: dict[Run, LeaveOneOut], column: int) -> Values:
    """Values of one column; NaN without a persona where too few of them vary for a metric of the noise."""

    def values(run: Run, metric: str) -> np.ndarray:
        own = found[run]
        name = "icc" if metric == "noise_share" else metric
        read = own.values[METRICS.index(name), :, column]
        if metric == "noise_share":
            read = 1 - read
        if name in NOISE and own.varying[column] < FEWEST_VARYING:
            read = np.concatenate([read[:1], np.full(len(read) - 1, np.nan)])
        return read

    return values
