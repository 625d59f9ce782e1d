"""How long the tables behind the verdict take, each alone, and how they grow with personas, repetitions and runs.

With --data the ratings are the published ones, without it a simulated study of known truths; growth is that of simulated ones.
Exits with 1 if all tables together take longer than ten seconds of one core.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from interval_coverage import counts_of_study
from known_truths import answers, design
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables

#: Tables in the order in which they are made; the last rests on those before it.
PARTS = ("presence", "style", "equivalence", "components", "reliability", "missing", "verdict")
#: Seconds that all of them may take together.
MOST = 10.0
#: Personas, repetitions and runs of the whole study, of the one that is doubled, and of one that only shows that it runs.
WHOLE, HALF, SMALL = (100, 10, 12), (50, 5, 6), (12, 3, 4)


def timed(ratings: Ratings) -> dict[str, float]:
    """Seconds of one core for each table."""
    tables, found = Tables(ratings), {}
    _ = tables.quality, tables.contrasts  # which every study has anyway
    for part in PARTS:
        began = time.process_time()
        getattr(tables, part)
        found[part] = time.process_time() - began
    return found


def simulated(instrument: Instrument, personas: int, repetitions: int, runs: int) -> Ratings:
    """So many runs of known truths."""
    found = design(instrument)
    ratings = found.ratings(found.drawn(np.random.default_rng(3), personas, repetitions))
    return ratings.only(ratings.runs[:runs])


def published(folder: Path) -> Ratings:
    """The published ratings, without the answers that nobody was asked for as a persona."""
    study = load_study("published", folder)
    counts = counts_of_study(study, folder)
    key = study.instrument.key
    found = Ratings(study, {("/".join(run), "persona", key): answers(one) for run, one in counts.items()})
    return found.only("/".join(run) for run in counts)


def line(name: str, seconds: dict[str, float]) -> str:
    """A study and what each table took."""
    parts = "".join(f"{part} {took:.2f}  " for part, took in seconds.items())
    return f"  {name:<44}{sum(seconds.values()):6.2f} s   {parts}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the published ratings")
    parser.add_argument("--small", action="store_true", help="a small study, to see that it runs")
    options = parser.parse_args()
    instrument, size = load_instrument("mfq30"), SMALL if options.small else WHOLE
    timed(simulated(instrument, *SMALL))  # imports, and tables that are made once
    print("tables behind the verdict, seconds of one core")
    name = "published ratings" if options.data else "{} personas, {} repetitions, {} runs".format(*size)
    whole = timed(published(options.data) if options.data else simulated(instrument, *size))
    print(line(name, whole))
    for doubled in () if options.small else range(-1, 3):
        once = tuple(number * (1 + (place == doubled)) for place, number in enumerate(HALF))
        print(line("{} personas, {} repetitions, {} runs".format(*once), timed(simulated(instrument, *once))))
    good = sum(whole.values()) <= MOST
    print(f"all together {'within' if good else 'BEYOND'} {MOST:g} s")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
