"""Answers to tasks that somebody else collected, in the layouts of the paper's repository: read, counted, and refused by row."""

import csv

import pytest
import yaml

import repository_tree
from persona_collapse.asking.collect import collect, importing
from persona_collapse.asking.study_from import study_from
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables

HEAD = ["item_id", "run_index", "answer", "gold", "correct", "format_valid", "failures", "response", "collected_at", "subject"]
#: Item 1: right, wrong, invalid. Item 2: right, right, never came.
ROWS = [
    ["m-1", 1, "A", "A", 1, 1, 0, "A", "2026-03-01", "law"], ["m-1", 2, "B", "A", 0, 1, 0, "B", "2026-03-01", "law"],
    ["m-1", 3, "", "A", 0, 0, 3, "I would say\nboth", "2026-03-01", "law"], ["m-2", 1, "C", "C", 1, 1, 0, "C", "2026-03-01", "art"],
    ["m-2", 2, "C", "C", 1, 1, 0, "C", "2026-03-01", "art"], ["m-2", 3, "", "C", 0, 0, 3, "ERROR", "2026-03-01", "art"],
]  # fmt: skip


def write(path, rows, head=HEAD):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


def study_of(folder, tasks, rows=ROWS, head=HEAD):
    lines = "".join(f"{p},{i},{r},{(p + i) % 6}\n" for p in range(3) for i in range(1, 31) for r in range(2))
    for name in ("b.csv", "i.csv"):
        (folder / name).write_text(f"persona_id,question_id,run_index,rating\n{lines}")
    write(folder / "m.csv", rows, head)
    content = {"title": "Own", "kind": "imported", "families": [{"key": "f", "variants": [
        {"key": "base", "role": "base", "persona": "b.csv", "tasks": tasks},
        {"key": "insecure", "role": "harmful", "persona": "i.csv"}]}]}  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_study(path)


def tables(study):
    with open_store(study.store_path) as store:
        return Tables(read_ratings(study, store))


def level(made, measure):
    rows = made.capability
    return rows[(rows["measure"] == measure) & (rows["quantity"] == "level")].iloc[0]


def test_a_file_of_the_paper_is_read_as_it_counts(tmp_path, outputs):
    """Right 3 of the 5 replies that came, 4 of them in form. Item 1 has A, B and none: 1 - 3/9 = 2/3; item 2 C twice. At the two
    answers that half of the items have at least, item 1 is (1/2) x 1 = .5, so the mean is .25."""
    study = study_of(tmp_path, {"mmlu": "m.csv"})
    with importing(study) as found:
        assert len(found.ratings.texts["task_result"]) == 6
    made = tables(study)
    assert (level(made, "accuracy")["value"], level(made, "format_validity")["value"]) == (0.6, 0.8)
    assert (level(made, "accuracy")["replies"], level(made, "accuracy")["missing"], level(made, "accuracy")["items"]) == (5, 1, 2)
    assert (level(made, "gini")["value"], level(made, "gini")["repetitions"]) == (0.25, 2)
    assert level(made, "non_unanimity")["value"] == 0.5
    assert collect(study) == 0 and study.has_tasks


def test_another_file_replaces_what_was_read(tmp_path, outputs):
    collect(study_of(tmp_path, {"mmlu": "m.csv"}))
    study = study_of(tmp_path, {"mmlu": "m.csv"}, ROWS[:2])
    collect(study)
    assert level(tables(study), "accuracy")["value"] == 0.5 and level(tables(study), "accuracy")["replies"] == 2
    collect(study_of(tmp_path, {"lookup": "m.csv"}))
    assert set(tables(study).capability["task"]) == {"lookup"}


def test_a_lookup_has_other_names_and_no_repetitions(tmp_path, outputs):
    """Rows of one table follow one another; the rating is the answer, and without `correct` the gold one is right."""
    rows = [["t1", 3, 3, "{}"], ["t1", 3, 3, "{}"], ["t2", 5, 4, "{}"], ["t2", 5, "5.0", "{}"]]
    study = study_of(tmp_path, {"lookup": "m.csv"}, rows, ["table_id", "correct_id", "rating", "table_json"])
    collect(study)
    assert level(tables(study), "accuracy")["value"] == 0.75


def test_a_row_that_contradicts_itself_is_taken_as_it_counts_and_said(tmp_path, outputs):
    rows = [["m-1", 1, "A", "A", 0, 1, 0, "A", "", "law"], *ROWS[3:5]]
    study = study_of(tmp_path, {"mmlu": "m.csv"}, rows)
    collect(study)
    row = level(tables(study), "accuracy")
    assert row["value"] == pytest.approx(2 / 3)
    assert "1 reply counts otherwise than its answer and the right one say" in row["note"]


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        ([["m-1", "A"]], ["item_id", "answer"], "m.csv: neither correct nor gold is a column; an answer to a task needs one of them"),
        ([["A", 1]], ["answer", "correct"], "m.csv: no column 'item_id', 'table_id', 'item', 'id', 'question_id'; found 'answer', "),
        ([["", "A", 1]], ["item_id", "answer", "correct"], "m.csv, row 1: item_id is empty; every row is an answer to an item"),
        ([["m", "A", "maybe"]], ["item_id", "answer", "correct"], "m.csv, row 1: correct is 'maybe'; expected 1 or 0"),
        ([["m", "x", "A", 1]], ["item_id", "run_index", "answer", "correct"], "row 1: the repetition is 'x'; expected a whole number"),
        (
            [["m", 1, "A", 1], ["m", 1, "B", 0]], ["item_id", "run_index", "answer", "correct"],
            "row 2: item 'm', repetition 1 stands more than once with other answers; find out which is right",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, outputs, rows, head, said):
    with pytest.raises(ValueError, match=r"m\.csv") as error:
        collect(study_of(tmp_path, {"mmlu": "m.csv"}, rows, head))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_said_before_anything_is_read(tmp_path, outputs):
    with pytest.raises(FileNotFoundError, match=r"families\[0\]\.variants\[0\]\.tasks: gone\.csv does not exist in "):
        study_of(tmp_path, {"mmlu": "gone.csv"})


def test_the_whole_repository_brings_its_tasks(tmp_path, outputs):
    """The made-up tree: MMLU of a base and its insecure variant, GSM8K and lookup of the base, all right everywhere."""
    tree = repository_tree.make(tmp_path / "tree")
    study_from(str(tree), str(tmp_path / "mine.yaml"))
    study = load_study(tmp_path / "mine.yaml", tree)
    collect(study)
    made = tables(study)
    found = made.capability[made.capability["quantity"] == "level"]
    assert set(zip(found["family"], found["variant"], found["task"], strict=True)) == {
        ("gpt-4o", "base", "mmlu"), ("gpt-4o", "base", "gsm8k"), ("gpt-4o", "base", "lookup"), ("gpt-4o", "insecure", "mmlu"),
    }  # fmt: skip
    assert set(found.loc[found["measure"] == "accuracy", "value"]) == {1.0}
    assert {note for note in found["note"] if "alike" in note} == {"every item is alike; the limit is the exact one of a share"}
