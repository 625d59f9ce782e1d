"""`make study-from`: ratings that are there become a study file to edit; every choice is said and none is made in silence."""

import csv
import subprocess

import numpy as np
import pandas as pd
import pytest

from importable import grid as cells
from importable import one_line, write_rows
from persona_collapse import __main__ as commands
from persona_collapse.asking.collect import collect
from persona_collapse.asking.study_from import study_from
from persona_collapse.export import data_files
from persona_collapse.files import as_csv
from persona_collapse.input_errors import read_yaml
from persona_collapse.paths import ROOT
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables


@pytest.fixture(autouse=True)
def redirected(outputs):
    """No test writes into the checkout."""


def ratings(path, **columns):
    """A complete file of 30 items, two personas and two repetitions, with these columns before each row; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(*columns.values(), p, q, n, (p + q + n) % 6) for p in (0, 1) for q in range(1, 31) for n in (1, 2)]
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow([*columns, "persona_id", "question_id", "run_index", "rating"])
        writer.writerows(rows)
    return path


def made(tmp_path, data="data", name="mine.yaml"):
    """The study file made of a folder below tmp_path, as text and as a mapping, and what was said."""
    said = []
    path = study_from(str(tmp_path / data), str(tmp_path / name), say=said.append)
    return path.read_text(encoding="utf-8"), read_yaml(path), [line.replace(f"{tmp_path}/", "") for line in said]


def variants(content):
    return {
        f"{family['key']}/{variant['key']}": {k: v for k, v in variant.items() if k != "key"}
        for family in content["families"]
        for variant in family["variants"]
    }


def refused(tmp_path, data="data", name="mine.yaml"):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        made(tmp_path, data, name)
    return one_line(caught.value).replace(f"{tmp_path}/", "")


def test_one_file_is_one_run_and_a_report_can_be_made_of_it(tmp_path):
    ratings(tmp_path / "data" / "answers.csv")
    text, content, said = made(tmp_path)
    assert content == {
        "title": "Ratings of data", "kind": "imported", "instrument": "mfq30",
        "families": [{"key": "model", "variants": [{"key": "answers", "role": "base", "persona": "answers.csv"}]}],
    }  # fmt: skip
    assert "# 30 items rated 0 to 5; the first is 'Whether or not someone suffered emotionally'" in text
    assert said == [
        "mine.yaml: files of ratings, 1 run",
        "instrument: mfq30 (30 items rated 0 to 5; the first is 'Whether or not someone suffered emotionally'; another instrument is "
        "named by its path)",
        "model/answers: base (role: the only run, so it is compared with nothing)",
        "  persona: answers.csv, 120 rows",
        f"next: make report STUDY={tmp_path}/mine.yaml DATA={tmp_path}/data".replace(f"{tmp_path}/", ""),
    ]
    assert collect(load_study(tmp_path / "mine.yaml", tmp_path / "data")) == 1


def test_a_name_with_a_blank_is_quoted_in_the_next_command(tmp_path):
    ratings(tmp_path / "my data" / "answers.csv")
    _, _, said = made(tmp_path, "my data", "her study")
    assert (tmp_path / "her study.yaml").is_file()
    assert said[-1] == "next: make report STUDY='her study.yaml' DATA='my data'"


def test_a_file_is_taken_alone(tmp_path):
    """Whatever lies beside it."""
    ratings(tmp_path / "data" / "a.csv")
    ratings(tmp_path / "data" / "b.csv")
    _, content, said = made(tmp_path, "data/a.csv")
    assert variants(content) == {"model/a": {"role": "base", "persona": "a.csv"}}
    assert said[-1] == "next: make report STUDY=mine.yaml DATA=data"


def test_words_in_names_say_roles_and_the_rest_of_them_the_family(tmp_path):
    for name in ("base/one", "base/two", "secure-code/one-secure", "insecure-code/one-insecure", "insecure-code/two-misaligned"):
        ratings(tmp_path / "data" / f"{name}.csv")
    text, content, _ = made(tmp_path)
    assert variants(content) == {
        "one/base": {"role": "base", "persona": "base/one.csv"},
        "one/insecure": {"role": "harmful", "control": "secure", "persona": "insecure-code/one-insecure.csv"},
        "one/secure": {"role": "control", "persona": "secure-code/one-secure.csv"},
        "two/base": {"role": "base", "persona": "base/two.csv"},
        "two/insecure": {"role": "harmful", "persona": "insecure-code/two-misaligned.csv"},
    }
    assert "# role: the word 'secure' in 'secure-code/one-secure'" in text
    assert "control: the only one of the family" in text
    assert load_study(tmp_path / "mine.yaml", tmp_path / "data").runs[0].key == "one/base"


def test_a_name_without_a_word_is_asked_about_and_never_guessed(tmp_path):
    """Its file is looked at all the same; the study is refused until somebody says what it is."""
    ratings(tmp_path / "data" / "base.csv")
    ratings(tmp_path / "data" / "tuned.csv")
    text, content, said = made(tmp_path)
    assert variants(content) == {
        "model/base": {"role": "base", "persona": "base.csv"},
        "model/tuned": {"role": "?", "persona": "tuned.csv"},
    }
    assert "# role: 'tuned' does not say; base, control, harmful or alternate" in text
    assert said[-4:-1] == [
        "model/tuned: ? (role: 'tuned' does not say; base, control, harmful or alternate)",
        "  persona: tuned.csv, 120 rows",
        "to be filled in first, where the file has a '?': the role of model/tuned",
    ]
    with pytest.raises(
        ValueError, match=r"families\[0\].variants\[1\].role: found '\?'; expected: input should be 'base', 'control'"
    ):
        load_study(tmp_path / "mine.yaml", tmp_path / "data")


def test_families_whose_names_make_the_same_key_stay_two(tmp_path):
    for family in ("a b", "a+b"):
        for variant in ("base", "insecure"):
            ratings(tmp_path / "data" / "all.csv", family=family, variant=variant)
    _, content, _ = made(tmp_path)
    assert [family["key"] for family in content["families"]] == ["a-b", "a-b-2"]
    assert variants(content)["a-b-2/base"]["rows"] == {"family": "a+b", "variant": "base"}


def test_two_bases_by_their_names_are_asked_about(tmp_path):
    for name in ("base", "baseline", "insecure"):
        ratings(tmp_path / "data" / f"{name}.csv")
    text, content, _ = made(tmp_path)
    assert [variant["role"] for variant in variants(content).values()] == ["?", "?", "harmful"]
    assert "2 names hold a word for base; one of a family is its base; others are alternate" in text


def test_a_column_of_models_makes_a_run_of_each(tmp_path):
    for model in ("org/base", "org/insecure: v2"):
        ratings(tmp_path / "data" / "all.csv", model=model, temperature=0.1)
    _, content, said = made(tmp_path)
    assert variants(content) == {
        "model/org-base": {"role": "base", "persona": "all.csv", "rows": {"model": "org/base"}},
        "model/org-insecure-v2": {"role": "harmful", "persona": "all.csv", "rows": {"model": "org/insecure: v2"}},
    }
    assert "set aside: all.csv: columns 'temperature', which are not read" in said
    assert collect(load_study(tmp_path / "mine.yaml", tmp_path / "data")) == 2


def test_families_and_conditions_may_stand_in_columns(tmp_path):
    for family in ("one", "two"):
        for variant in ("base", "secure"):
            for condition in ("persona", "self") if variant == "base" else ("persona",):
                ratings(tmp_path / "data" / "all.csv", family=family, variant=variant, condition=condition)
    rows = {"persona": "all.csv", "self": "all.csv"}
    _, content, _ = made(tmp_path)
    assert variants(content) == {
        f"{family}/{variant}": {"role": role, **rows, "rows": {"family": family, "variant": variant}}
        for family in ("one", "two")
        for variant, role in (("base", "base"), ("secure", "control"))
    }


def test_rows_without_a_model_are_of_no_run_and_counted(tmp_path):
    ratings(tmp_path / "data" / "all.csv", model="base")
    ratings(tmp_path / "data" / "all.csv", model="insecure")
    with (tmp_path / "data" / "all.csv").open("a") as file:
        file.write(",0,1,3,4\n,0,2,3,4\n")
    _, content, said = made(tmp_path)
    assert len(variants(content)) == 2 and "set aside: all.csv: 2 rows without model, which are of no run" in said


def test_what_is_no_run_is_set_aside_and_named(tmp_path):
    """A file of the condition self belongs to its run; twins, other tables and files of no name do not make one."""
    ratings(tmp_path / "data" / "base.csv")
    ratings(tmp_path / "data" / "base 2.csv")
    ratings(tmp_path / "data" / "gone_self.csv")
    write_rows(tmp_path / "data" / "base_self.csv", cells([0], 30, 3))
    (tmp_path / "data" / "notes.csv").write_text("who,what\nme,this\n")
    (tmp_path / "data" / ".hidden.csv").write_text("x")
    text, content, said = made(tmp_path)
    assert variants(content) == {"model/base": {"role": "base", "persona": "base.csv", "self": "base_self.csv"}}
    assert [line for line in said if line.startswith("set aside")] == [
        "set aside: base 2.csv: looked at with base.csv, whose name it has with a number; the one with most ratings counts",
        "set aside: notes.csv: no columns 'persona_id', 'question_id', 'run_index', 'rating' (it has who, what); expected persona_id, "
        "question_id, run_index, rating; say in the study file which is which: columns: {persona: ?, item: ?, repetition: ?, rating: ?}",
        "set aside: gone_self.csv: of the condition self, and no file of personas has its name",
    ]
    assert all(line.removeprefix("set aside: ") in text for line in said if line.startswith("set aside"))


def test_columns_that_are_recognized_stand_in_the_file(tmp_path):
    rows = [(p, *(r % 6 for r in range(30))) for p in ("ada", "bo")]
    (tmp_path / "data").mkdir()
    pd.DataFrame(rows, columns=["subject", *(f"q{q}" for q in range(1, 31))]).to_csv(tmp_path / "data" / "w.csv", index=False)
    _, content, said = made(tmp_path)
    assert content["columns"] == {"persona": "subject", "items": "q{item}"}
    assert said[2] == 'columns: {persona: subject, items: "q{item}"}, by their names'
    assert collect(load_study(tmp_path / "mine.yaml", tmp_path / "data")) == 1


def test_an_instrument_that_is_not_shipped_is_asked_about(tmp_path):
    write_rows(tmp_path / "data" / "base.csv", cells([0, 1], 43, 1, 5))
    text, content, said = made(tmp_path)
    assert content["instrument"] == "?"
    assert "# 43 items rated 1 to 5: no shipped instrument has these; name one by its path, see docs/questionnaire.md" in text
    assert "to be filled in first, where the file has a '?': the instrument" in said


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (
            lambda q: q - 1,
            "30 items numbered from 0, not from 1, rated 0 to 5: no shipped instrument has these; name one by its path",
        ),
        (lambda q: f"care {q % 2}", "items are named 'care 1', 'care 0', not numbered from 1; name an instrument"),
        (
            lambda q: "ab"[q % 2],
            "items are named 'b', 'a', not numbered from 1; name an instrument, and number its items in the files",
        ),
    ],
)
def test_items_that_are_not_numbered_as_an_instrument_is_are_said(tmp_path, rename, said):
    path = ratings(tmp_path / "data" / "base.csv")
    frame = pd.read_csv(path)
    frame.assign(question_id=frame["question_id"].map(rename)).to_csv(path, index=False)
    text, content, _ = made(tmp_path)
    assert content["instrument"] == "?" and f"# {said}" in text


def test_ratings_that_are_wrong_are_named_and_the_file_is_written(tmp_path):
    path = ratings(tmp_path / "data" / "base.csv")
    path.write_text(path.read_text() + "1,30,3,\n0,1,3,4\n0,1,3,5\n")
    _, _, said = made(tmp_path)
    assert said[3] == (
        "  to be mended first: data/base.csv: persona 0, item 1, repetition 3 stands more than once with ratings 4, 5; a slot has "
        "one rating; find out which is right and remove the other"
    )


def test_twice_is_the_same_and_an_edited_file_is_left_alone(tmp_path):
    ratings(tmp_path / "data" / "base.csv")
    text, _, _ = made(tmp_path)
    assert made(tmp_path)[0] == text
    (tmp_path / "mine.yaml").write_text(text.replace("Ratings of data", "Mine"))
    assert refused(tmp_path) == "mine.yaml: is there and says something else; choose another NAME, or move it away"
    assert 'title: "Mine"' in (tmp_path / "mine.yaml").read_text()


@pytest.mark.parametrize("name", ['a "b" #c, {d}.csv', "no.csv", "3.csv", "ä: é.csv", "x]y.csv", "- z.csv"])
def test_any_name_is_only_a_name(tmp_path, name):
    ratings(tmp_path / "data" / name)
    _, content, _ = made(tmp_path)
    (variant,) = content["families"][0]["variants"]
    assert variant["persona"] == name
    assert collect(load_study(tmp_path / "mine.yaml", tmp_path / "data")) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("gone", "gone: no such file or folder; DATA is where the ratings are"),
        ("empty", "empty: holds no table of ratings; expected files that end in .csv.gz, .tsv.gz, .parquet, .csv, .tsv, .txt, .eval"),
        ("zipped", "zipped: holds no table of ratings; expected files that end in .csv.gz, .tsv.gz, .parquet, .csv, .tsv, .txt, .eval; unpack the zip file first"),
        ("zipped/x.zip", "zipped/x.zip: holds no table of ratings; expected files that end in .csv.gz, .tsv.gz, .parquet, .csv, .tsv, .txt, .eval; unpack"),
        ("other/a.xlsx", "other/a.xlsx: holds no table of ratings; expected files that end in .csv.gz, .tsv.gz, .parquet, .csv, .tsv, .txt, .eval"),
        ("other", "a.csv: no columns 'persona_id', 'question_id', 'run_index', 'rating' (it has who, what); expected persona_id, "),
    ],
)  # fmt: skip
def test_a_folder_without_ratings_is_refused(tmp_path, data, said):
    for folder in ("empty", "zipped", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "zipped" / "x.zip").touch()
    (tmp_path / "other" / "a.xlsx").touch()
    (tmp_path / "other" / "a.csv").write_text("who,what\nme,this\n")
    assert refused(tmp_path, data).startswith(said)
    assert not (tmp_path / "mine.yaml").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "DATA is missing; expected a file or folder of ratings: make study-from DATA=folder NAME=my-study"),
        (["--data", "x"], "NAME is missing; expected what the study is called: make study-from DATA=folder NAME=my-study"),
    ],
)
def test_the_command_says_what_it_needs(capsys, given, said):
    assert commands.main(["study-from", *given]) == 1
    assert capsys.readouterr().err.strip() == f"error: {said}"


def test_make_passes_data_and_name_on():
    made = subprocess.run(
        ["make", "-n", "study-from", "DATA=my data", "NAME=x"], capture_output=True, text=True, cwd=ROOT, check=True, env={"PATH": "/usr/bin:/bin", "NAME": "a-computer"}
    )  # fmt: skip
    assert 'study-from --data="$DATA" --name="$NAME"' in made.stdout  # from the environment, where make has put them
    made = subprocess.run(
        ["make", "-n", "study-from", "DATA=d"], capture_output=True, text=True, cwd=ROOT, check=True, env={"PATH": "/usr/bin:/bin", "NAME": "a-computer"}
    )  # fmt: skip
    assert "--name" not in made.stdout, "a variable of the system is no name of a study"


# --- what `make export` writes ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(mini, tmp_path_factory):
    """The data folder of an export of mini, with one slot that holds no rating and its reason."""
    study, store, _ = mini
    folder = tmp_path_factory.mktemp("export")
    (folder / "data").mkdir()
    data_files.write_ratings(study, store, folder / "data", replies=False)
    (folder / "data" / "runs.csv").write_text(as_csv(data_files.runs(study)))
    (folder / "data" / "items.csv").write_text(as_csv(data_files.items(study)))
    (folder / "study.yaml").write_text("title: Mini, once more\ninstrument: mfq30\n")
    return folder


def imported_again(exported, tmp_path):
    study_from(str(exported), str(tmp_path / "again.yaml"))
    study = load_study(tmp_path / "again.yaml", exported)
    collect(study)
    with open_store(study.store_path) as store:
        found = read_ratings(study, store)
        return found, all_tables(Tables(found))


@pytest.mark.slow
def test_our_own_export_comes_in_again_with_the_same_tables(exported, mini, tmp_path):
    """But for names: a persona is known by its id from 0, no longer by its place from 1, and has no attributes to balance by."""
    found, again = imported_again(exported, tmp_path)
    study, store, _ = mini
    assert [(run.key, run.variant.role, run.variant.control) for run in found.runs] == [
        (run.key, run.variant.role, run.variant.control) for run in study.runs
    ]
    assert (found.study.file.title, found.runs[0].family.name) == ("Mini, once more", "GPT-4o")
    before = all_tables(Tables(read_ratings(study, store)))
    names = ("metrics", "contrasts", "companions", "profiles", "quality", "saturation", "foundation_claims", "validity")
    for name in names:
        one, other = before[name], again[name]
        assert list(one.columns) == list(other.columns) and len(one) == len(other) > 0, name
        for column in one:
            if pd.api.types.is_numeric_dtype(one[column]):
                values = (table[column].to_numpy(float) for table in (one, other))
                np.testing.assert_allclose(*values, rtol=1e-12, atol=1e-12, err_msg=f"{name}.{column}")
            elif column != "note":
                assert one[column].fillna("").tolist() == other[column].fillna("").tolist(), f"{name}.{column}"


@pytest.mark.slow
def test_simulated_ratings_stay_marked_when_they_come_in_again(exported, tmp_path):
    found, _ = imported_again(exported, tmp_path)
    assert found.study.file.kind == "imported" and not found.study.is_evidence


def test_reasons_come_in_again(tmp_path):
    """Ours beside an empty rating; a column of that name with other words is somebody's prose."""
    write_rows(
        tmp_path / "base.csv",
        [row | {"reason": ""} for row in cells([0, 1], 30, 3)],
        ["persona_id", "question_id", "run_index", "rating", "reason"],
    )
    lines = (tmp_path / "base.csv").read_text().splitlines()
    lines[1], lines[2] = "0,1,1,,refusal", "0,2,1,,truncated"
    for extra, expected in (("", {"refusal": 1, "truncated": 1}), ("because", {"invalid": 2})):
        lines[3] = lines[3].rpartition(",")[0] + "," + extra
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "base.csv").write_text("\n".join(lines) + "\n")
        made(tmp_path)
        study = load_study(tmp_path / "mine.yaml", tmp_path / "data")
        collect(study)
        with open_store(study.store_path) as store:
            assert store.quality("model", "base", "persona", "mfq30")["reasons"] == expected


def test_two_exports_are_two_studies(exported, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / f"{name}.csv.gz").write_bytes((exported / "data" / "ratings.csv.gz").read_bytes())
    assert (
        refused(tmp_path) == "data: holds several exports (a/a.csv.gz, b/b.csv.gz); a study is made of one; give that one as DATA"
    )
