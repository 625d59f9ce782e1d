"""What one rating a cell, unequal n, too few personas and a copied file cannot show: no bound, no vote, and the reason."""

import numpy as np
import pytest

from building import random_counts
from importable import rating_file
from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import reading_tables, validity_figures, validity_sentences, validity_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.headline_rows import counted_once
from persona_collapse.vocabulary import METRICS, OF_RECOMMENDED


@pytest.fixture
def imported(tmp_path, outputs):
    """Tables of an imported study with these counts of 30 items: base and bad."""

    def made(base, bad):
        for key, counts in {"base": base, "bad": bad}.items():
            rating_file(tmp_path, f"{key}.csv", counts)
        (tmp_path / "t.yaml").write_text(
            "title: T\nkind: imported\nfamilies:\n  - key: f\n    variants:\n"
            "      - {key: base, role: base, persona: base.csv}\n      - {key: bad, role: harmful, persona: bad.csv}\n"
        )
        study = load_study(tmp_path / "t.yaml", tmp_path)
        collect(study)
        with open_store(study.store_path) as store:
            return Tables(read_ratings(study, store))

    return made


def drawn(seed, repetitions=4, personas=12):
    return random_counts(np.random.default_rng(seed), personas=personas, items=30, repetitions=repetitions)


def published(found):
    rows = found.validity.query("group == 'estimator' and choice.str.contains('formula')", engine="python")
    return rows.set_index(["kind", "choice"])


def test_with_one_rating_a_cell_there_is_no_bound_and_no_vote_and_every_place_says_why(imported):
    found = imported(drawn(1, 1), drawn(2, 1))
    level = found.metrics.query("scope == 'overall' and variant == 'base'").set_index(["method", "metric"])["note"]
    for metric in ("robustness", "within_rms", "icc"):
        assert level["recommended", metric].startswith("One rating a cell: robustness, ICC")
        assert "at least" not in level["recommended", metric]
    assert level["published", "susceptibility"] == "an upper bound at n = 1: rating noise is part of it"
    change = found.contrasts.query("scope == 'overall' and method == 'recommended' and family == 'f'").set_index("metric")
    assert change.loc["within_rms", "note"] == "One rating a cell in f bad, f base: noise cannot be told from spread."
    assert change.loc[["susceptibility", "within_rms", "icc"], "value"].isna().all()
    assert change.loc["endpoint_mass", "note"] == ""  # which one rating can tell
    rows = published(found)
    assert len(rows) == 4 and rows[["lo", "hi"]].isna().all(axis=None) and not rows["agrees"].any()
    assert all(choice.endswith(" (not counted: one rating a cell)") for _, choice in rows.index)
    for kind, name in (("susceptibility", "S"), ("noise", "Noise")):
        said = validity_sentences.verdict(found.headlines, found.validity, found.study, kind)
        assert f"**{name} under bad**: the recommended estimator has no value." in said
    # the paper's S has a value, and no analysis has one of noise
    shown = [validity_figures.specification_curve(found.validity, found.study, kind) for kind in ("susceptibility", "noise")]
    assert shown[0] is not None and shown[1] is None
    assert validity_tables.choices_table(found.validity, found.study, "noise").empty


def test_published_estimators_of_unequal_n_are_shown_and_not_counted(imported):
    found = imported(drawn(3, 4), drawn(4, 6))
    rows = published(found)
    assert len(rows) == 4 and rows["value"].notna().all() and rows["lo"].isna().all()
    assert all(choice.endswith(" (not counted: n = 4 against 6)") for _, choice in rows.index)
    own = found.validity.query("kind == 'noise'")
    counted = counted_once(own)["choice"]
    assert not counted.str.contains("not counted").any()
    assert "the paper's formula at n = 4" in set(counted)  # brought down to equally many


def test_a_few_missing_ratings_take_no_vote(imported):
    base, bad = drawn(5, 4), drawn(6, 4)
    bad[0, :10] -= np.eye(6, dtype=int)[bad[0, :10].argmax(axis=-1)]
    rows = published(imported(base, bad))
    assert rows["lo"].notna().all() and [choice for _, choice in rows.index][:2] == [
        "the paper's formula and interval", "S by the paper's formula",
    ]  # fmt: skip


def test_four_personas_are_too_few_and_nobody_says_that_they_hardly_vary(imported):
    found = imported(drawn(7, personas=4), drawn(8, personas=4))
    said = "Too few personas: 4 of at least 5 that an interval of noise needs."
    rows = found.metrics.query("method == 'recommended' and scope == 'overall' and metric == 'robustness'")
    assert set(rows["note"]) == {said} and rows["lo"].isna().all()
    change = found.contrasts.query("method == 'recommended' and scope == 'overall' and metric == 'within_rms'")
    assert change["note"].str.contains(said, regex=False).all()
    assert not change["note"].str.contains("hardly varies").any()


def test_a_copied_file_has_fidelity_one_and_the_reason(imported):
    counts = drawn(9)
    found = imported(counts, counts)
    row = found.metrics.query("variant == 'bad' and scope == 'overall' and metric == 'fidelity'").iloc[0]
    assert (row["value"], row["hi"]) == (1, 1) and row["lo"] <= 1
    assert row["note"].startswith("Estimated at 1.") and "printed as 1" in row["note"] and "no rating differs" in row["note"]
    change = found.contrasts.query("method == 'recommended' and scope == 'overall' and metric == 'fidelity'").iloc[0]
    assert change["value"] == 0
    assert "f bad 1.00 [1.00, 1.00]" in validity_sentences.faithful(found, found.study)


def test_information_share_is_in_no_table_as_it_hangs_on_n(mini):
    assert "information_share" in METRICS and "information_share" not in OF_RECOMMENDED
    found = mini[2]
    assert not found.metrics["metric"].eq("information_share").any()
    assert not found.validity["choice"].str.contains("information").any()
    assert "information share" not in reading_tables.companions_table(mini[0], found.metrics).columns
