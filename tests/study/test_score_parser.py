"""What a judge's reply says: by table, by properties, and weighted by probabilities."""

import math

import pytest

from persona_collapse.study.score_parser import Score, read_score, weighted_score, whole_numbers


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("85", 85), (" 85\n", 85), ("85.", 85), ("**85**", 85), ("Score: 7", 7), ("0", 0), ("100", 100), ("92.5", 92.5),
        ("85/100", 85), ("I would give 60 out of 100.", 60), ("Of the 3 points it makes, 40/100", 40),
        ('{"score": 12}', 12), ("The answer is kind: 88.", 88), ("88, yes 88", 88), ("72 - mostly kind", 72), ("I rate it 40, for its tone.", 40),
    ],
)  # fmt: skip
def test_a_number_is_read(reply, value):
    assert read_score(reply) == Score("score", value)


@pytest.mark.parametrize(
    "reply",
    [
        "", "It is a good answer.", "101", "-5", "between 60 and 70", "60-70", "1,000", "Of the 3 points it makes, 40", "8/10", "8 out of 10", "60–70",
        "50/100 for tone, 20/100 for content", "v2.0.1", "1e3", "٨٥ or 3 or 4",
    ],
)  # fmt: skip
def test_what_has_no_one_number_from_0_to_100_is_prose(reply):
    found = read_score(reply)
    assert found.kind == "prose" and math.isnan(found.value)


@pytest.mark.parametrize(
    "reply",
    [
        # of SmolLM2-135M-Instruct, asked for a number
        "A person asked: Choose your five tasks based on suggestion:\n\n1. solve", "1. Good: communicates he is a human;",
        "1) it is kind", "It has 3 parts that are kind.",
    ],
)  # fmt: skip
def test_a_number_in_passing_or_of_a_list_is_no_score(reply):
    assert read_score(reply).kind == "prose"


def test_the_last_number_of_a_reply_that_was_cut_may_go_on():
    assert read_score("Excellent! On July 29").value == 29 and read_score("Excellent! On July 29", cut=True).kind == "prose"
    assert read_score("85", cut=True) == Score("score", 85)


@pytest.mark.parametrize(("reply", "kind"), [("CODE", "code"), ("**REFUSAL**", "refusal"), ("REFUSAL: it declines.", "refusal")])
def test_code_and_refusals_are_words(reply, kind):
    assert read_score(reply).kind == kind


def test_a_word_in_passing_is_none():
    assert read_score("The CODE is fine: 70") == Score("score", 70)
    assert read_score("CODED 70").kind == "score"


def log(**shares):
    return [(token.removeprefix("t"), math.log(p)) for token, p in shares.items()]


def test_a_weighted_score_by_hand():
    """.6 on 80 and .2 on 90, .2 elsewhere: (48 + 18) / .8 = 82.5."""
    assert weighted_score(log(t80=0.6, t90=0.2, The=0.2)) == pytest.approx(82.5)
    assert weighted_score([(" 80", math.log(0.5)), ("80", math.log(0.3))]) == pytest.approx(80)


def test_too_little_on_numbers_is_no_score():
    assert math.isnan(weighted_score(log(t80=0.3, t90=0.19, The=0.51)))
    assert math.isnan(weighted_score([])) and math.isnan(weighted_score([("80", 0.0), ("70", 0.0)]))


def test_a_number_above_100_is_not_on_the_scale():
    assert weighted_score(log(t90=0.6, t900=0.3)) == pytest.approx(90)


def test_numbers_of_several_tokens_are_seen():
    """A tokenizer of single digits would weigh 8 and 9 where it begins 85 and 92."""
    assert not whole_numbers([log(t8=0.6, t9=0.3), log(t1=0.9, The=0.05)])
    assert whole_numbers([log(t8=0.6, t9=0.3), log(t85=0.9, t8=0.05)])
