"""Every benchmark runs, small: `make bench` and `make coverage` do what the README says of them."""

import subprocess
import sys

import pytest

from persona_collapse.paths import ROOT

pytestmark = pytest.mark.slow

SMALL = {
    "analysis.py --small": "values agree to 1e-9",
    "process_speed.py --small": "published values of both agree to",
    "import_speed.py --small": "import of 3 runs, 9,000 rows",
    "recommended.py --small": "100 personas x 30 items x  10 runs,    60,000 ratings",
    "interval_coverage.py --runs 1": "too few runs to say more",
    "known_recoveries.py --studies 1": "Recovery: 1 studies of 60 personas",
    "verdict_speed.py --small": "all together within 10 s",
    "verdicts.py --studies 1": "1 studies of 11 truths, 60 personas, 5 repetitions, noise x 1",
    "null_studies.py --studies 1": "1 null studies, 60 personas, 5 repetitions",
    "known_paths.py --studies 1": "1 studies of simulated respondents, 7 steps, 40 personas",
    "truths.py folder --only shift": "make report STUDY=folder/shift/truth-shift.yaml",
    "truths.py --say --only identical": "No rating differs from the base's.",
    "elicitation.py --small --only quiet": "900 slots one by one: 900 requests",
    "elicitation.py --small --only agreement": "logprobs: 90 requests",
    "elicitation.py --small --only limiter": "limiter (bucket) of 100 requests/s",
    "elicitation.py --small --only storm": "storm, 1 ratings a request: 90 slots rated",
    "elicitation.py --small --only kills": "1 kills: 900 slots stored, 0 twice, 0 lost",
}


@pytest.mark.parametrize(("command", "said"), SMALL.items(), ids=SMALL)
def test_a_benchmark_runs_and_says_what_it_measured(command, said, tmp_path):
    name, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_every_benchmark_is_run_here_and_by_a_command():
    files = {path.name for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    files.remove("plain_tables.py")  # which process_speed runs
    assert files == {command.split()[0] for command in SMALL}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"benchmarks/{name}" in makefile for name in files)
