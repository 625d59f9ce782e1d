"""How long it takes from files to tables, as whole processes: a plain script of the published method, and `make tables`.

Both read the same files, one after the other in every round; what is said is the median of the rounds. The plain script makes
published values, standard errors, changes and excesses; ours those and every recommended one with two intervals, and a store.
Without --data the files are simulated ratings in the layout of the published ones. Exits with 1 if their values do not agree.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis import simulated_files
from persona_collapse import paths
from persona_collapse.study.load_study import load_study
from persona_collapse.study.study import Study

#: One of our commands in a process of its own, with outputs in a folder of its own.
COMMAND = """import sys; from pathlib import Path; from persona_collapse import paths
paths.OUTPUTS = Path(sys.argv.pop(1)); from persona_collapse.__main__ import main; sys.exit(main(sys.argv[1:]))"""
#: Tables that are no metrics and no contrasts, and what they are.
APART = {"presence": "are the personas still there", "style": "style or content", "headlines": "joint tests of every headline"}
SCRIPT = Path(__file__).with_name("plain_tables.py")


class Took(NamedTuple):
    """Seconds from start to end of a process, and seconds of processors that it used."""

    whole: float
    used: float


def took(*command: str) -> Took:
    """What a process takes; its failure is ours."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    whole, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(whole, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def rounds(study: Study, data: Path, folder: Path, number: int) -> dict[str, list[Took]]:
    """What each process took in every round."""
    outputs, plain = folder / "processes", folder / "plain"
    plain.mkdir()
    runs = [f"{run.key}={run.variant.persona}" for run in study.runs if run.variant.role != "alternate"]
    tables = ("-c", COMMAND, str(outputs), "tables", f"--study={study.path}", f"--data={data}")
    found: dict[str, list[Took]] = {}
    for _ in range(number):
        for name, command in {
            "Python alone": ("-c", "pass"),
            "Python, numpy and pandas alone": ("-c", "import numpy, pandas"),
            "plain script": (str(SCRIPT), str(data), str(plain), *runs),
            "metrics and contrasts, from nothing": (*tables, "--only=metrics,contrasts"),
            "the same again, unchanged": (*tables, "--only=metrics,contrasts"),
            "metrics and contrasts, from the store": (*tables, "--only=metrics,contrasts"),
            **{f"{table} ({about}), from the store": (*tables, f"--only={table}") for table, about in APART.items()},
            "every table, from nothing": tables,
        }.items():
            if name.endswith("from nothing"):
                shutil.rmtree(outputs, ignore_errors=True)
            elif name.endswith("from the store"):
                shutil.rmtree(outputs / study.name / "tables")
            found.setdefault(name, []).append(took(*command))
    return found


def apart(study: Study, folder: Path) -> float:
    """How far the plain script's values are from ours, at most, relative to ours."""
    keys, own = ["family", "variant", "scope", "metric"], folder / "processes" / study.name / "tables"
    worst = 0.0
    for name, more in {"metrics": [], "contrasts": ["control", "quantity"]}.items():
        plain, ours = (pd.read_csv(place / f"{name}.csv", keep_default_na=False) for place in (folder / "plain", own))
        both = plain.merge(ours[ours["method"] == "published"], on=keys + more, suffixes=("", "_ours"))
        if len(both) < len(plain):
            raise RuntimeError(f"{name}: {len(plain) - len(both)} rows of the plain script are not in ours")
        value, mine = (pd.to_numeric(both[column]) for column in ("value", "value_ours"))
        worst = max(worst, float(((value - mine).abs() / mine.abs().clip(lower=1)).max()))
    return worst


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the published ratings")
    parser.add_argument("--small", action="store_true", help="the mini study and one round, to see that it runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths.OUTPUTS = folder / "outputs"
        if options.data:
            study, data = load_study("published", options.data), options.data.resolve()
        else:
            study, data = load_study(simulated_files(folder, "mini" if options.small else "demo")), folder
        number = 1 if options.small else 3
        print(f"{len(study.runs)} runs, files to tables; whole processes, median of {number} (least to most)")
        for name, each in rounds(study, data, folder, number).items():
            whole, used = zip(*each, strict=True)
            said = f"({min(whole):.2f} to {max(whole):.2f}; {statistics.median(used):.2f} s of processors)"
            print(f"  {name:<68}{statistics.median(whole):6.2f} s  {said}")
        worst = apart(study, folder)
    print(f"published values of both agree to {worst:.0e}" if worst < 1e-9 else f"PUBLISHED VALUES DISAGREE by {worst:.1e}")
    sys.exit(0 if worst < 1e-9 else 1)


if __name__ == "__main__":
    main()
