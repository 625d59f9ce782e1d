"""Where intervals for other personas may hold too seldom, with alike, outlying, weak or few personas, and what the page says."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from known_populations import true_values
from persona_collapse.statistics import near_duplicates, persona_jackknife, presence, recommended_estimators
from persona_collapse.statistics.recommended_estimators import METRICS, LeaveOneOut, leave_one_out

#: Quantities of the table, in the order of its columns.
QUANTITIES = ("susceptibility", "susceptibility_pooled", "within_rms", "icc")
_ROWS = [METRICS.index(metric) for metric in QUANTITIES]
#: Between which percentages a 95 % interval holds as it says.
HOLDS = (92, 97.5)
#: Share of the runs that must carry a sentence for the page to have warned.
WARNED = 0.9
SCALE = range(6)
_ITEMS, _GROUPS = 30, 5
_SCOPE = np.full((_ITEMS, 1), 1 / _ITEMS)
#: SD of what a persona adds to every item, to those of a group and to a single one, as in the components of published bases.
_PERSONA, _GROUP, _ITEM, _NOISE = 0.4, 0.4, 0.6, 0.5
#: Personas from whom true values are worked out.
_MANY = 40_000


class Truth(NamedTuple):
    """A population, and how a study draws its personas from it."""

    name: str
    personas: int
    clusters: tuple[int, ...] = (1,)  #: sizes of clusters, which take turns
    rho: float = 0.0  #: correlation of what two personas of a cluster add to an item
    named: bool = False  #: whether the deck says who belongs to which cluster
    outlying: float = 0.0  #: probability of a persona that stands `FAR` times as far off
    strength: float = 1.0  #: of what personas add
    repetitions: int = 5


#: How many times as far from the others an outlying persona stands.
FAR = 3.0
TRUTHS = (
    *(Truth(f"P = {size}, clusters of 3, rho .8", size, (3,), 0.8) for size in (30, 60)),
    *(Truth(f"P = {size}, the same with a cluster column", size, (3,), 0.8, named=True) for size in (30, 60, 150)),
    Truth("P = 150, clusters of 1 to 9, rho .8, cluster column", 150, (1, 9, 2, 3, 5), 0.8, named=True),
    *(Truth(f"P = {size}, every persona twice", size, (2,), 1.0) for size in (20, 50)),
    *(Truth(f"P = {size}, one in twenty outlying", size, outlying=0.05) for size in (20, 50, 100)),
    *(
        Truth(f"P = {size}, weak personas (ICC {icc})", size, strength=s)
        for size in (20, 100)
        for icc, s in ((".02", 0.101), (".05", 0.163))
    ),
    *(Truth(f"P = {size}", size) for size in (10, 20, 30, 50)),
)


class Held(NamedTuple):
    """Coverage of interval A in percent, by quantity, and the sentences that the page adds, each with the share of runs."""

    truth: Truth
    coverage: np.ndarray
    said: dict[str, float]
    runs: int

    def cell(self, place: int) -> str:
        """A cell of the table: the coverage, and where it is not that of a 95 % interval whether the page says so.

        `warned` by a sentence beside the numbers of nearly every run, `stated` in the Methods, which take personas as drawn one
        by one, else FAILS. Twice the error of a coverage from so many runs is allowed.
        """
        found = float(self.coverage[place])
        slack = 200 * np.sqrt(max(found / 100 * (1 - found / 100), 0.01) / self.runs)
        if HOLDS[0] - slack <= found <= HOLDS[1] + slack:
            return f"{found:.0f}"
        clustered = self.truth.rho > 0 and not self.truth.named
        return f"{found:.0f} {'warned' if self.warning else 'stated' if clustered else 'FAILS'}"

    @property
    def warning(self) -> str:
        """The sentences that nearly every run carries."""
        return ", ".join(name for name, share in self.said.items() if share >= WARNED)

    @property
    def fails(self) -> bool:
        """Whether a coverage is wrong and nothing says so."""
        return any("FAILS" in self.cell(place) for place in range(len(QUANTITIES)))


def probabilities(truth: Truth, rng: np.random.Generator, personas: int) -> tuple[np.ndarray, np.ndarray]:
    """Of so many personas (persona, item, category), and the cluster of each (persona,)."""
    sizes = np.resize(truth.clusters, personas)
    cluster = np.repeat(np.arange(len(sizes)), sizes)[:personas]
    group = np.arange(_ITEMS) % _GROUPS

    def added(spread: float, width: int) -> np.ndarray:
        shared, own = (rng.normal(0, spread, (size, width)) for size in (cluster[-1] + 1, personas))
        return np.sqrt(truth.rho) * shared[cluster] + np.sqrt(1 - truth.rho) * own

    off = added(_PERSONA, 1) + added(_GROUP, _GROUPS)[:, group] + added(_ITEM, _ITEMS)
    far = rng.random((personas, 1)) < truth.outlying
    mean = np.linspace(1.2, 3.8, _ITEMS) + truth.strength * off * np.where(far, FAR, 1)
    below = ndtr((np.asarray(SCALE)[:-1] + 0.5 - mean[..., None]) / _NOISE)
    return np.diff(below, prepend=0, append=1), cluster


@lru_cache
def _true(outlying: float, strength: float) -> np.ndarray:
    """True values (quantity,) of a population, from many of its personas."""
    many, _ = probabilities(Truth("", 1, outlying=outlying, strength=strength), np.random.default_rng(0), _MANY)
    return true_values(many, SCALE, _SCOPE, 2)[: len(QUANTITIES), 0]


def held(truth: Truth, runs: int, seed: int) -> Held:
    """Draw studies from a population, and count how often interval A holds its true values and which sentences it comes with."""
    true = _true(truth.outlying, truth.strength)
    inside, said = np.zeros(len(QUANTITIES)), dict.fromkeys(_SENTENCES, 0.0)
    for number in range(runs):
        rng = np.random.default_rng([seed, number])
        chances, cluster = probabilities(truth, rng, truth.personas)
        counts = rng.multinomial(truth.repetitions, chances)
        run = leave_one_out(counts, SCALE, _SCOPE, clusters=cluster if truth.named else None)
        found = persona_jackknife.level(run)
        inside += _inside(found, true)
        for name, warns in _SENTENCES.items():
            said[name] += warns(counts, run, found) / runs
    return Held(truth, 100 * inside / runs, said, runs)


def _inside(found: persona_jackknife.Interval, true: np.ndarray) -> np.ndarray:
    return (found.lo[_ROWS, 0] <= true) & (true <= found.hi[_ROWS, 0])


def _carried(counts: np.ndarray, run: LeaveOneOut, found: persona_jackknife.Interval) -> bool:
    return any(persona_jackknife.remark(found.of(metric).at(0), metric, "overall") for metric in QUANTITIES)


#: What the page says beside an interval, and when.
_SENTENCES: dict[str, Callable[[np.ndarray, LeaveOneOut, persona_jackknife.Interval], bool]] = {
    "few personas": lambda counts, run, found: bool(persona_jackknife.few(len(run.units))),
    "near-duplicates": lambda counts, run, found: bool(near_duplicates.alike_profiles(counts, SCALE)),
    "one persona carries": _carried,
    "personas cannot be told apart": lambda counts, run, found: not presence.presence(run).variance.lo > 0,
    "S too large": lambda counts, run, found: bool(recommended_estimators.faint(run)[0]),
}


def table(found: list[Held]) -> list[str]:
    """The table of truth by quantity as lines: coverage, and what warns."""
    heads = "".join(f"{name:>12}" for name in ("S", "pooled S", "noise", "ICC"))
    lines = [f"    {'truth':<54}{heads}   the page says, in percent of the runs"]
    for one in found:
        said = ", ".join(f"{name} {100 * share:.0f}" for name, share in one.said.items() if share >= 0.005)
        cells = "".join(f"{one.cell(place):>12}" for place in range(len(QUANTITIES)))
        lines.append(f"    {one.truth.name:<54}{cells}   {said}")
    return lines


def small_studies(populations: Sequence[np.ndarray], runs: int, sizes: Sequence[int]) -> dict[int, tuple[float, ...]]:
    """What `persona_jackknife.MEASURED` holds: coverage of S and of noise in percent, by personas; then with outlying ones.

    Means over populations (persona, item, category) of which personas are drawn with replacement, 5 ratings a cell; every
    twentieth persona answers the other way round where they are outlying.
    """
    found = {}
    for size in sizes:
        each = [_of_population(one, far, size, runs, number) for far in (False, True) for number, one in enumerate(populations)]
        mean = 100 * np.mean(np.reshape(each, (2, len(populations), len(QUANTITIES))), axis=1)
        found[size] = tuple(float(mean[far, QUANTITIES.index(metric)]) for far in (0, 1) for metric in _MEASURED)
    return found


_MEASURED = ("susceptibility", "within_rms")


def _of_population(chances: np.ndarray, far: bool, size: int, runs: int, seed: int) -> np.ndarray:
    """Share of studies whose interval holds the true value (quantity,)."""
    chances = chances.copy()
    if far:
        chances[::20] = chances[::20, :, ::-1]
    true, rng = true_values(chances, SCALE, _SCOPE, 2)[: len(QUANTITIES), 0], np.random.default_rng([seed, size, far])
    inside = np.zeros(len(QUANTITIES))
    for _ in range(runs):
        counts = rng.multinomial(5, chances[rng.integers(len(chances), size=size)])
        inside += _inside(persona_jackknife.level(leave_one_out(counts, SCALE, _SCOPE)), true)
    return inside / runs


def show(populations: Sequence[np.ndarray], runs: int) -> bool:
    """Print where intervals for other personas may fail, and what the page says of few personas; whether all of it is said."""
    found = [held(truth, runs, seed) for seed, truth in enumerate(TRUTHS)]
    print("  interval A where personas are alike, outlying, weak or few: coverage in percent")
    print("\n".join(table(found)), flush=True)
    measured = small_studies(populations, runs, tuple(persona_jackknife.MEASURED))
    for size, own in measured.items():
        said = ", ".join(f"{value:.0f} ({page})" for value, page in zip(own, persona_jackknife.MEASURED[size], strict=True))
        print(f"    {size} personas: S, noise, then with outlying ones: {said}, in brackets what the page says")
    return not any(one.fails for one in found)
