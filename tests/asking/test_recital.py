"""Replies of one token may be the beginning of a recited scale: ten cells are asked with 24, kept, and never ratings."""

import pytest

from live import KEY, live_study, rows, traffic
from loopback import answer, failure, serve
from persona_collapse.asking import recital
from persona_collapse.asking.collect import collect
from persona_collapse.asking.estimate import estimate
from persona_collapse.exhibits import data_sentences
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.tables.quality import run_quality

#: (2 personas + self) x 30 items
CELLS = 90
PROBED = {"repetitions": 1, "personas": 2, "probe": 10}
RECITED = "0 = not at all relevant, \n 1 = not very relevant, \n 2 = slightly"


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


def reciting(every):
    """A server that recites the scale in every so many-th answer that may have more than one token."""
    long = []

    def respond(request):
        if request["max_tokens"] == 1:
            return answer("0", finish_reason="length")
        long.append(request)
        return answer(RECITED, finish_reason="length") if len(long) % every == 0 else answer("4 - very relevant")

    return respond


def test_a_recited_scale_is_warned_of_kept_and_no_rating(tmp_path):
    said = []
    with serve(reciting(every=3)) as (url, requests):
        study = live_study(tmp_path, url, protocol=PROBED)
        assert collect(study, say=said.append) == CELLS
        assert sum(request["max_tokens"] == 24 for request in requests) == 10
        # Asked again for more repetitions: the run was probed before.
        assert collect(live_study(tmp_path, url, protocol=PROBED | {"repetitions": 2})) == CELLS
        assert traffic(study) == {"answered": 2 * CELLS, "probed": 10}
    # Answers 3, 6 and 9 of ten recite.
    assert said == [
        "live: f/base: 3 of 10 replies give no rating when they may have 24 tokens, such as '0 = not at all relevant, \\n 1 = not "
        "very relevant, \\n 2 = slig'; at max_tokens: 1 one that begins with a number would be read as that; set protocol.max_tokens: 24, or "
        "look at what the model says"
    ]
    assert set(rows(study)) == {(0, None)} and len(rows(study)) == 2 * CELLS
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
    quality = run_quality(ratings, study.runs[0]).set_index("condition")
    assert quality.loc["persona", ["probed", "probe_unrated"]].tolist() == [10, 3]
    assert "3 of 10 replies gave no rating when they had room" in data_sentences.commonest_replies(ratings)


def test_honest_replies_are_probed_in_silence(tmp_path):
    said = []
    with serve(reciting(every=99)) as (url, _):
        study = live_study(tmp_path, url, protocol=PROBED)
        collect(study, say=said.append)
    assert said == [] and traffic(study)["probed"] == 10
    with open_store(study.store_path) as store:
        assert data_sentences.commonest_replies(read_ratings(study, store)) == ""


@pytest.mark.parametrize("protocol", [{"max_tokens": 5}, {"probe": 0}, {"method": "logprobs"}])
def test_where_replies_tell_by_themselves_or_nobody_wants_it_nothing_is_probed(tmp_path, protocol):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1", protocol=PROBED | protocol)
    assert not recital.due(study, study.runs[0], None)


def test_a_model_that_takes_no_more_tokens_is_asked_all_the_same(tmp_path):
    said = []

    def respond(request):
        return answer("3") if request["max_tokens"] == 1 else failure(400, "bad", "max_tokens must be 1")

    with serve(respond) as (url, _):
        assert collect(live_study(tmp_path, url, protocol=PROBED), say=said.append) == CELLS
    assert (
        len(said) == 1
        and said[0].startswith("live: f/base: no probe of 24 tokens was possible (")
        and "refused the parameter max_tokens" in said[0]
    )


def test_the_probe_is_in_the_estimate_of_samples_until_it_is_done(tmp_path):
    with serve(reciting(every=99)) as (url, _):
        study = live_study(tmp_path, url, protocol=PROBED)

        def requests():
            return estimate(study).set_index("way")["requests"].to_dict()

        assert requests() == {"one by one": CELLS + 10, "choices": CELLS + 10, "logprobs": CELLS, "batch": CELLS + 10}
        collect(study)
        assert requests() == {"one by one": 0, "choices": 0, "logprobs": CELLS, "batch": 0}
