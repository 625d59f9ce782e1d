"""The permutation test that answers do not depend on the persona: what moves, and how often it errs."""

import numpy as np
import pytest

from building import counts_of, random_counts
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.permutation import _by_item, _item, permutations, single_ratings, whole_requests
from shared_requests import drawn


def p_of(counts):
    return permutations([single_ratings(counts)], *counts.shape[:2])[0]


def test_two_steady_personas_by_hand():
    found = p_of(counts_of([[[0, 0]], [[1, 1]]]))
    # Of the 6 ways to deal 0, 0, 1, 1 in pairs two are as they are: V = .5 and u = 0. The others give twice 0, 1: V = 0,
    # v = .5, u = .25. So p is 1/3, give or take .015 of 999 draws.
    assert found.p == pytest.approx(1 / 3, abs=0.05)
    assert found.null_95 == pytest.approx(0.5)


def test_cells_of_different_size_keep_their_size():
    found = p_of(counts_of([[[0]], [[1, 1, 1]]]))
    # The single rating is 0 in one of 4 cases, with V = .5 and no noise; else V = 1/18, v = 1/3, and as the single rating is
    # as uncertain as the other cell, mean u = (1/9 + 1/3) / 2: theta = 1/18 - 2/9.
    assert found.p == pytest.approx(1 / 4, abs=0.05)
    assert found.null_95 == pytest.approx(0.5)


def test_the_least_p_is_one_in_a_thousand_and_equal_personas_have_one():
    assert p_of(random_counts(np.random.default_rng(0))).p == 0.001
    assert p_of(counts_of([[[3, 3], [1, 1]]] * 3)).p == 1  # no rating varies


def test_the_same_ratings_give_the_same_p_alone_and_beside_others():
    rng = np.random.default_rng(4)
    few, many = (rng.multinomial(n, [0.2, 0.3, 0.5, 0, 0, 0], size=(6, 3)) for n in (2, 5))
    alone = p_of(many)
    assert permutations([single_ratings(few), single_ratings(many)], 6, 3)[1] == alone
    assert 0.001 < alone.p < 1


def test_without_a_persona_effect_one_test_in_twenty_is_significant():
    """200 runs: 10 expected, SE 3.1; p is uniform, mean 1/2."""
    rng = np.random.default_rng(7)
    runs = [single_ratings(rng.multinomial(3, [0.3, 0.3, 0.2, 0.2, 0, 0], size=(8, 3))) for _ in range(200)]
    p = np.array([one.p for one in permutations(runs, 8, 3)])
    assert 2 <= (p <= 0.05).sum() <= 20
    assert p.mean() == pytest.approx(0.5, abs=0.08)


def test_choices_that_share_the_noise_of_their_request_move_together():
    """No persona effect, but all five choices of a request alike: single ratings take requests for personas."""
    rng = np.random.default_rng(11)
    slots, requests = [], []
    for persona in range(12):
        for item in range(4):
            for request in range(2):
                slots += [(persona, item, rng.integers(6))] * 5
                requests += [request] * 5
    slots, counts = np.array(slots), np.zeros((12, 4, 6), int)
    np.add.at(counts, tuple(slots.T), 1)
    assert p_of(counts).p == 0.001
    (whole,) = permutations([whole_requests(slots, np.array(requests))], 12, 4)
    assert whole.p > 0.05


@pytest.mark.parametrize("choices", [(3, 3), (4, 1, 2)])
def test_the_persona_variance_of_requests_is_the_one_that_noise_of_requests_gives(choices):
    """That of `moments.Parts`, which takes the variance of a cell mean from how far requests lie apart."""
    rng = np.random.default_rng(12)
    asked = drawn(rng.dirichlet(np.ones(6), size=(7, 2)), choices, 0.3, rng)
    slots = np.array([(p, q, k, r) for p, q, r, k in np.ndindex(asked.shape) for _ in range(asked[p, q, r, k])])
    found = whole_requests(slots[:, :3], slots[:, 3])
    dealt = np.empty((0, len(found.item) // 2), int)
    theta = sum(_item(one, 7, dealt)[0] for one in _by_item(found, 2))
    counts = asked.sum(axis=2)
    assert theta == pytest.approx(Parts(counts, cells(counts, range(6)), range(6), asked).anchor[0].sum())


def test_without_a_persona_effect_shared_noise_is_no_persona_variance():
    """Two requests of five choices that share .3 of their noise: theta of what is dealt lies about 0, not at V."""
    rng = np.random.default_rng(13)
    asked = drawn(np.tile([0.3, 0.3, 0.2, 0.2, 0, 0], (20, 5, 1)), (5, 5), 0.3, rng)
    slots = np.array([(p, q, k, r) for p, q, r, k in np.ndindex(asked.shape) for _ in range(asked[p, q, r, k])])
    (found,) = permutations([whole_requests(slots[:, :3], slots[:, 3])], 20, 5)
    # v = 1.2 and MSB / n = 1.2 (1 + 4 x .3) / 10 = .26; a persona variance of .26 would be taken for nothing with u = v / n
    assert 0 < found.null_95 < 0.1 and found.p > 0.05


def test_whole_requests_of_one_rating_are_single_ratings():
    counts = counts_of([[[0, 3], [1, 1]], [[2, 2], [4, 5]]])
    slots = np.array([(p, q, k) for p, q, k in np.ndindex(counts.shape) for _ in range(counts[p, q, k])])
    found = whole_requests(slots, np.arange(len(slots)))
    assert permutations([found], 2, 2) == permutations([single_ratings(counts)], 2, 2)


def test_dealing_whole_cells_leaves_the_persona_variance_as_it_is():
    """So a study of one request a cell can only deal single ratings."""
    slots = np.array([(p, 0, k) for p in range(5) for k in (p, p)])
    assert permutations([whole_requests(slots, np.zeros(10))], 5, 1)[0].p == 1
