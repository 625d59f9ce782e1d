"""Wording as a factor: levels, how they are dealt, reversed scales, and what a study of simulated respondents makes of them."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import yaml

from persona_collapse.asking.dialect_openai import Choice
from persona_collapse.asking.slots import answer_of, hash_of, plan, questions, simulate
from persona_collapse.paths import INSTRUMENTS
from persona_collapse.statistics.moments import cells, within_levels
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import Store
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.wording import combinations, dealt
from persona_collapse.tables.run_statistics import Analysis

BOTH = {"wording": ["a", "b"], "scale": ["up", "down"]}


def study_of(folder, vary=None, **protocol):
    variants = [{"key": "base", "role": "base", "figures": "gpt-4o/base"}]
    content = {
        "title": "t", "kind": "simulated", "instrument": "mfq30", "conditions": ["persona"],
        "protocol": {"personas": 12, "repetitions": 10, **({"vary": vary} if vary else {}), **protocol},
        "families": [{"key": "g", "variants": variants}],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{'varied' if vary else 'plain'}.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_study(path)


class _Bar:
    def update(self, _):
        pass


def filled(folder, vary=None, **protocol):
    study = study_of(folder, vary, **protocol)
    store = Store(folder / f"{study.name}.sqlite", write=True)
    plan(study, study.runs[0], store)
    simulate(study, study.runs[0], store, _Bar())
    return study, store


def test_combinations_have_one_name_in_whatever_order_a_file_has_the_factors():
    assert combinations(BOTH) == ("wording=a scale=up", "wording=a scale=down", "wording=b scale=up", "wording=b scale=down")
    assert combinations({"scale": BOTH["scale"], "wording": BOTH["wording"]}) == combinations(BOTH)
    assert combinations({}) == ("",)


def test_ten_repetitions_of_four_combinations_are_dealt_by_hand():
    """Ten are two each and two more: of item 0 the first two combinations, of item 1 the last two, and so on."""
    assert [n for _, n, _ in dealt(BOTH, 10, 0)] == [3, 3, 2, 2]
    assert [n for _, n, _ in dealt(BOTH, 10, 1)] == [2, 2, 3, 3]
    assert [n for _, n, _ in dealt(BOTH, 10, 2)] == [3, 3, 2, 2]
    assert [before for _, _, before in dealt(BOTH, 10, 1)] == [0, 2, 4, 7]


@pytest.mark.parametrize("repetitions", [4, 5, 7, 10, 11])
def test_over_the_items_every_combination_gets_as_many_as_nearly_as_possible(repetitions):
    total = Counter()
    for item in range(30):
        dealt_out = list(dealt(BOTH, repetitions, item))
        assert sum(n for _, n, _ in dealt_out) == repetitions
        total.update({wording: n for wording, n, _ in dealt_out})
    assert max(total.values()) - min(total.values()) <= 1


def test_nothing_varies_and_a_cell_is_one_question():
    assert list(dealt({}, 10, 3)) == [("", 10, 0)]


@pytest.mark.parametrize(
    ("vary", "protocol", "error"),
    [
        ({"color": ["a", "b"]}, {}, "'color' is nothing that varies; expected 'wording', 'scale', 'persona_in'"),
        ({"persona_in": ["user", "assistant"]}, {}, "vary.persona_in: 'assistant' is no message; expected user and system"),
        ({"wording": ["a"]}, {}, "vary.wording: has 'a'; expected two different levels or more"),
        ({"wording": ["b", "b"]}, {}, "expected two different levels or more"),
        ({"scale": ["up", "left"]}, {}, "vary.scale: 'left' is no direction; expected up and down"),
        (BOTH, {"repetitions": 3}, "4 combinations of levels for 3 repetitions of a cell; a single rating tells"),
        (BOTH, {"repetitions": 4}, "no noise, and S and R need it; give repetitions: 8, or fewer levels"),
        (BOTH, {"requests": 2}, "every combination of levels is a request of its own already; remove requests"),
        (BOTH, {"method": "logprobs"}, "method logprobs asks a cell once, so nothing can vary in it"),
        ({"wording": ["a", "z"]}, {}, "mfq30 has no wording 'z'; expected one of 'a', 'b', 'c'"),
    ],
)
def test_levels_that_cannot_be_dealt_are_refused_in_one_line(tmp_path, vary, protocol, error):
    with pytest.raises(ValueError, match=re.escape(error)) as raised:
        study_of(tmp_path, vary, **protocol)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key", ["mfq30", "ipip50", "neutral12", "bfi44"])
@pytest.mark.parametrize("wording", ["a", "b", "c"])
def test_every_wording_keeps_the_labels_and_can_be_reversed(key, wording):
    instrument = load_instrument(key)
    up = instrument.worded_as(f"wording={wording} scale=up")
    down = instrument.worded_as(f"wording={wording} scale=down")
    assert set(up.labels) == set(instrument.labels)
    assert set(down.labels) == {(sum(instrument.scale) - point, label) for point, label in instrument.labels}
    assert {up.on_scale(1), down.on_scale(1)} == {1, sum(instrument.scale) - 1}


def test_a_reversed_prompt_moves_the_labels_and_nothing_else():
    neutral = load_instrument("neutral12").worded_as("scale=down")
    assert neutral.prompt(neutral.items[0]) == (
        "Which of these two do you prefer: tea or coffee? Please answer using this scale: 1 = clearly the second, 2 = rather the "
        "second, 3 = no preference, 4 = rather the first, 5 = clearly the first. Your response should start with an integer from "
        "1 to 5."
    )


@pytest.mark.parametrize(
    ("reply", "rating"),
    [("1", 4), ("0", 5), ("1 = very relevant", 4), ("1 = not very relevant", None), ("5 (not at all relevant)", 0)],
)
def test_a_reply_on_the_reversed_scale_is_turned_and_its_label_checked(tmp_path, reply, rating):
    study = study_of(tmp_path)
    found = answer_of(study, 1, 1, Choice(reply), None, instrument=study.instrument.worded_as("wording=a scale=down"))
    assert (found.rating, found.reply) == (rating, reply)


@pytest.mark.parametrize("key", ["mfq30", "ipip50", "neutral12", "bfi44"])
@pytest.mark.parametrize("wording", ["a", "b", "c"])
def test_a_system_message_and_the_question_are_the_prompt_cut_in_two(key, wording):
    one = load_instrument(key).worded_as(f"wording={wording}")
    cut = one.worded_as("persona_in=system")
    item = one.items[3]
    assert cut.system("a {retired} judge") + "\n\n" + cut.prompt(item, "a {retired} judge") == one.prompt(
        item, "a {retired} judge"
    )
    assert (cut.system(None), cut.prompt(item)) == ("", one.prompt(item))
    assert one.system("a judge") == ""


def test_a_prompt_that_goes_on_after_the_question_has_no_system_message():
    own = replace(load_instrument("neutral12"), key="own", persona_template="You are {persona}. {item} Answer as this person.")
    with pytest.raises(ValueError, match="persona_in: the persona_prompt of own does not end with the question") as raised:
        own.worded_as("persona_in=system")
    assert "\n" not in str(raised.value)


def test_without_a_persona_no_message_varies(tmp_path):
    """Two messages of two ratings as a persona; without one, a single question of all four."""
    study = study_of(tmp_path, {"persona_in": ["user", "system"]}, repetitions=4)
    study = replace(study, file=study.file.model_copy(update={"conditions": ("persona", "self")}))
    asked = list(questions(study, study.runs[0]))
    assert Counter((q.condition, q.wording, q.repetitions, bool(q.system)) for q in asked) == {
        ("persona", "persona_in=user", 2, False): 12 * 30, ("persona", "persona_in=system", 2, True): 12 * 30,
        ("self", "", 4, False): 30,
    }  # fmt: skip
    assert len({q.identity for q in asked}) == len(asked)


def test_the_user_message_that_ships_is_the_question_it_always_was(tmp_path):
    """The level `user` is asked as in a study that varies nothing: what was answered before stays answered."""
    plain, varied = study_of(tmp_path / "a"), study_of(tmp_path / "b", {"persona_in": ["user", "system"]})
    before = {q.identity for q in questions(plain, plain.runs[0])}
    after = {q.identity for q in questions(varied, varied.runs[0]) if q.wording == "persona_in=user"}
    assert before == after


def test_an_instrument_without_labels_cannot_be_reversed(tmp_path):
    text = yaml.safe_load((INSTRUMENTS / "neutral12.yaml").read_text())
    text["prompts"]["preference"] = "Which do you prefer: {text}? From 1 to 5."
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(text))
    with pytest.raises(ValueError, match=r"own, prompts.preference: names the points \[\] with a label; expected each of 1 to 5"):
        load_instrument(path).worded_as("scale=down")


def test_the_view_numbers_repetitions_through_and_its_own_wording_keeps_its_ratings(tmp_path):
    _, before = filled(tmp_path / "one")
    _, after = filled(tmp_path / "two", BOTH)
    at = ("g", "base", "persona", "mfq30")
    found = after.ratings(*at)
    assert len(found) == len(before.ratings(*at)) == 12 * 30 * 10
    assert [repetition for p, i, repetition, _ in found if (p, i) == (0, 1)] == list(range(1, 11))
    old = {(p, i, n): rating for p, i, n, rating in before.ratings(*at)}
    own = [r for r, w in zip(found, after.wordings(*at), strict=True) if w == "wording=a scale=up"]
    assert own
    assert all(old[p, i, n] == rating for p, i, n, rating in own)  # the first combination: nothing stands before it


def test_noise_within_levels_is_pooled_by_hand():
    """Ratings 1 1 in one wording and 3 5 in another: squares 0 + 2 over (4 - 2) df are 1; the plain variance is 11/3."""
    by_level = np.zeros((1, 1, 2, 6), int)
    by_level[0, 0, 0, 1], by_level[0, 0, 1, 3], by_level[0, 0, 1, 5] = 2, 1, 1
    own = cells(by_level.sum(axis=2), range(6))
    assert own.variance[0, 0] == pytest.approx(11 / 3)
    assert within_levels(own, by_level, range(6)).variance[0, 0] == pytest.approx(1)


def test_one_rating_a_wording_says_nothing_of_noise():
    by_level = np.zeros((1, 1, 2, 6), int)
    by_level[0, 0, 0, 1] = by_level[0, 0, 1, 5] = 1
    found = within_levels(cells(by_level.sum(axis=2), range(6)), by_level, range(6))
    assert not found.repeated[0, 0]
    assert found.variance[0, 0] == 0


def test_noise_stays_what_it_is_without_wording_while_levels_differ(tmp_path):
    """The spread between wordings is in the plain variance, and not in the noise of the recommended method."""
    plain, one = filled(tmp_path / "one", personas=60)
    varied, two = filled(tmp_path / "two", BOTH, personas=60)
    noise, whole = {}, {}
    for study, store in ((plain, one), (varied, two)):
        ratings = read_ratings(study, store)
        run = study.runs[0]
        analysis = Analysis(ratings)
        own = cells(analysis.counts(run), analysis.categories)
        by_level = ratings.of(run).by_level
        whole[study.name] = own.variance.mean()
        noise[study.name] = (own if by_level is None else within_levels(own, by_level, analysis.categories)).variance.mean()
    assert whole["varied"] > 1.5 * whole["plain"]
    assert noise["varied"] == pytest.approx(noise["plain"], rel=0.15)


def test_every_level_is_a_question_of_its_own(tmp_path):
    study = study_of(tmp_path, BOTH)
    asked = list(questions(study, study.runs[0]))
    assert len(asked) == 12 * 30 * 4
    assert len({q.identity for q in asked}) == len(asked)
    assert sum(q.repetitions for q in asked) == 12 * 30 * 10


def test_the_prompts_of_a_cell_are_known_all_and_alike_in_every_run(tmp_path):
    study, store = filled(tmp_path, BOTH)
    found = store.prompts("g", "base", "mfq30")
    hashes = [hash_of(q.prompt) for q in questions(study, study.runs[0]) if (q.persona, q.item) == (3, 7)]
    assert len(hashes) == 4
    assert found["persona", 3, 7] == " ".join(hashes)
