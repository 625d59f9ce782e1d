"""Where intervals for other personas may hold too seldom, with alike, outlying, weak or few personas, and what the page says."""

from collections.abc import Callable
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
        for icc, s in ((".02", 0.117), (".05", 0.187))
    ),
    *(Truth(f"P = {size}", size) for size in (10, 20, 30, 50)),
)


class Held(NamedTuple):
    """Coverage of interval A in percent, by quantity, and the sentences that the page adds, each with the share of runs."""

    truth: Truth
    coverage: np.ndarray
    said: dict[str, float]

    def cell(self, place: int) -> str:
        """A cell of the table: the coverage, and `warned` or FAILS where it is not that of a 95 % interval."""
        found = float(self.coverage[place])
        if HOLDS[0] <= found <= HOLDS[1]:
            return f"{found:.0f}"
        return f"{found:.0f} warned" if self.warning else f"{found:.0f} FAILS"

    @property
    def warning(self) -> str:
        """The sentences that nearly every run carries."""
        return ", ".join(name for name, share in self.said.items() if share >= WARNED)


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


def held(truth: Truth, runs: int, seed: int) -> Held:
    """Draw studies from a population, and count how often interval A holds its true values and which sentences it comes with."""
    rng = np.random.default_rng([seed, 0])
    many, _ = probabilities(truth._replace(clusters=(1,), rho=0), rng, _MANY)
    known = dict(
        zip(
            ("susceptibility", "susceptibility_pooled", "within_rms", "icc"),
            true_values(many, SCALE, _SCOPE, 2)[:4, 0],
            strict=True,
        )
    )
    true = np.array([known[metric] for metric in QUANTITIES])
    inside, said = np.zeros(len(QUANTITIES)), dict.fromkeys(_SENTENCES, 0.0)
    for number in range(runs):
        rng = np.random.default_rng([seed, 1, number])
        chances, cluster = probabilities(truth, rng, truth.personas)
        counts = rng.multinomial(truth.repetitions, chances)
        run = leave_one_out(counts, SCALE, _SCOPE, clusters=cluster if truth.named else None)
        found = persona_jackknife.level(run)
        inside += (found.lo[_ROWS, 0] <= true) & (true <= found.hi[_ROWS, 0])
        for name, warns in _SENTENCES.items():
            said[name] += warns(counts, run, found) / runs
    return Held(truth, 100 * inside / runs, said)


def _carried(counts: np.ndarray, run: LeaveOneOut, found: persona_jackknife.Interval) -> bool:
    return any(persona_jackknife.remark(found.of(metric).at(0), metric, "overall") for metric in QUANTITIES)


#: What the page says beside an interval, and when.
_SENTENCES: dict[str, Callable[[np.ndarray, LeaveOneOut, persona_jackknife.Interval], bool]] = {
    "few personas": lambda counts, run, found: len(run.units) < persona_jackknife.FEW,
    "near-duplicates": lambda counts, run, found: bool(near_duplicates.alike_profiles(counts, SCALE)),
    "one persona carries": _carried,
    "personas cannot be told apart": lambda counts, run, found: not presence.presence(run).variance.lo > 0,
    "S too large": lambda counts, run, found: bool(recommended_estimators.faint(run)[0]),
}


def table(found: list[Held]) -> list[str]:
    """The table of truth by quantity as lines: coverage, and what warns."""
    lines = [
        f"    {'truth':<52}" + "".join(f"{metric[:18]:>20}" for metric in QUANTITIES) + "   the page says, in percent of the runs"
    ]
    for one in found:
        said = ", ".join(f"{name} {100 * share:.0f}" for name, share in one.said.items() if share > 0)
        lines.append(f"    {one.truth.name:<52}" + "".join(f"{one.cell(at):>20}" for at in range(len(QUANTITIES))) + f"   {said}")
    return lines


def hard(runs: int) -> list[Held]:
    """Every population of `TRUTHS`."""
    return [held(truth, runs, seed) for seed, truth in enumerate(TRUTHS)]
