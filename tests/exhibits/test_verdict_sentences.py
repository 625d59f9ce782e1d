"""The verdict in words: what each says, and the numbers beside it."""

import numpy as np
import pandas as pd
import pytest

import persona_collapse as pc
from persona_collapse.exhibits import verdict_sentences
from persona_collapse.study.load_study import load_study
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


def test_variants_of_one_verdict_stand_together_and_the_table_has_the_numbers(study):
    numbers = dict(
        s=98.2, s_lo=73.2, s_hi=131.7, noise=158.1, noise_lo=118.0, noise_hi=205.0, excess_s=108.0, excess_s_lo=78.0,
        excess_s_hi=139.0, excess_noise=106.0, excess_noise_lo=74.0, excess_noise_hi=136.0, share=0.253, share_lo=0.2, share_hi=0.3,
        ceiling=0.94,
    )  # fmt: skip
    table = pd.DataFrame([
        row(verdict=rules.NOISIER, variant="secure"), row(verdict=rules.DYSREGULATED, control="secure", **numbers),
        row(verdict=rules.DYSREGULATED, family="qwen3-235b"),
    ])  # fmt: skip
    assert verdict_sentences.verdict(table, study).splitlines() == [
        "- **collapse, dysregulated** (GPT-4o insecure, Qwen3-235B insecure): personas differ more and each is held less steadily, "
        "both beyond the matched control.",
        "- **noisier** (GPT-4o secure): each persona is held less steadily; S is not shown to rise by more than the smallest change "
        "that matters.",
    ]
    shown = verdict_sentences.verdict_table(table, study).loc["GPT-4o insecure"]
    assert shown.tolist() == ["yes", "+98 [73, 132]", "+158 [118, 205]", "+108 [78, 139]", "+106 [74, 136]",
                              "25 [20, 30] of 94", "collapse, dysregulated"]  # fmt: skip
    assert list(verdict_sentences.verdict_table(table, study).index)[-1] == "GPT-4o secure"  # harmful variants first


def test_what_does_not_exist_is_not_printed(study):
    """A steady base has a lower limit of noise alone; one rating a cell has nothing."""
    table = pd.DataFrame(
        [row(noise=3500.0, noise_lo=3425.0, noise_hi=np.inf), row(verdict=rules.UNDECIDED, why="One rating a cell.")]
    )
    assert verdict_sentences.verdict_table(table.iloc[:1], study).loc["GPT-4o insecure", "noise (%)"] == "at least +3425"
    _, second = verdict_sentences.verdict(table, study).splitlines()
    assert second == "- **undecided** (GPT-4o insecure): the ratings do not decide. GPT-4o insecure: One rating a cell."
    shown = verdict_sentences.verdict_table(table.iloc[1:], study)
    assert shown.loc["GPT-4o insecure"].tolist() == ["yes", "-", "-", "-", "-", "-", "undecided"]


def test_what_changed_otherwise_is_said_once(study):
    why = "noise falls by 27 % [-35, -16]. No interval for the style share."
    table = pd.DataFrame([row(verdict=rules.OTHERWISE, why=why, noise=-27.0, noise_lo=-35.0, noise_hi=-16.0)])
    said = verdict_sentences.verdict(table, study)
    assert said.endswith(" GPT-4o insecure: No interval for the style share.") and "27" not in said


def test_every_verdict_has_its_words_and_its_rule():
    assert {rules.UNDECIDED, rules.UNCHANGED, rules.NOISIER, rules.OTHERWISE, rules.HOMOGENISED, rules.DYSREGULATED,
            rules.WITHOUT_CONTROL, rules.NOT_BEYOND, rules.CAST, rules.USE} == set(verdict_sentences.MEANS)  # fmt: skip
    printed = verdict_sentences.methods(load_study("mini"))
    assert all(verdict_sentences.called(name) in printed for name in verdict_sentences.MEANS) and "S 10 %, R 10 %" in printed


def test_a_study_of_one_run_has_no_verdict(study):
    assert verdict_sentences.verdict(pd.DataFrame(), study) == "This study has no variant to compare with a base."


def test_the_demo_in_small_is_called_what_it_is():
    ratings = pc.open_study("mini")
    table = pc.tabulate.verdict(ratings)
    assert table.loc["GPT-4o insecure", "verdict"] == "collapse, dysregulated"
    assert table.loc["GPT-4o secure", "verdict"] == rules.NOISIER
