"""The verdict in words: what each says, and the numbers beside it."""

import numpy as np
import pandas as pd
import pytest

import persona_collapse as pc
from persona_collapse.exhibits import verdict_sentences
from persona_collapse.study.study import load_study
from persona_collapse.tables import verdict as rules


def row(**changes):
    about = {
        "family": "gpt-4o",
        "variant": "insecure",
        "verdict": rules.NOISIER,
        "why": "",
        "presence": "told apart",
        "control": "",
    }
    ends = ("", "_lo", "_hi")
    numbers = {f"{name}{end}": np.nan for name in ("s", "noise", "excess_s", "excess_noise", "share") for end in ends}
    return about | numbers | {"ceiling": np.nan} | changes


@pytest.fixture(scope="module")
def study():
    return load_study("mini")


def test_the_numbers_stand_beside_the_verdict(study):
    table = pd.DataFrame([row(
        verdict=rules.DYSREGULATED, control="secure", s=98.2, s_lo=73.2, s_hi=131.7, noise=158.1, noise_lo=118.0, noise_hi=205.0,
        excess_s=108.0, excess_s_lo=78.0, excess_s_hi=139.0, excess_noise=106.0, excess_noise_lo=74.0, excess_noise_hi=136.0,
        share=0.253, share_lo=0.2, share_hi=0.3, ceiling=0.94,
    )])  # fmt: skip
    assert verdict_sentences.verdict(table, study) == (
        "- **GPT-4o insecure: collapse, dysregulated.** Personas differ more and each is held less steadily, both beyond the matched "
        "control. Against the base: S +98 % [73, 132], noise +158 % [118, 205]. Beyond secure: S +108 pp [78, 139], noise +106 pp "
        "[74, 136]. A monotone recoding of the base's answers explains 25 % of what distinguishes personas (94 % for an unchanged base)."
    )


def test_what_does_not_exist_is_not_printed(study):
    """A steady base has a lower limit of noise alone; one rating a cell has nothing."""
    table = pd.DataFrame(
        [row(noise=3500.0, noise_lo=3425.0, noise_hi=np.inf), row(verdict=rules.UNDECIDED, why="One rating a cell.")]
    )
    first, second = verdict_sentences.verdict(table, study).splitlines()
    assert "Against the base: noise at least +3425 %." in first and "nan" not in first
    assert second == "- **GPT-4o insecure: undecided.** The ratings do not decide. One rating a cell."
    shown = verdict_sentences.verdict_table(table.iloc[1:], study)
    assert shown.loc["GPT-4o insecure"].tolist() == ["undecided", "told apart", "-", "-", "-", "-", "-"]


def test_what_changed_otherwise_is_said_once(study):
    why = "noise falls by 27 % [-35, -16]. No interval for the style share."
    table = pd.DataFrame([row(verdict=rules.OTHERWISE, why=why, noise=-27.0, noise_lo=-35.0, noise_hi=-16.0)])
    said = verdict_sentences.verdict(table, study)
    assert said.endswith("Against the base: noise -27 % [-35, -16]. No interval for the style share.")


def test_every_verdict_has_its_words_and_its_rule():
    assert {rules.UNDECIDED, rules.UNCHANGED, rules.NOISIER, rules.OTHERWISE, rules.HOMOGENISED, rules.DYSREGULATED,
            rules.WITHOUT_CONTROL, rules.NOT_BEYOND, rules.CAST, rules.USE} == set(verdict_sentences.MEANS)  # fmt: skip
    printed = verdict_sentences.methods(load_study("mini"))
    assert all(name in printed for name in verdict_sentences.MEANS) and "S 10 %, R 10 %" in printed


def test_a_study_of_one_run_has_no_verdict(study):
    assert verdict_sentences.verdict(pd.DataFrame(), study) == "This study has no variant to compare with a base."


def test_the_demo_in_small_is_called_what_it_is():
    ratings = pc.open_study("mini")
    table = pc.tabulate.verdict(ratings)
    assert table.loc["GPT-4o insecure", "verdict"] == rules.DYSREGULATED
    assert table.loc["GPT-4o secure", "verdict"] == rules.NOISIER
