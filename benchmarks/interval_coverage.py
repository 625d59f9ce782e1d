"""How often the recommended intervals hold what they promise: drawn from runs whose true values are known.

With --data the populations are made from the published ratings, without it they are the simulated respondents. Exits with 1 if
an interval holds too seldom or too often, or if the percentile bootstrap of susceptibility is not the worse one.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import hard_populations
import shared_requests
from known_populations import KNOWN, Coverage, coverage, like
from known_presence import presence_coverage, show_presence
from persona_collapse.simulated.response_model import cell_probabilities
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.personas import load_personas
from persona_collapse.study.respondent_parameters import known_figures, load_respondent
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.study.study import Study

#: Personas and repetitions; no personas stands for the population's own, where only ratings are drawn.
DESIGNS = ((100, 10), (100, 3), (50, 5), (25, 10), (None, 10), (None, 5), (None, 3))
#: With fewer runs than this of each population a share of 95 % is not known well enough to be held to anything.
FEWEST_RUNS = 50
#: Between which percentages interval A must hold at 50 personas and 5 repetitions, mean over populations.
LIMITS = {"within_rms": (92, 97.5), "susceptibility": (90, 97.5), "susceptibility_pooled": (90, 97.5), "icc": (90, 97.5)}


def counts_of_files(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """Counts (persona, item, category) of the published runs by family and variant, alternates left out."""
    return counts_of_study(load_study("published", folder), folder)


def counts_of_study(study: Study, folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """Counts of every run of an imported study that is no alternate, straight from its files."""
    instrument, found = study.instrument, {}
    for run in study.runs:
        if run.variant.role != "alternate":
            table = pd.read_csv(folder / str(run.variant.persona), usecols=["persona_id", "question_id", "rating"])
            persona, question, rating = table[table["rating"] >= 0].to_numpy().T
            shape = (persona.max() + 1, len(instrument.items), len(instrument.categories))
            place = np.ravel_multi_index((persona, question - 1, rating - instrument.scale[0]), shape)
            found[run.family.key, run.variant.key] = np.bincount(place, minlength=np.prod(shape)).reshape(shape)
    return found


def simulated(instrument: Instrument) -> dict[str, np.ndarray]:
    """Populations of simulated respondents."""
    deck = load_personas("everyday")
    return {key: cell_probabilities(load_respondent(key, instrument), instrument, deck) for key in known_figures()}


def populations_of(data: Path | None, instrument: Instrument) -> dict[str, np.ndarray]:
    """Populations like the published ratings in a folder, or without one those of the simulated respondents."""
    if data is None:
        return simulated(instrument)
    return {"/".join(key): like(counts) for key, counts in counts_of_files(data).items()}


def line(name: str, shares: np.ndarray, width: float) -> str:
    """Mean over populations of a coverage in percent, its worst and best, and the mean width of the interval."""
    low, high = 100 * shares.min(), 100 * shares.max()
    return f"    {name:<24} {100 * shares.mean():5.1f}  [{low:.0f}-{high:.0f}]   width {100 * width:.1f} %"


def show(found: list[Coverage], repetitions: int, fixed: bool) -> None:
    """Print one design: overall, then the mean over foundations."""
    for row, metric in enumerate(KNOWN):
        held = np.array([(one.ratings if fixed else one.persona)[row] for one in found])
        name = f"{metric} at n = {repetitions}" if metric == "within_sd" else metric
        print(
            line(name, held[:, 0], np.mean([one.width[row, 0] for one in found]))
            + f"   foundations {100 * held[:, 1:].mean():.1f}"
        )
    if not fixed:
        shares = np.array([one.percentile[0] for one in found])
        print(f"    percentile bootstrap, S  {100 * shares.mean():5.1f}  [{100 * shares.min():.0f}-{100 * shares.max():.0f}]")


def as_promised(found: list[Coverage]) -> bool:
    """Whether interval A holds within its limits, and the percentile bootstrap less often than A."""
    mean = {metric: 100 * np.mean([one.persona[row, 0] for one in found]) for row, metric in enumerate(KNOWN)}
    percentile = 100 * np.mean([one.percentile[0] for one in found])
    inside = all(low <= mean[metric] <= high for metric, (low, high) in LIMITS.items())
    return bool(inside and percentile < mean["susceptibility"])


def main() -> None:
    """Draw, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the published ratings")
    parser.add_argument("--runs", type=int, default=400, help="runs drawn from each population (default 400)")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error(f"argument --runs: {options.runs} runs of each population; expected 1 or more")
    instrument = load_instrument("mfq30")
    try:
        populations = populations_of(options.data, instrument)
    except (OSError, ValueError) as error:
        parser.error(f"argument --data: {error}")
    kind = "the published ratings" if options.data else "the simulated respondents"
    print(f"{len(populations)} populations like {kind}, {options.runs} runs each; mean [worst-best] coverage of 95 % intervals")
    scope, held, began = scope_matrix(instrument), True, time.perf_counter()
    for personas, repetitions in DESIGNS:
        found = [
            coverage(
                probabilities, instrument.categories, scope,
                personas=personas, repetitions=repetitions, runs=options.runs, rng=np.random.default_rng([number, repetitions]),
            )
            for number, probabilities in enumerate(populations.values())
        ]  # fmt: skip
        who = f"A, {personas} other personas" if personas else "B, the same personas"
        print(f"  interval {who}, {repetitions} repetitions", flush=True)
        show(found, repetitions, fixed=personas is None)
        if (personas, repetitions) == (50, 5) and options.runs >= FEWEST_RUNS:
            held = as_promised(found)
    show_presence(presence_coverage(instrument, options.runs), options.runs)
    print(*shared_requests.lines(populations, instrument.categories, options.runs), sep="\n", flush=True)
    said = hard_populations.show(list(populations.values()), options.runs)
    held = held and (said or options.runs < FEWEST_RUNS)
    verdict = "intervals hold what they promise" if held else "INTERVALS DO NOT HOLD"
    print(f"{time.perf_counter() - began:.0f} s; " + (verdict if options.runs >= FEWEST_RUNS else "too few runs to say more"))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
