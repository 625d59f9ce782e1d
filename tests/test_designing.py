"""Plans for a study: from tables or a pilot, with price."""

import math

import pytest
import yaml

from persona_collapse import capability, designing, estimating, jackknife, planning
from persona_collapse.__main__ import main
from persona_collapse.analysis import Analysis
from persona_collapse.collecting import collect
from persona_collapse.paths import STUDIES
from persona_collapse.store import open_store
from persona_collapse.study import load_study


@pytest.fixture
def example(tmp_path, outputs):
    """The example study with some protocol, under a folder of the test's own."""
    content = yaml.safe_load((STUDIES / "openai-example.yaml").read_text())

    def write(**protocol):
        path = tmp_path / "example.yaml"
        path.write_text(yaml.safe_dump(content | {"protocol": protocol}))
        return load_study(path)

    return write


def test_without_ratings_the_tables_decide(example):
    found = designing.design(example(repetitions=10), 0.05)
    assert found.source.startswith("the variances of the published runs")
    # change of noise at n = 3: (.10 + .26/2)/.05^2 = 92 personas; of S: (.14 + .03/3)/.05^2 = 60; and once without a persona
    single = found.ways["one by one"]
    assert (single.personas, single.repetitions, single.requests) == (92, 3, 93 * 30 * 3)
    # twenty choices in one request: noise at n = 12 (.10 + .26/11)/.05^2 = 50, S (.14 + .03/12)/.05^2 = 57, and at n = 11 58
    together = found.ways["choices"]
    assert (together.personas, together.repetitions, together.requests) == (57, 12, 58 * 30)
    assert (found.now["one by one"].requests, found.now["choices"].requests) == (101 * 300, 101 * 30)


def test_a_hundred_by_three_costs_a_third_of_a_hundred_by_ten(example):
    """And loses little: change of noise sqrt(.10 + .26/2)/10 = 4.8 % against sqrt(.10 + .26/9)/10 = 3.6 %."""
    three, ten = (designing.design(example(repetitions=n), 0.05).now["one by one"] for n in (3, 10))
    assert three.requests / ten.requests == pytest.approx(0.3)
    assert (round(100 * three.se, 1), round(100 * ten.se, 1)) == (4.8, 3.8)


def test_a_target_below_the_floor_is_said_to_need_personas(example):
    said = designing.lines(example(), 0.03)
    # noise decides: (.10 + .26/2)/.03^2 = 255.6 personas x 3; x 2 would be 400
    assert said[1] == "- one rating a request: not with 100 personas; 256 personas x 3 repetitions would do."
    assert said[4].startswith("With 100 personas the standard error stays above 3.7 % however often they are asked; only more")


def test_requests_and_price_are_those_of_the_estimate(example):
    study = example(repetitions=3, personas=100)
    table = estimating.estimate(study)
    total = table.groupby("way")[["requests", "dollars"]].sum()
    last = designing.lines(study, 0.05)[-1]
    for way, words in (("one by one", "one by one"), ("choices", "with choices")):
        requests, dollars = total.loc[way]
        assert f"{int(requests) // 3:,} requests a run {words} (about ${dollars:,.2f} for all 3)" in last
    # the example says of itself what the plan says
    assert "9,090 requests a run" in (STUDIES / "openai-example.yaml").read_text() and "9,090 requests a run" in last


def test_an_endpoint_without_choices_is_planned_one_by_one(example):
    study = example(repetitions=3)
    endpoint = study.file.endpoints["openai"]
    with open_store(study.store_path, write=True) as store:
        for run in study.runs:
            capability.remember(store, endpoint, run.variant.model, capability.Capability(choices=1))
    assert list(designing.design(study, 0.05).ways) == ["one by one", "logprobs"]


def test_all_personas_of_the_deck_can_be_had(example):
    found = designing.design(example(personas=20, repetitions=3), 0.05)
    assert found.ways["one by one"].personas > 20 and found.now["choices"].personas == 20


def test_exact_cells_take_one_request_each(example):
    found = designing.design(example(method="logprobs"), 0.05)
    # no ratings: .14/.05^2 = 56 personas for S, the larger of the two
    assert list(found.ways) == ["logprobs"]
    assert found.ways["logprobs"][:3] == (56, math.inf, 57 * 30)


def test_a_pilot_brings_its_own_variances(tmp_path, outputs):
    path = tmp_path / "pilot.yaml"
    path.write_text(
        "title: T\nkind: simulated\nprotocol: {personas: 25, repetitions: 4}\nfamilies:\n  - key: f\n    variants:\n"
        "      - {key: base, role: base, figures: gpt-4o/base}\n      - {key: bad, role: harmful, figures: gpt-4o/insecure}\n"
    )
    study = load_study(path)
    assert designing.design(study, 0.1).source.startswith("the variances of the published runs")
    collect(study)
    found = designing.design(study, 0.1)
    assert found.source == "the variances of this study's own ratings (1 variant)"
    assert found.spreads != [planning.TABLES[metric, "change"] for metric in designing.CHANGED]


def test_ratings_by_logprobs_are_a_pilot_without_noise(outputs):
    study = load_study("demo-logprobs")
    collect(study)
    found = designing.design(study, 0.05)
    assert found.source.startswith("the variances of this study's own ratings")
    assert all(spread.ratings == 0 for spread in found.spreads)
    with open_store(study.store_path) as store:
        analysis = Analysis(study, store)
        run = next(run for run in study.runs if run.variant.role == "harmful")
        own, base = analysis.together(run, analysis.base(run)).loo
    interval = jackknife.change(own, base).of("susceptibility")
    # what the pilot has it predicts: SE of the log ratio with its own personas
    expected = interval.se[0] / (100 + interval.value[0])
    assert any(planning.expected_se(spread, len(own.personas), math.inf) == pytest.approx(expected) for spread in found.spreads)


def test_the_command_says_it_in_lines_and_refuses_a_target_that_is_none(capsys):
    assert main(["plan", "--study", "openai-example", "--target", "5"]) == 0
    assert "92 personas x 3 repetitions, 8,370 requests a run (about $" in capsys.readouterr().out
    assert main(["plan", "--target", "0"]) == 1
    assert "target: '0'; expected a standard error in percent" in capsys.readouterr().err
