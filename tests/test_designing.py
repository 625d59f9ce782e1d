"""Plans for a study: from tables or a pilot, with price."""

import math

import pytest
import yaml

from persona_collapse import designing, planning
from persona_collapse.__main__ import main
from persona_collapse.collecting import collect
from persona_collapse.paths import STUDIES
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
    assert found.source.startswith("variances of the published runs")
    # change of noise at n = 3: (.10 + .26/2)/.05^2 = 92 personas; of S: (.14 + .03/3)/.05^2 = 60
    assert (found.plan.design.personas, found.plan.design.repetitions, found.plan.design.requests) == (92, 3, 8280)
    assert (found.now.personas, found.now.requests) == (100, 30_000)


def test_a_hundred_by_three_costs_a_third_of_a_hundred_by_ten(example):
    """And loses little: change of noise sqrt(.10 + .26/2)/10 = 4.8 % against sqrt(.10 + .26/9)/10 = 3.6 %."""
    three, ten = (designing.design(example(repetitions=n), 0.05).now for n in (3, 10))
    assert three.requests / ten.requests == pytest.approx(0.3)
    assert (round(100 * three.se, 1), round(100 * ten.se, 1)) == (4.8, 3.8)


def test_a_target_below_the_floor_is_said_to_need_personas(example):
    said = " ".join(designing.lines(example(), 0.03))
    assert "No number of repetitions reaches 3.0 %: 100 personas leave 3.7 %" in said


def test_the_price_is_that_of_the_runs_as_personas(example):
    study = example(repetitions=3, personas=100)
    one = designing.design(study, 0.05).now
    line = next(line for line in designing.lines(study, 0.05) if line.startswith("Price of the study file"))
    # three runs, 9,000 requests of one token each: 9000 (10 + 15 + 15)/1e6 = 0.36 dollars for answers,
    # and the prompts, about 145 tokens each: 9000 * 145 * (2.5 + 3.75 + 3.75)/1e6 = 13
    single = float(line.split(": ")[1].split(" ")[0])
    assert one.requests == 9000 and 11 < single < 15


def test_all_personas_of_the_deck_can_be_had(example):
    found = designing.design(example(personas=20, repetitions=3), 0.05)
    assert found.plan.design.personas > 20 and found.now.personas == 20


def test_exact_cells_take_one_request_each(example):
    found = designing.design(example(method="logprobs"), 0.05)
    # no ratings: .14/.05^2 = 56 personas for S, the larger of the two
    assert (found.plan.design.personas, found.plan.design.repetitions, found.plan.design.requests) == (56, math.inf, 1680)


def test_a_pilot_brings_its_own_variances(tmp_path, outputs):
    path = tmp_path / "pilot.yaml"
    path.write_text(
        "title: T\nkind: simulated\nprotocol: {personas: 25, repetitions: 4}\nfamilies:\n  - key: f\n    variants:\n"
        "      - {key: base, role: base, figures: gpt-4o/base}\n      - {key: bad, role: harmful, figures: gpt-4o/insecure}\n"
    )
    study = load_study(path)
    assert designing.design(study, 0.1).source.startswith("variances of the published runs")
    collect(study)
    found = designing.design(study, 0.1)
    assert found.source == "variances of this study's own ratings, the largest of 1 variants"
    assert found.plan.floor != max(planning.floor(planning.TABLES[metric, "change"], 100) for metric in designing.CHANGED)


def test_the_command_says_it_in_lines_and_refuses_a_target_that_is_none(capsys):
    assert main(["plan", "--study", "openai-example", "--target", "5"]) == 0
    assert "92 personas x 3 repetitions (8,280 requests a run)" in capsys.readouterr().out
    assert main(["plan", "--target", "0"]) == 1
    assert "target: '0'; expected a standard error in percent" in capsys.readouterr().err
