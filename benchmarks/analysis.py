"""How long the analysis takes: a plain implementation of the published method and all of ours, on the same files in one run.

Files to tables, overall and five foundations: the plain one computes the published values and standard errors, ours those and
every recommended value, contrast and interval. Without --data the files are simulated ratings in the layout of the published
ones.
"""

import argparse
import csv
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from interval_coverage import counts_of_study
from persona_collapse import paths
from persona_collapse.asking.collect import collect
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.scopes import scopes
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables, write
from recommended import everything, of_runs

#: Ratings of a cell (persona, item), and what each draw of them gives.
Cells = dict[tuple[int, int], list[int]]
Drawn = dict[tuple[int, int], Any]

#: Draws of personas and of responses that the plain implementation takes.
PAPER_DRAWS, SMALL_DRAWS = (2000, 400), (20, 4)


def plain(path: Path, *, whole_cells: bool, draws: tuple[int, int] = PAPER_DRAWS) -> dict[tuple[str, str], tuple[float, float]]:
    """S and within_sd of one file with published standard errors, cell by cell and draw by draw.

    With `whole_cells` all draws of a cell are taken at once, as a careful author would; without, one after another.
    """
    instrument = load_instrument("mfq30")
    cells: Cells = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if int(row["rating"]) >= 0:
                cells[int(row["persona_id"]), int(row["question_id"])].append(int(row["rating"]))
    personas, items = sorted({p for p, _ in cells}), [item.number for item in instrument.items]
    personas = [p for p in personas if all((p, q) in cells for q in items)]
    rng = np.random.default_rng(1)
    found = {}
    mean = {key: statistics.fmean(ratings) for key, ratings in cells.items()}
    sd = {key: statistics.stdev(ratings) if len(ratings) > 1 else 0.0 for key, ratings in cells.items()}
    persona_draws, response_draws = draws
    again = (_whole_cells if whole_cells else _one_by_one)(cells, rng, response_draws)
    for scope in scopes(instrument):
        own = [i.number for i in instrument.items if scope in ("overall", i.foundation)]
        s = statistics.fmean(statistics.stdev(mean[p, q] for p in personas) for q in own)
        within = statistics.fmean(sd[p, q] for p in personas for q in own)
        means = np.array([[mean[p, q] for q in own] for p in personas])
        sds = np.array([[sd[p, q] for q in own] for p in personas])
        drawn = []
        for _ in range(persona_draws):
            pick = rng.integers(len(personas), size=len(personas))
            drawn.append((means[pick].std(axis=0, ddof=1).mean(), sds[pick].mean()))
        means = np.array([[again[0][p, q] for q in own] for p in personas])
        sds = np.array([[again[1][p, q] for q in own] for p in personas])
        answered = [(means[:, :, d].std(axis=0, ddof=1).mean(), sds[:, :, d].mean()) for d in range(response_draws)]
        se = np.hypot(np.std(drawn, axis=0, ddof=1), np.std(answered, axis=0, ddof=1))
        found[scope, "susceptibility"] = s, float(se[0])
        found[scope, "within_sd"] = within, float(se[1])
    return found


def _one_by_one(cells: Cells, rng: np.random.Generator, draws: int) -> tuple[Drawn, Drawn]:
    means, sds = defaultdict(list), defaultdict(list)
    for _ in range(draws):
        for key, ratings in cells.items():
            drawn = [ratings[i] for i in rng.integers(len(ratings), size=len(ratings)).tolist()]
            centre = sum(drawn) / len(drawn)
            means[key].append(centre)
            square = sum((x - centre) ** 2 for x in drawn)
            sds[key].append((square / (len(drawn) - 1)) ** 0.5 if len(drawn) > 1 else 0.0)
    return means, sds


def _whole_cells(cells: Cells, rng: np.random.Generator, draws: int) -> tuple[Drawn, Drawn]:
    means: Drawn = {}
    sds: Drawn = {}
    for key, ratings in cells.items():
        drawn = np.array(ratings)[rng.integers(len(ratings), size=(draws, len(ratings)))]
        means[key] = drawn.mean(axis=1)
        sds[key] = drawn.std(axis=1, ddof=1) if len(ratings) > 1 else np.zeros(draws)
    return means, sds


def ours(study: Study) -> tuple[float, dict[tuple[str, str, str], tuple[float, float]]]:
    """Seconds and numbers of the project's own road: files to store to every table."""
    began = time.perf_counter()
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
        write(study, all_tables(found))
    took = time.perf_counter() - began
    rows = found.metrics[found.metrics["method"] == "published"].itertuples()
    return took, {(f"{r.family}/{r.variant}", r.scope, r.metric): (r.value, r.se) for r in rows}


def counting(study: Study, folder: Path) -> float:
    """Seconds from files to every published and recommended number without a store: what the statistics alone cost."""
    began = time.perf_counter()
    counts = counts_of_study(study, folder)
    everything(of_runs(counts), counts)
    return time.perf_counter() - began


def simulated_files(folder: Path, name: str) -> Path:
    """A simulated study's ratings as CSV files, and a study file that imports them."""
    demo = load_study(name)
    collect(demo)
    families = []
    with open_store(demo.store_path) as store:
        for family in demo.file.families:
            variants = []
            for variant in family.variants:
                name = f"{family.key}-{variant.key}.csv"
                with (folder / name).open("w", newline="", encoding="utf-8") as file:
                    writer = csv.writer(file)
                    writer.writerow(["persona_id", "question_id", "run_index", "rating", "failures", "response", "collected_at"])
                    rows = store.ratings(family.key, variant.key, "persona", "mfq30")
                    writer.writerows([*row, 0, row[3], "2026-01-01T00:00:00.000000"] for row in rows)
                control = {"control": variant.control} if variant.control else {}
                variants.append({"key": variant.key, "role": variant.role, "persona": name, **control})
            families.append({"key": family.key, "variants": variants})
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump({"title": "Benchmark", "kind": "imported", "families": families}), encoding="utf-8")
    return path


def main() -> None:
    """Measure and print; exits with 1 if the numbers of the two do not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the published ratings")
    parser.add_argument("--small", action="store_true", help="the mini study and few draws, to see that it runs")
    options = parser.parse_args()
    draws = SMALL_DRAWS if options.small else PAPER_DRAWS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths.OUTPUTS = folder / "outputs"  # a store of its own, so that nothing is read twice
        if options.data:
            study, what = load_study("published", options.data), "published ratings"
        else:
            name = "mini" if options.small else "demo"
            study, what = load_study(simulated_files(folder, name)), f"simulated ratings of the {name} study"
        data = study.data or folder
        runs = [run for run in study.runs if run.variant.role != "alternate"]
        print(f"{len(runs)} runs, {what}; files to every number, six scopes; the plain ones compute the published method alone")
        mine, numbers = ours(study)
        bare = counting(study, data)
        print(f"  ours, files to store to every table   {mine:8.2f} s")
        print(f"  ours, every number without a store    {bare:8.2f} s")
        agree = True
        for name, whole in (("draws of a cell at once", True), ("loops over cells and draws", False)):
            began, worst = time.perf_counter(), 0.0
            for run in runs:
                for (scope, metric), (value, se) in plain(
                    data / str(run.variant.persona), whole_cells=whole, draws=draws
                ).items():
                    own, own_se = numbers[run.key, scope, metric]
                    agree &= abs(own - value) <= 1e-9 * max(1, abs(value))
                    worst = max(worst, abs(own_se / se - 1))
            took = time.perf_counter() - began
            print(
                f"  plain, {name:<28} {took:8.2f} s  = {took / mine:5.1f} x ours, {took / bare:6.1f} x without store; "
                f"standard errors within {100 * worst:.1f} %",
                flush=True,
            )
        print("values agree to 1e-9" if agree else "VALUES DISAGREE")
        sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
