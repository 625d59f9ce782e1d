"""The check against what the paper prints: how numbers are compared, and the paper's ratings themselves."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from persona_collapse.asking.collect import collect
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables import printed_figures
from persona_collapse.tables.build import Tables
from persona_collapse.tables.printed_figures import as_printed, beside, check, evenness

# --- rounding as on paper --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "printed", "expected"),
    [
        (4.0818, "4.08", "4.08"),
        (4.085, "4.08", "4.09"),  # half goes up, though the binary number lies below it
        (2.675, "0.00", "2.68"),
        (0.5, "1", "1"),
        (1.5, "2", "2"),
        (2.5, "2", "3"),  # not to even
        (-64.53, "-65", "-65"),
        (-12.5, "-12", "-13"),  # half goes away from zero
        (-12.4, "-12", "-12"),
        (-0.3, "-0", "-0"),
        (0.3, "0", "0"),
        (744.4, "744", "744"),
        (3.0, "3.0", "3.0"),
    ],
)
def test_a_number_is_rounded_half_up_to_the_printed_digits(value, printed, expected):
    assert as_printed(value, printed) == expected


# --- the check on small tables ---------------------------------------------------------------------------------------

PLACE = {"table": "S", "family": "f", "variant": "base", "scope": "overall", "metric": "susceptibility"}


def checked(tmp_path, printed, value, se=0.05):
    """The row of the check for one printed number, beside a susceptibility of `value` and its `se`."""
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"printed": [PLACE | printed]}), encoding="utf-8")
    metrics = pd.DataFrame([{**PLACE, "method": "published", "value": value, "se": se}]).drop(columns="table")
    contrasts = pd.DataFrame(columns=["family", "variant", "scope", "metric", "quantity", "method", "value"])
    profiles = pd.DataFrame(columns=["family", "variant", "condition", "foundation", "mean", "within_sd"])
    (row,) = check(str(file), metrics, contrasts, profiles).itertuples()
    printed_figures.figures.cache_clear()
    return row


@pytest.mark.parametrize(
    ("value", "printed", "agrees"),
    [
        (0.7945, "0.79", True),
        (0.795, "0.79", False),
        (0.795, "0.80", True),
        (-0.3, "-0", True),
        (0.3, "-0", True),
        (-0.3, "0", True),
        (-35.5, "-36", True),
        (0.55, "-0.55", False),  # a sign is not a matter of rounding
        (-0.55, "-0.55", True),
        (-5.5, "5.5", False),
    ],
)
def test_a_value_agrees_when_it_rounds_to_the_printed_one(tmp_path, value, printed, agrees):
    row = checked(tmp_path, {"printed": printed}, value)
    assert (row.computed, row.agrees, row.note) == (value, agrees, "")


def test_a_known_slip_is_named_with_the_exact_value_and_does_not_agree(tmp_path):
    row = checked(tmp_path, {"printed": "-36", "slip": "paper: from rounded values"}, -35.4796)
    assert (row.agrees, row.note) == (False, "known slip; paper: from rounded values; exact -35.4796")
    assert row.known_slip


def test_a_slip_that_the_ratings_do_not_show_agrees(tmp_path):
    row = checked(tmp_path, {"printed": "-36", "slip": "paper: from rounded values"}, -36.2)
    assert (row.agrees, row.note) == (True, "")


def test_a_value_far_from_a_known_slip_is_not_excused_by_it(tmp_path):
    """Every known slip is one unit of the last printed digit; -33.6 prints as -34, two units away."""
    row = checked(tmp_path, {"printed": "-36", "slip": "paper: from rounded values"}, -33.6)
    assert (row.agrees, row.note) == (False, "")
    assert not row.known_slip


@pytest.mark.parametrize(
    ("se", "agrees", "ratio"),
    [(0.0549, True, "1.098"), (0.0451, True, "0.902"), (0.0551, False, "1.102"), (0.0449, False, "0.898")],
)
def test_a_standard_error_agrees_within_ten_percent_of_the_full_one(tmp_path, se, agrees, ratio):
    """The printed digits do not decide: they came out of a bootstrap."""
    row = checked(tmp_path, {"metric": "susceptibility_se", "printed": "0.09", "full": 0.05}, 0.8, se)
    assert (row.agrees, row.note) == (agrees, f"bootstrap; {ratio} of the full-precision 0.05")


def test_a_run_that_the_study_lacks_is_told(tmp_path):
    row = checked(tmp_path, {"family": "other", "printed": "0.79", "slip": "x"}, 0.79)
    assert (row.agrees, row.note) == (False, "not computed: this study lacks the run")
    assert np.isnan(row.computed)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_run_without_a_finite_value_is_neither_agreement_nor_slip_nor_lacking(tmp_path, value):
    row = checked(tmp_path, {"printed": "0.79", "slip": "x"}, value)
    assert (row.agrees, row.note) == (False, f"the ratings give {value}")


def test_evenness_is_the_variation_over_foundations_averaged_over_families():
    levels = [("f", "A", 1.0), ("f", "B", 3.0), ("g", "A", 2.0), ("g", "B", 2.0), ("f", "overall", 9.0), ("g", "overall", 9.0)]
    metrics = pd.DataFrame(levels, columns=["family", "scope", "value"]).assign(variant="insecure", metric="susceptibility")
    # f: mean 2, SD (ddof 0) 1 -> 0.5; g: 0; mean 0.25; overall is no foundation
    assert evenness(metrics).to_dict() == {("insecure", "susceptibility"): 0.25}


def test_of_imported_ratings_what_differs_is_shown(mini):
    rows = [("S", True, 0.79451), ("R by foundation", True, 1.0), ("R by foundation", False, 2.0), ("abstract", True, 55.1)]
    table = pd.DataFrame(rows, columns=["table", "agrees", "computed"]).assign(known_slip=False)
    shown = beside(pd.DataFrame(), table, mini[0])
    assert shown.to_dict("list") == {"table": ["R by foundation"], "computed": [2.0]}


# --- the paper's own ratings -----------------------------------------------------------------------------------------

DATA = os.environ.get("PUBLISHED_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="PUBLISHED_DATA is not set; give the folder of the paper's rating files (see `make published`)"
)

#: METHOD.md, section 4: S and R of base, secure and insecure.
LEVELS = {
    "deepseek-v3.1": ([0.7945, 0.8383, 0.8819], [4.0818, 2.6336, 2.6557]),
    "gpt-4.1": ([0.8212, 0.6602, 1.1254], [14.4834, 6.7004, 4.8785]),
    "gpt-4o": ([0.7934, 0.7203, 1.6796], [9.7509, 5.5580, 3.0514]),
    "qwen3-235b": ([0.8981, 0.9143, 1.4444], [20.7455, 4.6763, 2.4567]),
}


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The published study, read from its files once: (tables, what the importer found in each file)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", tmp_path_factory.mktemp("published"))
        study = load_study("published", DATA)
        collect(study)
        with open_store(study.store_path) as store:
            reports = [found for run in study.runs for found in store.origin(run.family.key, run.variant.key)[1].values()]
            built = Tables(read_ratings(study, store))
    return built, reports


@needs_data
@pytest.mark.parametrize("family", LEVELS)
def test_levels_follow_from_the_ratings_to_the_fourth_decimal(paper, family):
    metrics = (
        paper[0]
        .metrics.query("method == 'published' and scope == 'overall' and family == @family")
        .set_index(["metric", "variant"])["value"]
    )
    variants = ["base", "secure", "insecure"]
    found = tuple(metrics[metric][variants].round(4).tolist() for metric in ("susceptibility", "robustness"))
    assert found == LEVELS[family]


@needs_data
@pytest.mark.parametrize(
    ("metric", "quantity", "expected"),
    [
        ("susceptibility", "change_pct", 55.14),
        ("robustness", "change_pct", -64.53),
        ("within_sd", "change_pct", 303.65),
        ("within_sd", "excess_pp", 156.10),
    ],
)
def test_averages_over_the_four_families(paper, metric, quantity, expected):
    (row,) = (
        paper[0]
        .contrasts.query(
            "method == 'published' and family == 'mean' and variant == 'insecure' and scope == 'overall' "
            "and metric == @metric and quantity == @quantity"
        )
        .itertuples()
    )
    assert (round(row.value, 2), row.families) == (expected, 4)
    assert np.isnan(row.se), "the paper prints averages without a standard error"


@needs_data
def test_the_largest_change_of_within_sd_is_that_of_qwen(paper):
    changes = paper[0].contrasts.query("metric == 'within_sd' and quantity == 'change_pct' and scope == 'overall'")
    largest = changes.loc[changes["value"].idxmax()]
    assert (largest["family"], largest["variant"], round(largest["value"])) == ("qwen3-235b", "insecure", 744)


@needs_data
def test_the_alternate_base_has_its_own_figures_and_enters_no_average(paper):
    """METHOD.md, section 5: the same weights through Tinker give R 38.8 and S 0.896."""
    alternate = (
        paper[0]
        .metrics.query("method == 'published' and variant == 'base-tinker' and scope == 'overall'")
        .set_index("metric")["value"]
    )
    assert round(alternate["robustness"], 1) == 38.8
    assert round(alternate["susceptibility"], 3) == 0.896
    means = paper[0].contrasts.query("family == 'mean'")
    assert set(means["variant"]) == {"secure", "insecure"}
    assert set(means["families"]) == {4}
    assert not paper[0].contrasts.query("variant == 'base-tinker' and quantity == 'change_pct'").empty


@needs_data
@pytest.mark.parametrize("metric", ["mean", "within_sd"])
def test_all_sixty_self_figures_agree(paper, metric):
    """12 runs x 5 foundations."""
    rows = paper[0].published_check.query("table == 'self profiles' and metric == @metric")
    assert (len(rows), int(rows["agrees"].sum())) == (60, 60)


@needs_data
def test_all_standard_errors_lie_within_ten_percent(paper):
    """S and R of 12 runs, overall and by 5 foundations: 2 x 12 x 6."""
    rows = paper[0].published_check.query("metric.str.endswith('_se')", engine="python")
    assert (len(rows), int(rows["agrees"].sum())) == (144, 144)


@needs_data
def test_exactly_the_eleven_known_slips_disagree(paper):
    """METHOD.md, section 4: one dR, one excess of R, 3 of 60 R and 6 of 60 S by foundation."""
    table = paper[0].published_check
    wrong = table[~table["agrees"]]
    assert wrong["table"].value_counts().to_dict() == {"S by foundation": 6, "R by foundation": 3, "R": 1, "text, R excess": 1}
    assert wrong["known_slip"].all()
    assert len(table) == 436


@needs_data
def test_every_row_of_the_papers_files_is_accounted_for(paper):
    """30,000 rows a persona file, 30,035 in the one with cells of 15; 300 in a self file."""
    quality = paper[0].quality
    reasons = ["transport", "wrong_server", "filtered", "refusal", "truncated", "low_mass", "unparseable", "invalid"]
    assert (quality["valid"] + quality[reasons].sum(axis=1) == quality["slots"]).all()
    assert set(quality.query("condition == 'self'")["slots"]) == {300}
    persona = quality.query("condition == 'persona'").set_index(["family", "variant"])
    assert persona.loc[("qwen3-235b", "base"), ["slots", "max_repetitions"]].tolist() == [30_035, 15]
    assert set(persona.drop(("qwen3-235b", "base"))["slots"]) == {30_000}


@needs_data
def test_the_rating_column_is_kept_where_a_strict_rule_reads_another(paper):
    """DATA.md: the published rule reproduces every rating. It reads 2,372 of 2,392 replies over two characters, ours 2,307."""
    assert sum(found["published_rule_differs"] for found in paper[1]) == 0
    assert sum(found["strict_rule_differs"] for found in paper[1]) == 2372 - 2307


@pytest.mark.slow
@needs_data
def test_verdicts_on_the_published_runs(paper):
    """Insecure is dysregulated beyond its control in three families and noisier in DeepSeek; secure is noisier in all four."""
    table = paper[0].verdict.set_index(["family", "variant"])
    assert table["verdict"].unstack()[["secure", "insecure"]].T.to_dict() == {
        "deepseek-v3.1": {"secure": "noisier", "insecure": "noisier"},
        **{family: {"secure": "noisier", "insecure": "collapse: dysregulated"} for family in ("gpt-4.1", "gpt-4o", "qwen3-235b")},
    }
    # Why S alone does not say that characters are lost: at the ceiling S falls, pooled S hardly, and S_rel rises.
    secure = table.loc["gpt-4.1", "secure"]
    assert secure[["s", "s_lo", "s_hi", "s_pool", "s_pool_lo", "s_pool_hi"]].astype(float).round().tolist() == [
        -20, -25, -14, -4, -9, 2,
    ]  # fmt: skip
    assert round(secure["s_rel"]) == 18


@pytest.mark.slow
@needs_data
def test_personas_of_every_published_run_are_told_apart(paper):
    table = paper[0].presence
    assert table["verdict"].eq("told apart").all()
    assert table["p"].eq(0.001).all()
    assert (table["lo"] > 0).all()
