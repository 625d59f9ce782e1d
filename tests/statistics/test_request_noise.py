"""Noise that choices of one request share: mean squares by hand, what stays as it was, and the recovery of a known share."""

import numpy as np
import pytest
from scipy.special import stdtrit

import shared_requests
from building import SCALE, counts_of, random_counts
from persona_collapse.simulated.response_model import cell_probabilities
from persona_collapse.statistics import repeat_interval, request_jackknife, request_noise
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.statistics.request_correlation import rho
from persona_collapse.study.personas import load_personas
from persona_collapse.study.respondent_parameters import load_respondent

ONE = np.ones((1, 1))


def by_request(*cells_of_personas):
    """(persona, 1, request, category) from the requests of each persona's one cell."""
    most = max(map(len, cells_of_personas))
    return np.stack([counts_of([[*one, *[[]] * (most - len(one))]]) for one in cells_of_personas])


def test_two_equal_requests_by_hand():
    # requests {1, 3} and {4, 4}: means 2 and 4, mean 3; SSW = 2, MSW = 2 / 2 = 1; SSB = 2 (1 + 1) = 4, MSB = 4
    # c0 = (4 - 8/4) / 1 = 2; shared = (4 - 1) / 2 = 1.5; noise 2.5; of the mean 1/4 + 1.5 x 8/16 = 1 = MSB / n
    asked = by_request([[1, 3], [4, 4]])
    found, noise = request_noise.split(asked, SCALE), request_noise.noise(asked, SCALE)
    assert [float(x[0, 0]) for x in (found.msw, found.shared, noise.rating, noise.of_mean)] == [1, 1.5, 2.5, 1]
    assert rho(asked, SCALE).value == pytest.approx(1.5 / 2.5)


def test_requests_of_unequal_size_by_hand():
    # {0, 2, 4} and {5}: means 2 and 5, mean 11/4; SSW = 8, MSW = 8 / 2 = 4; SSB = 3 (3/4)^2 + (9/4)^2 = 27/4
    # c0 = 4 - 10/4 = 3/2; shared = (27/4 - 4) / (3/2) = 11/6; of the mean 4/4 + 11/6 x 10/16 = 103/48
    noise = request_noise.noise(by_request([[0, 2, 4], [5]]), SCALE)
    assert noise.rating[0, 0] == pytest.approx(4 + 11 / 6) and noise.of_mean[0, 0] == pytest.approx(103 / 48)


def test_a_request_that_differs_from_none_shares_less_than_nothing():
    # {0, 2} twice: MSB = 0, MSW = 2, shared -1: not cut at zero; noise 1, and the mean of the cell is known for certain
    noise = request_noise.noise(by_request([[0, 2], [0, 2]]), SCALE)
    assert (noise.rating[0, 0], noise.of_mean[0, 0]) == (1, 0)


def test_single_ratings_are_the_unbiased_variance():
    # requests of one choice each: shared and single cannot be told, their sum is v, and of the mean v / n
    counts = random_counts(np.random.default_rng(1), repetitions=4)
    singles = np.zeros((20, 6, 4, 6), int)
    for p, q in np.ndindex(20, 6):
        singles[p, q, range(4), np.repeat(range(6), counts[p, q])] = 1
    noise, own = request_noise.noise(singles, SCALE), cells(counts, SCALE)
    assert noise.rating == pytest.approx(own.variance) and noise.of_mean == pytest.approx(own.variance / 4)
    assert not request_noise.tells(singles, SCALE) and np.isnan(rho(singles, SCALE).value)


def test_a_cell_with_one_request_takes_what_the_others_share():
    # the first cell shares 1.5 (above); the second has v = 2 of two ratings: noise 3.5, of the mean 2/2 + 1.5; the third is one
    noise = request_noise.noise(by_request([[1, 3], [4, 4]], [[1, 3]], [[5]]), SCALE)
    assert noise.rating[:, 0].tolist() == [2.5, 3.5, 0] and noise.of_mean[:, 0].tolist() == [1, 2.5, 0]


def test_shared_noise_is_told_where_most_cells_have_two_requests_of_several_choices():
    two, one = [[1, 3], [4, 4]], [[1, 3, 4, 4]]
    assert request_noise.tells(by_request(two, two, one), SCALE)
    assert not request_noise.tells(by_request(two, one), SCALE)  # half of them
    assert not request_noise.tells(by_request(one, one), SCALE)
    assert not request_noise.tells(np.zeros((2, 1, 2, 6), int), SCALE)


def test_without_requests_every_number_is_that_of_counts_alone():
    counts = random_counts(np.random.default_rng(2))
    plain, own = leave_one_out(counts, SCALE, np.full((6, 1), 1 / 6)), cells(counts, SCALE)
    assert plain.by_request is None
    spread = Parts(counts, own, SCALE).spread
    assert spread.rating is own.variance and np.array_equal(spread.of_mean, own.variance / own.n)


def test_parts_take_noise_and_the_variance_of_means_from_requests():
    # two personas, means 3 and 1; V = 2. Cells {1,3},{4,4} and {1,1},{1,1}: noise 2.5 and 0, of the mean 1 and 0.
    asked = by_request([[1, 3], [4, 4]], [[1, 1], [1, 1]])
    run = leave_one_out(asked.sum(axis=2), SCALE, ONE, by_request=asked)
    assert run.parts.anchor[0, 0] == pytest.approx(2 - 1 / 2) and run.parts.noise[0, 0] == pytest.approx(1.25)
    # the published SD goes on from all four ratings: v = 2, SD sqrt(2), mean over both cells
    assert run.of("within_sd")[0, 0] == pytest.approx(np.sqrt(2) / 2)
    assert run.parts.of(np.array([True, False])).spread.rating.tolist() == [[2.5]]


def test_leaving_out_a_request_is_leaving_out_its_ratings():
    """Three requests a cell: the variance of every part against metrics computed anew without one request of one cell."""
    rng = np.random.default_rng(3)
    asked = shared_requests.drawn(rng.dirichlet(np.full(6, 0.4), size=(40, 2)), (3, 3, 3), 0.2, rng)
    scope = np.full((2, 1), 1 / 2)
    run = leave_one_out(asked.sum(axis=2), SCALE, scope, by_request=asked)
    total = np.zeros(len(METRICS))
    for p, q in np.ndindex(40, 2):
        found = []
        for j in range(3):
            left = asked.copy()
            left[p, q, j] = 0
            found.append(leave_one_out(left.sum(axis=2), SCALE, scope, by_request=left).logs[:, 0, 0])
        total += 2 / 3 * ((found - np.mean(found, axis=0)) ** 2).sum(axis=0)
    known = [METRICS.index(name) for name in METRICS if name != "fidelity"]
    assert np.sqrt(repeat_interval.redrawn(run).variance[known, 0]) == pytest.approx(np.sqrt(total[known]), rel=0.04)


def test_two_requests_in_one_cell_by_hand():
    # one cell {1, 3}, {4, 4} and four constant ones: W = 2.5 / 5. Without a request the cell keeps what it shares, 1.5, and has
    # noise 0 + 1.5 or 2 + 1.5: D = -1 and 1, half of the sum of squares 1; and 1.5^2 for what two requests cannot tell.
    # Var(W) = 3.25 / 25 and Var(log within_rms) = 3.25 / 25 / (2 x 0.5)^2 = 0.13
    steady = [[[k, k], [k, k]] for k in (1, 2, 3, 4)]
    asked = by_request([[1, 3], [4, 4]], *steady)
    run = leave_one_out(asked.sum(axis=2), SCALE, ONE, by_request=asked)
    run.varying[:] = 5
    assert repeat_interval.redrawn(run).variance[METRICS.index("within_rms"), 0] == pytest.approx(0.13)


def test_a_shared_tenth_is_found_and_its_interval_holds_it():
    rng = np.random.default_rng(4)
    chances = rng.dirichlet(np.full(6, 0.5), size=(100, 10))
    found = rho(shared_requests.drawn(chances, (5, 5), 0.1, rng), SCALE)
    assert found.lo < 0.1 < found.hi and found.lo > 0 and found.value == pytest.approx(0.1, abs=0.03) and found.cells == 1000
    none = rho(shared_requests.drawn(chances, (5, 5), 0.0, rng), SCALE)
    assert none.lo < 0 < none.hi


def test_the_interval_is_that_of_the_ratio_of_mean_squares():
    # One cell a persona, two requests of two: MSB, MSW = 4, 1 / 1, 1 / 1, 3 / 0, 1. F of all (4+1+1+0)/(1+1+3+1) = 1, so rho = 0.
    cells_of = [[1, 3], [4, 4]], [[1, 1], [2, 2]], [[1, 3], [3, 1]], [[0, 2], [2, 0]]
    asked = by_request(*cells_of)
    found = request_noise.split(asked, SCALE)
    msb, msw = found.between[:, 0], found.msw[:, 0]
    assert msb.tolist() == [4, 1, 0, 0] and msw.tolist() == [1, 0, 2, 2]
    z = np.log([5 / 5, 1 / 4, 4 / 5, 5 / 3, 5 / 3])  # of all, then without each persona
    centre, se = 4 * z[0] - 3 * z[1:].mean(), np.sqrt(3 / 4 * ((z[1:] - z[1:].mean()) ** 2).sum())
    # w = MSB + MSW = 5, 1, 2, 2: 100 / 34 personas, so 1.94 degrees of freedom; rho = (F - 1) / (F + 1) with two choices
    reach = stdtrit(100 / 34 - 1, 0.975) * se
    limits = [(f - 1) / (f + 1) for f in np.exp([centre - reach, centre + reach])]
    assert rho(asked, SCALE) == (0, pytest.approx(limits[0]), pytest.approx(limits[1]), 4)


def test_copies_of_one_draw_are_rho_one():
    copies = [[1, 1], [2, 2]]
    assert rho(by_request(copies, copies, copies), SCALE) == (1, 1, 1, 3)
    assert np.isnan(rho(by_request(copies, copies), SCALE).lo)  # two personas are no three


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_the_interval_of_rho_holds_from_twenty_cells_of_which_few_vary(secure, shared):
    """300 probes know a share of .95 to .013; with the scale of rho itself three of ten would be wrong."""
    rng = np.random.default_rng(6)
    probed = np.stack([secure[5 * k, k * 30 // 20] for k in range(20)])[:, None]
    found = [rho(shared_requests.drawn(probed, (10, 10), shared, rng), SCALE) for _ in range(300)]
    known = [one for one in found if np.isfinite(one.lo)]
    assert len(known) > 200 and np.mean([one.lo <= shared <= one.hi for one in known]) >= 0.9


def test_rho_needs_something_that_varies_and_three_personas():
    assert np.isnan(rho(by_request([[1, 1], [1, 1]]), SCALE)[:3]).all()
    two = rho(by_request([[1, 3], [4, 4]], [[1, 2], [1, 4]]), SCALE)
    assert np.isfinite(two.value) and np.isnan(two.lo)


@pytest.fixture(scope="module")
def secure(mfq30):
    return cell_probabilities(load_respondent("gpt-4o/secure", mfq30), mfq30, load_personas("everyday"))


@pytest.mark.slow
def test_with_two_requests_interval_b_holds_and_with_one_it_does_not(secure):
    """150 runs know a share of .95 to .02."""
    held = {n: shared_requests.held(secure, SCALE, requests=n, runs=150, rng=np.random.default_rng(n)) for n in (1, 2)}
    for metric in ("susceptibility", "within_rms"):
        assert held[2].share[metric] >= 0.91 and held[1].share[metric] < 0.6, metric
    assert held[2].rho.mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.slow
def test_independent_choices_cost_two_requests_little_width(secure):
    """Where choices share nothing, requests hold as often, with intervals at most a quarter wider."""
    one, two = (
        shared_requests.held(secure, SCALE, requests=n, runs=100, rng=np.random.default_rng(n), shared=0.0) for n in (1, 2)
    )
    for metric in ("susceptibility", "within_rms"):
        assert two.share[metric] >= 0.9 and two.width[metric] < 1.25 * one.width[metric], metric


def test_every_part_that_moves_has_a_variance():
    rng = np.random.default_rng(5)
    asked = shared_requests.drawn(rng.dirichlet(np.ones(6), size=(10, 3)), (2, 2), 0.1, rng)
    parts = Parts(asked.sum(axis=2), cells(asked.sum(axis=2), SCALE), SCALE, asked)
    assert (np.diagonal(request_jackknife.covariances(parts, parts), axis1=1, axis2=2) > 0).all()
