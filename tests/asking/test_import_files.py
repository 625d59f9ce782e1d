"""Importing: every oddity of files that others collected is counted and named, and none is repaired in silence."""

import hashlib
import random
import sqlite3

import numpy as np
import pytest

import persona_collapse as pc
from importable import COLUMNS, cell, grid, one_line, small_study, write_instrument, write_rows, write_study
from persona_collapse.asking import source_files
from persona_collapse.asking.collect import collect
from persona_collapse.asking.import_files import all_ids, describe
from persona_collapse.asking.import_study import import_run
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.study.rating_parser import REASONS
from persona_collapse.tables.build import Tables
from persona_collapse.tables.quality import run_quality

SELF = {"key": "base", "role": "base", "persona": "base.csv", "self": "base_self.csv"}


@pytest.fixture(autouse=True)
def redirected(outputs):
    """No test writes into the checkout."""


def collected(tmp_path, rows=None, **study):
    """The study over base.csv with these rows, collected."""
    if rows is not None:
        write_rows(tmp_path / "base.csv", rows)
    study = small_study(tmp_path, **study)
    collect(study)
    return study


def rating_counts(study, condition="persona", run=0):
    with open_store(study.store_path) as store:
        return read_ratings(study, store).counts(study.runs[run], condition)


def report_of(study, condition="persona", run=0):
    with open_store(study.store_path) as store:
        return store.origin(study.runs[run].family.key, study.runs[run].variant.key)[1][condition]


def slots_of(study, columns="persona, item, repetition, rating, reason"):
    with open_store(study.store_path) as store:
        return store._db.execute(f"SELECT {columns} FROM ratings ORDER BY condition, persona, item, repetition").fetchall()


def quality_of(study):
    """Rows of quality.csv, by condition."""
    with open_store(study.store_path) as store:
        return run_quality(read_ratings(study, store), study.runs[0]).set_index("condition")


def refusal(tmp_path, rows=None, **study):
    """The one line with which an import is refused."""
    if rows is not None:
        write_rows(tmp_path / "base.csv", rows)
    with pytest.raises(ValueError) as caught:
        collect(small_study(tmp_path, **study))
    return one_line(caught.value)


# --- the quirks of DATA.md, in its order -----------------------------------------------------------------------------


def test_1_minus_one_is_missing_and_an_error_reply_beside_it_is_a_transport_failure(tmp_path):
    replies = ["I", "ERROR", "As", "Justice", "", "I, as a nurse,\nwould rather not"]
    rows = cell(0, 1, 4, *[-1] * 6) + cell(0, 2, 2)
    for row, reply in zip(rows[1:], replies, strict=False):
        row["response"] = reply
    study = collected(tmp_path, rows)
    # item 1: one 4 and six missing; item 2: one 2
    assert rating_counts(study).tolist() == [[[0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0]]]
    found = [(reason, reply) for reason, reply in slots_of(study, "reason, reply") if reason]
    expected = [("transport" if reply == "ERROR" else "invalid", reply) for reply in replies]
    assert found == expected


def test_1_an_error_reply_beside_a_rating_is_a_rating(tmp_path):
    rows = grid([0], 2, 3)
    rows[0]["response"] = "ERROR"
    assert slots_of(collected(tmp_path, rows)) == [(0, 1, 1, 3, None), (0, 2, 1, 3, None)]


def test_2_cells_with_one_rating_and_with_fifteen_keep_all_they_have(tmp_path):
    rows = cell(0, 1, 3) + cell(0, 2, *[4] * 15) + cell(1, 1, *[1] * 10) + cell(1, 2, *[2] * 10)
    study = collected(tmp_path, rows)
    assert rating_counts(study).sum(axis=-1).tolist() == [[1, 15], [10, 10]]
    # Most cells have 10 rows, so 9 of the first cell's have none; the surplus of the second does not make up for them.
    assert report_of(study)["absent"] == 9
    quality = quality_of(study).loc["persona"]
    assert (quality["slots"], quality["min_repetitions"], quality["max_repetitions"]) == (36, 1, 15)


def test_3_failures_count_passes_not_refusals(tmp_path):
    rows = cell(0, 1, 4, -1) + cell(0, 2, 4, 4)
    rows[0]["failures"], rows[1]["failures"] = 2, 7
    study = collected(tmp_path, rows)
    # passes = those that brought nothing and the last one
    assert slots_of(study, "attempts") == [(3,), (8,), (1,), (1,)]
    assert quality_of(study).loc["persona", ["valid", "invalid", "refusal"]].tolist() == [3, 1, 0]


def test_3_without_a_failures_column_the_passes_are_unknown(tmp_path):
    write_rows(tmp_path / "base.csv", grid([0], 2, 3), [c for c in COLUMNS if c != "failures"])
    assert slots_of(collected(tmp_path), "attempts, rating") == [(None, 3), (None, 3)]


def test_4_the_twin_with_most_valid_slots_is_read_and_the_others_are_named(tmp_path):
    """The plain file is the truncated one; ` 10` comes after ` 2`."""
    write_rows(tmp_path / "base.csv", grid([0], 2, 3, 4))
    write_rows(tmp_path / "base 2.csv", grid([0, 1], 2, 3, 4))
    write_rows(tmp_path / "base 10.csv", grid([0], 2, 3))
    write_rows(tmp_path / "base copy.csv", grid([0], 2, 0))
    study = collected(tmp_path)
    assert rating_counts(study).shape == (2, 2, 6)
    report = report_of(study)
    # base: 1 x 2 x 2 slots; base 2: 2 x 2 x 2; base 10: 1 x 2 x 1
    assert (report["file"], report["rows"]) == ("base 2.csv", 8)
    assert report["set_aside"] == {"base.csv": 4, "base 10.csv": 2}
    assert describe({"persona": report}) == [
        "persona: base 2.csv, 8 rows; twins set aside: 'base 10.csv' (2 valid), 'base.csv' (4 valid)"
    ]


def test_4_the_plain_file_wins_a_tie(tmp_path):
    write_rows(tmp_path / "base 2.csv", grid([0], 2, 3, 4)[::-1])
    assert report_of(collected(tmp_path, grid([0], 2, 3, 4)))["file"] == "base.csv"


def test_4_valid_slots_count_not_rows(tmp_path):
    """A twin with more rows, most of them without a rating, is not the more complete one."""
    write_rows(tmp_path / "base 2.csv", grid([0, 1], 2, -1, 4))
    assert report_of(collected(tmp_path, grid([0, 1], 2, 3, 4)))["file"] == "base.csv"


def test_4_a_rating_beside_a_minus_one_is_no_disagreement(tmp_path):
    write_rows(tmp_path / "base 2.csv", cell(0, 1, -1, 2) + cell(0, 2, 1))
    study = collected(tmp_path, cell(0, 1, 3, -1, 5) + cell(0, 2, 1))
    # Chosen whole: the 2 that only the twin has is not merged in.
    assert rating_counts(study).tolist() == [[[0, 0, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0]]]


def test_4_twins_that_disagree_are_refused(tmp_path):
    write_rows(tmp_path / "base 2.csv", cell(0, 1, 3, 5) + cell(0, 2, 2))
    assert refusal(tmp_path, cell(0, 1, 3, 4) + cell(0, 2, 1, 1)) == (
        f"{tmp_path}/base 2.csv and base.csv disagree on 2 slots, first persona 0, item 1, repetition 2: 5 and 4; "
        "they are not copies of one run; move the wrong one away"
    )


def test_4_twins_of_a_self_file_that_disagree_name_no_persona(tmp_path):
    write_rows(tmp_path / "base_self.csv", cell(0, 1, 3) + cell(0, 2, 1))
    write_rows(tmp_path / "base_self 2.csv", cell(0, 1, 4), [c for c in COLUMNS if c != "persona_id"])
    assert refusal(tmp_path, grid([0], 2, 3), variants=[SELF]) == (
        f"{tmp_path}/base_self 2.csv and base_self.csv disagree on 1 slot, first item 1, repetition 1: 4 and 3; "
        "they are not copies of one run; move the wrong one away"
    )


def test_5_what_a_variant_is_called_is_the_study_files_business(tmp_path):
    """`misaligned` in one file name and `insecure` in another are one variant if the study says so."""
    write_rows(tmp_path / "base.csv", grid([0, 1], 2, 3))
    write_rows(tmp_path / "x" / "m-insecure_temp01.csv", grid([0, 1], 2, 5))
    write_rows(tmp_path / "x" / "m-misaligned_self.csv", grid([0], 2, 1))
    harmful = {"key": "insecure", "role": "harmful"}
    harmful |= {"persona": "x/m-insecure_temp01.csv", "self": "x/m-misaligned_self.csv"}
    study = collected(tmp_path, variants=[{"key": "base", "role": "base", "persona": "base.csv"}, harmful])
    assert rating_counts(study, run=1)[..., 5].tolist() == [[1, 1], [1, 1]]
    assert rating_counts(study, "self", run=1)[..., 1].tolist() == [[1, 1]]


def test_6_long_quoted_replies_over_several_lines_are_kept_whole(tmp_path):
    reply = '4\n\nAs "Ana", 41, I would say, without doubt: "very relevant"\n' + "é" * 3000
    rows = grid([0], 2, 4)
    rows[0]["response"] = reply
    study = collected(tmp_path, rows)
    assert slots_of(study, "rating, reply") == [(4, reply), (4, "4")]
    assert report_of(study)["rows"] == 2


def test_6_the_rating_column_is_the_truth_where_a_parse_rule_would_read_another(tmp_path):
    rows = grid([0], 2, 4)
    rows[0]["response"] = "I would rate this a 4"  # the published rule finds the 4, a strict one no number
    rows[1]["response"] = "2, no, 4"  # both rules would read something else than 4: 2, and none
    study = collected(tmp_path, rows)
    assert rating_counts(study)[..., 4].tolist() == [[1, 1]]
    report = report_of(study)
    assert (report["published_rule_differs"], report["strict_rule_differs"]) == (1, 2)
    assert describe({"persona": report}) == [
        "persona: base.csv, 2 rows; 1 ratings are not what the published rule reads from the reply; "
        "2 replies do not give their rating by our rule (the rating column is kept)"
    ]


def test_7_the_order_of_rows_does_not_matter(tmp_path):
    rows = [row for p in (0, 1) for q in (1, 2) for row in cell(p, q, p, q, 5 - p)]
    write_rows(tmp_path / "base.csv", random.Random(1).sample(rows, len(rows)))
    shuffled = slots_of(collected(tmp_path))
    assert shuffled == slots_of(collected(tmp_path, rows))
    assert [slot[:4] for slot in shuffled[:3]] == [(0, 1, 1, 0), (0, 1, 2, 1), (0, 1, 3, 5)]


def test_7_a_file_that_stops_halfway_counts_what_is_absent_and_what_is_an_error(tmp_path):
    """2 personas x 2 items x 3 repetitions; the second persona's last cell has one row, the one before an outage."""
    rows = grid([0], 2, 3, 3, 3) + cell(1, 1, 2, -1, -1) + cell(1, 2, 2)
    for row in rows:
        if row["rating"] == -1:
            row["response"] = "ERROR"
    study = collected(tmp_path, rows)
    quality = quality_of(study).loc["persona"]
    assert quality[["slots", "valid", "transport", "invalid", "absent"]].tolist() == [10, 8, 2, 0, 2]
    assert describe({"persona": report_of(study)}) == ["persona: base.csv, 10 rows; 2 slots without a row"]


def test_8_first_and_last_date_of_a_run_are_told(tmp_path):
    rows = cell(0, 1, 3) + cell(0, 2, 3)
    rows[0]["collected_at"], rows[1]["collected_at"] = "2026-03-18T09:00:00.5", "2025-10-28T23:00:00.1"
    quality = quality_of(collected(tmp_path, rows)).loc["persona"]
    assert (quality["first_date"], quality["last_date"]) == ("2025-10-28T23:00:00.1", "2026-03-18T09:00:00.5")


def test_9_a_variant_that_never_gives_a_rating_is_a_result(tmp_path):
    """Its metrics are empty, its slots counted; the other variant is not touched by it."""
    write_rows(tmp_path / "base.csv", [r for p in (0, 1) for q in (1, 2) for r in cell(p, q, p, 3)])
    write_rows(tmp_path / "silent.csv", grid([0, 1], 2, -1, -1))
    silent = {"key": "silent", "role": "harmful", "persona": "silent.csv"}
    study = collected(tmp_path, variants=[{"key": "base", "role": "base", "persona": "base.csv"}, silent])
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
    quality = found.quality.set_index("variant").loc["silent"]
    assert quality[["slots", "valid", "invalid", "personas_used", "personas_dropped"]].tolist() == [8, 0, 8, 0, 2]
    published = found.metrics.query("scope == 'overall' and method == 'published'")
    metrics = published.set_index(["variant", "metric"])
    assert found.metrics.query("variant == 'silent'")["value"].isna().all()
    assert (metrics.loc["silent", "ratings"] == 0).all()
    # base, every item: cell means 1.5 and 2 -> SD over personas sqrt(0.125)
    assert metrics.loc[("base", "susceptibility"), "value"] == pytest.approx(np.sqrt(0.125))
    assert found.contrasts["value"].isna().all()


def test_10_another_instrument_in_the_same_layout(tmp_path):
    """44 items on a scale from 1 to 5."""
    write_instrument(tmp_path / "long.yaml", items=44, low=1, high=5)
    study = collected(tmp_path, grid([0, 1], 44, 1, 5), instrument="./long.yaml")
    found = rating_counts(study)
    assert found.shape == (2, 44, 5)
    assert (found == [1, 0, 0, 0, 1]).all()


def test_10_a_rating_below_that_scale_is_refused(tmp_path):
    write_instrument(tmp_path / "long.yaml", items=2, low=1, high=5)
    assert refusal(tmp_path, grid([0], 2, 0), instrument="./long.yaml") == (
        f"{tmp_path}/base.csv, row 1: rating is '0'; expected an integer from 1 to 5, or nothing for none (1 more row like it); "
        "correct the file or the study's instrument"
    )


def test_self_ratings_have_no_persona(tmp_path):
    write_rows(tmp_path / "base_self.csv", cell(0, 1, 2, 2) + cell(0, 2, -1, 5))
    study = collected(tmp_path, grid([0], 2, 3), variants=[SELF])
    assert rating_counts(study, "self").tolist() == [[[0, 0, 2, 0, 0, 0], [0, 0, 0, 0, 0, 1]]]
    assert [slot[0] for slot in slots_of(study)] == [0, 0, None, None, None, None]
    assert quality_of(study).loc["self", ["slots", "valid", "invalid"]].tolist() == [4, 3, 1]


# --- what adds up ----------------------------------------------------------------------------------------------------


def test_valid_ratings_and_reasons_add_up_to_the_rows_of_the_file(tmp_path):
    rows = cell(0, 1, 3, -1, 4) + cell(0, 2, -1, -1, 4) + cell(1, 1, 0) + cell(1, 2, 1, 2, 3)
    rows[1]["response"] = "ERROR"
    quality = quality_of(collected(tmp_path, rows)).loc["persona"]
    # 3 + 3 + 1 + 3 rows; -1 in three of them, one beside ERROR; persona 1 lacks two rows of item 1
    assert quality[["slots", "valid", "transport", "invalid", "absent"]].tolist() == [10, 7, 1, 2, 2]
    reasons = [r for r in REASONS if r != "absent"]
    assert quality["valid"] + quality[reasons].sum() == quality["slots"]


def test_a_persona_that_is_absent_altogether_from_one_run_is_none_of_that_run(tmp_path):
    """Run base lacks persona 1, run bad has it: nothing of base is missing, and the others stay who they are."""
    variants = [
        {"key": "base", "role": "base", "persona": "base.csv"},
        {"key": "bad", "role": "harmful", "persona": "bad.csv"},
    ]
    write_rows(tmp_path / "bad.csv", grid([0, 1, 2, 3], 2, 5, 4))
    study = collected(tmp_path, grid([0, 2, 3], 2, 3, 4), variants=variants)
    assert rating_counts(study).sum(axis=-1).tolist() == [[2, 2], [0, 0], [2, 2], [2, 2]]
    quality = quality_of(study).loc["persona"]
    found = quality[["slots", "valid", "absent", "personas_used", "personas_dropped", "min_repetitions"]].tolist()
    assert found == [12, 12, 0, 3, 0, 2]
    with open_store(study.store_path) as store:
        differs = Tables(read_ratings(study, store)).contrasts["differs"]
    assert set(differs) - {""} == {"4 personas against 3; compared on the 3 personas that all sides have, of 4 and 3"}


NUMBERED = [
    range(6, 10), range(5, 9), [0, 3, 6, 9], [1000, 2000, 3000, 4000], [100234, 100235, 200001, 999999],
    [10**20 + n for n in range(4)], ["6.0", "7.0", "8.0", "9.0"],
]  # fmt: skip


@pytest.mark.parametrize("ids", NUMBERED, ids=lambda ids: str(ids[0]))
def test_personas_are_the_same_however_they_are_numbered(tmp_path, ids):
    rng = np.random.default_rng(3)
    ratings = rng.integers(0, 6, (4, 2, 3))

    def rows(names):
        return [row for p, name in enumerate(names) for q in range(2) for row in cell(name, q + 1, *ratings[p, q].tolist())]

    expected = collected(tmp_path, rows(range(4)))
    counts = rating_counts(expected)
    shuffled = rows(ids)
    random.Random(1).shuffle(shuffled)
    study = collected(tmp_path, shuffled)
    assert rating_counts(study).tolist() == counts.tolist()
    with open_store(study.store_path) as store:
        found = read_ratings(study, store)
    assert found.personas == tuple(str(one).removesuffix(".0") for one in ids)
    assert found.without([found.personas[1]]).counts(study.runs[0]).tolist() == counts[[0, 2, 3]].tolist()


def test_ids_are_any_text_and_are_shown_as_such(tmp_path):
    names = ["nurse", "colonel 2", "Ökonom", "=1+1"]
    study = collected(tmp_path, grid(names, 2, 3, 4))
    with open_store(study.store_path) as store:
        found = read_ratings(study, store)
    assert found.personas == ("=1+1", "colonel 2", "nurse", "Ökonom")
    assert found.study.persona_line(2) == "persona nurse" and found.study.persona_name(2) == "nurse"


def test_a_missing_item_costs_the_same_whoever_lacks_it(tmp_path):
    """One of four personas lacks item 1: what is left of the others does not hang on its id."""
    rng = np.random.default_rng(4)
    ratings = rng.integers(0, 6, (4, 2, 3))
    ratings[3] = ratings[0]
    values = []
    for lacking in (0, 3):  # who answered alike
        rows = [
            row for p in range(4) for q in range(2) if (p, q) != (lacking, 0) for row in cell(p, q + 1, *ratings[p, q].tolist())
        ]
        study = collected(tmp_path, rows)
        with open_store(study.store_path) as store:
            metrics = Tables(read_ratings(study, store)).metrics
        values.append(metrics.query("metric == 'susceptibility' and scope == 'overall'")["value"].tolist())
    assert values[0] == pytest.approx(values[1]) and np.isfinite(values[0]).all()


@pytest.mark.parametrize(
    "labels", [["0", "1", "2"], ["seed 7", "seed 8", "seed 9"], ["10:00", "10:01", "10:02"], ["1.0", "2.0", "3.0"]]
)
def test_repetitions_bear_any_label(tmp_path, labels):
    rows = grid([0, 1], 2, 3, 4, 5)
    for row in rows:
        row["run_index"] = labels[row["run_index"] - 1]
    study = collected(tmp_path, rows)
    assert rating_counts(study).sum(axis=-1).tolist() == [[3, 3], [3, 3]]
    with open_store(study.store_path) as store:
        assert {row[2] for row in store.ratings("f", "base", "persona", study.instrument.key)} == {1, 2, 3}


@pytest.mark.parametrize("column", ["persona_id", "run_index"])
def test_a_row_without_an_id_is_refused(tmp_path, column):
    rows = grid([0], 2, 3, 4)
    rows[2][column] = " "
    assert refusal(tmp_path, rows) == f"{tmp_path}/base.csv, row 3: no {column}; expected an id in every row; fill it in"


def test_other_ids_in_one_file_number_the_personas_of_all_runs_anew_or_of_none(tmp_path):
    """Run bad is read anew though its file is what it was; a file that is refused leaves every run as it was."""
    variants = [
        {"key": "base", "role": "base", "persona": "base.csv"},
        {"key": "bad", "role": "harmful", "persona": "bad.csv"},
    ]
    write_rows(tmp_path / "bad.csv", grid(["b"], 2, 1) + grid(["c"], 2, 2))
    study = collected(tmp_path, grid(["b"], 2, 3) + grid(["c"], 2, 4), variants=variants)
    assert [rating_counts(study, run=run)[:, 0].argmax(axis=-1).tolist() for run in (0, 1)] == [[3, 4], [1, 2]]
    write_rows(tmp_path / "base.csv", grid(["a"], 2, 5) + grid(["b"], 2, 3))
    torn = (tmp_path / "bad.csv").read_text()
    (tmp_path / "bad.csv").write_text(torn + "c,1,9,77,0,77,2026\n")
    with pytest.raises(ValueError, match="rating is '77'"):
        collect(study)
    assert [rating_counts(study, run=run)[:, 0].argmax(axis=-1).tolist() for run in (0, 1)] == [[3, 4], [1, 2]]
    (tmp_path / "bad.csv").write_text(torn)
    assert collect(study) == 2
    # a, b, c: run base has 5 and 3 of the first two, run bad 1 and 2 of the last two
    assert [rating_counts(study, run=run)[:, 0].sum(axis=-1).tolist() for run in (0, 1)] == [[1, 1], [0, 1, 1]]
    assert rating_counts(study, run=1)[1:, 0].argmax(axis=-1).tolist() == [1, 2]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_store_of_a_version_before_is_brought_up_to_date(tmp_path, version):
    """The third one lacked several instruments, the second what tells completions apart too, the first also ids of personas."""
    study = collected(tmp_path, grid([0, 1], 2, 3, 4))
    db = sqlite3.connect(study.store_path)
    if version < 3:
        db.execute("ALTER TABLE slots DROP COLUMN completion")
    db.execute("DROP VIEW ratings")
    db.execute("DROP INDEX one_question")
    db.execute("CREATE UNIQUE INDEX one_question ON questions (run, condition, ifnull(persona, -1), item, identity)")
    for column in ("instrument", "wording", "before"):
        db.execute(f"ALTER TABLE questions DROP COLUMN {column}")
    db.execute(
        "CREATE VIEW ratings AS SELECT family, variant, condition, persona, item, repetition, rating, reason, reply FROM slots "
        "JOIN questions ON question = questions.id JOIN runs ON run = runs.id WHERE repetition <= asked"
    )
    if version == 1:
        db.execute("DROP TABLE personas")
    db.execute("DROP TABLE answers")
    db.execute("UPDATE runs SET origin = 'as that version hashed it'")
    db.execute(f"PRAGMA user_version = {version}")
    db.commit()
    db.close()
    with open_store(study.store_path) as store:
        assert read_ratings(study, store).personas == (() if version == 1 else ("0", "1"))
    before = rating_counts(study).tolist()
    collect(study)
    with open_store(study.store_path) as store:
        assert store.labels("persona") == ("0", "1")
    assert rating_counts(study).tolist() == before


def test_a_slot_that_stands_twice_with_one_rating_counts_once_and_is_told(tmp_path):
    study = collected(tmp_path, grid([0], 2, 3, 4) + cell(0, 1, 3))
    assert rating_counts(study).sum() == 4
    report = report_of(study)
    assert (report["rows"], report["repeated"]) == (5, 1)
    assert describe({"persona": report}) == ["persona: base.csv, 5 rows; 1 repeated rows left out"]


def test_of_a_slot_with_and_without_a_rating_the_rating_counts(tmp_path):
    study = collected(tmp_path, cell(0, 1, -1) + cell(0, 2, 2) + cell(0, 1, 5) + cell(0, 2, -1))
    assert slots_of(study) == [(0, 1, 1, 5, None), (0, 2, 1, 2, None)]
    assert report_of(study)["repeated"] == 2


# --- files that are refused ------------------------------------------------------------------------------------------


def test_a_slot_with_two_ratings_is_refused(tmp_path):
    assert refusal(tmp_path, grid([0], 2, 3, 4) + cell(0, 2, None, 5)) == (
        f"{tmp_path}/base.csv: persona 0, item 2, repetition 2 stands more than once with ratings 4, 5; "
        "a slot has one rating; find out which is right and remove the other"
    )


def test_a_self_slot_with_two_ratings_names_no_persona(tmp_path):
    write_rows(tmp_path / "base_self.csv", cell(0, 1, 3) + cell(0, 2, 3) + cell(0, 2, 4))
    assert refusal(tmp_path, grid([0], 2, 3), variants=[SELF]) == (
        f"{tmp_path}/base_self.csv: item 2, repetition 1 stands more than once with ratings 3, 4; "
        "a slot has one rating; find out which is right and remove the other"
    )


@pytest.mark.parametrize(
    ("column", "found", "expected"),
    [
        ("rating", "7", "an integer from 0 to 5, or nothing for none"),
        ("rating", "abc", "an integer from 0 to 5, or nothing for none"),
        ("rating", "nan", "an integer from 0 to 5, or nothing for none"),
        ("rating", "3.5", "an integer from 0 to 5, or nothing for none"),
        ("rating", "-2", "an integer from 0 to 5, or nothing for none"),
        ("rating", "inf", "an integer from 0 to 5, or nothing for none"),
        ("rating", "rating", "an integer from 0 to 5, or nothing for none"),
        ("question_id", "3", "an integer from 1 to 2"),
        ("question_id", "0", "an integer from 1 to 2"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_row(tmp_path, column, found, expected):
    rows = grid([0], 2, 3, 4)
    rows[2][column] = found
    assert refusal(tmp_path, rows) == (
        f"{tmp_path}/base.csv, row 3: {column} is {found!r}; expected {expected}; correct the file or the study's instrument"
    )


def test_tables_of_imported_ratings_are_written(tmp_path):
    """Ids are no sign of a data frame, which has no folder."""
    study = collected(tmp_path, grid(["nurse", "colonel"], 2, 3, 4))
    with open_store(study.store_path) as store:
        pc.write_tables(read_ratings(study, store), "metrics", "profiles")
    assert sorted(path.name for path in (study.outputs / "tables").iterdir()) == ["metrics.csv", "profiles.csv"]


def test_a_column_that_stands_twice_is_refused(tmp_path):
    path = write_rows(tmp_path / "base.csv", grid([0], 2, 3))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",rating", *(line + ",5" for line in lines[1:])]) + "\n")
    assert refusal(tmp_path) == f"{path}: column 'rating' stands twice; keep one, for nobody could say which was read"


@pytest.mark.parametrize("written", ["", " ", "-1"])
def test_an_empty_rating_is_a_missing_one(tmp_path, written):
    rows = grid([0, 1], 2, 3, 4)
    rows[2]["rating"] = written
    study = collected(tmp_path, rows)
    assert rating_counts(study).sum(axis=-1).tolist() == [[2, 1], [2, 2]]
    assert quality_of(study).loc["persona", "invalid"] == 1


def test_a_scale_may_begin_below_zero(tmp_path):
    """-1 is then a rating like any other, and what is empty is none."""
    write_instrument(tmp_path / "short.yaml", low=-2, high=2)
    rows = grid([0, 1], 2, -1, 2, -2)
    rows[0]["rating"] = ""
    counts = rating_counts(collected(tmp_path, rows))
    assert counts[0, 0].tolist() == [1, 0, 0, 0, 1] and counts[1, 1].tolist() == [1, 1, 0, 0, 1]
    rows[1]["rating"] = 3
    assert "rating is '3'; expected an integer from -2 to 2, or nothing for none;" in refusal(tmp_path, rows)


def test_question_31_of_the_shipped_questionnaire_is_refused(tmp_path):
    rows = grid([0], 30, 3) + cell(0, 31, 3)
    assert "row 31: question_id is '31'; expected an integer from 1 to 30;" in refusal(tmp_path, rows, instrument="mfq30")


def test_a_row_cut_off_in_the_middle_is_named(tmp_path):
    path = write_rows(tmp_path / "base.csv", grid([0], 2, 3))
    path.write_text(path.read_text().rsplit(",", 4)[0] + "\n")  # ends after run_index
    assert refusal(tmp_path) == f"{path}, row 2: has 3 of 7 fields; the file is cut off; fetch it again"


@pytest.mark.parametrize(
    ("column", "of"), [("persona_id", "persona"), ("question_id", "item"), ("run_index", "repetition"), ("rating", "rating")]
)
def test_a_column_that_is_missing_is_named(tmp_path, column, of):
    left = ["persona_id", "question_id", "run_index", "rating"]
    line = f"persona: {left[0]}, item: {left[1]}, repetition: {left[2]}, rating: {left[3]}".replace(f"{of}: {column}", f"{of}: ?")
    left.remove(column)
    write_rows(tmp_path / "base.csv", grid([0], 2, 3), left)
    assert refusal(tmp_path) == (
        f"{tmp_path}/base.csv: no column '{column}' (it has {', '.join(left)}); "
        f"expected persona_id, question_id, run_index, rating; say in the study file which is which: columns: {{{line}}}"
    )


def test_replies_and_dates_may_be_missing(tmp_path):
    write_rows(tmp_path / "base.csv", grid([0], 2, 3, -1), ["persona_id", "question_id", "run_index", "rating"])
    study = collected(tmp_path)
    assert slots_of(study, "rating, reason, reply, time")[:2] == [(3, None, None, None), (None, "invalid", None, None)]
    assert "strict_rule_differs" not in report_of(study)


HEADER = "persona_id,question_id,run_index,rating,response\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty; expected ratings; fetch it again"),
        (b"\n\n", "the file is empty; expected ratings; fetch it again"),
        (HEADER.encode(), "a header and no rows; expected ratings; fetch it again"),
        (HEADER.encode() + b"0,1,1,3,\xe9t\xe9\n", "not UTF-8 text; save it as UTF-8"),
        (
            HEADER.encode() + b'0,1,1,3,"I\n0,2,1,3,4\n',
            "not a CSV file (Error tokenizing data. C error: EOF inside string starting at row 1); check its quotes",
        ),
        (
            HEADER.encode() + b"0,1,1,3,I\n0,2,1,3,Yes, I\n",
            "not a CSV file (Error tokenizing data. C error: Expected 5 fields in line 3, saw 6); check its quotes",
        ),
        # pandas would take the first column for row names and every rating from the column before it
        (
            HEADER.encode() + b"0,1,1,1,3,I\n0,2,1,1,3,I\n",
            "its rows have more fields than its header names; check commas and quotes",
        ),
    ],
    ids=["empty", "blank", "header only", "latin-1", "open quote", "unquoted comma", "unnamed column"],
)
def test_a_file_that_holds_no_ratings_is_named(tmp_path, content, expected):
    (tmp_path / "base.csv").write_bytes(content)
    assert refusal(tmp_path) == f"{tmp_path}/base.csv: {expected}"


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = write_rows(tmp_path / "base.csv", grid([0], 2, 3))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert rating_counts(collected(tmp_path)).sum() == 2


def test_a_file_that_is_not_the_one_the_study_names_is_refused(tmp_path):
    path = write_rows(tmp_path / "base.csv", grid([0], 2, 3))
    source = {"git": "https://example.org/x", "sha256": {"base.csv": "0" * 64}}
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError) as caught:
        collect(load_study(write_study(tmp_path, source=source), tmp_path))
    assert one_line(caught.value) == (
        f"{path}: SHA-256 is {found[:12]}..., but {tmp_path}/small.yaml expects 000000000000...; "
        "fetch the file again, or correct source.sha256 if it was meant to change"
    )


def test_a_file_that_is_the_one_the_study_names_is_read(tmp_path):
    path = write_rows(tmp_path / "base.csv", grid([0], 2, 3))
    source = {"git": "https://example.org/x", "sha256": {"base.csv": hashlib.sha256(path.read_bytes()).hexdigest()}}
    assert collect(load_study(write_study(tmp_path, source=source), tmp_path)) == 1


# --- importing again -------------------------------------------------------------------------------------------------


def test_a_second_import_reads_nothing(tmp_path):
    study = collected(tmp_path, grid([0], 2, 3))
    before = study.store_path.read_bytes()
    assert collect(study) == 0
    assert study.store_path.read_bytes() == before


def test_a_changed_file_replaces_the_run_whole(tmp_path):
    study = collected(tmp_path, grid([0, 1], 2, 3, 4))
    write_rows(tmp_path / "base.csv", grid([0], 2, 5))
    assert collect(study) == 1
    assert slots_of(study) == [(0, 1, 1, 5, None), (0, 2, 1, 5, None)]
    assert rating_counts(study).shape == (1, 2, 6)


def test_a_twin_that_turns_up_is_read(tmp_path):
    study = collected(tmp_path, grid([0], 2, 3))
    write_rows(tmp_path / "base 2.csv", grid([0, 1], 2, 3))
    assert collect(study) == 1
    assert report_of(study)["file"] == "base 2.csv"


def test_another_scale_under_the_same_name_is_imported_again(tmp_path):
    """Counts made on the old scale would put a 0 where the new one has its highest category."""
    study = collected(tmp_path, grid([0], 2, 0))
    write_instrument(tmp_path / "short.yaml", low=1, high=5)
    with pytest.raises(ValueError, match="row 1: rating is '0'; expected an integer from 1 to 5"):
        collect(load_study(study.path))


@pytest.mark.parametrize("damage", ["rating", "quote", "empty", "self"])
def test_after_an_error_the_old_ratings_stay(tmp_path, damage):
    write_rows(tmp_path / "base_self.csv", grid([0], 2, 1))
    study = collected(tmp_path, grid([0, 1], 2, 3, 4), variants=[SELF])
    before = slots_of(study), report_of(study)
    path = write_rows(tmp_path / "base.csv", grid([0, 1], 2, 5, 5))
    match damage:
        case "rating":
            write_rows(path, grid([0], 2, 5) + cell(1, 1, 9))
        case "quote":
            path.write_text(path.read_text() + '0,1,9,3,0,"', encoding="utf-8")
        case "empty":
            path.write_text("")
        case "self":  # the persona file is good, the other one is not
            write_rows(tmp_path / "base_self.csv", cell(0, 1, 7))
    with pytest.raises(ValueError):
        collect(study)
    assert (slots_of(study), report_of(study)) == before


def test_one_bad_run_does_not_undo_the_runs_before_it(tmp_path):
    write_rows(tmp_path / "bad.csv", grid([0], 2, 9))
    bad = {"key": "bad", "role": "control", "persona": "bad.csv"}
    with pytest.raises(ValueError, match=r"bad\.csv, row 1"):
        collected(tmp_path, grid([0], 2, 3), variants=[{"key": "base", "role": "base", "persona": "base.csv"}, bad])
    study = load_study(tmp_path / "small.yaml")
    assert rating_counts(study).sum() == 2
    assert rating_counts(study, run=1).sum() == 0


def test_an_import_that_fills_the_disk_keeps_the_old_run_and_can_be_repeated(tmp_path):
    study = collected(tmp_path, grid([0], 2, 3))
    write_rows(tmp_path / "base.csv", [r | {"response": "4" + "x" * 500} for r in grid(range(100), 2, 4)])
    with open_store(study.store_path, write=True) as store:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(OSError) as caught:
            run = study.runs[0]
            import_run(study, run, source_files.run_files(study, run), all_ids(study), store)
        assert one_line(caught.value) == (
            f"{study.store_path}: the disk is full; free some space and run the same command again, nothing is lost"
        )
        assert store.ratings("f", "base", "persona", study.instrument.key) == [(0, 1, 1, 3), (0, 2, 1, 3)]
    assert collect(study) == 1
    assert rating_counts(study).shape == (100, 2, 6)
