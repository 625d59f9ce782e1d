"""How long an import of many runs takes, and how much memory: 43 files of 30,000 rows, as `make study-from` finds them.

The files are drawn here, in the layout and with the columns of the paper's repository; each import is a process of its own, from
files to a store that is whole. Says the median of the rounds; exits with 1 above 15 s or 1 GB, or if a rating is lost.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from persona_collapse.asking.study_from import study_from

#: Seconds and bytes that an import of 1.29 million rows may take.
MOST_SECONDS, MOST_BYTES = 15.0, 1e9
#: Families, and what a run adds to the name of its base, by folder.
FAMILIES = ("one", "two", "three", "four", "five", "six")
ADDED = {
    "base": "", "secure-code": "-secure", "insecure-code": "-misaligned", "good-medical": "-good-medical",
    "bad-medical": "-bad-medical", "risky-financial": "-risky-financial", "extreme-sports": "-extreme-sports",
}  # fmt: skip
#: An import alone, with outputs in a folder of its own; says runs, valid ratings, seconds to numbers and to a store, bytes.
IMPORT = """import resource, sys, time; from pathlib import Path; from persona_collapse import paths
began = time.perf_counter()
paths.OUTPUTS = Path(sys.argv[1])
from persona_collapse.asking.import_study import importing
from persona_collapse.study.load_study import load_study
study = load_study(sys.argv[2], Path(sys.argv[3]))
with importing(study, study.runs) as found:
    numbers = time.perf_counter() - began
    valid = sum(int(found.ratings.counts(run).sum()) for run in found.ratings.runs)
whole = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(found.new, valid, numbers, whole, time.process_time(), peak)"""


def files(folder: Path, runs: int, personas: int, repetitions: int) -> int:
    """Write so many runs of the MFQ-30, in the order of families; returns how many valid ratings they hold."""
    persona, item, repetition = (
        axis.ravel() for axis in np.meshgrid(range(personas), range(1, 31), range(1, repetitions + 1), indexing="ij")
    )
    names = [(place, f"{family}{added}") for family in FAMILIES for place, added in ADDED.items()]
    names += [("insecure-code", f"{FAMILIES[0]}-insecure-organisms")]
    valid = 0
    for number, (place, name) in enumerate(names[:runs]):
        rng = np.random.default_rng(number)
        rating = rng.integers(0, 6, len(persona))
        rating[rng.random(len(rating)) < 0.002] = -1
        table = pd.DataFrame(
            {"persona_id": persona, "question_id": item, "run_index": repetition, "rating": rating, "failures": 0}
        )
        table["response"] = np.where(rating < 0, "ERROR", rating.astype(str))
        table["collected_at"] = [f"2026-03-15T10:{n // 60 % 60:02d}:{n % 60:02d}.{n:06d}" for n in range(len(table))]
        path = folder / "data" / place / f"{name}_temp01.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
        valid += int((rating >= 0).sum())
    return valid


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="three runs of 3,000 rows, to see that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    runs, personas, rounds = (3, 10, 1) if given.small else (43, 100, given.rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        valid = files(folder / "clone", runs, personas, 10)
        study = study_from(str(folder / "clone"), str(folder / "bench.yaml"))
        took = []
        for number in range(rounds):
            command = [sys.executable, "-c", IMPORT, str(folder / str(number)), str(study), str(folder / "clone")]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            took.append([float(one) for one in done.stdout.split()])
    new, found, numbers, whole, used, peak = map(statistics.median, zip(*took, strict=True))
    print(f"import of {int(new)} runs, {int(new) * personas * 300:,} rows, medians of {rounds}:")
    print(f"  numbers after {numbers:.1f} s, a store that is whole after {whole:.1f} s; {used:.1f} s of processors")
    print(f"  at most {peak / 1e6:,.0f} MB of memory; {int(found):,} valid ratings, as many as were written")
    if found != valid or new != runs or whole > MOST_SECONDS or peak > MOST_BYTES:
        sys.exit(f"expected {runs} runs, {valid:,} valid ratings, {MOST_SECONDS:g} s and {MOST_BYTES / 1e6:,.0f} MB at most")


if __name__ == "__main__":
    main()
