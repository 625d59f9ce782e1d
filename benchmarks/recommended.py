"""How long the recommended statistics take from counts, and how time and memory grow.

Twelve runs in four families, overall and five foundations: interval A, interval B, the published standard errors, and what every
conclusion hangs on. Without --data the counts are drawn from the simulated respondents.
"""

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from interval_coverage import counts_of_files
from persona_collapse.simulated.response_model import cell_probabilities
from persona_collapse.statistics import persona_jackknife, published_estimators, repeat_interval
from persona_collapse.statistics.published_errors import published_se
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.personas import load_personas
from persona_collapse.study.respondent_parameters import known_figures, load_respondent
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.study.study import Run, Study
from persona_collapse.tables import validity
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.headline_rows import headlines_table
from persona_collapse.tables.multiverse import Multiverse
from persona_collapse.tables.published_contrasts import ContrastRow
from persona_collapse.tables.run_statistics import Analysis, Side

#: Numbers of personas and of runs between which time and memory grow.
SIZES = ((100, 10), (100, 100), (1000, 10), (1000, 100))
ROLES = ("harmful", "control", "base")
Counts = dict[tuple[str, str], np.ndarray]


def drawn(instrument: Instrument) -> Counts:
    """Counts of ten ratings a cell by the simulated respondents."""
    deck, rng = load_personas("everyday"), np.random.default_rng(1)
    return {
        (key.split("/")[0], key.split("/")[1]): rng.multinomial(
            10, cell_probabilities(load_respondent(key, instrument), instrument, deck)
        )
        for key in known_figures()
    }


class Given(Analysis):
    """An analysis of counts at hand."""

    def __init__(self, study: Study, counts: Counts) -> None:
        super().__init__(Ratings(study, {}))
        self._given = counts

    def counts(self, run: Run) -> np.ndarray:
        """Of a run."""
        return self._given[run.family.key, run.variant.key]

    def sides(self) -> list[tuple[Side, ...]]:
        """Harmful variant, control and base of every family."""
        families = self.study.file.families
        runs = [
            [Run(family, variant) for role in ROLES for variant in family.variants if variant.role == role] for family in families
        ]
        return [self.together(*of_family).sides for of_family in runs]


class Alike(Guard):
    """In place of `comparability.Guard`: runs that differ in nothing but fine-tuning."""

    def __init__(self) -> None:
        """Of no study."""

    def refusal(self, *_: Run) -> str:
        """Nothing."""
        return ""


def of_runs(counts: Counts) -> Study:
    """The published study with these runs alone."""
    study = load_study("published", files=False)
    families = [
        family.model_copy(update={"variants": [v for v in family.variants if (family.key, v.key) in counts]})
        for family in study.file.families
    ]
    kept = [family for family in families if family.variants]
    return replace(study, file=study.file.model_copy(update={"families": kept}))


def interval_a(analysis: Given) -> None:
    """Every level, change, excess, split and mean over families, with interval A."""
    triples = [tuple(side.loo for side in sides) for sides in analysis.sides()]
    for harmful, control, base in triples:
        for run in (harmful, control, base):
            persona_jackknife.level(run)
        persona_jackknife.change(harmful, base)
        persona_jackknife.change(control, base)
        persona_jackknife.excess(harmful, control, base)
        persona_jackknife.split(harmful, control)
    persona_jackknife.mean_change([(harmful, base) for harmful, _, base in triples])
    persona_jackknife.mean_change([(control, base) for _, control, base in triples])
    persona_jackknife.mean_excess(triples)


def interval_b(analysis: Given) -> None:
    """The same levels and contrasts with interval B."""
    triples = [tuple(side.redrawn for side in sides) for sides in analysis.sides()]
    for harmful, control, base in triples:
        for run in (harmful, control, base):
            repeat_interval.level(run)
        repeat_interval.change(harmful, base)
        repeat_interval.change(control, base)
        repeat_interval.excess(harmful, control, base)
    repeat_interval.mean_change([(harmful, base) for harmful, _, base in triples])
    repeat_interval.mean_excess(triples)


def published(analysis: Given) -> None:
    """The published estimators and their standard errors."""
    for run in analysis.study.runs:
        about = analysis.counts(run), analysis.categories, analysis.scope
        published_estimators.published(*about)
        published_se(*about)


def conclusions(analysis: Given) -> None:
    """Every headline under every choice, with the joint tests, and changes in single foundations."""
    found = Multiverse(analysis, Alike())
    headlines_table(found, validity.validity_table(found, pd.DataFrame(columns=list(ContrastRow._fields))))
    validity.foundation_claims(analysis, Alike())


PARTS = {
    "interval A": interval_a,
    "interval B": interval_b,
    "published values and standard errors": published,
    "headlines under every choice, joint tests": conclusions,
}


def everything(study: Study, counts: Counts) -> list[float]:
    """Seconds that each of `PARTS` takes, one after the other from counts."""
    analysis, took = Given(study, counts), []
    for part in PARTS.values():
        began = time.perf_counter()
        part(analysis)
        took.append(time.perf_counter() - began)
    return took


def growth(instrument: Instrument, scope: np.ndarray, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Time and memory for these numbers of personas and runs of two ratings a cell."""
    rng = np.random.default_rng(2)
    for personas, runs in sizes:
        probabilities = rng.dirichlet(np.full(6, 0.3), size=(personas, len(instrument.items)))
        began, ratings = 0.0, 0
        for _ in range(runs):
            counts = rng.multinomial(2, probabilities)
            start = time.perf_counter()
            run = leave_one_out(counts, range(6), scope)
            persona_jackknife.level(run)
            repeat_interval.level(repeat_interval.redrawn(run))
            began, ratings = began + time.perf_counter() - start, ratings + int(counts.sum())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"  {personas:5} personas x 30 items x {runs:3} runs, {ratings:>9,} ratings: {began:7.3f} s, at most {memory:.0f} MB"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the published ratings")
    parser.add_argument("--small", action="store_true", help="one round and one size, to see that it runs")
    options = parser.parse_args()
    instrument = load_instrument("mfq30")
    scope = scope_matrix(instrument)
    counts = counts_of_files(options.data) if options.data else drawn(instrument)
    study = of_runs(counts)
    rounds = np.array([everything(study, counts) for _ in range(1 if options.small else 15)]) * 1000
    print(f"{len(counts)} runs from counts, 15 metrics, six scopes; levels, changes, excess, splits, means over families")
    for name, typical, first in zip(PARTS, np.median(rounds, axis=0), rounds[0], strict=True):
        print(f"  {name:<38} {typical:7.1f} ms (first time {first:.1f})")
    total = rounds.sum(axis=1)
    print(f"  {'all of it':<38} {np.median(total):7.1f} ms (first time {total[0]:.1f})")
    growth(instrument, scope, SIZES[:1] if options.small else SIZES)


if __name__ == "__main__":
    main()
