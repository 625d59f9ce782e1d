"""The file of human respondents that a study names: layouts, what is wrong with it, and what becomes of a changed one."""

import pytest

from importable import grid, one_line, small_study, write_instrument, write_rows, write_study
from persona_collapse.asking.collect import collect, open_study
from persona_collapse.report.provenance import provenance
from persona_collapse.report.run_notebooks import ratings_key
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study

WIDE = "respondent,q1,q2\nann,0,1\nbob,2,3\n"


@pytest.fixture
def base(tmp_path, outputs):
    """A folder with the files of a small imported study."""
    write_instrument(tmp_path / "short.yaml")
    write_rows(tmp_path / "base.csv", grid(range(3), 2, 1, 2))
    return tmp_path


def people(folder, content, **keys):
    """What was read of a reference file of this content: ids, and the sum of all ratings; and what was said."""
    (folder / "people.csv").write_text(content, encoding="utf-8")
    study, said = small_study(folder, reference={"file": "people.csv"} | keys if keys else "people.csv"), []
    collect(study, say=said.append)
    found = open_study(str(study.path)).reference
    counts = found.counts(found.runs[0])
    return found.personas, int((counts * found.study.instrument.categories).sum()), said


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (WIDE, {}),
        (WIDE.replace(",", ";"), {}),
        ("participant,item,rating\nann,1,0\nann,2,1\nbob,1,2\nbob,2,3\n", {}),
        ("participant,item,rep,score\nann,1,1,0\nann,2,1,1\nbob,1,1,2\nbob,2,1,3\n", {}),
        ("who,answer_1,answer_2\nann,0,1\nbob,2,3\n", {"columns": {"persona": "who", "items": "answer_{item}"}}),
        ("who,which,given\nann,1,0\nann,2,1\nbob,1,2\nbob,2,3\n", {"columns": {"persona": "who", "item": "which", "rating": "given"}}),
        ("respondent,wave,q1,q2\nann,1,0,1\nann,2,5,5\nbob,1,2,3\n", {"rows": {"wave": 1}}),
    ],
    ids=["wide", "semicolons", "long, once each", "long, numbered", "named columns", "named, once each", "rows of a wave"],
)  # fmt: skip
def test_the_layouts_of_imported_ratings_are_read(base, content, keys):
    assert people(base, content, **keys) == (("ann", "bob"), 6, ["small: reference people.csv: 2 respondents"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WIDE.replace("3", "7"), "people.csv, row 2: q2 is '7'; expected an integer from 0 to 5, or nothing for none; correct"),
        ("respondent,q1,q2,q3\nann,0,1,2\n", "people.csv, columns 'q3' are of no item; short has 2, from 1; correct"),
        ("", "people.csv: the file is empty; expected ratings"),
        ("respondent,q1,q2\n", "people.csv: a header and no rows; expected ratings"),
        (WIDE.replace("respondent", "id"), "people.csv: no column 'persona_id' (it has id, q1, q2); expected"),
        ("person,item,rating\nann,1,0\nann,1,4\n", "people.csv: persona ann, item 1, repetition 1 stands more than once with ratings 0, 4"),
    ],
    ids=["off the scale", "another questionnaire", "empty", "no rows", "no respondent", "twice"],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_line_before_anything_is_read(base, outputs, content, said):
    with pytest.raises(ValueError) as error:
        people(base, content)
    assert f"small.yaml, reference: {base}" in one_line(error.value) and said in one_line(error.value)
    assert not (outputs / "small" / "ratings.sqlite").exists()


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("gone.csv", "small.yaml, reference: gone.csv does not exist in "),
        ({"fil": "people.csv"}, "small.yaml, reference.fil: unknown key 'fil'; did you mean 'file'?"),
        ({"file": "people.csv", "columns": {"items": "q"}}, "reference.columns.items: 'q' is no pattern of columns"),
        ({"file": ""}, "small.yaml, reference.file: found ''; expected: string should have at least 1 character"),
    ],
)
def test_a_wrong_key_is_refused_before_anything_runs(base, reference, said):
    (base / "people.csv").write_text(WIDE, encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load_study(write_study(base, reference=reference))
    assert said in one_line(error.value)


def test_a_changed_file_is_read_again_and_makes_pages_stale(base):
    people(base, WIDE)
    study = load_study(write_study(base, reference="people.csv"))

    def key():
        collect(study)
        with open_store(study.store_path) as store:
            return ratings_key(study, store)

    before = key()
    assert key() == before
    assert people(base, WIDE.replace("3", "4"))[1] == 7
    assert key() != before


def test_what_was_read_stays_when_the_file_is_gone_and_goes_with_the_key(base):
    people(base, WIDE)
    (base / "people.csv").unlink()
    assert len(open_study(str(write_study(base, reference="people.csv"))).reference.personas) == 2
    # Another file of which nothing was read yet is not that one.
    assert open_study(str(write_study(base, reference="others.csv"))).reference is None
    assert open_study(str(write_study(base))).reference is None


def test_provenance_names_the_file_and_its_sum(base):
    people(base, WIDE)
    study = load_study(write_study(base, reference="people.csv"))
    with open_store(study.store_path) as store:
        found = provenance(read_ratings(study, store, digests=True))
    assert found["reference"]["file"] == "people.csv" and len(found["reference"]["sha256"]) == 64
