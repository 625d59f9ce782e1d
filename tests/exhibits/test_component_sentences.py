"""Where a group no longer measures personas: said from the numbers, and not where they do not say it."""

import numpy as np
import pandas as pd
import pytest

from building import write_study
from persona_collapse.exhibits import component_figures, component_sentences


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path, {"a": [("base", "base", None), ("ok", "control", None)]})


def alphas(study, **of_variant):
    """reliability.csv: .85 [.80, .90] everywhere but in the groups named by their first letters, (value, lo, hi) of variant ok."""
    groups = study.instrument.foundations
    rows = [
        ("a", variant, group, *(of_variant.get(group[:4], (0.85, 0.8, 0.9)) if variant == "ok" else (0.85, 0.8, 0.9)))
        for variant in ("base", "ok") for group in groups
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["family", "variant", "group", "value", "lo", "hi"])


def changes(study, s=(-50, -60, -40), ceiling=(-70, -80, -60), relative=(5, -10, 20)):
    """contrasts.csv of variant ok with these changes (value, lo, hi) in every group."""
    parts = {"susceptibility": s, "ceiling": ceiling, "relative_susceptibility": relative}
    rows = [
        ("a", "ok", group, m, *n, "change_pct", "recommended") for group in study.instrument.foundations for m, n in parts.items()
    ]
    return pd.DataFrame(rows, columns="family variant scope metric value lo hi quantity method".split())


def test_groups_that_measure_nobody_are_named_with_the_bases_alpha_and_the_ceiling(study):
    table = alphas(study, Harm=(0.1, -0.1, 0.3), Fair=(-0.004, -0.2, 0.2))
    assert component_sentences.reliability(table, changes(study), study) == (
        "- **Under a ok, Harm and Fairness no longer measure personas reliably**: Cronbach's alpha .10 [-.10, .30] and .00 "
        "[-.20, .20], against .85 and .85 at the base. S of Harm and Fairness falls with the ceiling: item means near an end of "
        "the scale allow 70 % and 70 % less variance, and as a share of what they allow S does not clearly fall; its fall is no "
        "evidence that characters are lost."
    )


@pytest.mark.parametrize(
    "parts",
    [
        {"s": (-5, -12, 3)},  # S does not clearly fall
        {"ceiling": (-5, -12, 3)},  # there is no less room
        {"relative": (-30, -40, -20)},  # S falls beyond the ceiling
        {"ceiling": (np.nan,) * 3},
    ],
)
def test_the_ceiling_is_no_reason_where_the_numbers_do_not_say_so(study, parts):
    said = component_sentences.reliability(alphas(study, Harm=(0.1, -0.1, 0.3)), changes(study, **parts), study)
    assert said == (
        "- **Under a ok, Harm no longer measures personas reliably**: Cronbach's alpha .10 [-.10, .30], against .85 at the base."
    )


@pytest.mark.parametrize(
    ("alpha", "lost"),
    [
        ((0.3, 0.1, 0.49), True),
        # The base has .85 / .15 = 5.67; half of it is 2.83, which is alpha .739: between .5 and .7 it is always less.
        ((0.6, 0.5, 0.69), True),
        ((0.6, 0.5, 0.71), False),  # not below .7
        ((0.3, np.nan, np.nan), False),  # without an interval nothing is said
    ],
)
def test_where_the_limits_of_the_rule_lie(study, alpha, lost):
    said = component_sentences.reliability(alphas(study, Harm=alpha), changes(study), study)
    assert ("no longer measures" in said) is lost


def test_a_base_that_never_measured_anybody_has_lost_nothing(study):
    low = alphas(study, **{group[:4]: (0.3, 0.1, 0.45) for group in study.instrument.foundations})
    low.loc[low["variant"] == "base", ["value", "lo", "hi"]] = [0.5, 0.4, 0.6]  # its interval reaches that of the variant
    assert component_sentences.reliability(low, changes(study), study) == (
        "Every foundation that measures personas at a base still does under its variants: in none of 5 comparisons does Cronbach's "
        "alpha fall clearly below the base's, with its upper limit below .50, or below .70 and with less than half of the base's "
        "signal-to-noise ratio."
    )


def test_without_alphas_that_is_said_and_nothing_is_drawn(study):
    none = alphas(study).assign(value=np.nan, lo=np.nan, hi=np.nan)
    said = "No foundation has a Cronbach's alpha, with its interval, both at a base and under a variant of it."
    assert component_sentences.reliability(none, changes(study), study) == said
    assert component_figures.reliability(none, study) is None
    parts = pd.DataFrame(columns=["family", "variant", "component", "value", "lo", "hi", "note"])
    assert component_figures.components(parts, study) is None


def test_a_component_below_zero_is_drawn_as_zero_and_counted(study):
    rows = [("a", v, c, x, x, x, "") for v in ("base", "ok") for c, x in (("persona", 0.5), ("persona_group", -0.1))]
    table = pd.DataFrame(rows, columns=["family", "variant", "component", "value", "lo", "hi", "note"])
    chart = component_figures.components(table, study)
    assert "Estimates below zero are drawn as zero: 2 of 4." in chart.usermeta["caption"]
    data = next(iter(chart.to_dict()["datasets"].values()))
    assert [row["variance"] for row in data] == [0.5, -0.1, 0.5, -0.1]
    calculated = {step["as"]: step["calculate"] for step in chart.to_dict()["spec"]["transform"] if "as" in step}
    assert calculated == {
        "drawn": "max(0, datum.variance)", "order": "indexof(['persona', 'persona by group'], datum.Component)",
    }  # fmt: skip
