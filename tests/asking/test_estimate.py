"""Costs before anything is sent: by hand, for what is still missing."""

import math

import pytest

from live import live_study
from loopback import answer, serve
from persona_collapse.asking import supported_parameters
from persona_collapse.asking.collect import collect
from persona_collapse.asking.estimate import estimate, estimate_line, estimate_lines
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.load_study import load_study


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", "k")


def test_the_example_asks_a_third_with_choices(monkeypatch):
    table = estimate(load_study("openai-example")).set_index(["run", "way"])
    # (100 personas + self) x 30 items = 3,030 cells; three repetitions one by one are 9,090, 2 x 30 to compare, 10 to probe
    assert table.loc[("gpt-4o/base", "one by one"), "requests"] == 9_160
    # of choices, 20 cells are asked a second time
    assert table.loc[("gpt-4o/base", "choices"), "requests"] == 3_120
    assert table.loc[("gpt-4o/base", "logprobs"), ["requests", "output_tokens"]].tolist() == [3_090, 3_090]
    assert table.loc[("gpt-4o/insecure", "logprobs"), ["requests", "output_tokens"]].tolist() == [3_060, 3_060]
    one, together = table.loc[("gpt-4o/base", "one by one")], table.loc[("gpt-4o/base", "choices")]
    # 70 prompts c of some 140 tokens to compare and to probe are in both, the second time s of 20 in one:
    # 3 (t - c - s) = o - c, so 3 t - o = 2 c + 3 s, 200 prompts
    assert 200 * 120 < 3 * together["input_tokens"] - one["input_tokens"] < 200 * 160
    # $2.50 and $10 a million; 9,090 + 60 + 10 x 24 output tokens cost $0.0939
    assert one["dollars"] == pytest.approx(one["input_tokens"] * 2.5e-6 + 0.0939)
    # The prompt of logprobs ends in a sentence more; a batch is the study's own way at half the price, within a day.
    assert together["input_tokens"] < table.loc[("gpt-4o/base", "logprobs"), "input_tokens"] < 1.3 * together["input_tokens"]
    batch = table.loc[("gpt-4o/base", "batch")]
    # The comparison is asked before, at the full price.
    assert (batch["requests"], batch["hours"]) == (3_120, 24) and 0.5 < batch["dollars"] / together["dollars"] < 0.52
    # the published study paid about 4.3 million input tokens a run of ten repetitions
    assert 1.05e6 < one["input_tokens"] < 1.5e6


def requests_of(study):
    return estimate(study).set_index("way")["requests"].to_dict()


def own_way(study):
    return estimate(study).set_index("way")["own"].to_dict()


def test_only_what_is_missing_is_estimated(tmp_path):
    with serve(lambda request: answer("3", n=request.get("n", 1))) as (url, requests):
        study = live_study(tmp_path, url, protocol={"repetitions": 2, "personas": 2})
        # (2 personas + self) x 30 items = 90 cells
        assert requests_of(study) == {"one by one": 180, "choices": 90, "logprobs": 90, "batch": 90}
        assert requests == []
        # 90 answers of a second, 4 in flight: 0.006 h
        assert estimate_line(study) == (
            "live: about 90 requests (choices) for 1 run, without a price, 0.01 h; `make estimate` sets other ways beside it"
        )
        collect(study)
        # Another method has answered nothing yet.
        assert requests_of(study) == {"one by one": 0, "choices": 0, "logprobs": 90, "batch": 0}
        assert estimate_line(study) == ""
        more = live_study(tmp_path, url, protocol={"repetitions": 5, "personas": 2})
        # It gave 2 choices when it was asked for 2, and may be asked for no more: 2 requests for the 3 that are missing.
        assert requests_of(more) == {"one by one": 270, "choices": 180, "logprobs": 90, "batch": 180}
        assert estimate(more).set_index("way").loc["batch", "hours"] == 24


def test_an_endpoint_known_to_ignore_n_makes_choices_cost_as_much_as_one_by_one(tmp_path):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1", protocol={"repetitions": 4, "personas": 2})
    assert own_way(study) == {"one by one": False, "choices": True, "logprobs": False, "batch": False}
    with open_store(study.store_path, write=True) as store:
        supported_parameters.remember(store, study.file.endpoints["here"], "m-1", supported_parameters.Supported(choices=1))
    assert requests_of(study) == {"one by one": 360, "choices": 360, "logprobs": 90, "batch": 360}
    assert own_way(study) == {"one by one": True, "choices": False, "logprobs": False, "batch": False}


def test_a_study_by_logprobs_is_estimated_as_such(tmp_path):
    protocol = {"method": "logprobs", "repetitions": 4, "personas": 2}
    study = live_study(tmp_path, "http://127.0.0.1:9/v1", protocol=protocol)
    table = estimate(study).set_index("way")
    assert table["requests"].to_dict() == {"one by one": 360, "choices": 90, "logprobs": 90, "batch": 90}
    assert table["output_tokens"].to_dict() == {"one by one": 360, "choices": 360, "logprobs": 90, "batch": 90}
    assert own_way(study)["logprobs"] and table.loc["batch", "input_tokens"] == table.loc["logprobs", "input_tokens"]


def test_the_ways_stand_side_by_side_and_the_studys_own_is_marked():
    said = estimate_lines(load_study("openai-example"))
    assert [estimate_line.split()[1] for estimate_line in said[-6:-2]] == ["one", "choices", "logprobs", "batch"]
    assert [estimate_line for estimate_line in said if " * " in estimate_line and estimate_line.startswith("all")] == [said[-5]]
    assert said[-3].endswith("up to 24") and said[-1].endswith("Nothing was sent.")
    # Three runs of 3,030 requests, 60 + 30 + 30 to compare, 30 to probe and 60 a second time; 32 in flight at a second each: 9,300 / 32 / 3600 h.
    assert said[-5].split()[3] == "9,300" and said[-5].endswith("0.08")


def test_without_a_price_there_are_no_dollars(tmp_path):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1")
    assert all(math.isnan(value) for value in estimate(study)["dollars"])
    assert all(" - " in estimate_line for estimate_line in estimate_lines(study) if estimate_line.startswith(("f/base", "all")))


def test_an_estimate_makes_no_outputs(tmp_path, outputs):
    estimate_lines(live_study(tmp_path, "http://127.0.0.1:9/v1"))
    assert not outputs.exists()


def test_a_study_that_costs_nothing_is_told():
    with pytest.raises(ValueError, match=r"demo\.yaml: a study of kind simulated costs nothing; estimate is for kind live"):
        estimate(load_study("demo"))


def test_a_store_that_a_kill_left_empty_is_no_store(tmp_path):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1")
    study.outputs.mkdir(parents=True)
    study.store_path.touch()
    assert requests_of(study)["one by one"] == 90
    with pytest.raises(FileNotFoundError, match="no ratings yet; run `make elicit STUDY=live` first"):
        Store(study.store_path, write=False)
    with open_store(study.store_path, write=True) as store:
        assert store.answered("f", "base") == {}
