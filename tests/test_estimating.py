"""Costs before anything is sent: by hand, for what is still missing."""

import math

import pytest

from loopback import answer, serve
from persona_collapse.collecting import collect
from persona_collapse.estimating import estimate, lines
from persona_collapse.study import load_study
from test_elicitation import live_study


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", "k")


def test_the_example_asks_a_tenth_with_choices(monkeypatch):
    table = estimate(load_study("openai-example")).set_index(["run", "way"])
    # (100 personas + self) x 30 items = 3,030 cells; ten repetitions one by one are 30,300
    assert table.loc[("gpt-4o/base", "one by one"), "requests"] == 30_300
    assert table.loc[("gpt-4o/base", "choices"), "requests"] == 3_030
    assert (table["output_tokens"] == 30_300).all()
    one, together = table.loc[("gpt-4o/base", "one by one")], table.loc[("gpt-4o/base", "choices")]
    assert one["input_tokens"] == 10 * together["input_tokens"]
    # $2.50 and $10 a million; 30,300 output tokens cost $0.303
    assert one["dollars"] == pytest.approx(one["input_tokens"] * 2.5e-6 + 0.303)
    # the published study paid about 4.3 million input tokens a run
    assert 3.5e6 < one["input_tokens"] < 5e6


def test_only_what_is_missing_is_estimated(tmp_path):
    with serve(lambda request: answer("3", n=request.get("n", 1))) as (url, requests):
        study = live_study(tmp_path, url, protocol={"repetitions": 2, "personas": 2})
        assert estimate(study).set_index("way")["requests"].to_dict() == {"one by one": 180, "choices": 90}
        assert requests == []
        collect(study)
        assert estimate(study)["requests"].sum() == 0
        more = live_study(tmp_path, url, protocol={"repetitions": 5, "personas": 2})
        assert estimate(more).set_index("way")["requests"].to_dict() == {"one by one": 270, "choices": 90}


def test_without_a_price_there_are_no_dollars(tmp_path):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1")
    assert all(math.isnan(value) for value in estimate(study)["dollars"])
    assert all(" - " in line for line in lines(study) if line.startswith(("f/base", "all")))


def test_an_estimate_makes_no_outputs(tmp_path, outputs):
    lines(live_study(tmp_path, "http://127.0.0.1:9/v1"))
    assert not outputs.exists()


def test_a_study_that_costs_nothing_is_told():
    with pytest.raises(ValueError, match=r"demo\.yaml: a study of kind simulated costs nothing; estimate is for kind live"):
        estimate(load_study("demo"))
