"""Intervals hold about as often as they say, and the one we do not offer holds less often."""

import subprocess
import sys

import numpy as np
import pytest

import known_populations as coverage
from building import SCALE, counts_of, random_counts
from known_populations import KNOWN
from paper import needs_data, paper_counts
from persona_collapse.paths import ROOT
from persona_collapse.simulated.response_model import cell_probabilities
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.study.personas import load_personas
from persona_collapse.study.respondent_parameters import load_respondent
from persona_collapse.study.scopes import scope_matrix

pytestmark = pytest.mark.slow


def population(mfq30, figures):
    return cell_probabilities(load_respondent(figures, mfq30), mfq30, load_personas("everyday"))


@pytest.fixture(scope="module")
def held(mfq30):
    """Interval A overall in 400 runs of 50 personas and 5 repetitions, by metric; the last is the percentile bootstrap of S."""
    found = coverage.coverage(
        population(mfq30, "gpt-4.1/insecure"), SCALE, scope_matrix(mfq30),
        personas=50, repetitions=5, runs=400, rng=np.random.default_rng(1),
    )  # fmt: skip
    return dict(zip(KNOWN, found.persona[:, 0], strict=True)) | {"percentile": found.percentile[0]}


def test_interval_a_holds_in_about_ninety_five_of_a_hundred_runs(held):
    """400 runs know a share of .95 to .011."""
    assert 0.92 <= held["within_rms"] <= 0.975
    for metric in ("susceptibility", "susceptibility_pooled", "icc"):
        assert 0.90 <= held[metric] <= 0.975, metric


def test_the_percentile_bootstrap_of_susceptibility_holds_less_often(held):
    assert held["percentile"] < held["susceptibility"] - 0.02


def test_interval_b_holds_for_the_same_personas(mfq30):
    found = coverage.coverage(
        population(mfq30, "gpt-4o/secure"), SCALE, scope_matrix(mfq30),
        personas=None, repetitions=5, runs=300, rng=np.random.default_rng(2),
    )  # fmt: skip
    by_metric = dict(zip(KNOWN, found.ratings[:, 0], strict=True))
    for metric in ("susceptibility", "susceptibility_pooled", "within_rms", "icc", "within_sd"):
        assert 0.92 <= by_metric[metric] <= 0.995, metric
    assert np.isnan(found.persona).all()


def test_true_values_are_those_of_a_run_too_large_to_err():
    rng = np.random.default_rng(3)
    probabilities, scope = rng.dirichlet(np.ones(6), size=(30, 4)), np.full((4, 1), 1 / 4)
    expected = coverage.true_values(probabilities, SCALE, scope, 5)[:, 0]
    many = leave_one_out(rng.multinomial(5, np.tile(probabilities, (300, 1, 1))), SCALE, scope)
    assert many.full[[METRICS.index(metric) for metric in KNOWN], 0] == pytest.approx(expected, rel=0.02)


def test_ratings_like_those_of_a_run_resemble_it():
    counts = random_counts(np.random.default_rng(4), personas=100, repetitions=10)
    scope = np.full((6, 1), 1 / 6)
    probabilities = coverage.like(counts)
    assert probabilities.sum(axis=-1) == pytest.approx(np.ones((100, 6)))
    truth = dict(zip(KNOWN, coverage.true_values(probabilities, SCALE, scope, 10)[:, 0], strict=True))
    found = leave_one_out(counts, SCALE, scope)
    # Drawing cells towards their typical shares widens them a little where, as here, they share one width.
    assert truth["within_rms"] == pytest.approx(found.of("within_rms")[0, 0], rel=0.1)
    assert truth["susceptibility"] == pytest.approx(found.of("susceptibility")[0, 0], rel=0.1)


@needs_data
def test_ratings_like_those_of_the_paper_resemble_them(mfq30):
    """RMS within 3 %, S within 2 % but for DeepSeek's secure variant."""
    scope = scope_matrix(mfq30)
    for (family, variant), counts in paper_counts().items():
        truth = dict(zip(KNOWN, coverage.true_values(coverage.like(counts), SCALE, scope, 10)[:, 0], strict=True))
        found = leave_one_out(counts, SCALE, scope)
        allowed = 0.045 if (family, variant) == ("deepseek-v3.1", "secure") else 0.02
        assert truth["within_rms"] == pytest.approx(found.of("within_rms")[0, 0], rel=0.03), (family, variant)
        assert truth["susceptibility"] == pytest.approx(found.of("susceptibility")[0, 0], rel=allowed), (family, variant)


def test_a_cell_is_drawn_towards_the_cells_with_its_mode():
    # all four cells have mode 2 and the same shares, so nothing moves: (c + a T) / (n + a) = c / n
    same = counts_of([[[2, 2, 3], [2, 2, 3]], [[2, 2, 3], [2, 2, 3]]])
    assert coverage.like(same) == pytest.approx(same / 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runs", "0"], "--runs: 0 runs of each population; expected 1 or more"),
        (["--data", "nowhere", "--runs", "1"], "nowhere: no such folder; DATA is the folder that"),
    ],
)
def test_the_benchmark_refuses_what_it_cannot_draw_from_in_one_line(arguments, said, tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "interval_coverage.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("interval_coverage.py: error: argument --") and said in last and "Traceback" not in done.stderr
