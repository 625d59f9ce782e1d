"""Planning: the designs of the study's own table, the cheapest design, and what a pilot predicts."""

from math import inf, log, sqrt

import numpy as np
import pytest

from building import SCALE, random_counts
from persona_collapse.statistics import persona_jackknife, repeat_interval, sample_size
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.statistics.sample_size import TABLES, Asking, Spread

DESIGNS = [(25, 10), (50, 5), (50, 10), (100, 2), (100, 3), (100, 5), (100, 10), (200, 2), (200, 3), (200, 5)]


@pytest.mark.parametrize(
    ("metric", "measured"),
    [
        ("susceptibility", (7.5, 5.3, 5.3, 3.9, 3.8, 3.8, 3.7, 2.8, 2.7, 2.7)),
        ("within_rms", (7.3, 5.8, 5.1, 6.0, 4.8, 4.1, 3.6, 4.2, 3.4, 2.9)),
        ("within_sd", (10.8, 9.2, 7.6, 9.1, 7.7, 6.5, 5.4, 6.4, 5.5, 4.6)),
    ],
)
def test_standard_errors_of_changes_as_measured_by_simulation(metric, measured):
    """In percent; the two constants of the formula are rounded to two digits."""
    found = [100 * sample_size.expected_se(TABLES[metric, "change"], *design) for design in DESIGNS]
    assert found == pytest.approx(measured, abs=0.13)


def test_ten_repetitions_cost_three_times_three_and_buy_little():
    """100 x 3 has an SE 3 % larger for S and 33 % larger for within_rms than 100 x 10."""
    ratio = {
        m: sample_size.expected_se(TABLES[m, "change"], 100, 3) / sample_size.expected_se(TABLES[m, "change"], 100, 10)
        for m in ("susceptibility", "within_rms")
    }
    # sqrt(.15 / .143) and sqrt(.23 / (.1 + .26 / 9))
    assert ratio == pytest.approx({"susceptibility": 1.03, "within_rms": 1.33}, abs=0.01)


def test_exact_cells_leave_only_the_personas():
    assert sample_size.expected_se(TABLES["within_rms", "change"], 100, inf) == pytest.approx(sqrt(0.10 / 100))


def test_the_plan_is_the_cheapest_of_all_designs():
    spread = TABLES["within_rms", "change"]
    found = sample_size.plan([spread], 0.05, Asking(30))
    # (.10 + .26 / 2) / .05^2 = 92 personas x 3 repetitions = 276 a item; x 2: 144 > 100 personas; x 4: 75 x 4 = 300
    assert (found.personas, found.repetitions, found.requests) == (92, 3, 8280)
    enough = [(p, n) for p in range(25, 101) for n in range(2, 40) if sample_size.expected_se(spread, p, n) <= 0.05 + 1e-12]
    assert found.requests == min(30 * p * n for p, n in enough)


def test_a_plan_for_two_metrics_reaches_both():
    both = [TABLES[m, "change"] for m in ("susceptibility", "within_rms")]
    found = sample_size.plan(both, 0.05, Asking(30))
    assert max(sample_size.expected_se(s, found.personas, found.repetitions) for s in both) == pytest.approx(found.se)
    assert found.se <= 0.05
    assert found.requests == 8280  # within_rms decides


def test_what_repetitions_cannot_reach_has_no_plan():
    noise = TABLES["within_rms", "change"]
    # sqrt(.10 / 100) = 3.2 %
    assert sample_size.plan([noise], 0.03, Asking(30)) is None
    assert sample_size.floor(noise, 100) == pytest.approx(0.0316, abs=1e-4)
    # just above the floor 260 repetitions would do, more than anybody asks for
    assert sample_size.plan([noise], 0.0318, Asking(30)) is None


def test_choices_of_one_request_buy_fewer_personas():
    noise = TABLES["within_rms", "change"]
    # ten in one request: n = 10 needs (.10 + .26/9)/.05^2 = 51.6, so 52 personas and one more round of 30 requests
    found = sample_size.plan([noise], 0.05, Asking(30, together=10, also=1))
    assert (found.personas, found.repetitions, found.requests) == (52, 10, 1590)
    # twenty ratings are two such requests: 46 personas and one more would be 47 * 30 * 2 = 2,820


def test_runs_and_what_is_asked_besides_are_counted():
    # 92 personas in three runs, three times without a persona and twice as one of 8 characters: 295 rounds of 30 x 3 requests
    asking = Asking(30, runs=3, also=3 + 16)
    assert sample_size.plan([TABLES["within_rms", "change"]], 0.05, asking).requests == (3 * 92 + 19) * 30 * 3


def test_the_lowest_price_has_fewer_repetitions_than_the_fewest_requests():
    noise = TABLES["within_rms", "change"]
    few = sample_size.plan([noise], 0.05, Asking(30, together=20))
    cheap = sample_size.plan([noise], 0.05, Asking(30, together=20, of_request=20, of_rating=1))
    # personas (.10 + .26/(n-1))/.05^2 for n = 20: 46 (of 45.5), as for n = 19; for n = 9: 53; 8: 55; 10: 52; 7: 58
    assert (few.personas, few.repetitions) == (46, 19)
    # P (20 + n): 58 x 27 = 1,566; 55 x 28 = 1,540; 53 x 29 = 1,537; 52 x 30 = 1,560; 46 x 39 = 1,794
    assert (cheap.personas, cheap.repetitions) == (53, 9)
    assert cheap.requests > few.requests


def test_of_as_many_requests_the_fewest_ratings():
    # A alone: the personas do not depend on n, nor do requests up to ten in one
    assert sample_size.plan([Spread(0.1, 0.0, degrees=True)], 0.05, Asking(30, together=10)).repetitions == 2


def test_known_distributions_take_one_request_a_cell():
    found = sample_size.plan([TABLES["within_rms", "change"]], 0.05, Asking(30, together=inf))
    assert (found.personas, found.requests) == (40, 1200)  # .10 / .05^2


def test_few_personas_are_not_planned():
    assert sample_size.plan([TABLES["within_rms", "change"]], 0.5, Asking(30)).personas == 25


@pytest.mark.parametrize(
    ("target", "message"), [(0.0, "target 0.0; expected a positive"), (float("nan"), "target nan; expected")]
)
def test_a_target_that_is_none_is_refused(target, message):
    with pytest.raises(ValueError, match=message):
        sample_size.plan([TABLES["within_rms", "change"]], target, Asking(30))


def test_a_pilot_gives_back_its_own_standard_error():
    # A + B g = P SE^2: with SE 5 % of which 3 % are ratings, 50 personas and 5 repetitions
    found = sample_size.from_pilot("within_rms", 50, 5, 0.05, 0.03)
    assert (found.personas, found.ratings) == pytest.approx((50 * 0.0016, 50 * 0.0009 * 4))
    assert sample_size.expected_se(found, 50, 5) == pytest.approx(0.05)
    # 100 x 3: 50/100 [.0016 + .0009 * 4/2]
    assert sample_size.expected_se(found, 100, 3) == pytest.approx(sqrt(0.5 * (0.0016 + 0.0018)))


def test_a_pilot_of_exact_cells_has_no_noise():
    found = sample_size.from_pilot("within_rms", 40, inf, 0.05, 0.0)
    assert (found.personas, found.ratings) == (pytest.approx(40 * 0.0025), 0)
    assert sample_size.expected_se(found, 40, inf) == pytest.approx(0.05)


def test_a_pilot_whose_noise_explains_everything_leaves_no_floor():
    found = sample_size.from_pilot("susceptibility", 50, 5, 0.02, 0.03)
    assert (found.personas, sample_size.floor(found, 50)) == (0, 0)


def test_a_pilot_with_one_repetition_is_refused():
    with pytest.raises(ValueError, match="a pilot with 1 repetitions; expected 2 or more"):
        sample_size.from_pilot("within_rms", 50, 1, 0.05, 0.03)


def test_a_pilot_predicts_the_full_design():
    """40 x 6 predicts 120 x 12 of the same population within a fifth."""
    scope = np.full((12, 1), 1 / 12)

    def errors(personas, repetitions, seed):
        counts = random_counts(np.random.default_rng(seed), personas=personas, items=12, repetitions=repetitions)
        run = leave_one_out(counts, SCALE, scope)
        row = METRICS.index("within_rms")
        level = persona_jackknife.level(run).of("within_rms")
        return level.se[0] / level.value[0], sqrt(repeat_interval.redrawn(run).variance[row, 0])

    pilots = [sample_size.from_pilot("within_rms", 40, 6, *errors(40, 6, seed)) for seed in range(10)]
    predicted = [sample_size.expected_se(pilot, 120, 12) for pilot in pilots]
    actual = [errors(120, 12, seed)[0] for seed in range(10, 20)]
    assert abs(log(np.mean(predicted) / np.mean(actual))) < 0.2
