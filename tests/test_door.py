"""The public door: what a researcher types in a notebook of their own, with a data frame or a study."""

import doctest
import importlib
import inspect
import os
import pydoc
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

import persona_collapse as pc
from persona_collapse.asking.collect import collect
from persona_collapse.paths import ROOT
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.saturation import run_profiles, run_shares

NUMBERS = ["value", "se", "lo", "hi", "lo_repeat", "hi_repeat"]


def frame_of(study, store):
    """The ratings of a study as rows, ids as text of no order and with gaps."""
    parts = []
    for run in study.runs:
        rows = pd.DataFrame(read_ratings(study, store).of(run).slots, columns=["persona", "item", "repetition", "rating"])
        rows = rows.assign(
            persona=[f"p{7 * p + 3:03d}" for p in rows["persona"]], item=rows["item"] + 1, repetition=[f"seed {n}" for n in rows["repetition"]],
            family=run.family.key, variant=run.variant.key, role=run.variant.role, control=run.variant.control,
        )  # fmt: skip
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def frame(mini):
    return frame_of(*mini[:2])


def alike(found, expected, keys):
    """Whether two tables have the same numbers in the same places, to twelve digits."""
    one, other = (
        table.fillna({key: "" for key in keys}).set_index(keys)[NUMBERS].astype(float).sort_index() for table in (found, expected)
    )
    assert one.index.equals(other.index)
    np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), rtol=1e-12, atol=1e-12)


def test_a_frame_gives_the_levels_and_contrasts_of_the_report(frame, mini):
    ratings = pc.Ratings.from_frame(frame)
    alike(pc.levels(ratings), mini[2].metrics, ["family", "variant", "scope", "metric", "method"])
    alike(pc.contrasts(ratings), mini[2].contrasts, ["family", "variant", "control", "scope", "metric", "quantity", "method"])


def test_order_and_names_of_rows_mean_nothing(frame, mini):
    shuffled = frame.sample(frac=1, random_state=1).rename(
        columns={"persona": "persona_id", "item": "question_id", "repetition": "run_index"}
    )
    ratings = pc.Ratings.from_frame(shuffled)
    assert ratings.personas[:2] == ("p003", "p010")
    alike(pc.levels(ratings), mini[2].metrics, ["family", "variant", "scope", "metric", "method"])


def test_a_frame_writes_nothing(frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    pc.contrasts(pc.Ratings.from_frame(frame))
    assert list(tmp_path.iterdir()) == []


def test_numbered_from_anywhere_personas_are_the_same_personas():
    """Four complete personas numbered 6 to 9, or by thousands, give what 0 to 3 give."""
    rng = np.random.default_rng(1)
    cells = pd.DataFrame(
        [(p, i, n) for p in range(4) for i in range(1, 31) for n in range(3)], columns=["persona", "item", "repetition"]
    )
    cells["rating"] = rng.integers(0, 6, len(cells))
    expected = pc.levels(pc.Ratings.from_frame(cells))["value"].to_numpy()
    assert np.isfinite(expected[0])
    for moved in (cells["persona"] + 6, cells["persona"] * 1000 + 1000, cells["persona"].map(lambda p: p * 10**20)):
        assert pc.levels(pc.Ratings.from_frame(cells.assign(persona=moved)))["value"].to_numpy() == pytest.approx(
            expected, nan_ok=True
        )


def test_plain_counts_give_what_the_table_says(mini):
    study, store, tables = mini
    run = study.runs[0]
    counts = read_ratings(study, store).counts(run)
    rows = tables.metrics.query("scope == 'overall' and method == 'recommended'").set_index(["family", "variant", "metric"])
    for metric, found in (("susceptibility", pc.susceptibility(counts)), ("robustness", pc.robustness(counts))):
        row = rows.loc[(run.family.key, run.variant.key, metric)]
        assert found == pytest.approx((row["value"], row["lo"], row["hi"]), rel=1e-12)


GOOD = {"persona": ["a", "b"], "item": [1, 1], "repetition": [1, 1], "rating": [0, 5]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"persona": None}, "data frame: no column 'persona' (it has 'item', 'repetition', 'rating'); expected 'persona', 'item', "),
        ({"rating": [0, 6]}, "data frame, row 1: rating is 6; expected an integer from 0 to 5, or nothing where there is none; "),
        ({"item": [1, 31]}, "data frame, row 1: item is 31; expected a number from 1 to 30, as mfq30 counts its items"),
        ({"persona": ["a", "a"]}, "data frame, row 1: family 'model', variant 'base', persona 'a', item 1, repetition '1' stands twice; "),
        ({"persona": ["a", None]}, "data frame, row 1: no persona; expected one in every row; fill it in, or drop the row"),
        ({"variant": ["base", "bad"]}, "data frame: no column 'role', but variants 'bad'; say for every row whether its variant is "),
        ({"variant": ["base", "bad"], "role": ["base", "evil"]}, "found 'evil'; expected: "),
        ({"variant": ["base", None], "role": "base"}, "data frame, row 1: variant is nothing; expected letters, digits, points, "),
        ({"family": ["meta/x", "y"]}, "data frame, row 0: family is 'meta/x'; expected letters, digits, points, dashes and underscores"),
        ({"controls": ["", ""]}, "data frame: column 'controls' is not known; did you mean 'control'? Rename it, or drop it"),
        ({"rating": [True, False]}, "data frame, row 0: rating is True; expected an integer from 0 to 5"),
        ({"role": ["base", None]}, "data frame, row 1: no role; expected one in every row"),
        ({"persona_id": ["a", "b"]}, "data frame: column 'persona' stands twice, under that name or another for it; keep one"),
    ],
)  # fmt: skip
def test_a_wrong_frame_is_refused_in_one_line(changes, said):
    content = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(ValueError) as error:
        pc.Ratings.from_frame(pd.DataFrame(content))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_what_is_no_frame_is_refused_and_an_empty_rating_is_missing():
    with pytest.raises(TypeError, match=r"^data frame: found dict; expected a pandas DataFrame with columns 'persona', 'item'"):
        pc.Ratings.from_frame(GOOD)
    ratings = pc.Ratings.from_frame(pd.DataFrame(GOOD | {"rating": ["4", ""]}))
    assert ratings.counts(ratings.runs[0]).sum() == 1
    assert repr(ratings) == "<Ratings of 'A data frame', mfq30: model/base 2 personas>"


def test_one_id_is_one_persona_however_it_is_written():
    frame = pd.DataFrame(
        {"persona": [1, "1", "nurse ", "nurse"], "item": [1, 2, 1, 2], "repetition": [1.0, "1", 1, 1], "rating": 3}
    )
    ratings = pc.Ratings.from_frame(frame)
    assert ratings.personas == ("1", "nurse") and ratings.counts(ratings.runs[0])[:, :2].sum(axis=-1).tolist() == [[1, 1], [1, 1]]


def test_personas_are_left_out_by_id(mini):
    frame = pd.DataFrame({"persona": list("aabb"), "item": 1, "repetition": [1, 2, 1, 2], "rating": [1, 1, 5, 5]})
    ratings = pc.Ratings.from_frame(frame)
    left = ratings.without(["a"])
    assert left.personas == ("b",) and left.counts(left.runs[0])[0, 0].tolist() == [0, 0, 0, 0, 0, 2]
    with pytest.raises(ValueError, match=r"^personas: no persona 'c'; expected one of 'a', 'b', \.\.\.$"):
        ratings.without(["c"])


def test_a_control_on_some_rows_only_is_refused():
    rows = [(p, 1, 1, 3, v, r) for p in "ab" for v, r in (("base", "base"), ("secure", "control"), ("bad", "harmful"))]
    frame = pd.DataFrame(rows, columns=["persona", "item", "repetition", "rating", "variant", "role"])
    frame["control"] = ["", "", "secure", "", "", None]
    with pytest.raises(ValueError, match=r"^data frame: model/bad has control 'secure', ''; expected one$"):
        pc.Ratings.from_frame(frame)


def test_counts_that_are_no_counts_are_refused():
    with pytest.raises(
        ValueError, match=r"^counts: an array of shape \(3, 2\) and type float64; expected whole numbers from 0 of shape"
    ):
        pc.susceptibility(np.zeros((3, 2)))


def test_what_is_missing_is_counted(mini):
    frame = pd.DataFrame({"persona": list("aabb"), "item": 1, "repetition": [1, 2, 1, 2], "rating": [1, None, 2, 3]})
    ratings = pc.Ratings.from_frame(frame)
    asked = ratings.of(ratings.runs[0]).asked
    # 2 personas x 30 items x 2 repetitions as in the cells that there are: 4 rows, 3 of them ratings, 116 rows absent
    assert (asked.slots, asked.recorded, asked.valid, dict(asked.missing)) == (120, 4, 3, {"invalid": 1})


class TestCuts:
    @pytest.fixture
    def ratings(self, mini):
        return read_ratings(*mini[:2])

    def test_only_some_runs(self, ratings):
        kept = ratings.only(ratings.runs[1:3])
        assert [run.key for run in kept.runs] == ["gpt-4o/secure", "gpt-4o/insecure"]

    def test_without_personas_the_others_keep_their_ratings_and_their_order(self, ratings):
        run = ratings.runs[0]
        left = ratings.without([0, 3])
        stays = [p for p in range(20) if p not in (0, 3)]
        assert (left.counts(run) == ratings.counts(run)[stays]).all()
        assert left.study.personas == tuple(ratings.study.personas[p] for p in stays)
        assert (left.counts(run, "self") == ratings.counts(run, "self")).all()

    def test_the_first_repetitions_are_those_of_a_study_that_asked_no_more(self, ratings, tmp_path, monkeypatch):
        monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path)
        path = tmp_path / "fewer.yaml"
        text = (ROOT / "params" / "studies" / "mini.yaml").read_text().replace("repetitions: 5", "repetitions: 2")
        path.write_text(text)
        study = load_study(path)
        collect(study)
        with open_store(study.store_path) as store:
            fewer = read_ratings(study, store)
        first = ratings.first(2)
        for one, other in zip(ratings.runs, study.runs, strict=True):
            assert (first.counts(one) == fewer.counts(other)).all()

    def test_counts_cannot_be_changed(self, ratings):
        with pytest.raises(ValueError, match="read-only"):
            ratings.counts(ratings.runs[0])[0, 0, 0] = 1

    def test_a_cut_copy_gives_tables(self, ratings, mini):
        family = ratings.only(run for run in ratings.runs if run.family.key == "gpt-4o")
        rows = Tables(family).metrics
        expected = mini[2].metrics.query("family == 'gpt-4o'").reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, expected)


def instrument(folder, turned=()):
    """Four items of 1 to 7 in two groups, some of them reversed."""
    content = {
        "title": "Seven", "source": "made up", "citation": "none", "terms": "none", "scale": {"low": 1, "high": 7},
        "persona_prompt": "{persona} {item}", "prompts": {"only": "{text}?"},
        "items": [{"number": n, "block": "only", "group": "AABB"[n - 1], "text": f"t{n}"} | ({"reversed": True} if n in turned else {})
                  for n in range(1, 5)],
    }  # fmt: skip
    path = folder / f"seven{len(turned)}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_reversing_keys_changes_profiles_and_nothing_of_s_r_noise_and_icc(tmp_path):
    rng = np.random.default_rng(2)
    cells = pd.DataFrame(
        [(p, i, n) for p in range(8) for i in range(1, 5) for n in range(3)], columns=["persona", "item", "repetition"]
    )
    cells["rating"] = rng.integers(1, 8, len(cells))
    plain, turned = (pc.Ratings.from_frame(cells, instrument=instrument(tmp_path, which)) for which in ((), (1, 2, 3, 4)))
    pd.testing.assert_frame_equal(pc.levels(plain), pc.levels(turned))
    assert set(pc.levels(plain)["scope"]) == {"overall", "A", "B"}
    one, other = (run_profiles(ratings, ratings.runs[0]) for ratings in (plain, turned))
    # On a scale of 1 to 7 a mean m turns into 8 - m.
    assert (one["mean"] + other["mean"]).to_numpy() == pytest.approx([8, 8])
    half = pc.Ratings.from_frame(cells, instrument=instrument(tmp_path, (2,)))
    by_item = cells.groupby("item")["rating"].mean()
    expected = [(by_item[1] + 8 - by_item[2]) / 2, (by_item[3] + by_item[4]) / 2]
    assert run_profiles(half, half.runs[0])["mean"].to_numpy() == pytest.approx(expected)
    shares = run_shares(half, half.runs[0]).set_index("measure")["value"]
    top = (((cells["item"] == 2) & (cells["rating"] == 1)) | ((cells["item"] != 2) & (cells["rating"] == 7))).mean()
    assert shares["ceiling_share"] == pytest.approx(top)
    # Shares of categories are of ratings as they were given, so that they can be counted in the file.
    assert [shares[f"share_{k}"] for k in range(1, 8)] == pytest.approx([(cells["rating"] == k).mean() for k in range(1, 8)])


class TestSeveralInstruments:
    @pytest.fixture
    def both(self, tmp_path):
        """Six personas answer four items of 1 to 7 in two groups, and the MFQ-30."""
        rng = np.random.default_rng(7)
        seven = [(f"p{p}", i, n, int(rng.integers(1, 8)), "seven0") for p in range(6) for i in range(1, 5) for n in range(3)]
        mfq = [(f"p{p}", i, n, int(rng.integers(0, 6)), "mfq30") for p in range(6) for i in range(1, 31) for n in range(3)]
        columns = ["persona", "item", "repetition", "rating", "instrument"]
        return pd.DataFrame(mfq + seven, columns=columns).sample(frac=1, random_state=1, ignore_index=True), instrument(tmp_path)

    def test_each_gives_what_it_gives_alone(self, both):
        frame, seven = both
        ratings = pc.Ratings.from_frame(frame, instrument=["mfq30", seven])
        assert ratings.instruments == ("mfq30", "seven0")
        found = pc.levels(ratings)
        for key, file in (("mfq30", "mfq30"), ("seven0", seven)):
            alone = pc.levels(pc.Ratings.from_frame(frame[frame["instrument"] == key], instrument=file))
            own = found[found["instrument"] == key].drop(columns="instrument").reset_index(drop=True)
            pd.testing.assert_frame_equal(own, alone)
            assert pc.say.level(ratings.of_instrument(key), "susceptibility").startswith("**S = ")

    def test_a_figure_of_several_is_of_the_first(self, both):
        ratings = pc.Ratings.from_frame(both[0], instrument=["mfq30", both[1]])
        first = pc.figures.levels(ratings.of_instrument("mfq30"), "robustness")
        assert pc.figures.levels(ratings, "robustness").to_dict() == first.to_dict()
        with pytest.raises(ValueError, match=r"^instrument: found 'bfi'; expected one of 'mfq30', 'seven0'$"):
            ratings.of_instrument("bfi")

    def test_a_row_of_another_instrument_is_refused(self, both):
        frame, seven = both
        with pytest.raises(
            ValueError, match=r"^data frame: no column 'instrument'; expected one, with 'mfq30', 'seven0' in every row$"
        ):
            pc.Ratings.from_frame(frame.drop(columns="instrument"), instrument=["mfq30", seven])
        frame.loc[3, "instrument"] = "bfi44"
        with pytest.raises(ValueError, match=r"^data frame, row 3: instrument is 'bfi44'; expected one of 'mfq30', 'seven0'$"):
            pc.Ratings.from_frame(frame, instrument=["mfq30", seven])

    def test_a_wrong_rating_is_named_by_its_row_in_the_whole_frame(self, both):
        frame, seven = both
        row = int(frame.index[frame["instrument"] == "seven0"][2])
        frame.loc[row, "rating"] = 0
        with pytest.raises(ValueError, match=rf"^data frame, row {row}: rating is 0; expected an integer from 1 to 7, "):
            pc.Ratings.from_frame(frame, instrument=["mfq30", seven])


class TestTrainingSteps:
    @pytest.fixture
    def frame(self):
        rng = np.random.default_rng(8)
        runs = [
            ("base", "base", "", ""),
            ("bad", "harmful", "", ""),
            ("bad-400", "harmful", "bad", 400),
            ("bad-20", "harmful", "bad", 20),
        ]
        rows = [
            (f, v, role, of, step, p, i, n, int(rng.integers(0, 6)))
            for f in ("x", "y") for v, role, of, step in runs for p in range(6) for i in range(1, 31) for n in range(2)
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["family", "variant", "role", "of", "step", "persona", "item", "repetition", "rating"])

    def test_checkpoints_stand_in_the_order_of_their_steps(self, frame):
        ratings = pc.Ratings.from_frame(frame)
        run = ratings.study.run("x", "bad")
        assert [one.variant.key for one in ratings.steps(run)] == ["bad-20", "bad-400", "bad"]
        assert [one.variant.step for one in ratings.steps(run)] == [20, 400, None]

    def test_they_enter_no_average_and_no_headline(self, frame):
        ratings = pc.Ratings.from_frame(frame)
        table = pc.contrasts(ratings)
        assert set(table[table["family"] == "mean"]["variant"]) == {"bad"}
        assert set(table[table["family"] == "x"]["variant"]) == {"bad", "bad-400", "bad-20"}
        assert list(pc.tabulate.headlines(ratings).index) == ["S under bad", "noise under bad"]

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"role": "base"}, "step: a base has not been fine-tuned; remove it"),
            (
                {"of": "worse"},
                "of 'worse' does not exist in family 'x' as another variant that is neither its base nor a checkpoint itself",
            ),
            ({"step": -1}, "step: "),
        ],
    )
    def test_a_checkpoint_of_nothing_is_refused(self, frame, changes, said):
        for name, value in changes.items():
            frame.loc[frame["variant"] == "bad-20", name] = value
        with pytest.raises(ValueError) as error:
            pc.Ratings.from_frame(frame)
        assert said in str(error.value) and "\n" not in str(error.value)


def test_nothing_heavy_is_imported_before_it_is_used():
    code = "import sys, persona_collapse; print(sorted({'pandas', 'altair', 'jinja2', 'openai', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    code = "import sys, persona_collapse as pc; pc.Ratings; pc.levels; print(sorted({'altair', 'jinja2', 'openai'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_door_is_short_sorted_and_says_what_it_lacks():
    assert pc.__all__ == sorted(pc.__all__, key=lambda name: (name[0].islower(), name)) and set(pc.__all__) <= set(dir(pc))
    with pytest.raises(AttributeError, match=r"has no attribute 'level'; it has Estimate, Ratings, "):
        pc.level  # noqa: B018


def examples(thing, name, module):
    """The examples in the docstring of one public thing."""
    names = [f"{name}.from_frame"] if name == "Ratings" else [name]
    return [test for test in doctest.DocTestFinder().find(thing, name, module=module) if test.name in names and test.examples]


def failures(tests):
    told = []
    return [told for test in tests if doctest.DocTestRunner().run(test, out=told.append).failed]


@pytest.mark.parametrize("name", pc.__all__)
def test_every_public_docstring_has_an_example_that_runs(name, outputs):
    thing = getattr(pc, name)
    found = examples(thing, name, thing if inspect.ismodule(thing) else importlib.import_module(thing.__module__))
    assert found and failures(found) == []


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """What examples open, opened once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", tmp_path_factory.mktemp("opened"))
        ratings = pc.open_study("mini")
        pair, explored = pc.open_pair("mini", "mini-again"), pc.explore(ratings)
        patch.setattr(pc, "open_study", lambda name: ratings, raising=False)
        patch.setattr(pc, "open_pair", lambda a, b: pair, raising=False)
        patch.setattr(pc, "explore", lambda ratings: explored, raising=False)
        yield ratings, pair


EXHIBITS = [(shelf, name) for shelf in ("figures", "say", "tabulate") for name in getattr(pc, shelf).__all__]


@pytest.mark.parametrize(("shelf", "name"), EXHIBITS)
def test_every_exhibit_is_called_as_its_example_says(opened, shelf, name):
    module = getattr(pc, shelf)
    found = examples(getattr(module, name), name, module)
    assert found and failures(found) == []


def test_help_on_the_figures_reads_as_a_list_of_them():
    text = pydoc.plain(pydoc.render_doc(pc.figures))
    assert "Figures of a study" in text and "collapse_map(ratings, /)" in text and "levels(ratings, /, metric: str)" in text


def test_an_exhibit_of_one_run_asks_which_and_knows_it_by_its_key(opened):
    ratings, _ = opened
    with pytest.raises(ValueError, match=r"^run: none named; expected one of gpt-4o/base, .*, as in run='gpt-4o/base'$"):
        pc.say.steady(ratings)
    with pytest.raises(ValueError, match=r"^run: found 'gpt-4o/bad'; expected one of gpt-4o/base, "):
        pc.say.steady(ratings, run="gpt-4o/bad")
    assert pc.say.steady(ratings, run="gpt-4o/base") == pc.say.steady(ratings, run=ratings.runs[0])
    alone = ratings.only([ratings.runs[0]])
    assert pc.say.steady(alone) == pc.say.steady(ratings, run=ratings.runs[0])


def test_an_argument_that_is_none_is_refused_with_those_that_are(opened):
    ratings, _ = opened
    with pytest.raises(ValueError, match=r"^metric: found 'S'; expected one of 'susceptibility', 'susceptibility_pooled', "):
        pc.figures.levels(ratings, "S")
    with pytest.raises(ValueError, match=r"^kind: found 'icc'; expected one of 'susceptibility', 'noise', "):
        pc.say.headline(ratings, kind="icc")


def test_runs_go_by_their_keys(opened):
    ratings, _ = opened
    run = ratings.runs[1]
    assert (ratings.counts("gpt-4o/secure") == ratings.counts(run)).all()
    assert [one.key for one in ratings.only(["gpt-4o/secure", run]).runs] == ["gpt-4o/secure"]
    with pytest.raises(ValueError, match=r"^run: found 'gpt-4o'; expected one of gpt-4o/base, "):
        ratings.counts("gpt-4o")


def test_what_is_no_ratings_is_refused(opened):
    with pytest.raises(TypeError, match=r"^say.steady: found str; expected Ratings, as open_study gives it$"):
        pc.say.steady("mini")
    with pytest.raises(TypeError, match=r"^figures.levels: found NoneType; expected "):
        pc.figures.levels(None, "robustness")


def test_a_frame_has_figures_and_sentences_and_no_tables_folder(frame):
    ratings = pc.Ratings.from_frame(frame)
    assert pc.figures.levels(ratings, "robustness").usermeta["id"] == "figure-levels-robustness"
    assert pc.say.changes(ratings, "susceptibility").startswith("- **secure**: S falls by")
    with pytest.raises(
        ValueError, match=r"^tables: these ratings are a data frame's, which has no folder; expected those of a study"
    ):
        pc.write_tables(ratings)


def test_tables_are_written_by_name(mini, opened):
    ratings, _ = opened
    folder = ratings.study.outputs / "tables"
    pc.write_tables(ratings, "metrics")
    assert [path.name for path in folder.iterdir()] == ["metrics.csv"]
    with pytest.raises(ValueError, match=r"^tables: no table 'metric'; expected one of quality, metrics, contrasts, "):
        pc.write_tables(ratings, "metric")


@pytest.mark.parametrize("page", ["README.md", "docs/data-frames.md"])
def test_the_lines_of_the_readme_run(tmp_path, frame, page):
    """What README shows for a data frame of one's own, and the page with more of it, on the ratings of mini."""
    text = (ROOT / page).read_text(encoding="utf-8")
    code = text[text.index("import pandas as pd") :].partition("```")[0]
    frame.to_csv(tmp_path / "ratings.csv", index=False)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "lib")},
    )
    assert done.returncode == 0, done.stderr
