"""Plans for a study: from tables or a pilot, with price."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from building import random_counts
from importable import cell, write_rows
from persona_collapse.__main__ import main
from persona_collapse.asking import supported_parameters
from persona_collapse.asking.collect import collect
from persona_collapse.asking.estimate import estimate, with_protocol
from persona_collapse.paths import STUDIES
from persona_collapse.statistics import persona_jackknife, power, sample_size
from persona_collapse.statistics.power import Margin
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.study.study_file import Smallest
from persona_collapse.tables.plan import CHANGED, design, plan_lines
from persona_collapse.tables.run_statistics import Analysis


@pytest.fixture
def example(tmp_path, outputs):
    """The example study with some protocol, under a folder of the test's own."""
    content = yaml.safe_load((STUDIES / "openai-example.yaml").read_text())

    def write(conditions=("persona", "self"), **protocol):
        path = tmp_path / "example.yaml"
        path.write_text(yaml.safe_dump(content | {"conditions": list(conditions), "protocol": protocol}))
        return load_study(path)

    return write


def test_without_ratings_the_tables_decide(example):
    found = design(example(repetitions=10), 0.05)
    assert found.variants == 0
    # change of noise at n = 3: (.10 + .26/2)/.05^2 = 92 personas; of S: (.14 + .03/3)/.05^2 = 60; and once without a persona;
    # three runs
    single = found.ways["one by one"]
    assert (single.personas, single.repetitions, single.requests) == (92, 3, 3 * 93 * 30 * 3)
    # twenty choices in one request: noise at n = 12 (.10 + .26/11)/.05^2 = 50, S (.14 + .03/12)/.05^2 = 57, and at n = 11 58
    together = found.ways["choices"]
    assert (together.personas, together.repetitions, together.requests) == (57, 12, 3 * 58 * 30)
    assert (found.now["one by one"].requests, found.now["choices"].requests) == (3 * 101 * 300, 3 * 101 * 30)


@pytest.mark.slow
def test_the_lowest_price_of_choices_is_below_that_of_the_fewest_requests(example):
    """A rating costs a small part of a prompt: 58 personas x 7 take 30 requests a run more, and 5 ratings a cell fewer."""
    found = design(example(), 0.05)
    # noise at n = 7: (.10 + .26/6)/.05^2 = 57.3, S (.14 + .03/7)/.05^2 = 57.7
    assert found.by_price[:3] == (58, 7, 3 * 59 * 30)
    said = plan_lines(example(), 0.05)
    few, cheap = (next(line for line in said if words in line) for words in ("fewest requests:", "lowest price:"))
    assert "57 personas x 12 repetitions, 5,430 requests" in few and "58 personas x 7 repetitions, 5,520 requests" in cheap
    assert _usd(cheap) < _usd(few)


def _usd(line):
    return float(re.search(r"about ([0-9.,]+) USD", line)[1].replace(",", ""))


def test_a_hundred_by_three_costs_a_third_of_a_hundred_by_ten(example):
    """And loses little: change of noise sqrt(.10 + .26/2)/10 = 4.8 % against sqrt(.10 + .26/9)/10 = 3.6 %."""
    three, ten = (design(example(repetitions=n), 0.05).now["one by one"] for n in (3, 10))
    assert three.requests / ten.requests == pytest.approx(0.3)
    assert (round(100 * three.se, 1), round(100 * ten.se, 1)) == (4.8, 3.8)


def test_a_target_below_the_floor_is_said_to_need_personas(example):
    said = plan_lines(example(), 0.03)
    # noise decides: (.10 + .26/2)/.03^2 = 255.6 personas x 3; x 2 would be 400
    assert said[2] == "- One rating a request: out of reach of 100 personas; 256 personas x 3 repetitions would do."
    # sqrt(.14 / 100), that of S
    assert said[5] == (
        "Floor: with all 100 personas the standard error stays above 3.7 % however often they are asked; only more personas lower it."
    )


@pytest.mark.parametrize("conditions", [["persona"], ["persona", "self"], ["persona", "self", "toxic"]])
@pytest.mark.slow
def test_requests_and_price_are_those_of_the_estimate(example, conditions):
    study = example(conditions=conditions, repetitions=3, personas=100)
    total = estimate(study).groupby("way")[["requests", "dollars"]].sum()
    found, said = design(study, 0.05), plan_lines(study, 0.05)
    for way, words in (("one by one", "one by one"), ("choices", "as choices")):
        requests, dollars = total.loc[way]
        # The estimate has 2 x 30 + 30 + 30 requests more to compare fine-tunes with their base, 10 a run to probe, and with
        # choices 20 a run for a second time.
        assert found.now[way].requests == requests - (210 if way == "choices" else 150)
        assert f"{int(requests):,} requests (about {dollars:,.2f} USD) {words}" in said[-2]
    assert ("without a persona" in said[0], "as toxic characters" in said[0]) == ("self" in conditions, "toxic" in conditions)


def test_toxic_characters_are_asked_of_bases_alone(example):
    with_toxic, without = (
        design(example(conditions=conditions, repetitions=3), 0.05).now["one by one"].requests
        for conditions in (["persona", "toxic"], ["persona"])
    )
    assert with_toxic - without == 8 * 30 * 3  # one base of three runs, eight characters


def test_the_example_says_of_itself_what_the_plan_says():
    said = plan_lines(load_study("openai-example"), 0.05)[-2]
    assert "9,300 requests as choices, see `make plan`" in (STUDIES / "openai-example.yaml").read_text()
    assert "9,300 requests (about" in said and said.endswith("as choices; standard error 4.8 %.")


def test_the_plan_says_what_a_second_request_a_cell_costs(example):
    # Three runs of 3,030 cells take as many requests more, less the 20 cells a run that need no second look: 9,090 - 60.
    said = plan_lines(load_study("openai-example"), 0.05)[-1]
    assert re.fullmatch(
        r"A second request a cell costs 9,030 more requests \(about \d\.\d\d USD\): with `protocol: \{requests: 2\}`, noise that "
        r"choices of one request share is counted\.",
        said,
    )
    study = example(repetitions=3)
    assert "second request" not in " ".join(plan_lines(with_protocol(study, requests=2), 0.05))
    # One repetition has no second request, and a known endpoint of one rating a request has them all by themselves.
    assert "second request" not in " ".join(plan_lines(with_protocol(study, repetitions=1), 0.05))


def test_the_power_of_both_designs_is_said_with_the_personas_that_it_takes(example):
    study = example(repetitions=3)
    power_lines = [line for line in plan_lines(study, 0.05) if line.startswith("Power of ")]
    spreads = {metric: sample_size.TABLES[metric, "change"] for metric in ("susceptibility", "within_rms")}
    s, r = (power.of_design([Margin(spreads[metric], 0.1)], 100, 3) for metric in spreads)
    enough = power.personas_for([Margin(spread, 0.1) for spread in spreads.values()], 3)
    assert (f"{100 * s:.0f} %", f"{100 * r:.0f} %", enough) == ("58 %", "26 %", 219)
    assert power_lines[0] == (
        "Power of 100 personas x 3 repetitions (the study file): where nothing changed, S is shown to be within 10 % in 58 % of "
        "studies and R within 10 % in 26 %, and 80 % for both takes 219 personas; where no persona effect is left, personas are "
        "called gone in 95 %."
    )
    assert len(power_lines) == 2 and power_lines[1].startswith("Power of 57 personas x 12 repetitions (fewest requests): ")


def test_the_smallest_changes_and_half_of_the_study_decide_its_power(example):
    study = example(repetitions=3)
    update = {"smallest": Smallest(S="15 %", R="30 %"), "half": 0.01}
    said = next(line for line in plan_lines(replace(study, file=study.file.model_copy(update=update)), 0.05) if "Power" in line)
    # log 1.15 is 3.61 standard errors of .0387: 1 - 2 Phi(1.66 - 3.61) = .95; log 1.3 is 5.5 of .048. (.01 S)^2 is less than tau
    assert "S is shown to be within 15 % in 95 % of studies and R within 30 % in 100 %" in said and said.endswith("gone in 0 %.")


def test_an_endpoint_without_choices_is_planned_one_by_one(example):
    study = example(repetitions=3)
    endpoint = study.file.endpoints["openai"]
    with open_store(study.store_path, write=True) as store:
        for run in study.runs:
            supported_parameters.remember(store, endpoint, run.variant.model, supported_parameters.Supported(choices=1))
    assert list(design(study, 0.05).ways) == ["one by one", "logprobs"]


def test_all_personas_of_the_deck_can_be_had(example):
    found = design(example(personas=20, repetitions=3), 0.05)
    assert found.ways["one by one"].personas > 20 and found.now["choices"].personas == 20


def test_exact_cells_take_one_request_each(example):
    found = design(example(method="logprobs"), 0.05)
    # no ratings: .14/.05^2 = 56 personas for S, the larger of the two
    assert list(found.ways) == ["logprobs"]
    assert found.ways["logprobs"][:3] == (56, math.inf, 3 * 57 * 30)
    assert plan_lines(example(method="logprobs"), 0.05)[2].startswith("- Logprobs: 56 personas x one request a cell, 5,250 req")


def test_one_repetition_says_nothing_about_noise(example):
    assert plan_lines(example(repetitions=1), 0.05)[-1] == (
        "The study file as it stands: 1 repetition, which cannot tell noise from personas; ask for 2 or more."
    )


def test_an_easy_target_says_why_personas_are_so_many(example):
    assert "25 personas x 2 repetitions (no plan has fewer personas), " in plan_lines(example(), 0.5)[2]


def test_a_study_without_a_price_is_told_where_to_give_one(tmp_path, outputs):
    """And of a base alone the plan says that there is nothing to set beside it."""
    path = tmp_path / "free.yaml"
    path.write_text(
        "title: T\nkind: live\nprotocol: {repetitions: 3}\n"
        "endpoints: {e: {base_url: 'http://127.0.0.1:9/v1', api_key_env: NO_SUCH_KEY}}\nfamilies:\n"
        "  - key: f\n    variants:\n      - {key: base, role: base, endpoint: e, model: m}\n"
    )
    said = plan_lines(load_study(path), 0.05)
    assert "those of the one run (none of them a control or harmful variant yet)" in said[0]
    assert said[-1] == "No price is known: give the endpoint, or each variant, a price_per_million."
    assert not any("USD" in line or "lowest price" in line for line in said)


def test_imported_ratings_are_a_pilot_and_send_nothing(tmp_path, outputs):
    for name, seed in (("base", 1), ("bad", 2)):
        drawn = random_counts(np.random.default_rng(seed), personas=30, items=30, repetitions=4)
        cells = (row for p, q in np.ndindex(30, 30) for row in cell(p, q + 1, *np.repeat(range(6), drawn[p, q])))
        write_rows(tmp_path / f"{name}.csv", list(cells))
    path = tmp_path / "t.yaml"
    path.write_text(
        "title: T\nkind: imported\nfamilies:\n  - key: f\n    variants:\n"
        "      - {key: base, role: base, persona: base.csv}\n      - {key: bad, role: harmful, persona: bad.csv}\n"
    )
    study = load_study(path, tmp_path)
    collect(study)
    said = plan_lines(study, 0.3)
    assert said[1] == "Variances are those of this study's own ratings; a design has to do for the variant that has them."
    assert design(study, 0.3).personas == 30 and "Floor: with all 30 personas" in said[5]
    assert said[-1] == "This study sends no requests; they are counted as if an endpoint were asked, and have no price."


def test_a_pilot_brings_its_own_variances(tmp_path, outputs):
    path = tmp_path / "pilot.yaml"
    path.write_text(
        "title: T\nkind: simulated\nprotocol: {personas: 25, repetitions: 4}\nfamilies:\n  - key: f\n    variants:\n"
        "      - {key: base, role: base, figures: gpt-4o/base}\n      - {key: bad, role: harmful, figures: gpt-4o/insecure}\n"
    )
    study = load_study(path)
    assert design(study, 0.1).variants == 0
    collect(study)
    found = design(study, 0.1)
    assert found.variants == 1
    assert "those of this study's own simulated ratings; a design has to do for the variant" in plan_lines(study, 0.1)[1]
    assert found.spreads != [sample_size.TABLES[metric, "change"] for metric in CHANGED]


@pytest.mark.slow
def test_ratings_by_logprobs_are_a_pilot_without_noise(outputs):
    study = load_study("demo-logprobs")
    collect(study)
    found = design(study, 0.05)
    assert found.variants == 4
    assert all(spread.ratings == 0 for spread in found.spreads)
    with open_store(study.store_path) as store:
        analysis = Analysis(read_ratings(study, store))
        run = next(run for run in study.runs if run.variant.role == "harmful")
        own, base = analysis.together(run, analysis.base(run)).loo
    interval = persona_jackknife.change(own, base).of("susceptibility")
    # what the pilot has it predicts: SE of the log ratio with its own personas
    expected = interval.se[0] / (100 + interval.value[0])
    assert any(
        sample_size.expected_se(spread, len(own.personas), math.inf) == pytest.approx(expected) for spread in found.spreads
    )


@pytest.mark.slow
def test_the_command_says_it_in_lines(capsys):
    assert main(["plan", "--study", "openai-example", "--target", "5"]) == 0
    assert "92 personas x 3 repetitions, 25,260 requests (about " in capsys.readouterr().out


@pytest.mark.parametrize("target", ["0", "-1", "x", "200", "nan", "", "1e-9", "inf"])
def test_a_target_that_is_none_is_refused_in_one_line(capsys, target):
    assert main(["plan", f"--target={target}"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err == (
        f"error: target: {target!r}; expected a standard error in percent from 0.01 to below 100, such as TARGET=5\n"
    )


def test_the_smallest_target_is_planned_for_more_personas_than_there_are(example):
    # noise decides: (.10 + .26/2)/.0001^2 = 23,000,000 personas x 3
    assert "out of reach of 100 personas; 23,000,000 personas x 3 repetitions would do." in plan_lines(example(), 0.0001)[2]
