"""Presence of the personas of a study: what its test exchanges, and what is said of that."""

from dataclasses import replace

import numpy as np
import pytest

from frames import answered, ratings_of
from live import KEY, live
from persona_collapse.asking.collect import collect
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.statistics import permutation
from persona_collapse.statistics.presence import GONE, UNKNOWN
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.tables.build import Tables


@pytest.fixture(scope="module")
def asked_twice(tmp_path_factory):
    """Ratings of three personas asked for three repetitions, then for six: a request brought three each time."""
    folder, found = tmp_path_factory.mktemp("live"), []
    with pytest.MonkeyPatch.context() as patch, running(Options(seed=5)) as server:
        patch.setenv("TEST_KEY", KEY)
        patch.setattr("persona_collapse.paths.OUTPUTS", folder / "outputs")
        for repetitions in (3, 6):
            study = live(folder, server.base_url, protocol={"repetitions": repetitions, "personas": 3})
            collect(study)
            with open_store(study.store_path) as store:
                found.append(read_ratings(study, store))
    return found


def test_requests_of_a_live_study_are_known_and_stay_with_their_ratings(asked_twice):
    once, twice = (ratings.of("gpt-4o/base") for ratings in asked_twice)
    assert once.requests_a_cell.tolist() == [1] * 90
    assert twice.requests_a_cell.tolist() == [2] * 90
    cut = asked_twice[1].without([0]).of("gpt-4o/base")
    assert cut.requests_a_cell.tolist() == [2] * 60
    assert cut.requests.tolist() == twice.requests[twice.slots[:, 0] > 0].tolist()
    assert asked_twice[1].first(3).of("gpt-4o/base").requests_a_cell.tolist() == [1] * 90


def test_whole_requests_move_where_cells_have_several_and_the_note_says_where_they_cannot(asked_twice, monkeypatch):
    moved, real = [], permutation.permutations
    monkeypatch.setattr(permutation, "permutations", lambda *given: moved.append(given[0][0]) or real(*given))
    once, twice = (Tables(ratings).presence.iloc[0] for ratings in asked_twice)
    assert [set(one.ratings.tolist()) for one in moved] == [{1}, {3}]
    assert [len(one.item) for one in moved] == [270, 180]
    assert once["note"] == (
        "p takes the choices of one request as independent: most cells have a single request, so it cannot be checked."
    )
    assert twice["note"] == ""
    assert once["p"] == twice["p"] == 0.001


def test_simulated_choices_are_independent_and_nothing_has_to_be_said(mini):
    assert mini[2].presence["note"].eq("").all()


def test_presence_does_not_hang_on_the_order_of_personas(mini):
    ratings = mini[2].ratings
    turned = {
        key: found if key[1] != "persona" else type(found)(
            (found.slots * [-1, 1, 1, 1]) + [found.shape[0] - 1, 0, 0, 0], found.shape, found.asked
        )
        for key, found in ratings.answers.items()
    }  # fmt: skip
    found = Tables(type(ratings)(ratings.study, turned, ratings.prompts)).presence
    numbers = ["value", "lo", "hi", "s_pool", "s_lo", "s_hi", "icc", "icc_lo", "icc_hi"]
    assert found[numbers].to_numpy() == pytest.approx(mini[2].presence[numbers].to_numpy(), rel=1e-9)
    assert found["null_95"].to_numpy() == pytest.approx(mini[2].presence["null_95"].to_numpy(), rel=0.15)  # other draws


@pytest.mark.parametrize(("half", "called"), [(0.5, GONE), (0.05, UNKNOWN)])
def test_personas_are_gone_below_the_share_of_the_base_that_the_study_names(half, called):
    """One character whoever is asked for, with pooled S below .2 of the base's: gone under .5 of it, and not under .05."""
    rng = np.random.default_rng(0)
    means = np.clip(rng.normal(2.5, 1.2, (16, 30)), 0, 5)
    ratings = ratings_of({"base": answered(rng, means), "bad": answered(rng, np.tile(means[0], (16, 1)))})
    file = ratings.study.file.model_copy(update={"half": half})
    found = Tables(replace(ratings, study=replace(ratings.study, file=file))).presence.set_index("variant")
    assert 0.05 < found.loc["bad", "s_hi"] / found.loc["base", "s_pool"] < 0.2 and found.loc["bad", "p"] > 0.05
    assert found.loc["bad", "verdict"] == called
