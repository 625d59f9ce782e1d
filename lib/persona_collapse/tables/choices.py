"""Every defensible way to look at a study's ratings: which personas, items, repetitions, estimator; each changes one thing."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import rarefaction, wider_intervals
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.persona_jackknife import ANCHORED, FEWEST_VARYING, near_zero
from persona_collapse.statistics.recommended_estimators import METRICS as PLACES
from persona_collapse.statistics.recommended_estimators import Means, varying
from persona_collapse.study import first_token
from persona_collapse.study.study import Run
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.headlines import OTHER_CONSTRUCT, SAME_CONSTRUCT, Headline, Values
from persona_collapse.tables.run_statistics import Analysis, Together
from persona_collapse.vocabulary import CLAIMED, METRICS

#: Fewest personas of a group of the deck that is left out, and most of them.
_FEWEST, _LARGEST = 5, 0.5
#: Repetitions to which the paper's estimators are brought down.
REPETITIONS = (2, 3, 5)
#: Share by which mean ratings a cell may differ between runs whose published estimators are compared.
UNLIKE = 0.05
#: Temperatures at which a study by logprobs is looked at beside its own.
TEMPERATURES = (0.3, 0.7, 1.0)
#: Groups of choices: another estimator of the same construct, another construct, one item left out after the other.
ESTIMATOR, CONSTRUCT, REPEATED, ITEM = "estimator", "other construct", "repetitions", "item left out"
#: Published estimators of what is claimed, which rarefaction knows.
_RAREFIED = {metric: METRICS[metric].twin for metric in CLAIMED}
#: What becomes of the parts of runs before they are looked at.
Turned = Callable[[dict[Run, Parts]], dict[Run, Parts]]


class Choice(NamedTuple):
    """Ways to look that are worked out together: values of a metric of a run, and the metric in place of the headline's own."""

    ways: list[tuple[str, str]]  #: the group and the words of each
    values: Values
    metric: str


class Views:
    """The runs of headlines on the personas and items that all of them have, and in which ways they can be looked at."""

    def __init__(self, analysis: Analysis, runs: list[Run]) -> None:
        self._analysis, self.runs = analysis, runs
        self.together: Together = analysis.together(*runs)
        self.scope = self.together.common.scope
        sides = zip(runs, self.together.sides, strict=True)
        self.parts = {run: side.loo.means.parts for run, side in sides if side.loo.means}
        #: Runs whose S is too near zero for an interval of a logarithm.
        self.near_zero = {run for run, loo in zip(runs, self.together.loo, strict=True) if near_zero(loo)[0]}
        #: Without each group of items, without each item.
        self.ways, self.kept = self._without_items()
        self.subsets = list(subsets(self._labels()))
        self.as_asked = Look(self)

    def base(self, run: Run) -> Run:
        """The base of a run's family."""
        return self._analysis.base(run)

    def unlike(self, sides: Iterable[Contrast]) -> str:
        """Why published estimators of these contrasts cannot be compared, in words; nothing where they can."""
        return unlike_repetitions([self.parts[run] for run in contrast.runs] for contrast in sides)

    @cached_property
    def contributions(self) -> dict[Run, np.ndarray]:
        """What each item contributes to the logarithm of every metric of a run (metric, item), over all items."""
        sides = zip(self.runs, self.together.loo, strict=True)
        return {run: wider_intervals.contributions(loo)[..., 0] for run, loo in sides}

    @cached_property
    def fewer(self) -> list[int]:
        """Repetitions to which all runs can be brought down, and those that they have in common; none by logprobs."""
        if self._analysis.study.by_logprobs:
            return []
        counts = [own.counts for own in self.parts.values()]
        most = rarefaction.smallest_common(counts) if counts else 0
        return [n for n in dict.fromkeys([*(n for n in REPETITIONS if n < most), most]) if n > 1]

    @cached_property
    def temperatures(self) -> dict[float, dict[Run, Parts]]:
        """Parts of the runs at other sampling temperatures, of a study by logprobs."""
        return {at: self._at(at) for at in TEMPERATURES} if self._analysis.study.by_logprobs else {}

    def _at(self, temperature: float) -> dict[Run, Parts]:
        common, found = self.together.common, {}
        for run in self.runs:
            offered = self._analysis.ratings.of(run).offered
            assert offered is not None  # of a study asked by logprobs
            chances = first_token.probabilities(offered, temperature)[common.personas][:, common.items]
            own = cells(chances, self._analysis.categories, exact=True)
            found[run] = Parts(chances, own, self._analysis.categories, clusters=self.parts[run].clusters)
        return found

    def _without_items(self) -> tuple[list[tuple[str, str]], np.ndarray]:
        """What is left out, in words, and which items stay, as weights (item, way)."""
        items = [self._analysis.study.instrument.items[i] for i in self.together.common.items]
        foundations = np.array([item.foundation for item in items])
        several = list(dict.fromkeys(foundations)) if len(set(foundations)) > 1 else []
        ways = [(f"{self._analysis.study.instrument.group} left out", f"without {name}") for name in several]
        ways += [(ITEM, f"without item {item.number}") for item in items]
        kept = [foundations != name for name in several] + list(~np.eye(len(items), dtype=bool))
        chosen = np.array(kept, dtype=float).reshape(len(ways), len(items)).T
        return ways, chosen / np.maximum(chosen.sum(axis=0), 1)

    def _labels(self) -> list[tuple[str, str]]:
        """For each persona the attribute by which the deck is grouped, and what it says; empty without attributes."""
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


class Look:
    """Runs, as they were asked or with labels exchanged, looked at in every way.

    Parameters
    ----------
    views : Views
        The runs.
    turned : function, optional
        What becomes of their parts before they are looked at; nothing by default.
    """

    def __init__(self, views: Views, turned: Turned | None = None) -> None:
        self._views, self._turned, self._as_asked = views, turned or (lambda parts: parts), turned is None
        self._parts = self._turned(views.parts)
        self.recommended: Values = self._reader(self._means(self._parts, views.scope[:, :1]))
        self._readers: dict[tuple[str, str], Values] = {}
        self._rarefied: dict[int, Values] = {}

    def choices(self, headline: Headline) -> Iterator[Choice]:
        """Every way to look that changes one thing against the recommended one, for the same construct."""
        for words, metric in SAME_CONSTRUCT[headline.metric]:
            yield Choice([(ESTIMATOR, words)], self.recommended, metric)
        yield from self._repetitions(headline)
        everywhere = self._views.scope[:, :1]
        for group, words, who in self._views.subsets:
            kept = {run: own.of(who) for run, own in self._parts.items()}
            values = self._once(group, words, kept, everywhere)
            yield Choice([(group, words)], values, headline.metric)
        if self._views.ways:
            values = self._once("items", "", self._parts, self._views.kept)
            yield Choice(self._views.ways, values, headline.metric)
        for at, parts in self._views.temperatures.items():
            values = self._once("temperature", str(at), self._turned(parts), everywhere)
            yield Choice([("temperature", f"T = {at:g}")], values, headline.metric)

    def other_constructs(self, headline: Headline) -> Iterator[Choice]:
        """Other constructs in its place, which are other questions."""
        for words, metric in OTHER_CONSTRUCT[headline.metric]:
            yield Choice([(CONSTRUCT, words)], self.recommended, metric)

    def _once(self, group: str, words: str, parts: dict[Run, Parts], scope: np.ndarray) -> Values:
        """What a way to look finds, which several headlines ask for."""
        if (group, words) not in self._readers:
            self._readers[group, words] = self._reader(self._means(parts, scope))
        return self._readers[group, words]

    def _repetitions(self, headline: Headline) -> Iterator[Choice]:
        metric = _RAREFIED.get(headline.metric) or ""
        for n in self._views.fewer if metric else ():
            if n not in self._rarefied:
                found = {run: rarefaction.rarefied(own, self._views.scope[:, :1], n) for run, own in self._parts.items()}
                self._rarefied[n] = _plain_reader(found)
            yield Choice([(REPEATED, f"the paper's formula at n = {n}")], self._rarefied[n], metric)

    def _means(self, parts: dict[Run, Parts], scope: np.ndarray) -> dict[Run, Means]:
        if not self._as_asked:  # fidelity is no choice of the same construct
            return {run: Means(own, scope) for run, own in parts.items()}
        bases = {run: parts.get(base) if (base := self._views.base(run)) != run else None for run in parts}
        return {run: Means(own, scope, bases[run]) for run, own in parts.items()}

    def _reader(self, found: dict[Run, Means]) -> Values:
        """Values of every run; NaN without a persona where too few vary for a metric of the noise, or S is near zero."""

        @cache
        def values(run: Run, metric: str) -> np.ndarray:
            name = "icc" if metric == "noise_share" else metric
            read = found[run].metric(name)
            if metric == "noise_share":
                read = 1 - read
            read = read.copy()
            if METRICS[name].noise and self._as_asked:
                read[1:, varying(found[run].parts, found[run].scope) < FEWEST_VARYING] = np.nan
            if ANCHORED[PLACES.index(name)] and self._as_asked and run in self._views.near_zero:
                read[1:] = np.nan
            return read

        return values


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
    """Each group of the personas left out, by what `labels` (attribute, value) tell apart, where enough remain.

    Yields the group of choices, the choice in words, and which personas stay (persona,).
    """
    values = np.array([value for _, value in labels])
    name = labels[0][0] if labels else ""
    for value in dict.fromkeys(values) if name else ():
        without = values != value
        if _FEWEST <= (~without).sum() <= _LARGEST * len(labels):
            yield "group of personas left out", f"without {name} {value}", without


def _plain_reader(found: dict[Run, rarefaction.Rarefied]) -> Values:
    """Values of every run by the published estimators."""
    return lambda run, metric: getattr(found[run], metric)
