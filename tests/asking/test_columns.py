"""Files as others write them: other names, separators and shapes are read and said; what cannot be decided is asked."""

import csv
import gzip
import importlib.util
import json

import numpy as np
import pandas as pd
import pytest

import persona_collapse as pc
from importable import grid, one_line, small_study, write_instrument, write_rows, write_study
from persona_collapse.asking.collect import collect, import_report
from persona_collapse.asking.read_table import read_table
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study

#: Two personas, two items, two repetitions, as counts (persona, item, category) of a scale from 0 to 5.
ROWS = [
    ("ada", 1, "a", 3), ("ada", 1, "b", 4), ("ada", 2, "a", 0), ("ada", 2, "b", 0),
    ("bo", 1, "a", 5), ("bo", 1, "b", 5), ("bo", 2, "a", 1), ("bo", 2, "b", 2),
]  # fmt: skip
COUNTS = [[[0, 0, 0, 1, 1, 0], [2, 0, 0, 0, 0, 0]], [[0, 0, 0, 0, 0, 2], [0, 1, 1, 0, 0, 0]]]
LONG = ["persona_id", "question_id", "run_index", "rating"]
WIDE = [("ada", "a", 3, 0), ("ada", "b", 4, 0), ("bo", "a", 5, 1), ("bo", "b", 5, 2)]


@pytest.fixture(autouse=True)
def redirected(outputs):
    """No test writes into the checkout."""


def table(path, header, rows=ROWS, separator=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows([header, *rows])
    return path


def counts_of(study, condition="persona", run=0):
    with open_store(study.store_path) as store:
        return read_ratings(study, store).counts(study.runs[run], condition).tolist()


def read(tmp_path, **study):
    """Counts of base.csv, and how it was read in the words of the import."""
    found = small_study(tmp_path, **study)
    collect(found)
    (line,) = import_report(found)
    return counts_of(found), line.partition(" rows; ")[2]


def refused(tmp_path, **study):
    with pytest.raises(ValueError) as caught:
        collect(small_study(tmp_path, **study))
    return one_line(caught.value).replace(f"{tmp_path}/", "")


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (LONG, ""),
        (["persona", "item", "repetition", "rating"], ""),
        (["subject", "item", "rep", "score"], "columns subject = persona, rep = repetition, score = rating"),
        (
            ["Participant ID", "Question", " Epoch ", "response"],
            "blanks around names of columns left out; columns Participant ID = persona, Question = item, Epoch = repetition, "
            "response = rating",
        ),
        (["respondent", "item-id", "trial", "value"], "columns respondent = persona, item-id = item, trial = repetition, value = rating"),
    ],
)  # fmt: skip
def test_common_names_are_recognized_and_said(tmp_path, header, said):
    table(tmp_path / "base.csv", header)
    assert read(tmp_path) == (COUNTS, said)


def test_a_study_file_names_columns(tmp_path):
    table(tmp_path / "base.csv", ["who", "what", "when", "how much"])
    columns = {"persona": "who", "item": "what", "repetition": "when", "rating": "how much"}
    said = "columns who = persona, what = item, when = repetition, how much = rating"
    assert read(tmp_path, columns=columns) == (COUNTS, said)


def test_what_the_study_file_names_comes_before_a_common_name(tmp_path):
    table(tmp_path / "base.csv", ["subject", "item", "rep", "score", "rating"], [(*row, 2) for row in ROWS])
    assert read(tmp_path, columns={"rating": "score"})[0] == COUNTS


def test_a_name_that_no_column_has_is_refused_with_the_nearest(tmp_path):
    table(tmp_path / "base.csv", ["subject", "item", "rep", "score"])
    assert refused(tmp_path, columns={"persona": "subjekt", "rating": "scores"}) == (
        "base.csv: no column 'subjekt', which columns.persona names; did you mean 'subject'?; no column 'scores', which "
        "columns.rating names; did you mean 'score'?; say in the study file which is which: "
        "columns: {persona: ?, item: item, repetition: rep, rating: ?}"
    )


def test_all_that_is_missing_or_cannot_be_decided_is_said_at_once(tmp_path):
    """Neither of two names for a persona is better than the other, and nothing goes by a name for a repetition."""
    table(tmp_path / "base.csv", ["subject", "participant", "item", "score"], [(a, a, q, r) for a, q, _, r in ROWS])
    assert refused(tmp_path) == (
        "base.csv: no column 'run_index' (it has subject, participant, item, score); expected persona_id, question_id, "
        "run_index, rating; columns 'subject', 'participant' may each be the persona; say in the study file which is which: "
        "columns: {persona: ?, item: item, repetition: ?, rating: score}"
    )


def test_beside_a_rating_a_response_is_the_reply(tmp_path):
    table(tmp_path / "base.csv", [*LONG, "response"], [(*row, f"I say {row[-1]}") for row in ROWS])
    study = small_study(tmp_path)
    collect(study)
    with open_store(study.store_path) as store:
        assert [row[0] for row in store.slots("f", "base", ["reply"])] == [f"I say {row[-1]}" for row in ROWS]


def test_alone_a_response_that_holds_text_is_asked_about(tmp_path):
    table(tmp_path / "base.csv", [*LONG[:3], "response"], [*ROWS[:-1], ("bo", 2, "b", "2, of course")])
    assert refused(tmp_path) == (
        "base.csv: no column is surely the rating; 'response' may be it or the reply's text, and row 8: response is "
        "'2, of course'; expected ratings alone; say in the study file which is which: "
        "columns: {persona: persona_id, item: question_id, repetition: run_index, rating: ?}"
    )


def test_the_instrument_that_was_taken_is_said_where_none_is_named(tmp_path):
    write_rows(tmp_path / "base.csv", grid([0, 1], 30, 3, 4))
    path = write_study(tmp_path)
    path.write_text(path.read_text().replace("instrument: ./short.yaml\n", ""))
    study = load_study(path)
    collect(study)
    assert import_report(study)[0] == (
        f"{tmp_path}/small.yaml names no instrument: its items are taken for the 30 of mfq30, of which the first is 'Whether or "
        "not someone suffered emotionally'; write `instrument: mfq30` if they are, else a path"
    )


# --- items -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["q{}", "item_{}", "MFQ-{}", "MFQ_0{}", "30 items: {}"])
def test_items_whose_names_end_in_their_number_are_read_by_it(tmp_path, written):
    table(tmp_path / "base.csv", LONG, [(p, written.format(q), n, r) for p, q, n, r in ROWS])
    counts, said = read(tmp_path)
    begins = written.format(1)[:-1].rstrip("0")
    assert counts == COUNTS and said == f"question_id {begins}1, {begins}2, ... by their numbers"


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [("q0", "q1", "q0"), ("q2", "q3", "q2"), ("care_1", "fair_2", "care_1"), ("warmth", "order", "warmth"), ("q1", "2", "q1")],
)
def test_item_ids_that_do_not_fit_the_instrument_are_refused(tmp_path, first, second, found):
    table(tmp_path / "base.csv", LONG, [(p, {1: first, 2: second}[q], n, r) for p, q, n, r in ROWS])
    assert f"base.csv, row 1: question_id is {found!r}; expected an integer from 1 to 2" in refused(tmp_path)


# --- one column an item ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["q1", "q2"], {}), (["1", "2"], {}), (["item_01", "item_02"], {}),
        (["q1", "q2"], {"items": "q{item}"}), (["q1_a", "q2_a"], {"items": "q{item}_a"}),
    ],
)  # fmt: skip
def test_a_row_of_a_wide_file_is_a_persona_and_a_repetition(tmp_path, names, columns):
    table(tmp_path / "base.csv", ["subject", "rep", *names], WIDE)
    counts, said = read(tmp_path, **({"columns": columns} if columns else {}))
    assert counts == COUNTS
    assert (
        said == f"columns subject = persona, rep = repetition, {names[0]} to {names[1]} = one column an item; 4 rows in the file"
    )


def test_a_wide_file_without_repetitions_has_one(tmp_path):
    table(tmp_path / "base.csv", ["subject", "age", "q1", "q2"], [("ada", 40, 3, ""), ("bo", 50, 5, 1)])
    counts, said = read(tmp_path)
    assert np.argwhere(counts).tolist() == [[0, 0, 3], [1, 0, 5], [1, 1, 1]]  # an empty cell is missing
    assert said.endswith("; one repetition, as no column numbers them; 2 rows in the file")


def test_a_wide_file_in_which_a_persona_stands_twice_needs_a_column_for_it(tmp_path):
    table(tmp_path / "base.csv", ["subject", "q1", "q2"], [("ada", 3, 0), ("bo", 5, 1), ("ada", 4, 0)])
    assert refused(tmp_path) == (
        "base.csv, rows 1 and 3: persona 'ada' stands more than once, and no column numbers the repetitions; expected one, "
        "such as 'repetition'; add it, or name it by columns.repetition"
    )


def test_two_sets_of_numbered_columns_are_asked_about(tmp_path):
    table(tmp_path / "base.csv", ["subject", "rep", "q1", "q2", "ms1", "ms2"], [(*row, 900, 800) for row in WIDE])
    assert refused(tmp_path) == (
        "base.csv: columns 'q{item}', 'ms{item}' may each be those of the items; say in the study file which is which: "
        'columns: {persona: subject, items: "q{item}"}'
    )
    assert read(tmp_path, columns={"items": "q{item}"})[0] == COUNTS


def test_columns_with_a_gap_in_their_numbers_are_asked_about(tmp_path):
    write_instrument(tmp_path / "short.yaml", items=4)
    table(tmp_path / "base.csv", ["subject", "rep", "q1", "q2", "q4"], [(*row, 5) for row in WIDE])
    assert refused(tmp_path) == (
        "base.csv: columns q1 to q4 may be those of the items, but are not numbered from 1 without a gap; say in the study file "
        'which is which: columns: {persona: subject, items: "q{item}"}'
    )
    counts, _ = read(tmp_path, columns={"items": "q{item}"})
    assert np.array(counts).sum(axis=-1).tolist() == [[2, 2, 0, 2]] * 2


def test_one_item_may_stand_in_one_column(tmp_path):
    table(tmp_path / "base.csv", ["subject", "q2"], [("ada", 3), ("bo", 5)])
    counts, _ = read(tmp_path, columns={"items": "q{item}"})
    assert np.argwhere(counts).tolist() == [[0, 1, 3], [1, 1, 5]]


def test_columns_beyond_the_instrument_are_refused(tmp_path):
    table(tmp_path / "base.csv", ["subject", "rep", "q1", "q2", "q3"], [(*row, 9) for row in WIDE])
    found = refused(tmp_path, columns={"items": "q{item}"})
    assert "columns 'q3' are of no item; short has 2, from 1" in found


def test_a_wrong_rating_of_a_wide_file_is_named_by_row_and_column(tmp_path):
    table(tmp_path / "base.csv", ["subject", "rep", "q1", "q2"], [*WIDE[:2], ("bo", "a", 5, 7), WIDE[3]])
    assert refused(tmp_path) == (
        "base.csv, row 3: q2 is '7'; expected an integer from 0 to 5, or nothing for none; correct the file or the study's instrument"
    )


def test_self_ratings_may_be_wide_too(tmp_path):
    table(tmp_path / "base.csv", ["subject", "rep", "q1", "q2"], WIDE)
    table(tmp_path / "base_self.csv", ["rep", "q1", "q2"], [("a", 2, 2), ("b", 2, 3)])
    variants = [{"key": "base", "role": "base", "persona": "base.csv", "self": "base_self.csv"}]
    study = small_study(tmp_path, variants, columns={"persona": "subject", "items": "q{item}"})
    collect(study)
    assert counts_of(study, "self") == [[[0, 0, 2, 0, 0, 0], [0, 0, 1, 1, 0, 0]]]


# --- several runs in one file ----------------------------------------------------------------------------------------


def several(tmp_path):
    """One file of two models and two conditions; the second model rates everything one lower, but never below 0."""
    rows = [("org/m", "persona", *row) for row in ROWS] + [("org/m ft", "persona", *row[:3], max(row[3] - 1, 0)) for row in ROWS]
    rows += [("org/m", "self", "", q, n, 2) for q in (1, 2) for n in "ab"]
    table(tmp_path / "all.csv", ["model", "condition", "persona", "item", "rep", "score"], rows)
    return [
        {"key": "base", "role": "base", "persona": "all.csv", "self": "all.csv", "rows": {"model": "org/m"}},
        {"key": "ft", "role": "harmful", "persona": "all.csv", "rows": {"model": "org/m ft"}},
    ]


def test_a_run_takes_its_rows_of_a_file_of_several(tmp_path):
    study = small_study(tmp_path, several(tmp_path))
    collect(study)
    assert counts_of(study) == COUNTS
    assert counts_of(study, run=1) == [
        [[0, 0, 1, 1, 0, 0], [2, 0, 0, 0, 0, 0]], [[0, 0, 0, 0, 2, 0], [1, 1, 0, 0, 0, 0]]
    ]  # fmt: skip
    assert counts_of(study, "self") == [[[0, 0, 2, 0, 0, 0]] * 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": {"modell": "org/m"}}, "all.csv: no column 'modell', which rows names (it has model, condition, persona, item, rep, score)"),
        ({"rows": {"model": "m"}}, "all.csv: no row with model 'm'; it has 'org/m', 'org/m ft'; correct rows in the study file"),
        ({"toxic": "all.csv"}, "all.csv: no row of the condition 'toxic'; it has 'persona', 'self'"),
    ],
)  # fmt: skip
def test_rows_that_are_not_there_are_refused(tmp_path, change, said):
    base, _ = several(tmp_path)
    assert refused(tmp_path, variants=[base | change]) == said


def test_a_row_number_is_that_of_the_file_whatever_rows_are_taken(tmp_path):
    _, ft = several(tmp_path)
    path = tmp_path / "all.csv"
    path.write_text(path.read_text().replace("org/m ft,persona,bo,2,b,1", "org/m ft,persona,bo,2,b,9"))
    assert refused(tmp_path, variants=[ft | {"role": "base"}]).startswith("all.csv, row 16: score is '9'; expected")


def test_a_condition_of_others_is_no_condition_of_ours(tmp_path):
    """It tells models apart there, and is read as such only if the study file says so."""
    rows = [("insecure", *row) for row in ROWS]
    table(tmp_path / "base.csv", ["condition", "subject", "item", "rep", "score"], rows)
    assert read(tmp_path)[0] == COUNTS
    assert refused(tmp_path, columns={"condition": "condition"}) == (
        "base.csv, row 1: condition is 'insecure'; expected 'persona', 'self', 'toxic' (7 more rows like it); correct the file"
    )


def test_other_rows_are_another_import(tmp_path):
    base, ft = several(tmp_path)
    assert collect(small_study(tmp_path, [base, ft])) == 2
    assert collect(small_study(tmp_path, [base, ft])) == 0
    assert collect(small_study(tmp_path, [base, ft | {"rows": {"model": "org/m"}}])) == 1


def test_ratings_by_logprobs_are_no_samples(tmp_path):
    table(tmp_path / "base.csv", [*LONG, "logprobs"], [(*row, "[[3, -0.1]]") for row in ROWS])
    assert "column logprobs is filled, so a rating stands for a distribution over the scale" in refused(tmp_path)


# --- how a file is written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("separator", "named"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_are_read_and_said(tmp_path, separator, named):
    table(tmp_path / "base.csv", LONG, separator=separator)
    assert read(tmp_path) == (COUNTS, f"{named} between fields")


def test_a_decimal_comma_is_no_integer(tmp_path):
    """As a German Excel writes 3.5 and, with a format of one digit, 3.0."""
    table(tmp_path / "base.csv", LONG, [(*ROWS[0][:3], "3,0"), (*ROWS[1][:3], "3,5"), *ROWS[2:]], ";")
    assert refused(tmp_path).startswith(
        "base.csv, row 1: rating is '3,0'; expected an integer from 0 to 5, or nothing for none (1 more row"
    )


def test_commas_in_a_header_of_semicolons_separate_nothing(tmp_path):
    path = table(tmp_path / "base.csv", [*LONG, "reply, as given"], [(*row, "a, b, c, d, e, f") for row in ROWS], ";")
    assert list(read_table(path).fields.columns) == [*LONG, "reply, as given"]


def test_a_packed_file_and_its_twin_are_read(tmp_path):
    plain = table(tmp_path / "base.csv", LONG, ROWS)
    (tmp_path / "base.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    table(plain, LONG, ROWS[:4])
    (tmp_path / "base 2.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    counts, said = read(tmp_path, variants=[{"key": "base", "role": "base", "persona": "base.csv.gz"}])
    assert counts == COUNTS and said == "twins set aside: 'base 2.csv.gz' (4 valid)"


def test_a_damaged_packed_file_is_named(tmp_path):
    (tmp_path / "base.csv.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    found = refused(tmp_path, variants=[{"key": "base", "role": "base", "persona": "base.csv.gz"}])
    assert found.startswith("base.csv.gz: cannot be unpacked (") and found.endswith("; the file is damaged; fetch it again")


def test_a_reply_of_any_length_is_kept(tmp_path):
    """More than the 131,072 characters that csv takes by default, in the last row, where the end of a file is checked."""
    table(tmp_path / "base.csv", [*LONG, "response"], [*((*row, "") for row in ROWS[:-1]), (*ROWS[-1], "x" * 200_000)])
    study = small_study(tmp_path)
    collect(study)
    with open_store(study.store_path) as store:
        assert max(len(row[0]) for row in store.slots("f", "base", ["reply"])) == 200_000


def test_half_a_character_is_no_utf8(tmp_path):
    """A lone surrogate cannot be stored or shown; as bytes it is refused as any other broken text is."""
    path = table(tmp_path / "base.csv", [*LONG, "response"], [(*row, "REPLY") for row in ROWS])
    path.write_bytes(path.read_bytes().replace(b"REPLY", "\ud800".encode("utf-8", "surrogatepass")))
    assert refused(tmp_path) == "base.csv: not UTF-8 text; save it as UTF-8"


@pytest.mark.parametrize("written", ["inf", "two", "-1", "1.5", "nan"])
def test_failures_that_are_no_number_are_refused(tmp_path, written):
    rows = grid([0, 1], 2, 3)
    rows[2]["failures"] = written
    write_rows(tmp_path / "base.csv", rows)
    assert (
        refused(tmp_path)
        == f"base.csv, row 3: failures is {written!r}; expected an integer from 0 up, or nothing; correct the file"
    )


def test_every_wrong_column_of_a_file_is_said_at_once(tmp_path):
    rows = grid(["ada", "bo"], 2, 3, 4)
    rows[0] |= {"rating": 6}
    rows[1] |= {"question_id": "x", "rating": "y", "failures": "inf"}
    rows[2] |= {"run_index": " "}
    write_rows(tmp_path / "base.csv", rows)
    assert refused(tmp_path) == (
        "base.csv: 4 problems: (1) row 3: no run_index; expected an id in every row; (2) row 2: question_id is 'x'; expected an "
        "integer from 1 to 2; (3) row 1: rating is '6'; expected an integer from 0 to 5, or nothing for none (1 more row like it); "
        "(4) row 2: failures is 'inf'; expected an integer from 0 up, or nothing; correct the file or the study's instrument"
    )


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("a\u200bda", r"row 5: persona_id 'a\u200bda' differs from 'ada' only in what cannot be seen"),
        ("\u200b\u2060", "row 5: no persona_id; expected an id in every row"),
    ],
)
def test_ids_that_cannot_be_told_apart_are_refused(tmp_path, other, said):
    table(tmp_path / "base.csv", LONG, [(p if p == "ada" else other, q, n, r) for p, q, n, r in ROWS])
    assert refused(tmp_path).startswith(f"base.csv, {said}")


# --- Parquet ---------------------------------------------------------------------------------------------------------

PARQUET = [{"key": "base", "role": "base", "persona": "base.parquet"}]


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_parquet_is_read_as_csv_is(tmp_path):
    """Ratings as floats with one missing, as pandas keeps a column of numbers with a gap."""
    frame = pd.DataFrame(ROWS, columns=["subject", "item", "rep", "score"]).astype({"score": float})
    frame.loc[0, "score"] = np.nan
    frame.to_parquet(tmp_path / "base.parquet")
    counts, _ = read(tmp_path, variants=PARQUET)
    assert np.array(counts).sum() == 7 and np.array(counts)[1].tolist() == COUNTS[1]


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "base.parquet").write_text("subject,item\n")
    assert refused(tmp_path, variants=PARQUET).startswith("base.parquet: not a Parquet file (")


def test_without_pyarrow_parquet_says_what_to_install(tmp_path, monkeypatch):
    def missing(path):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", missing)
    (tmp_path / "base.parquet").write_bytes(b"PAR1")
    assert refused(tmp_path, variants=PARQUET) == (
        "base.parquet: Parquet is read by pyarrow, which is not installed here; run `.venv/bin/python -m pip install pyarrow`, "
        "or save the file as CSV"
    )


# --- data frames -----------------------------------------------------------------------------------------------------


def test_a_frame_goes_by_common_names_too():
    frame = pd.DataFrame([(p, f"q{q}", n, r) for p, q, n, r in ROWS], columns=["subject", "item", "rep", "score"])
    ratings = pc.Ratings.from_frame(frame)
    assert ratings.counts(ratings.runs[0])[:, :2].tolist() == COUNTS
    with pytest.raises(
        ValueError, match=r"^data frame: columns 'subject', 'participant' may each be the persona; rename the right one"
    ):
        pc.Ratings.from_frame(frame.assign(participant=1))


def test_a_report_of_plain_files_says_nothing_of_how_they_were_read(tmp_path):
    """What a store of an earlier version says stays what it was."""
    write_rows(tmp_path / "base.csv", grid([0, 1], 2, 3))
    study = small_study(tmp_path)
    collect(study)
    with open_store(study.store_path) as store:
        assert "read_as" not in json.dumps(store.origin("f", "base")[1])


def test_another_scale_asks_for_other_ratings(tmp_path):
    """A wide file of an instrument from 1 to 7."""
    write_instrument(tmp_path / "short.yaml", low=1, high=7)
    table(tmp_path / "base.csv", ["subject", "q1", "q2"], [("ada", 7, 1), ("bo", 4, 4)])
    assert np.argwhere(read(tmp_path)[0]).tolist() == [[0, 0, 6], [0, 1, 0], [1, 0, 3], [1, 1, 3]]
