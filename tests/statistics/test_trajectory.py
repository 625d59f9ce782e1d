"""A peak is told where S rises and then falls, found with its interval, and on paths without one hardly ever."""

import numpy as np
import pytest

from known_paths import FALSE, RISES_AND_FALLS, SHARED_SHARE, drawn, share_told
from persona_collapse.statistics.trajectory import FEWEST_UNITS, peak


def of_units(values, spread):
    """Values without each unit whose jackknife has this covariance: spread (step, unit) over sqrt((P - 1) / P)."""
    units = spread.shape[1]
    off = spread - spread.mean(axis=1, keepdims=True)
    return np.concatenate(
        [np.array(values, float)[:, None], np.array(values)[:, None] + off / np.sqrt((units - 1) / units)], axis=1
    )


def alternating(steps, units, size):
    """Unit k moves step k mod steps alone, up and down in turn: steps are independent and alike."""
    spread = np.zeros((steps, units))
    for unit in range(units):
        spread[unit % steps, unit] = size * (-1) ** (unit // steps)
    return spread


def test_rise_and_fall_are_differences_of_the_values():
    found = peak(of_units([0.0, 0.3, 0.9, 0.5], alternating(4, 40, 0.01)))
    assert (found.at, found.lo, found.hi, found.told) == (2, 2, 2, True)
    assert found.rise.value == pytest.approx(0.9) and found.fall.value == pytest.approx(-0.4)
    assert found.whole.value == pytest.approx(0.5)


def test_limits_lie_beyond_those_of_a_single_difference():
    """Ten units move a step by .01 each, so that its variance is 10 * .01^2 and that of a difference of two twice as much.

    Of two rises that share the base, t with 39 degrees of freedom: the larger of both needs more than 2.02 standard errors, less
    than Bonferroni's 2.33, give or take .05 for the number of draws.
    """
    found = peak(of_units([0.0, 0.3, 0.9, 0.5], alternating(4, 40, 0.01)))
    se = np.sqrt(2 * 10 * 0.01**2)
    for limits in (found.rise, found.fall):
        assert 2.07 < (limits.hi - limits.lo) / 2 / se < 2.38
    assert (found.whole.hi - found.whole.lo) / 2 / se == pytest.approx(2.02, abs=0.05)  # one difference


def test_two_steps_that_cannot_be_told_apart_are_both_in_the_interval():
    found = peak(of_units([0.0, 0.9, 0.9, 0.2], alternating(4, 40, 0.01)))
    assert found.told and (found.lo, found.hi) == (1, 2)


@pytest.mark.parametrize(
    ("values", "at", "rise", "fall"),
    [
        ([0.0, 0.3, 0.6, 0.9], 3, 0.9, np.nan),  # it only rises
        ([0.9, 0.6, 0.3, 0.0], 0, np.nan, -0.9),  # it only falls
        ([0.0, 0.9, 0.9, 0.89], 1, 0.9, -0.01),  # to a plateau
        ([0.0, 0.01, 0.0, -0.9], 1, 0.01, -0.91),  # no rise before the fall
    ],
)
def test_without_a_rise_and_a_fall_there_is_no_peak(values, at, rise, fall):
    found = peak(of_units(values, alternating(4, 40, 0.05)))
    assert found.at == at and not found.told
    assert found.rise.value == pytest.approx(rise, nan_ok=True) and found.fall.value == pytest.approx(fall, nan_ok=True)


def test_steps_alike_to_the_last_rating_have_no_peak():
    found = peak(np.zeros((4, 11)))
    assert not found.told and tuple(found.whole) == (0, 0, 0)


@pytest.mark.parametrize(
    "z", [np.zeros((2, 11)), np.zeros((0, 11)), np.zeros((4, FEWEST_UNITS)), np.full((4, 11), np.nan), np.full((4, 11), -np.inf)]
)
def test_too_little_tells_nothing(z):
    found = peak(z)
    assert not found.told and np.isnan([*found.rise, *found.fall, *found.whole]).all()


def test_the_same_path_gives_the_same_numbers():
    z = of_units([0.0, 0.3, 0.31, 0.1], alternating(4, 40, 0.03))
    assert peak(z) == peak(z)


def test_steps_move_together_when_a_persona_is_left_out():
    """Personas that carry S do so at every step: differences are far surer than their sides."""
    same = np.tile(np.resize([0.2, -0.2], 40), (4, 1))
    alone, together = (peak(of_units([0.0, 0.1, 0.3, 0.1], s)) for s in (alternating(4, 40, 0.2), same))
    assert not alone.told and together.told


@pytest.mark.slow
@pytest.mark.parametrize("name", FALSE)
def test_at_most_one_null_path_in_twenty_gets_a_peak(name):
    """400 paths of each kind: more than 29 of them come about in one of a hundred sets where the rate is 5 %."""
    assert share_told(FALSE[name], 400, np.random.default_rng(3)).told * 400 <= 29


def test_a_peak_is_found_with_its_interval():
    """S is highest at step 3 and far lower at both ends; 95 of 100 intervals at the least should hold it, less chance."""
    found = share_told(RISES_AND_FALLS, 60, np.random.default_rng(4))
    assert found.told == 1 and found.held >= 0.9


def test_the_drawn_paths_have_the_truth_that_they_are_said_to_have():
    rng = np.random.default_rng(5)
    many = np.mean([drawn(RISES_AND_FALLS, rng)[:, 0] for _ in range(40)], axis=0)
    assert many - many[0] == pytest.approx(np.array(RISES_AND_FALLS) - RISES_AND_FALLS[0], abs=0.03)
    assert 0 < SHARED_SHARE < 1
