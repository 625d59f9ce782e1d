"""Choices of one request may share noise: cells asked in two requests, or a few of them a second time, kept aside."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from live import KEY, live, live_study, rows, traffic, variant
from loopback import answer, failure, serve
from persona_collapse.asking import request_probe
from persona_collapse.asking.bundles import bundles, requests_of
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.asking.estimate import estimate
from persona_collapse.exhibits import data_sentences
from persona_collapse.simulated import response_model
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.server import running
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.respondent_parameters import load_respondent
from persona_collapse.study.study_file import Protocol
from persona_collapse.tables.build import tables_of
from persona_collapse.tables.quality import run_asking, run_quality

#: (2 personas + self) x 30 items
CELLS = 90
FOUR = {"repetitions": 4, "personas": 2, "request_probe": 20}


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)


def ratings_of(study):
    with open_store(study.store_path) as store:
        return read_ratings(study, store)


def choices(request):
    return answer("3", n=request.get("n", 1))


# --- bundles ---------------------------------------------------------------------------------------------------------


def test_one_request_brings_what_it_can():
    assert bundles(range(1, 11), 8, Protocol(repetitions=10)) == [tuple(range(1, 9)), (9, 10)]
    assert requests_of(10, 8, Protocol(repetitions=10)) == 2


@pytest.mark.parametrize(
    ("repetitions", "requests", "together", "sizes"),
    [(10, 2, 20, [5, 5]), (3, 2, 20, [2, 1]), (10, 2, 4, [4, 3, 3]), (10, 6, 20, [2, 2, 1, 2, 2, 1]), (2, 2, 20, [1, 1])],
)
def test_repetitions_are_dealt_evenly_to_at_least_so_many_requests(repetitions, requests, together, sizes):
    protocol = Protocol(repetitions=repetitions, requests=requests)
    found = bundles(range(1, repetitions + 1), together, protocol)
    assert [len(block) for block in found] == sizes and [r for block in found for r in block] == [*range(1, repetitions + 1)]
    assert requests_of(repetitions, together, protocol) == len(sizes)


def test_missing_repetitions_stay_with_the_request_that_they_were_dealt_to():
    # 1-5 and 6-10; what is left of each is asked by itself, and 6-10 are one request still
    protocol = Protocol(repetitions=10, requests=2)
    assert bundles([2, 3, 5, 6, 7], 20, protocol) == [(2, 3), (5,), (6, 7)]
    assert bundles([6, 7, 8, 9, 10], 20, protocol) == [(6, 7, 8, 9, 10)] and requests_of(5, 20, protocol) == 1


def test_more_requests_than_repetitions_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"requests: 5 for 4 repetitions of a cell; a request brings one at least; give at most 4"
    ):
        live_study(tmp_path, "http://127.0.0.1:9/v1", protocol=FOUR | {"requests": 5})


def test_two_requests_a_cell_bring_half_of_the_repetitions_each(tmp_path):
    with serve(choices) as (url, requests):
        study = live_study(tmp_path, url, protocol=FOUR | {"requests": 2})
        assert estimate(study).set_index("way")["requests"].to_dict() == {
            "one by one": 4 * CELLS, "choices": 2 * CELLS, "logprobs": CELLS, "batch": 2 * CELLS,
        }  # fmt: skip
        assert collect(study) == 4 * CELLS
    assert Counter(request["n"] for request in requests) == {2: 2 * CELLS}
    assert {request.slot.rsplit("/", 1)[1] for request in requests} == {"1", "3"}
    assert traffic(study) == {"answered": 2 * CELLS}  # no probe: every cell tells by itself


def test_how_repetitions_are_put_into_requests_is_no_part_of_a_slot(tmp_path):
    with serve(choices) as (url, requests):
        collect(live_study(tmp_path, url, protocol=FOUR | {"request_probe": 0}))
        sent = len(requests)
        assert collect(live_study(tmp_path, url, protocol=FOUR | {"requests": 2})) == 0
        assert collect(live_study(tmp_path, url, protocol=FOUR)) == 0  # nor is a finished study probed
        assert len(requests) == sent == CELLS


# --- a second time ---------------------------------------------------------------------------------------------------


def test_twenty_cells_are_asked_a_second_time_and_are_no_ratings(tmp_path):
    with serve(choices) as (url, requests):
        study = live_study(tmp_path, url, protocol=FOUR)
        # 20 of 90 more with choices; one by one tells by itself
        assert estimate(study).set_index("way")["requests"].to_dict() == {
            "one by one": 4 * CELLS, "choices": CELLS + 20, "logprobs": CELLS, "batch": CELLS + 20,
        }  # fmt: skip
        assert collect(study) == 4 * CELLS
        assert traffic(study) == {"answered": CELLS, "second": 20}
        # Named as repetitions that the study does not have, so that nobody takes them for its own.
        second = [request for request in requests if request.slot.endswith("/5")]
        assert len({request.slot for request in second}) == 20 and {request["n"] for request in second} == {4}
        assert collect(study) == 0
        assert len(requests) == CELLS + 20
    assert len(rows(study)) == 4 * CELLS
    ratings = ratings_of(study)
    found = ratings.of(study.runs[0])
    assert found.counts.sum() == 2 * 30 * 4 and len(found.second) == 80
    # each of those cells has its own request and the second one, of four ratings
    twice = found.asked_twice.sum(axis=-1)
    assert twice.shape == (2, 30, 2) and sorted(twice.reshape(-1, 2).tolist())[-20:] == [[4, 4]] * 20 and twice.sum() == 160
    assert "for a second time, to see what choices of one request share" in " ".join(run_asking(ratings, study.runs[0]).index)


def test_second_ratings_follow_their_persona(tmp_path):
    with serve(choices) as (url, _):
        study = live_study(tmp_path, url, protocol=FOUR | {"personas": 4})
        collect(study)
    found = ratings_of(study)
    cut = found.without([0, 2]).of(study.runs[0])
    # 20 cells over four personas: five of each, four ratings a cell; the second and the fourth are now the first and the second
    assert Counter(cut.second[:, 0].tolist()) == {0: 20, 1: 20}
    whole = found.of(study.runs[0]).asked_twice
    assert np.array_equal(cut.asked_twice, whole[[1, 3]])


@pytest.mark.parametrize(
    "protocol", [{"request_probe": 0}, {"repetitions": 1}, {"requests": 2}, {"method": "logprobs"}, {"repetitions": 30}]
)
def test_a_run_that_tells_by_itself_or_cannot_be_told_is_not_asked_twice(tmp_path, protocol):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1", protocol=FOUR | protocol)
    assert not request_probe.due(study, study.runs[0], None)


def test_an_endpoint_that_gives_fewer_choices_is_not_asked_twice(tmp_path):
    with serve(lambda request: answer("3", n=min(2, request.get("n", 1)))) as (url, _):
        study = live_study(tmp_path, url, protocol=FOUR)
        collect(study)
    assert "second" not in traffic(study)
    # The cell that was asked first brought two of four, the others were asked for two at a time.
    assert run_quality(ratings_of(study), study.runs[0])["requests_a_cell"][0] == 2


def test_a_server_that_is_gone_stops_the_probe_and_the_next_visit_asks_it(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.asking.backoff.wait", lambda failures: 0.0)
    down = []
    with serve(lambda request: failure(500) if request.slot.endswith("/5") and not down else choices(request)) as (url, _):
        study = live_study(tmp_path, url, protocol=FOUR)
        with pytest.raises(ElicitationError, match=r"f/base: a request got no answer"):
            collect(study)
        down.append(True)
        collect(study)
    assert len(ratings_of(study).of(study.runs[0]).second) == 80


def test_an_answer_from_a_cache_is_no_second_one(tmp_path):
    """One completion id for each prompt is a cache: the third answer that it gives again ends the visit, and none is kept."""

    def cached(request):
        status, body = answer("3", n=request.get("n", 1))
        return status, body | {"id": f"cached-{hash(request['messages'][0]['content'])}"}

    with serve(cached) as (url, _):
        with pytest.raises(ElicitationError, match=r"3 answers came from a cache"):
            collect(live_study(tmp_path, url, protocol=FOUR))


# --- what is said of it ----------------------------------------------------------------------------------------------


def test_a_study_that_cannot_check_it_says_so(tmp_path):
    with serve(choices) as (url, _):
        study = live_study(tmp_path, url, protocol=FOUR | {"request_probe": 0})
        collect(study)
    tables = tables_of(ratings_of(study))
    assert tables.quality["requests_a_cell"][0] == 1 and tables.quality["rho"].isna().all()
    unchecked = "Choices of one request are taken as independent; this study cannot check it."
    assert unchecked in data_sentences.cautions(tables.quality, study)
    assert unchecked in data_sentences.asked(study, study.runs[0], _known(study), tables.quality)
    # single ratings, and ratings that came one by one, need no such assumption
    for other in ({"max_repetitions": 1}, {"requests_a_cell": 4.0}):
        assert unchecked not in data_sentences.cautions(tables.quality.assign(**other), study)


@pytest.mark.parametrize("options", [{}, {"n": "rejected"}])
def test_one_request_a_cell_and_one_rating_a_request_keep_every_number(tmp_path, options):
    """Bit for bit those of the same ratings without word of requests."""
    with running(Options(seed=3, **options)) as server:
        study = live(tmp_path, server.base_url, protocol=FOUR | {"personas": 6})
        collect(study)
    known = ratings_of(study)
    answers = {key: replace(found, requests=np.empty(0, int)) for key, found in known.answers.items()}
    unknown = replace(known, answers=answers)
    assert known.of(study.runs[0]).by_request is not None and unknown.of(study.runs[0]).by_request is None
    for name in ("metrics", "components"):
        pd.testing.assert_frame_equal(getattr(tables_of(known), name), getattr(tables_of(unknown), name), check_exact=True)
    assert tables_of(known).quality["rho_cells"][0] == 20 if not options else tables_of(known).quality["rho"].isna().all()


def _known(study):
    from persona_collapse.asking.collect import support_of

    return support_of(ratings_of(study), study.runs[0])


@pytest.mark.slow
def test_a_shared_tenth_is_found_through_the_whole_road(tmp_path):
    """Thirty personas, ten repetitions: the probe warns of it or cannot tell; two requests a cell find and count it."""
    with running(Options(seed=3, shared=0.3)) as server:
        protocol = {"repetitions": 10, "personas": 30, "temperature": 0.1}
        at = {"variants": [variant(model="deepseek-v3.1/secure")], "conditions": ["persona"]}
        once = live(tmp_path, server.base_url, name="once", protocol=protocol | {"request_probe": 100}, **at)
        collect(once)
        twice = live(tmp_path, server.base_url, name="twice", protocol=protocol | {"requests": 2}, **at)
        collect(twice)
    quality, found = (tables_of(ratings_of(study)).quality.iloc[0] for study in (once, twice))
    assert (quality["requests_a_cell"], quality["rho_cells"]) == (1, 100) and quality["rho_lo"] < 0.3 < quality["rho_hi"]
    said = data_sentences.cautions(tables_of(ratings_of(once)).quality, once)
    assert quality["rho_lo"] > 0 and "Choices of one request are not independent draws" in said and "requests: 2" in said
    assert (found["requests_a_cell"], found["rho_cells"]) == (2, 900) and found["rho"] == pytest.approx(0.3, abs=0.05)
    assert "S, noise and interval B (the same requests again) count it." in data_sentences.cautions(
        tables_of(ratings_of(twice)).quality, twice
    )
    # What repeating the requests for ever would give, from the respondents' own chances.
    respondent = load_respondent("deepseek-v3.1/secure", once.instrument)
    chances = response_model.at_temperature(
        response_model.cell_probabilities(respondent, once.instrument, once.personas), protocol["temperature"]
    )
    true = leave_one_out(chances, once.instrument.categories, np.full((30, 1), 1 / 30), exact=True).of("within_rms")[0, 0]
    row, too_narrow = (
        tables_of(ratings_of(study)).metrics.query("metric == 'within_rms' and scope == 'overall'").iloc[0]
        for study in (twice, once)
    )
    assert row["lo_repeat"] < true < row["hi_repeat"] and too_narrow["hi_repeat"] < true
