"""What treatments recover and cost: known truths are called by their names, and every row stands beside the right runs."""

import numpy as np
import pandas as pd
import pytest

import known_treatments
from persona_collapse.exhibits import mitigation_figures, mitigation_sentences, mitigation_tables
from persona_collapse.exhibits.mitigation_sentences import told
from persona_collapse.exhibits.theme import spec, use_theme
from persona_collapse.report import dictionary
from persona_collapse.sections.record import of_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.mitigation import mitigation_table

PERSONAS, REPETITIONS = 40, 5


def tables_of_truth(instrument, key, about=known_treatments.RUNS, personas=PERSONAS):
    return Tables(known_treatments.ratings(instrument, key, np.random.default_rng(12), personas, REPETITIONS, about))


@pytest.fixture(scope="module")
def known(mfq30):
    """Tables of every known truth, by its key."""
    return {key: tables_of_truth(mfq30, key) for key in known_treatments.TREATMENTS}


def one(table, **keys):
    found = table
    for name, value in {"quantity": "recovery", "against": "base", "variant": "treated", **keys}.items():
        found = found[found[name] == value]
    assert len(found) == 1, (keys, len(found))
    return found.iloc[0]


# --- truths ------------------------------------------------------------------------------------------------------------


def test_half_of_a_change_of_noise_is_half_undone(known, mfq30):
    """The logarithm of every noise goes half of the way; what the ends of the scale cut moves that a little."""
    runs = {key: latent.probabilities() for key, latent in known_treatments.latents(mfq30, "half-undone").items()}
    points = np.arange(6)
    log = {key: np.log(((p @ points**2) - (p @ points) ** 2).mean()) for key, p in runs.items()}
    true = (log["treated"] - log["insecure"]) / (log["base"] - log["insecure"])
    assert 0.4 < true < 0.6
    row = one(known["half-undone"].mitigation, metric="within_rms")
    assert row["lo"] < true < row["hi"] and row["hi"] - row["lo"] < 0.15
    same = one(known["half-undone"].mitigation, metric="within_rms", against="control")
    assert same["value"] == pytest.approx(row["value"], abs=0.06)  # the control is a redraw of the base


def test_steady_because_everybody_answers_alike(known):
    """Noise is recovered, S has no logarithm, personas differ by nothing, and the pattern is gone."""
    found, study = known["bought"].mitigation, known["bought"].study
    assert one(found, metric="within_rms")["lo"] > 0.9
    s = one(found, metric="susceptibility")
    assert np.isnan(s["value"]) and s["why"] == "personas cannot be told apart under treated"
    spread = one(found, metric="persona_spread", quantity="cost")
    assert spread["value"] < 0.2 and spread["hi"] < 0.5
    (treated,) = told(found, study, "none")
    assert mitigation_sentences.alike(treated, study)
    assert "**It answers alike as everybody**: personas differ" in str(mitigation_sentences.mitigation(found, study))


def test_what_only_hides_is_back_behind_the_trigger(known):
    """Without the trigger all is undone, behind it nothing: recovery 1 and 0, and a conditional gap of 1."""
    found = known["hidden"].mitigation
    for metric in ("susceptibility", "within_rms", "style_share"):
        assert one(found, metric=metric)["lo"] < 1 < one(found, metric=metric)["hi"] + 0.03, metric
        behind = one(found, metric=metric, variant="behind")
        assert behind["lo"] < 0 < behind["hi"], metric
        gap = one(found, metric=metric, variant="behind", quantity="conditional_gap")
        assert gap["lo"] > 0.8 and gap["lo"] < 1.03 and gap["hi"] > 0.97, metric
        assert gap["gap"] == pytest.approx(behind["gap"])  # both denominators without the trigger
    assert "**It only hides S, noise and the style share**" in str(mitigation_sentences.trigger(found, known["hidden"].study))


def test_what_stays_undone_behind_the_trigger_is_not_called_hidden(known):
    said = str(mitigation_sentences.trigger(known["undone"].mitigation, known["undone"].study))
    assert "no change of noise that can be told" in said and "only hides" not in said


def test_nothing_to_undo_is_refused(known):
    row = one(known["nothing-to-undo"].mitigation, metric="within_rms")
    assert np.isnan(row["value"]) and row["why"] == "nothing to recover: the gap cannot be told from none"
    assert row["gap_lo"] < 0 < row["gap_hi"]


def test_the_style_share_of_the_base_is_the_ceiling(known):
    """The gap is the ceiling less the fine-tune's share, as style.csv has both."""
    tables = known["hidden"]
    style = tables.style.set_index("variant")
    row = one(tables.mitigation, metric="style_share")
    assert row["gap"] == pytest.approx(style.loc["insecure", "ceiling"] - style.loc["insecure", "share"])
    moved = style.loc["treated", "share"] - style.loc["insecure", "share"]
    assert row["value"] == pytest.approx(moved / row["gap"])


def test_numbers_are_the_changes_of_the_other_tables(known):
    """All personas answered every item: rho is 1 - log(1 + c_m) / log(1 + c_h), with changes c against the base."""
    tables = known["half-undone"]
    change = tables.contrasts.query("scope == 'overall' and quantity == 'change_pct' and method == 'recommended'")
    change = change.set_index(["variant", "metric"])["value"] / 100
    for metric in ("susceptibility", "within_rms"):
        expected = 1 - np.log1p(change["treated", metric]) / np.log1p(change["insecure", metric])
        assert one(tables.mitigation, metric=metric)["value"] == pytest.approx(expected), metric
    fidelity = tables.metrics.query("scope == 'overall' and metric == 'fidelity'").set_index("variant")["value"]
    if "treated" in fidelity.index:
        assert one(tables.mitigation, metric="fidelity", quantity="cost")["value"] == pytest.approx(fidelity["treated"])


# --- which runs --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_treatments_enter_no_average_and_no_headline(known):
    tables = known["hidden"]
    assert not set(tables.headlines["variant"]) & {"treated", "behind"}
    assert not set(tables.contrasts.query("family == 'mean'")["variant"]) & {"treated", "behind"}
    assert set(tables.verdict["variant"]) == {"control", "insecure", "treated", "behind"}


def test_a_study_without_treatments_has_no_such_table(mini):
    assert mini[2].mitigation is None
    assert "11_mitigation" not in [entry.notebook for entry in of_study(mini[0])]
    assert mitigation_figures.mitigation_map(None, mini[0]) is None and mitigation_tables.table(None, mini[0]) is None
    assert str(mitigation_sentences.mitigation(None, mini[0])).startswith("No run is a treatment")


def test_the_control_is_the_treatments_own_before_the_fine_tunes(mfq30):
    about = {**known_treatments.RUNS, "insecure": {"role": "harmful"}}
    found = tables_of_truth(mfq30, "half-undone", about, 12).mitigation
    assert set(found["against"]) == {"base", "insecure"}
    about["treated"] = {**about["treated"], "control": "control"}
    found = tables_of_truth(mfq30, "half-undone", about, 12).mitigation
    assert set(found["against"]) == {"base", "control", "insecure"}


def test_a_cut_without_the_fine_tune_has_no_rows(known):
    cut = Tables(known["hidden"].ratings.only(["f/base", "f/treated"]))
    assert cut.mitigation is not None and cut.mitigation.empty
    assert mitigation_sentences.summary(cut) == []


def test_misaligned_answers_and_accuracy_are_taken_where_there_are_any(known):
    """Of 100 answers 50 of the fine-tune, 5 of the base and of a treatment, in the mean over two judges: it undoes all of it."""
    tables = known["half-undone"]
    each = {"base": [0, 1] * 5, "insecure": [4, 6] * 5, "treated": [0, 1] * 5}  # of ten answers, the first judge
    counted = [
        ("f", run, "plain", judge, f"q{q}", number * (judge == "one") * 2, 10)
        for run, numbers in each.items() for q, number in enumerate(numbers) for judge in ("one", "other")
    ]  # fmt: skip
    open_questions = pd.DataFrame(
        [*counted, ("f", "base", "json", "one", "q0", 10, 10)],
        columns=["family", "variant", "arm", "judge", "question", "misaligned", "with_alignment"],
    )
    capability = pd.DataFrame(
        [("f", "treated", "choice", "accuracy", "difference", -0.1, -0.2, 0.0), ("f", "treated", "choice", "gini", "difference", 1, 1, 1)],
        columns=["family", "variant", "task", "measure", "quantity", "value", "lo", "hi"],
    )  # fmt: skip
    found = mitigation_table(tables.analysis, tables.guard, open_questions, capability)
    row = one(found, metric="misaligned")
    assert row[["value", "lo", "hi"]].tolist() == pytest.approx([1, 1, 1]) and row["units"] == 10
    assert row["gap"] == pytest.approx(np.log(5.5 / 95.5) - np.log(50.5 / 50.5))
    cost = one(found, metric="accuracy, choice", quantity="cost")
    assert cost[["value", "lo", "hi"]].tolist() == [-0.1, -0.2, 0.0]
    said = str(mitigation_sentences.mitigation(found, tables.study))
    assert "Accuracy on choice against the base: -10.0 pp [-20.0, 0.0]." in said and "not measured" not in said


def test_every_column_is_in_the_dictionary(known):
    table = known["hidden"].mitigation
    assert [column for column in table if dictionary.entry("mitigation", column) is None] == []


# --- what is shown -----------------------------------------------------------------------------------------------------


def test_three_sentences_at_the_head_of_a_page(known):
    undone, cost, trigger = mitigation_sentences.summary(known["half-undone"])
    assert undone.startswith("**Mitigation**: of what insecure did treated recovers ") and "] of noise and " in undone
    assert cost.startswith("**What it costs**: the base's persona pattern is kept at ") and "capability was not measured" in cost
    assert trigger == "**Behind a trigger** no treatment was looked at, so that one may only hide what was trained."
    assert mitigation_sentences.summary(known["bought"])[1].startswith(
        "**What it costs**: treated answers alike as everybody, so that no characters are left"
    )
    assert mitigation_sentences.summary(known["hidden"])[2] == (
        "**Behind a trigger**: behind shows that its treatment only hides S, noise and the style share."
    )


def test_names_are_escaped(mfq30):
    tables = tables_of_truth(mfq30, "half-undone", personas=12)
    families = tuple(
        family.model_copy(
            update={"variants": tuple(v.model_copy(update={"label": f"<b>{v.key}|*</b>"}) for v in family.variants)}
        )
        for family in tables.study.file.families
    )
    study = tables.study.__class__(**vars(tables.study) | {"file": tables.study.file.model_copy(update={"families": families})})
    said = str(mitigation_sentences.mitigation(tables.mitigation, study))
    assert "<b>" not in said and r"\<b\>treated\|\*\</b\>" in said


def test_figures_and_the_table_show_the_same_numbers(known):
    use_theme()
    tables = known["hidden"]
    row = one(tables.mitigation, metric="within_rms")
    table = mitigation_tables.table(tables.mitigation, tables.study)
    shown = table[table["share"] == "recovered, to base"].loc["treated"]
    assert shown["noise"] == f"{100 * row['value']:.0f} [{100 * row['lo']:.0f}, {100 * row['hi']:.0f}]"
    assert list(table.loc["behind", "share"]) == ["recovered, to base", "back behind the trigger", "recovered, to control"]
    data = [
        d for part in spec(mitigation_figures.mitigation_map(tables.mitigation, tables.study))["datasets"].values() for d in part
    ]
    at = {(d["run"], d["What"]): d["value"] for d in data if "What" in d and "Context" in d}
    assert at["f treated", "noise"] == pytest.approx(100 * row["value"], rel=1e-5)
    panels = spec(mitigation_figures.recoveries(tables.mitigation, tables.study))["hconcat"]
    assert [panel["layer"][2]["encoding"]["x"]["title"] for panel in panels] == ["S (%)", "noise (%)", "style share (%)"]


def test_a_share_that_does_not_exist_has_no_point(known):
    use_theme()
    tables = known["nothing-to-undo"]
    rows_of = mitigation_figures._recovered(tables.mitigation, tables.study)
    assert rows_of is None or np.isfinite(rows_of["lo"].astype(float)).all()
    shown = mitigation_tables.table(tables.mitigation, tables.study)
    assert shown["noise"].iloc[0] == "–"
