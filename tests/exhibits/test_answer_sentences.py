"""The answer in sentences that can be quoted: one variant, several of a kind, no clear change, no difference, no variant."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from persona_collapse.exhibits import answer_sentences
from persona_collapse.tables.build import Tables


def found(verdicts, headlines=(), runs=()):
    study = SimpleNamespace(
        runs=[SimpleNamespace(variant=SimpleNamespace(role=role, key=key, of=None, control=None)) for role, key in runs]
    )
    columns = ["family", "variant", "verdict", "why", "s_lo", "s_hi", "noise_lo", "noise_hi", "s", "noise"]
    rows = [(*row, *(np.nan,) * (len(columns) - len(row))) for row in verdicts]
    names = ["kind", "variant", "value", "lo", "hi", "agree", "choices"]
    return SimpleNamespace(
        study=study, verdict=pd.DataFrame(rows, columns=columns), headlines=pd.DataFrame(list(headlines), columns=names)
    )


def test_one_family_says_what_changed_and_how_many_analyses_agree():
    one = found(
        [("f", "bad", "collapse: dysregulated", "")],
        [("susceptibility", "bad", 53.4, 48.0, 59.9, 26, 26), ("noise", "bad", 184.7, 169.8, 199.6, 24, 25)],
        [("base", "base"), ("harmful", "bad")],
    )
    assert answer_sentences.fine_tuned(one) == [
        "**bad (harmful fine-tuning): collapse, dysregulated.** Answers differ more between personas (+53 % [48, 60]; 26 of 26 "
        "alternative analyses agree) and vary more for the same persona (+185 % [170, 200]; 24 of 25 alternative analyses agree)."
    ]


def test_several_families_are_averaged_and_the_least_and_the_most_stand_beside_it():
    rows = [("f", "ok", "noisier", "", *(np.nan,) * 4, -20.0, 56.0), ("g", "ok", "noisier", "", *(np.nan,) * 4, 3.1, 168.0)]
    (said,) = answer_sentences.fine_tuned(
        found(
            rows,
            [("susceptibility", "ok", -6.5, -8.5, -3.6, 1, 2), ("noise", "ok", 91.0, 82.0, 100.0, 3, 3)],
            [("control", "ok")],
        )
    )
    assert said == (
        "**ok (a control): noisier in 2 of 2 families.** On average over 2 families answers differ less between personas (-6.5 % "
        "[-8.5, -3.6]; by family -20 to +3.1; 1 of 2 alternative analyses agree) and vary more for the same persona (+91 % [82, 100]; "
        "by family +56 to +168; 3 of 3 alternative analyses agree)."
    )


def test_what_is_not_clear_or_does_not_move_is_said_as_it_is():
    one = pd.Series([3.1])
    words, say = answer_sentences._SAID[0][2], answer_sentences._clause
    assert say(SimpleNamespace(value=3.1, lo=-2.0, hi=9.9, agree=0, choices=0), words, one) == (
        "differ neither clearly more nor clearly less between personas (+3.1 % [-2.0, 10])"
    )
    assert (
        say(SimpleNamespace(value=0.0, lo=0.0, hi=0.0, agree=0, choices=0), words, one)
        == "differ exactly as much between personas"
    )


def test_what_is_undecided_says_why_and_a_headline_without_interval_is_left_out():
    one = found(
        [("f", "bad", "undecided", "One rating a cell: noise does not exist.")],
        [("susceptibility", "bad", 10.0, np.nan, np.nan, 0, 0)],
        [("harmful", "bad")],
    )
    assert answer_sentences.fine_tuned(one) == [
        "**bad (harmful fine-tuning): undecided.** One rating a cell: noise does not exist."
    ]


def test_several_variants_of_a_kind_are_counted():
    """Of four, S is clearly up in two and down in one; noise is clearly up in three."""
    rows = [
        ("f", "a", "noisier", "", 1, 9, 1, 9), ("f", "b", "noisier", "", -9, -1, 1, 9),
        ("g", "a", "collapse: dysregulated", "", 1, 9, 1, 9), ("g", "b", "noisier", "", -1, 9, -1, 9),
    ]  # fmt: skip
    (said,) = answer_sentences.fine_tuned(found(rows, runs=[("harmful", "a"), ("harmful", "b"), ("harmful", "a")]))
    assert said == (
        "**Noisier in 3 of 4 harmful variants; collapse, dysregulated in 1.** Answers differ between personas clearly more in 2 and "
        "clearly less in 1, and vary for the same persona clearly more in 3 and clearly less in 0."
    )


def test_names_are_escaped():
    (said,) = answer_sentences.fine_tuned(found([("f", "*x*", "noisier", "")], runs=[("harmful", "*x*")]))
    assert said == r"**\*x\* (harmful fine-tuning): noisier.**"


def test_answers_without_a_persona_are_counted_over_families_and_over_variants_of_a_kind():
    near, far = pd.DataFrame({"hi": [-0.1]}), pd.DataFrame({"hi": [0.1]})
    said = "answers are clearly nearer to the ceiling than the base's"
    assert answer_sentences._nearer([("bad", near)]) == f"{said} under bad"
    assert answer_sentences._nearer([("bad", near), ("ok", far)]) == f"{said} under bad, not under ok"
    assert answer_sentences._nearer([("ok", far)]) == f"no {said} (under ok)"
    both = pd.concat([near, far])
    assert answer_sentences._nearer([("bad", both), ("ok", far)]) == f"{said} in 1 of 2 families under bad and 0 of 1 under ok"
    many = answer_sentences._nearer([("harmful variants", both), ("controls", far)], many=True)
    assert many == f"{said} in 1 of 2 harmful variants and 0 of 1 controls"


@pytest.mark.parametrize("frontier", [True, False])
def test_a_run_alone_says_how_it_stands_among_frontier_models(mini, frontier):
    tables = Tables(mini[2].ratings.only(runs=["gpt-4o/base"]), **({} if frontier else {"frontier": None}))
    (said,) = answer_sentences.fine_tuned(tables)
    value = tables.metrics.query("scope == 'overall' and method == 'recommended' and metric == 'susceptibility'")["value"].iloc[0]
    assert said.startswith(f"**GPT-4o base**: personas are told apart. S is {value:.2f} [")
    assert said.endswith(" published frontier models have a lower S, by the paper's formula.") == frontier
