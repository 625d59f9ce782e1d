"""How long the recommended statistics take from counts, and how time and memory grow.

Twelve runs in four families, overall and five foundations: interval A, interval B and the published standard errors. Without
--data the counts are drawn from the simulated respondents.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from coverage import counts_of_files

from persona_collapse import jackknife, metrics, repeat
from persona_collapse.instrument import Instrument, load_instrument
from persona_collapse.personas import load_personas
from persona_collapse.recommended import LeaveOneOut, leave_one_out
from persona_collapse.simulation import cell_probabilities, known_figures, load_respondent
from persona_collapse.uncertainty import published_se

Counts = dict[tuple[str, str], np.ndarray]


def drawn(instrument: Instrument) -> Counts:
    """Counts of ten ratings a cell by the simulated respondents."""
    deck, rng = load_personas("everyday"), np.random.default_rng(1)
    return {
        tuple(key.split("/")): rng.multinomial(10, cell_probabilities(load_respondent(key, instrument), instrument, deck))
        for key in known_figures()
    }


def interval_a(counts: Counts, scope: np.ndarray, scale: range) -> dict[tuple[str, str], LeaveOneOut]:
    """Every level, change, excess, split and mean over families, with interval A; returns what interval B needs."""
    runs = {
        (family, variant): leave_one_out(c, scale, scope, base=None if variant == "base" else counts[family, "base"])
        for (family, variant), c in counts.items()
    }
    families = list(dict.fromkeys(family for family, _ in counts))
    for run in runs.values():
        jackknife.level(run)
    triples = [tuple(runs[family, variant] for variant in ("insecure", "secure", "base")) for family in families]
    for harmful, control, base in triples:
        jackknife.change(harmful, base)
        jackknife.change(control, base)
        jackknife.excess(harmful, control, base)
        jackknife.split(harmful, control)
    jackknife.mean_change([(harmful, base) for harmful, _, base in triples])
    jackknife.mean_change([(control, base) for _, control, base in triples])
    jackknife.mean_excess(triples)
    return runs


def interval_b(counts: Counts, runs: dict[tuple[str, str], LeaveOneOut], scope: np.ndarray, scale: range) -> None:
    """The same levels and contrasts with interval B."""
    found = {
        key: repeat.redrawn(run, counts[key], scale, scope, base=None if key[1] == "base" else counts[key[0], "base"])
        for key, run in runs.items()
    }
    families = list(dict.fromkeys(family for family, _ in counts))
    for run in found.values():
        repeat.level(run)
    triples = [tuple(found[family, variant] for variant in ("insecure", "secure", "base")) for family in families]
    for harmful, control, base in triples:
        repeat.change(harmful, base)
        repeat.change(control, base)
        repeat.excess(harmful, control, base)
    repeat.mean_change([(harmful, base) for harmful, _, base in triples])
    repeat.mean_excess(triples)


def published(counts: Counts, scope: np.ndarray, scale: range) -> None:
    """The published estimators and their standard errors."""
    for one in counts.values():
        metrics.published(one, scale, scope)
        published_se(one, scale, scope)


def seconds(what: Callable[[], Any], times: int) -> tuple[float, float]:
    """First and median time of a call."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        what()
        took.append(time.perf_counter() - began)
    return took[0], statistics.median(took)


def growth(instrument: Instrument, scope: np.ndarray) -> None:
    """Time and memory for 100 and 1,000 personas and 10 and 100 runs of two ratings a cell."""
    rng = np.random.default_rng(2)
    for personas, runs in ((100, 10), (100, 100), (1000, 10), (1000, 100)):
        probabilities = rng.dirichlet(np.full(6, 0.3), size=(personas, len(instrument.items)))
        began, ratings = 0.0, 0
        for _ in range(runs):
            counts = rng.multinomial(2, probabilities)
            start = time.perf_counter()
            run = leave_one_out(counts, range(6), scope)
            jackknife.level(run)
            repeat.level(repeat.redrawn(run, counts, range(6), scope))
            began, ratings = began + time.perf_counter() - start, ratings + int(counts.sum())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"  {personas:5} personas x 30 items x {runs:3} runs, {ratings:>9,} ratings: {began:7.3f} s, at most {memory:.0f} MB"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the published ratings")
    options = parser.parse_args()
    instrument = load_instrument("mfq30")
    scope, scale = metrics.scope_matrix(instrument), instrument.categories
    counts = counts_of_files(options.data) if options.data else drawn(instrument)
    runs = interval_a(counts, scope, scale)
    print(f"{len(counts)} runs from counts, 15 metrics, six scopes; levels, changes, excess, splits, means over families")
    parts = {
        "interval A": lambda: interval_a(counts, scope, scale),
        "interval B": lambda: interval_b(counts, runs, scope, scale),
        "published values and standard errors": lambda: published(counts, scope, scale),
    }
    total = 0.0
    for name, part in parts.items():
        first, typical = seconds(part, 15)
        total += typical
        print(f"  {name:<38} {1000 * typical:7.1f} ms (first time {1000 * first:.1f})")
    print(f"  {'all of it':<38} {1000 * total:7.1f} ms")
    growth(instrument, scope)


if __name__ == "__main__":
    main()
