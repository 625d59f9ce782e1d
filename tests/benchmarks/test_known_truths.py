"""The populations behind `make verdicts` and `make coverage` have the truths that they are said to have."""

import numpy as np
import pytest

import known_truths
import null_studies
from known_populations import KNOWN, true_values
from known_presence import Held, show_presence, with_pooled
from persona_collapse.study.scopes import scope_matrix
from truths import rows


def true(probabilities, scope, metric):
    return true_values(probabilities, range(6), scope, 5)[KNOWN.index(metric), 0]


@pytest.fixture(scope="module")
def scope(mfq30):
    return scope_matrix(mfq30)


def test_the_base_is_told_apart_well(mfq30, scope):
    """Locations have SD sqrt(.6^2 + .6^2) = .85 on an item, which the ends of the scale cut a little."""
    base = known_truths.population(mfq30).probabilities()
    assert true(base, scope, "susceptibility") == pytest.approx(0.85, abs=0.03)
    assert 0.7 < true(base, scope, "icc") < 0.85


@pytest.mark.parametrize("true_s", [0, 0.3, 1.2])
def test_a_population_has_the_pooled_s_that_is_asked_for(mfq30, scope, true_s):
    assert true(with_pooled(mfq30, true_s), scope, "susceptibility_pooled") == pytest.approx(true_s, abs=1e-4)


def test_the_smallest_change_is_exactly_that(mfq30, scope):
    base = known_truths.population(mfq30).probabilities()
    found = null_studies.designed(mfq30).probabilities
    for key, metric in (("wider", "susceptibility"), ("noisier", "within_rms")):
        assert true(found[key], scope, metric) / true(base, scope, metric) == pytest.approx(1.1, rel=1e-4), key


def test_personas_permuted_keep_every_number(mfq30, scope):
    found = known_truths.design(mfq30).probabilities
    for metric in ("susceptibility", "within_rms", "icc"):
        assert true(found["others"], scope, metric) == pytest.approx(true(found["base"], scope, metric), rel=1e-9), metric


def test_counts_come_back_from_the_answers_and_from_the_rows():
    counts = np.random.default_rng(0).multinomial(3, [0.2] * 5 + [0], size=(4, 30))
    assert (known_truths.answers(counts).counts == counts).all()
    table = rows(counts)
    assert len(table) == counts.sum()
    assert table["repetition"].max() == 3
    assert table.iloc[0]["persona"] == "p0"


def test_coverage_beyond_its_limits_has_a_star(capsys):
    """With 400 runs the error is 1.1 points, so that 89 % is beyond 92, and 91 % is not."""
    show_presence([Held(12, 0.3, np.array([89.0, 91, 95]), 100)], 400)
    assert "89.0*" in (said := capsys.readouterr().out)
    assert "91.0 " in said
