"""Several questionnaires in one study: asked, imported, stored, and set side by side on the same personas."""

import csv
import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

import persona_collapse as pc
from importable import one_line
from persona_collapse.asking.collect import collect
from persona_collapse.store import frames
from persona_collapse.store.ratings import Ratings, read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import tables_of

VARIANTS = [
    {"key": "base", "role": "base", "figures": "gpt-4o/base"},
    {"key": "insecure", "role": "harmful", "figures": "gpt-4o/insecure"},
]
BFI = load_instrument("bfi44")


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    return tmp_path / "outputs"


def written(folder, **changes):
    """A simulated study of eight personas in the folder, with these changes."""
    content = {
        "title": "Several", "kind": "simulated", "instruments": ["mfq30", "ipip50", "neutral12"], "conditions": ["persona", "self"],
        "protocol": {"personas": 8, "repetitions": 3}, "families": [{"key": "f", "variants": VARIANTS}],
    } | changes  # fmt: skip
    path = folder / "several.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in content.items() if value is not None}))
    return path


def rows_of(counts, low):
    """A data frame's rows of counts (persona, item, category)."""
    return [
        (p, i + 1, n, low + category)
        for p, i in np.ndindex(counts.shape[:2])
        for n, category in enumerate(np.repeat(np.arange(counts.shape[2]), counts[p, i]))
    ]


class TestAsked:
    def test_every_questionnaire_is_asked_of_every_persona(self, tmp_path, outputs):
        """8 personas x (30 + 50 + 12 items) x 3 repetitions, and the items alone x 3 without a persona: 2,208 + 276 a run."""
        study = load_study(written(tmp_path))
        assert collect(study) == 2 * (8 + 1) * (30 + 50 + 12) * 3
        assert collect(study) == 0
        with open_store(study.store_path) as store:
            ratings = read_ratings(study, store)
        shapes = {key: ratings.of_instrument(key).counts("f/base").shape for key in ratings.instruments}
        assert shapes == {"mfq30": (8, 30, 6), "ipip50": (8, 50, 5), "neutral12": (8, 12, 5)}
        assert all((ratings.of_instrument(key).counts("f/base").sum(axis=-1) == 3).all() for key in shapes)

    def test_ratings_of_one_are_those_of_a_study_of_it_alone(self, tmp_path, outputs):
        several = pc.open_study(str(written(tmp_path)))
        alone_path = tmp_path / "alone.yaml"
        content = yaml.safe_load(written(tmp_path).read_text()) | {"instruments": ["ipip50"]}
        alone_path.write_text(yaml.safe_dump(content))
        alone = pc.open_study(str(alone_path))
        for run in ("f/base", "f/insecure"):
            for condition in ("persona", "self"):
                assert (several.of_instrument("ipip50").counts(run, condition) == alone.counts(run, condition)).all()

    def test_a_questionnaire_that_is_added_leaves_what_was_asked(self, tmp_path, outputs):
        path = written(tmp_path, instruments=None, instrument="mfq30")
        before = pc.open_study(str(path)).counts("f/base")
        study = load_study(written(tmp_path))
        assert collect(study) == 2 * (8 + 1) * (50 + 12) * 3
        after = pc.open_study(str(path))
        assert after.instruments == ("mfq30", "ipip50", "neutral12")
        assert (after.counts("f/base") == before).all()

    def test_what_works_on_counts_is_of_the_first_and_levels_of_all(self, tmp_path, outputs):
        ratings = pc.open_study(str(written(tmp_path)))
        table = pc.levels(ratings)
        assert table["instrument"].unique().tolist() == ["mfq30", "ipip50", "neutral12"] and table.columns[0] == "instrument"
        own = table[table["instrument"] == "ipip50"].drop(columns="instrument").reset_index(drop=True)
        assert own.equals(pc.levels(pc.open_study(str(tmp_path / "several.yaml"), instrument="ipip50")))
        assert "MFQ" in str(pc.say.study(ratings)) and "IPIP-50" in str(pc.say.study(ratings.of_instrument("ipip50")))


class TestSideBySide:
    def test_a_change_that_is_the_same_on_both_differs_by_nothing(self):
        """The same answers under two names: each change equals the other on every persona left out, so 0 [0, 0]."""
        mfq, again = load_instrument("mfq30"), replace(load_instrument("mfq30"), key="again")
        rng = np.random.default_rng(5)
        places = rng.integers(0, 6, size=(2, 9, 30))  # every persona has a place of its own, and wavers from there
        counts = {
            v: np.eye(6, dtype=int)[own] * 3 + rng.multinomial(1, [1 / 6] * 6, size=(9, 30))
            for v, own in zip(("base", "bad"), places, strict=True)
        }
        found = tables_of(_of_counts({mfq.key: (mfq, counts), again.key: (again, counts)})).instruments
        other = found[found["instrument"] == "again"]
        assert np.allclose(other[["difference", "difference_lo", "difference_hi"]], 0, atol=1e-9)
        assert found[found["instrument"] == "mfq30"]["difference"].isna().all()

    def test_changes_are_those_of_contrasts_and_differences_subtract(self, tmp_path, outputs):
        ratings = pc.open_study(str(written(tmp_path)))
        found = tables_of(ratings).instruments.query("metric == 'susceptibility'").set_index("instrument")
        contrasts = pc.contrasts(ratings).query(
            "metric == 'susceptibility' and scope == 'overall' and method == 'recommended' and quantity == 'change_pct' and family == 'f'"
        )
        expected = contrasts.set_index("instrument")["value"]
        assert found["value"].to_dict() == pytest.approx(expected.to_dict())
        assert found.loc["ipip50", "difference"] == pytest.approx(expected["ipip50"] - expected["mfq30"])

    def test_a_persona_that_left_out_an_item_of_one_counts_in_neither(self):
        mfq, ipip = load_instrument("mfq30"), load_instrument("ipip50")
        rng = np.random.default_rng(6)

        def drawn(one):
            categories = len(one.categories)
            return {v: rng.multinomial(3, [1 / categories] * categories, size=(7, len(one.items))) for v in ("base", "bad")}

        given = {one.key: (one, drawn(one)) for one in (mfq, ipip)}
        given["ipip50"][1]["bad"][2, 0] = 0
        found = tables_of(_of_counts(given)).instruments
        assert set(found["personas"]) == {6}


def _of_counts(given):
    """Ratings of base and bad fine-tune: {key: (instrument, {variant: counts})}."""
    rows = [
        (key, variant, *row) for key, (one, counts) in given.items() for variant, own in counts.items()
        for row in rows_of(own, one.scale[0])
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["instrument", "variant", "persona", "item", "repetition", "rating"])
    roles = frame["variant"].map({"base": "base", "bad": "harmful"})
    known = {one.key: one for one, _ in given.values()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "load_instrument", lambda name: known[name])
        return Ratings.from_frame(frame.assign(role=roles, family="f"), instrument=list(known))


class TestImported:
    @pytest.fixture
    def bfi(self, tmp_path, outputs):
        """A study of two runs with MFQ files, of which one pair has BFI-44 files as well: its path, and the BFI counts."""
        rng = np.random.default_rng(8)
        counts = {v: rng.multinomial(5, p, size=(6, 44)) for v, p in (("base", [0.1, 0.2, 0.4, 0.2, 0.1]), ("bad", [0.2] * 5))}
        moral = {v: rng.multinomial(5, [1 / 6] * 6, size=(6, 30)) for v in ("base", "bad", "other")}
        for name, own, low in [
            *((f"{v}-bfi.csv", c, 1) for v, c in counts.items()),
            *((f"{v}.csv", c, 0) for v, c in moral.items()),
        ]:
            with (tmp_path / name).open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["persona_id", "question_id", "run_index", "rating"])
                writer.writerows(rows_of(own, low))
        variants = [
            {"key": "base", "role": "base", "persona": {"mfq30": "base.csv", "bfi44": "base-bfi.csv"}},
            {"key": "bad", "role": "harmful", "persona": {"mfq30": "bad.csv", "bfi44": "bad-bfi.csv"}},
            {"key": "other", "role": "harmful", "persona": {"mfq30": "other.csv"}},
        ]
        content = {"title": "BFI", "kind": "imported", "instruments": ["mfq30", "bfi44"]}
        path = tmp_path / "bfi.yaml"
        path.write_text(yaml.safe_dump(content | {"families": [{"key": "f", "variants": variants}]}))
        return path, counts

    def test_s_and_r_of_44_items_equal_an_independent_computation(self, bfi):
        """S: root of the mean over items of the variance of cell means less the noise of a mean; R: one over the root mean square
        of the within-cell variances, both from the raw ratings."""
        path, counts = bfi
        collect(load_study(path))
        table = pc.levels(pc.open_study(str(path), instrument="bfi44")).query("method == 'recommended' and scope == 'overall'")
        for variant, own in counts.items():
            ratings = np.array([[np.repeat(np.arange(1, 6), cell) for cell in row] for row in own], dtype=float)
            within = ratings.var(axis=2, ddof=1)
            found = table[table["variant"] == variant].set_index("metric")["value"]
            assert found["robustness"] == pytest.approx(1 / np.sqrt(within.mean()))
            between = ratings.mean(axis=2).var(axis=0, ddof=1) - within.mean(axis=0) / 5
            assert found["susceptibility_pooled"] == pytest.approx(np.sqrt(max(between.mean(), 0)))

    def test_reversing_the_keys_changes_means_and_neither_s_nor_r(self, bfi, tmp_path):
        """A domain mean m of items that are all turned becomes 6 - m; here every key is turned over."""
        path, _ = bfi
        collect(load_study(path))
        ratings = pc.open_study(str(path), instrument="bfi44")
        turned = replace(BFI, items=tuple(replace(item, reversed=not item.reversed) for item in BFI.items))
        other = replace(ratings, study=replace(ratings.study, instrument=turned))
        own, again = tables_of(ratings), tables_of(other)
        same = ["susceptibility", "robustness", "within_rms", "icc"]
        rows = [
            t.metrics[(t.metrics["scope"] == "overall") & t.metrics["metric"].isin(same)]["value"].tolist() for t in (own, again)
        ]
        assert rows[0] == pytest.approx(rows[1])
        means = [t.profiles[t.profiles["condition"] == "persona"]["mean"].to_numpy() for t in (own, again)]
        assert means[1] == pytest.approx(6 - means[0])

    def test_a_run_without_files_of_one_is_no_run_of_it(self, bfi):
        path, _ = bfi
        collect(load_study(path))
        ratings = pc.open_study(str(path))
        assert [run.key for run in ratings.of_instrument("bfi44").runs] == ["f/base", "f/bad"]
        assert len(ratings.runs) == 3
        assert set(tables_of(ratings).instruments["variant"]) == {"bad"}

    def test_a_second_import_reads_nothing_and_a_changed_file_its_run(self, bfi, tmp_path):
        path, _ = bfi
        study = load_study(path)
        assert collect(study) == 3
        assert collect(study) == 0
        text = (tmp_path / "bad-bfi.csv").read_text().splitlines()
        (tmp_path / "bad-bfi.csv").write_text("\n".join(text[:-1]) + "\n")
        assert collect(load_study(path)) == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"instruments": []}, "instruments: is empty; name one questionnaire at least"),
            ({"instruments": ["mfq30", "mfq30"]}, "instruments: 'mfq30' stands twice"),
            ({"instruments": ["mfq30", "ipip5"]}, "no such instrument; expected one of 'bfi44', 'ipip50', 'mfq30', 'neutral12'"),
            ({"instrument": "mfq30"}, "instrument and instruments are both given"),
            ({"instruments": ["bfi44"]}, "'bfi44' comes without the wording of its items, so nobody can be asked; give the wording"),
            ({"texts": {"ipip": "t.csv"}}, "texts.ipip: is no instrument of the study; did you mean 'ipip50'?"),
            ({"texts": {"ipip50": "t.csv"}}, "t.csv: does not exist; expected a CSV file with the columns item and text"),
        ],
    )  # fmt: skip
    def test_wrong_instruments_are_told_in_one_line(self, tmp_path, changes, said):
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            load_study(written(tmp_path, **changes))
        assert said in one_line(error.value)

    def test_a_file_has_to_say_of_which_instrument_it_is(self, tmp_path):
        (tmp_path / "a.csv").write_text("persona_id,question_id,run_index,rating\n0,1,1,3\n")
        path = tmp_path / "s.yaml"
        for given, said in (
            ("a.csv", "persona: 'a.csv' does not say of which instrument it is; write persona: {mfq30: a.csv}"),
            ({"mfq3": "a.csv"}, "persona: 'mfq3' is no instrument of the study; did you mean 'mfq30'?"),
        ):
            variants = [{"key": "base", "role": "base", "persona": given}]
            content = {"title": "t", "kind": "imported", "instruments": ["mfq30", "bfi44"]}
            path.write_text(yaml.safe_dump(content | {"families": [{"key": "f", "variants": variants}]}))
            with pytest.raises(ValueError) as error:
                load_study(path)
            assert said in one_line(error.value)


class TestWording:
    def write(self, tmp_path, texts):
        with (tmp_path / "texts.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("item", "text"), *texts])
        return tmp_path / "texts.csv"

    def test_another_wording_is_refused_by_its_hash(self, tmp_path):
        path = self.write(tmp_path, [(n, f"Text {n}") for n in range(1, 45)])
        with pytest.raises(ValueError) as error:
            BFI.with_texts(path)
        assert "is not the known wording of bfi44 (SHA-256 " in one_line(error.value)

    def test_the_known_wording_is_asked(self, tmp_path):
        texts = [f"Text {n}" for n in range(1, 45)]
        known = replace(BFI, texts_sha256=hashlib.sha256("\n".join(texts).encode()).hexdigest())
        found = known.with_texts(self.write(tmp_path, reversed(list(enumerate(texts, start=1)))))
        assert found.worded and "'Text 7'" in found.prompt(found.items[6])
        assert not known.worded

    def test_a_text_for_every_item(self, tmp_path):
        path = self.write(tmp_path, [(n, "t") for n in range(1, 44)])
        with pytest.raises(ValueError, match="has 43 rows; expected one text for each of the items 1 to 44 of bfi44"):
            BFI.with_texts(path)


def test_shipped_questionnaires_are_what_they_say():
    """IPIP-50: ten items a domain; of emotional stability two are keyed positively (9 and 19). BFI-44: 8, 9, 9, 8, 10."""
    ipip, neutral = load_instrument("ipip50"), load_instrument("neutral12")
    assert [sum(item.foundation == group for item in ipip.items) for group in ipip.foundations] == [10] * 5
    assert [item.number for item in ipip.items if item.foundation == "Emotional stability" and not item.reversed] == [9, 19]
    sizes = {group: sum(item.foundation == group for item in BFI.items) for group in BFI.foundations}
    assert sizes == {"Extraversion": 8, "Agreeableness": 9, "Conscientiousness": 9, "Neuroticism": 8, "Openness": 10}
    assert (ipip.name, BFI.name, neutral.name) == ("IPIP-50", "BFI-44", "Everyday preferences")
    assert not BFI.worded and ipip.worded and len(neutral.items) == 12 and not any(item.reversed for item in neutral.items)
