"""Every defensible way to look at a study's ratings: which personas, items, repetitions, base, estimator."""

from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import rarefaction, wider_intervals
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.persona_jackknife import FEWEST_VARYING
from persona_collapse.statistics.recommended_estimators import Means, varying
from persona_collapse.study import first_token
from persona_collapse.study.study import Run
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.headlines import INSTEAD, Claim, Values
from persona_collapse.tables.run_statistics import Analysis, Together
from persona_collapse.vocabulary import CLAIMED, METRICS

#: Times that the personas are cut into halves, and the seed of the cuts.
CUTS, _SEED = 3, 12850
#: Fewest personas that are cut into halves.
FEWEST_HALVED = 8
#: Fewest personas of a group of the deck that is left out, and most of them.
_FEWEST, _LARGEST = 5, 0.5
#: Repetitions to which the published estimators are brought down.
REPETITIONS = (2, 3, 5)
#: Share by which mean ratings a cell may differ between runs whose published estimators are compared.
UNLIKE = 0.05
#: Temperatures at which a study by logprobs is looked at beside its own.
TEMPERATURES = (0.3, 0.7, 1.0)
#: Published estimators of what is claimed, which rarefaction knows.
_RAREFIED = {metric: METRICS[metric].twin for metric in CLAIMED}


class Choice(NamedTuple):
    """Ways to look that can be worked out together: values of a metric of a run, and which metric stands for the claim's own."""

    ways: list[tuple[str, str]]  #: the group and the words of each
    values: Values
    metric: str


class Views:
    """The runs of a claim on the personas and items that all of them have, looked at in every way."""

    def __init__(self, analysis: Analysis, runs: list[Run]) -> None:
        self._analysis, self.runs = analysis, runs
        self.together: Together = analysis.together(*runs)
        self._scope = self.together.common.scope
        sides = zip(runs, self.together.sides, strict=True)
        self._parts = {run: side.loo.means.parts for run, side in sides if side.loo.means}
        #: Without each foundation, without each item.
        self._ways, kept = self._without_items()
        self.recommended: Values = _reader(self._means(self._parts, self._scope[:, :1]))
        self._left_out = _reader(self._means(self._parts, kept / np.maximum(kept.sum(axis=0), 1)))
        self._subsets = list(self._personas())
        self._rarefied: dict[int, Choice] = {}

    def choices(self, claim: Claim) -> Iterator[Choice]:
        """Every way to look that changes one thing against the recommended one."""
        for words, metric in INSTEAD[claim.metric]:
            yield Choice([("estimator or measure", words)], self.recommended, metric)
        yield from self._repetitions(claim)
        for group, words, values in self._subsets:
            yield Choice([(group, words)], values, claim.metric)
        if self._ways:
            yield Choice(self._ways, self._left_out, claim.metric)
        for words, values in self._temperatures():
            yield Choice([("temperature", words)], values, claim.metric)

    def unlike(self, sides: Iterable[Contrast]) -> str:
        """Why published estimators of these contrasts cannot be compared, in words; nothing where they can."""
        return unlike_repetitions([self._parts[run] for run in contrast.runs] for contrast in sides)

    @cached_property
    def contributions(self) -> dict[Run, np.ndarray]:
        """What each item contributes to the logarithm of every metric of a run (metric, item), over all items."""
        sides = zip(self.runs, self.together.loo, strict=True)
        return {run: wider_intervals.contributions(loo)[..., 0] for run, loo in sides}

    def _without_items(self) -> tuple[list[tuple[str, str]], np.ndarray]:
        """What is left out, in words, and which items stay (item, way)."""
        items = [self._analysis.study.instrument.items[i] for i in self.together.common.items]
        foundations = np.array([item.foundation for item in items])
        several = list(dict.fromkeys(foundations)) if len(set(foundations)) > 1 else []
        ways = [(f"{self._analysis.study.instrument.group} left out", f"without {name}") for name in several]
        ways += [("item left out", f"without item {item.number}") for item in items]
        kept = [foundations != name for name in several] + list(~np.eye(len(items), dtype=bool))
        return ways, np.array(kept, dtype=float).reshape(len(ways), len(items)).T

    def _means(self, parts: dict[Run, Parts], scope: np.ndarray) -> dict[Run, Means]:
        bases = {run: parts.get(base) if (base := self._analysis.base(run)) != run else None for run in parts}
        return {run: Means(own, scope, bases[run]) for run, own in parts.items()}

    def _personas(self) -> Iterator[tuple[str, str, Values]]:
        everywhere = self._scope[:, :1]
        for group, words, who in subsets(self._labels()):
            yield group, words, _reader(self._means({run: own.of(who) for run, own in self._parts.items()}, everywhere))

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
        for n in self._fewer:
            if n not in self._rarefied:
                found = {run: rarefaction.rarefied(own, self._scope[:, :1], n) for run, own in self._parts.items()}
                ways = [("repetitions", f"published estimator at n = {n}")]
                self._rarefied[n] = Choice(ways, _plain_reader(found), metric)
            yield self._rarefied[n]._replace(metric=metric)

    @cached_property
    def _fewer(self) -> list[int]:
        """Repetitions to which all runs can be brought down, and those that they have in common."""
        counts = [own.counts for own in self._parts.values()]
        most = rarefaction.smallest_common(counts) if counts else 0
        return [n for n in dict.fromkeys([*(n for n in REPETITIONS if n < most), most]) if n > 1]

    def _temperatures(self) -> Iterator[tuple[str, Values]]:
        study, common = self._analysis.study, self.together.common
        if not study.by_logprobs:
            return
        for at in TEMPERATURES:
            parts = {}
            for run in self.runs:
                offered = self._analysis.ratings.of(run).offered
                assert offered is not None  # of a study asked by logprobs
                chances = first_token.probabilities(offered, at)[common.personas][:, common.items]
                own = cells(chances, self._analysis.categories, exact=True)
                parts[run] = Parts(chances, own, self._analysis.categories)
            yield f"T = {at:g}", _reader(self._means(parts, self._scope[:, :1]))


def unlike_repetitions(sides: Iterable[Iterable[Parts]]) -> str:
    """Why published estimators of runs that are set side by side cannot be compared, in words; nothing where they can.

    Both hang on the number of ratings a cell. With one, S holds all of the rating noise, and within_sd none.
    """
    found = []
    for runs in sides:
        n = [float(own.own.n.mean()) for own in runs]
        if min(n) == 1:
            return "one rating a cell"
        if np.isfinite(n).all() and max(n) > (1 + UNLIKE) * min(n):
            found.append(f"n = {min(n):.3g} against {max(n):.3g}")
    return found[0] if found else ""


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


def _plain_reader(found: dict[Run, rarefaction.Rarefied]) -> Values:
    """Values of every run by the published estimators."""
    return lambda run, metric: getattr(found[run], metric)


def _reader(found: dict[Run, Means]) -> Values:
    """Values of every run; NaN without a persona where too few of them vary for a metric of the noise."""

    @cache
    def values(run: Run, metric: str) -> np.ndarray:
        name = "icc" if metric == "noise_share" else metric
        read = found[run].metric(name)
        if metric == "noise_share":
            read = 1 - read
        if METRICS[name].noise:
            read = read.copy()
            read[1:, varying(found[run].parts, found[run].scope) < FEWEST_VARYING] = np.nan
        return read

    return values
