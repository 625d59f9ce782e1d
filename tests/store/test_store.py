"""The store: a rating is neither lost nor counted twice, whatever happens to the process or the disk."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from importable import one_line
from persona_collapse.store.answers import Answers, Asked
from persona_collapse.store.rows import Answer, Question, TextAnswer, Traffic
from persona_collapse.store.store import Store, open_store

SCALE = range(6)


def counts_of(store, family, variant, condition, items, categories):
    """Counts of one run, from the ratings and the design that the store holds."""
    at = family, variant, condition
    slots = np.nan_to_num(np.array(store.ratings(*at, ""), dtype=float).reshape(-1, 4)).astype(int) - [0, 1, 1, categories[0]]
    return Answers(slots, (store.personas(*at, ""), items, len(categories)), Asked(0, 0, 0)).counts


def missing(store, *at):
    """Slots still to be asked: (question, repetition, persona, item)."""
    return [(cell.question, r, cell.persona, cell.item) for cell in store.missing_cells(*at) for r in cell.repetitions]


def design(personas=2, items=2, repetitions=2, identity="a", condition="persona"):
    people = [None] if condition == "self" else range(personas)
    return [Question(condition, p, i, identity, "hash", repetitions) for p in people for i in range(1, items + 1)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "small" / "ratings.sqlite"


@pytest.fixture
def store(path):
    with open_store(path, write=True) as opened:
        yield opened


def persona_counts(store, items=2):
    return counts_of(store, "f", "v", "persona", items, SCALE)


def recorded(store, columns="rating, reason, reply"):
    return store._db.execute(f"SELECT {columns} FROM ratings ORDER BY persona, item, repetition").fetchall()


# --- a slot ----------------------------------------------------------------------------------------------------------


def test_half_a_character_in_a_reply_is_stored_as_a_mark_of_it(store):
    """JSON can say "\\ud800", and a server once did; a file of UTF-8 cannot, and no answer may be lost for it."""
    question = store.plan("f", "v", design(1, 1))["persona", 0, 1]
    store.add([Answer(question, 1, 4, None, "4 \ud800😀", served_model="m\udfff")])
    assert recorded(store, "rating, reply, served_model") == [(4, "4 \ufffd😀", "m\ufffd")]


def test_a_slot_that_has_its_answer_keeps_it(store):
    question = store.plan("f", "v", design())["persona", 0, 1]
    store.add([Answer(question, 1, 4, None, "4")])
    store.add([Answer(question, 1, 2, None, "2"), Answer(question, 1, None, "transport")])
    assert recorded(store) == [(4, None, "4")]


@pytest.mark.parametrize("reason", ["transport", "wrong_server"])
def test_a_slot_that_the_model_never_answered_takes_a_later_answer(store, reason):
    question = store.plan("f", "v", design())["persona", 0, 1]
    store.add([Answer(question, 1, None, reason, None, request_id="r1", attempts=3)])
    store.add([Answer(question, 1, 5, None, "5", request_id="r2", attempts=1)])
    assert recorded(store, "rating, reason, reply, request_id, attempts") == [(5, None, "5", "r2", 1)]


@pytest.mark.parametrize("reason", ["unparseable", "refusal", "filtered", "truncated", "invalid"])
def test_an_answer_without_a_rating_is_an_answer_and_is_kept(store, reason):
    question = store.plan("f", "v", design())["persona", 0, 1]
    store.add([Answer(question, 1, None, reason, "I")])
    store.add([Answer(question, 1, 5, None, "5")])
    assert recorded(store) == [(None, reason, "I")]


@pytest.mark.parametrize(("rating", "reason"), [(3, "refusal"), (None, None)])
def test_a_slot_holds_a_rating_or_a_reason_never_both_nor_neither(store, rating, reason):
    question = store.plan("f", "v", design())["persona", 0, 1]
    with pytest.raises(OSError, match="CHECK constraint failed"):
        store.add([Answer(question, 1, rating, reason)])
    assert recorded(store) == []


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_missing_lists_the_design_in_order_and_shrinks(store):
    ids = store.plan("f", "v", design(personas=2, items=2, repetitions=2))
    # persona, then item, then repetition
    everything = [(ids["persona", p, i], r, p, i) for p in (0, 1) for i in (1, 2) for r in (1, 2)]
    assert missing(store, "f", "v", "persona") == everything
    store.add([Answer(everything[3][0], 2, 4, None), Answer(everything[0][0], 1, None, "unparseable")])
    assert missing(store, "f", "v", "persona") == [everything[i] for i in (1, 2, 4, 5, 6, 7)]
    store.add([Answer(question, repetition, 1, None) for question, repetition, _, _ in everything])
    assert missing(store, "f", "v", "persona") == []


def test_a_slot_lost_in_transport_is_still_missing(store):
    question = store.plan("f", "v", design(1, 1, 1))["persona", 0, 1]
    store.add([Answer(question, 1, None, "transport")])
    assert missing(store, "f", "v", "persona") == [(question, 1, 0, 1)]


def test_missing_is_told_for_one_run_and_condition_only(store):
    store.plan("f", "v", design(1, 1, 1) + design(1, 1, 1, condition="self"))
    store.plan("f", "w", design(1, 1, 3))
    assert [len(missing(store, "f", *where)) for where in (("v", "persona"), ("v", "self"), ("w", "persona"))] == [1, 1, 3]
    assert missing(store, "f", "v", "self")[0][2:] == (None, 1)


def test_planning_the_same_design_again_changes_nothing(store):
    assert store.plan("f", "v", design()) == store.plan("f", "v", design())
    assert len(missing(store, "f", "v", "persona")) == 8


def test_another_identity_hides_the_old_ratings_and_its_return_brings_them_back(store):
    """As after a change of a word in a prompt, which is then taken back."""
    old = store.plan("f", "v", design(1, 1, 2, identity="old"))["persona", 0, 1]
    store.add([Answer(old, 1, 5, None), Answer(old, 2, 5, None)])
    digest = store.digest("f", "v")
    new = store.plan("f", "v", design(1, 1, 2, identity="new"))["persona", 0, 1]
    assert new != old
    assert persona_counts(store, 1).sum() == 0
    assert missing(store, "f", "v", "persona") == [(new, 1, 0, 1), (new, 2, 0, 1)]
    store.add([Answer(new, 1, 0, None)])
    assert persona_counts(store, 1).tolist() == [[[1, 0, 0, 0, 0, 0]]]
    store.plan("f", "v", design(1, 1, 2, identity="old"))
    assert persona_counts(store, 1).tolist() == [[[0, 0, 0, 0, 0, 2]]]
    assert missing(store, "f", "v", "persona") == []
    assert store.digest("f", "v") == digest


def test_fewer_repetitions_hide_the_surplus_and_more_bring_it_back(store):
    question = store.plan("f", "v", design(1, 1, 3))["persona", 0, 1]
    store.add([Answer(question, 1, 1, None), Answer(question, 2, 2, None), Answer(question, 3, 3, None)])
    assert store.plan("f", "v", design(1, 1, 2)) == {("persona", 0, 1): question}
    assert persona_counts(store, 1).tolist() == [[[0, 1, 1, 0, 0, 0]]]
    assert store.quality("f", "v", "persona", "")["valid"] == 2
    store.plan("f", "v", design(1, 1, 4))
    assert persona_counts(store, 1).tolist() == [[[0, 1, 1, 1, 0, 0]]]
    assert missing(store, "f", "v", "persona") == [(question, 4, 0, 1)]


def test_fewer_personas_leave_the_counts(store):
    ids = store.plan("f", "v", design(personas=3, items=1, repetitions=1))
    store.add([Answer(question, 1, 4, None) for question in ids.values()])
    store.plan("f", "v", design(personas=2, items=1, repetitions=1))
    assert persona_counts(store, 1).shape == (2, 1, 6)
    assert persona_counts(store, 1).sum() == 2


# --- transactions ----------------------------------------------------------------------------------------------------


def test_a_transaction_that_raises_leaves_nothing(store):
    question = store.plan("f", "v", design())["persona", 0, 1]
    with pytest.raises(ZeroDivisionError), store.transaction():
        store._db.execute("INSERT INTO slots (question, repetition, rating) VALUES (?, 1, 3)", (question,))
        raise ZeroDivisionError
    assert recorded(store) == []
    store.add([Answer(question, 1, 2, None)])
    assert recorded(store) == [(2, None, None)]


def test_answers_are_added_all_or_none(store):
    question = store.plan("f", "v", design())["persona", 0, 1]
    with pytest.raises(OSError):
        store.add([Answer(question, 1, 3, None), Answer(question, 2, None, None)])
    assert recorded(store) == []


DIES = """
import os, signal, sys
from pathlib import Path
from persona_collapse.store.rows import Answer, Question, Traffic, TextAnswer
from persona_collapse.store.store import Store, _INSERT
store = Store(Path(sys.argv[1]), write=True)
(question,) = store.plan("f", "v", [Question("persona", 0, 1, "a", None, 5000)]).values()
store.add([Answer(question, 1, 3, None)])
with store.transaction():
    # A small cache makes SQLite write to the file before the commit, as a large import does.
    store._db.execute("PRAGMA cache_size = 5")
    store._db.executemany(_INSERT, [Answer(question, r, 2, None, "x" * 100) for r in range(2, 5000)])
    {}
"""


@pytest.mark.parametrize("death", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(9)"])
def test_a_process_that_dies_loses_only_its_open_transaction(path, death):
    done = subprocess.run([sys.executable, "-c", DIES.format(death), str(path)], capture_output=True, text=True)
    assert done.returncode in (-9, 9), done.stderr
    assert path.with_name(path.name + "-journal").exists(), "the test is meant to leave a transaction half written"
    # A reader comes first, as a notebook would: it must not be turned away, nor see what was not committed.
    with open_store(path) as store:
        assert persona_counts(store, 1).tolist() == [[[0, 0, 0, 1, 0, 0]]]
    with open_store(path, write=True) as store:
        assert len(missing(store, "f", "v", "persona")) == 4999
        question = missing(store, "f", "v", "persona")[0][0]
        store.add([Answer(question, 2, 5, None)])
        assert persona_counts(store, 1).tolist() == [[[0, 0, 0, 1, 0, 1]]]


def test_a_reader_cannot_write(path, store):
    store.plan("f", "v", design())
    with open_store(path) as reader, pytest.raises(OSError, match="cannot be written"):
        reader.add([Answer(1, 1, 3, None)])


# --- reading ---------------------------------------------------------------------------------------------------------


def test_counts_say_how_often_each_category_was_given_in_each_cell(store):
    ids = store.plan("f", "v", design(personas=2, items=3, repetitions=3))
    store.add(
        [
            Answer(ids["persona", 0, 1], 1, 5, None),
            Answer(ids["persona", 0, 1], 2, 5, None),
            Answer(ids["persona", 0, 1], 3, 0, None),
            Answer(ids["persona", 1, 3], 1, 2, None),
            Answer(ids["persona", 1, 3], 2, None, "refusal"),
        ]
    )
    # (persona, item, category): 0/1 -> one 0 and two 5; 1/3 -> one 2, the refusal counts nowhere
    expected = np.zeros((2, 3, 6), dtype=int)
    expected[0, 0, 0], expected[0, 0, 5], expected[1, 2, 2] = 1, 2, 1
    found = counts_of(store, "f", "v", "persona", 3, SCALE)
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, expected)
    assert store.ratings("f", "v", "persona", "") == [(0, 1, 1, 5), (0, 1, 2, 5), (0, 1, 3, 0), (1, 3, 1, 2)]


def test_counts_of_a_scale_that_begins_at_one_begin_at_one(store):
    question = store.plan("f", "v", design(1, 1, 2))["persona", 0, 1]
    store.add([Answer(question, 1, 1, None), Answer(question, 2, 5, None)])
    assert counts_of(store, "f", "v", "persona", 1, range(1, 6)).tolist() == [[[1, 0, 0, 0, 1]]]


def test_self_counts_have_one_row(store):
    ids = store.plan("f", "v", design(condition="self", items=2, repetitions=2))
    store.add([Answer(ids["self", None, 2], r, 3, None) for r in (1, 2)])
    assert counts_of(store, "f", "v", "self", 2, SCALE).tolist() == [[[0] * 6, [0, 0, 0, 2, 0, 0]]]


def test_counts_of_an_unknown_run_have_no_personas(store):
    assert counts_of(store, "f", "other", "persona", 2, SCALE).shape == (0, 2, 6)


def test_counts_follow_a_later_answer(store):
    question = store.plan("f", "v", design(1, 1, 2))["persona", 0, 1]
    assert persona_counts(store, 1).sum() == 0
    store.add([Answer(question, 1, 3, None)])
    assert persona_counts(store, 1).sum() == 1


def test_quality_counts_slots_ratings_and_reasons(store):
    ids = store.plan("f", "v", design(personas=1, items=2, repetitions=3))
    one, two = ids["persona", 0, 1], ids["persona", 0, 2]
    store.add(
        [
            Answer(one, 1, 4, None, served_model="m-1", time="2026-01-02T00:00:00"),
            Answer(one, 2, None, "refusal", served_model="m-1", time="2026-01-01T00:00:00"),
            Answer(two, 1, None, "refusal", served_model="m-1", time="2026-01-03T00:00:00"),
            Answer(two, 2, None, "transport"),
        ]
    )
    # 2 cells x 3 repetitions asked, 4 recorded: one rating, two refusals, one lost
    assert store.quality("f", "v", "persona", "") == {
        "cells": 2, "asked": 6, "recorded": 4, "valid": 1, "reasons": {"refusal": 2, "transport": 1},
        "first": "2026-01-01T00:00:00", "last": "2026-01-03T00:00:00", "models": "m-1", "providers": None,
    }  # fmt: skip


def test_replies_without_a_rating_can_be_read(store):
    ids = store.plan("f", "v", design(1, 2, 1))
    store.add([Answer(ids["persona", 0, 1], 1, 4, None, "4"), Answer(ids["persona", 0, 2], 1, None, "unparseable", "I am")])
    assert store.replies("f", "v", "", 5).values.tolist() == [["persona", 0, 2, 1, "unparseable", "I am"]]
    assert store.replies("f", "v", "", 0).empty


def test_tokens_of_questions_no_longer_asked_are_still_spent(store):
    for identity in ("old", "new"):
        question = store.plan("f", "v", design(1, 1, 1, identity=identity))["persona", 0, 1]
        store.add([Answer(question, 1, 4, None)], traffic=[Traffic("f", "v", "persona", "answered", 1, 140, 1)])
    assert store.spent_tokens() == {("f", "v"): (280, 2)}


# --- digest ----------------------------------------------------------------------------------------------------------


def digest_of(folder, answers, order=1):
    """The digest of a new store with (persona, item, repetition, rating, reply) answers, written in an order."""
    with open_store(folder / "ratings.sqlite", write=True) as store:
        store.plan("f", "other", design()[::order])
        ids = store.plan("f", "v", design()[::order])
        for p, i, r, rating, reply in answers[::order]:
            store.add([Answer(ids["persona", p, i], r, rating, None, reply)])
        return store.digest("f", "v")


ANSWERS = [(0, 1, 1, 3, "3"), (0, 2, 1, 4, "4"), (1, 1, 1, 5, "5")]


def test_equal_content_has_an_equal_digest_whatever_the_order_of_writing(tmp_path):
    assert digest_of(tmp_path / "a", ANSWERS) == digest_of(tmp_path / "b", ANSWERS, order=-1)


@pytest.mark.parametrize(
    "last",
    [(1, 1, 1, 4, "5"), (1, 1, 1, 5, "five"), (1, 1, 2, 5, "5"), (1, 2, 1, 5, "5")],
    ids=["rating", "reply", "repetition", "cell"],
)
def test_the_digest_differs_when_one_slot_does(tmp_path, last):
    assert digest_of(tmp_path / "a", ANSWERS) != digest_of(tmp_path / "b", [*ANSWERS[:-1], last])


def test_ratings_of_another_run_leave_the_digest_alone(store):
    ids = store.plan("f", "v", design())
    store.add([Answer(ids["persona", 0, 1], 1, 3, None)])
    before = store.digest("f", "v")
    other = store.plan("f", "w", design())["persona", 0, 1]
    store.add([Answer(other, 1, 3, None)])
    assert store.digest("f", "v") == before


def test_digests_are_kept_with_the_bytes_that_they_are_of(store, path, monkeypatch):
    """Nothing is gone through twice while the file is the same; a rating more, and nothing that was kept is believed."""
    ids = store.plan("f", "v", design())
    store.add([Answer(ids["persona", 0, 1], 1, 3, None)])
    runs, calls, digest = [("f", "v"), ("f", "w")], [], Store.digest
    monkeypatch.setattr(Store, "digest", lambda self, *run: calls.append(run) or digest(self, *run))
    first = store.digests(runs)
    assert first == {run: digest(store, *run) for run in runs} and calls == runs
    assert store.digests(runs) == first and calls == runs
    assert store.digests(runs[:1]) == {runs[0]: first[runs[0]]} and calls == runs
    store.add([Answer(ids["persona", 0, 2], 1, 4, None)])
    second = store.digests(runs)
    assert calls == runs * 2 and second[runs[0]] != first[runs[0]] and second[runs[1]] == first[runs[1]]
    assert [file.name for file in path.parent.iterdir() if "digests" in file.name] == [".digests.json"]


@pytest.mark.parametrize("kept", ["", "{", "[]", "7", '{"store": "x", "runs": {"f/v": "wrong"}}', '{"runs": {}}'])
def test_kept_digests_that_are_no_such_thing_are_not_believed(store, path, kept):
    store.plan("f", "v", design())
    path.with_name(".digests.json").write_text(kept)
    assert store.digests([("f", "v")]) == {("f", "v"): store.digest("f", "v")}


def test_digests_need_not_be_kept(store, path, monkeypatch):
    """Where no file can be written there, or the store is too large to be hashed in memory."""
    store.plan("f", "v", design())
    path.with_name(".digests.json").mkdir()
    assert store.digests([("f", "v")]) == {("f", "v"): store.digest("f", "v")}
    path.with_name(".digests.json").rmdir()
    monkeypatch.setattr("persona_collapse.store.reader._LARGE", 0)
    assert store.digests([("f", "v")]) == {("f", "v"): store.digest("f", "v")}
    assert not path.with_name(".digests.json").exists()


# --- replacing an imported run ---------------------------------------------------------------------------------------


def replace(store, rating, variant="v", **report):
    questions = [Question("persona", 0, 1, "imported", None, 1)]
    slots = {"question": [0], "repetition": [1], "rating": [rating], "reply": [str(rating)]}
    store.replace_run("f", variant, f"origin {rating}", report, questions, slots)


def test_an_imported_run_is_replaced_whole_and_alone(store):
    replace(store, 1)
    replace(store, 5, variant="w")
    replace(store, 2, rows=1)
    assert store.ratings("f", "v", "persona", "") == [(0, 1, 1, 2)]
    assert store.ratings("f", "w", "persona", "") == [(0, 1, 1, 5)]
    assert store.origin("f", "v") == ("origin 2", {"rows": 1})
    assert store.origin("f", "none") == (None, {})


def test_a_replacement_that_fails_leaves_the_old_run(store):
    replace(store, 1)
    with pytest.raises(OSError):
        slots = {"question": [0], "repetition": [1], "rating": [4], "reason": ["refusal"], "reply": ["4"]}
        store.replace_run("f", "v", "new", {}, [Question("persona", 0, 1, "imported", None, 1)], slots)
    assert store.ratings("f", "v", "persona", "") == [(0, 1, 1, 1)]
    assert store.origin("f", "v")[0] == "origin 1"


# --- whose it is, and what can go wrong ------------------------------------------------------------------------------


def test_another_study_file_of_the_same_stem_is_refused_with_the_way_out(store, path, tmp_path):
    store.claim(tmp_path / "here" / "small.yaml")
    store.claim(tmp_path / "here" / "small.yaml")
    with pytest.raises(ValueError) as caught:
        store.claim(tmp_path / "there" / "small.yaml")
    assert one_line(caught.value) == (
        f"{path.parent}: belongs to {tmp_path}/here/small.yaml, not to {tmp_path}/there/small.yaml; rename one of the two "
        "study files, or move that folder away"
    )


def test_reading_ratings_that_are_not_there_says_how_to_get_them(path):
    with pytest.raises(FileNotFoundError) as caught, open_store(path):
        pass
    assert one_line(caught.value) == f"{path}: no ratings yet; run `make elicit STUDY=small` first"
    assert not path.parent.exists()


@pytest.mark.parametrize("write", [False, True])
def test_a_file_that_is_no_store_is_named(path, write):
    path.parent.mkdir()
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(OSError) as caught, open_store(path, write=write):
        pass
    assert one_line(caught.value) == (
        f"{path}: file is not a database; if the file is damaged, move it away and run the command again"
    )
    assert path.read_bytes() == b"not a database " * 100


@pytest.mark.parametrize("write", [False, True])
def test_a_store_damaged_inside_is_named_when_it_is_read(path, write):
    with open_store(path, write=True) as store:
        question = store.plan("f", "v", design(1, 1, 500))["persona", 0, 1]
        store.add([Answer(question, r, 3, None, "x" * 300) for r in range(1, 501)])
        size = store._db.execute("PRAGMA page_size").fetchone()[0]
    content = path.read_bytes()
    assert len(content) > 20 * size
    path.write_bytes(content[: 8 * size] + b"\xff" * (len(content) - 8 * size))
    with pytest.raises(OSError) as caught, open_store(path, write=write) as store:
        persona_counts(store, 1)
    assert one_line(caught.value) == (
        f"{path}: database disk image is malformed; if the file is damaged, move it away and run the command again"
    )


def test_a_path_that_cannot_be_opened_is_named(path):
    path.mkdir(parents=True)
    with pytest.raises(OSError) as caught, open_store(path, write=True):
        pass
    assert one_line(caught.value) == (
        f"{path}: cannot be written (unable to open database file); check the rights on {path.parent}"
    )


def test_a_store_that_another_process_writes_to_is_named(path, store):
    store.plan("f", "v", design())
    store._db.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError) as caught:
            store.add([Answer(1, 1, 3, None)])
    assert one_line(caught.value) == f"{path}: another process is writing to it; wait for it to finish, or stop it"
    store.add([Answer(1, 1, 3, None)])
    assert recorded(store, "rating") == [(3,)]


def test_a_full_disk_is_one_line_loses_nothing_and_work_goes_on_after(path, store):
    question = store.plan("f", "v", design(1, 1, 300))["persona", 0, 1]
    store.add([Answer(question, 1, 4, None, "4")])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    # SQLite answers a full file as it answers a full disk.
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = [Answer(question, r, 3, None, "x" * 500) for r in range(2, 301)]
    with pytest.raises(OSError) as caught:
        store.add(many)
    assert one_line(caught.value) == (
        f"{path}: the disk is full; free some space and run the same command again, nothing is lost"
    )
    assert persona_counts(store, 1).tolist() == [[[0, 0, 0, 0, 1, 0]]]
    assert len(missing(store, "f", "v", "persona")) == 299
    with open_store(path) as reader:
        assert reader.ratings("f", "v", "persona", "") == [(0, 1, 1, 4)]
    store._db.execute("PRAGMA max_page_count = 100000")
    store.add(many)
    assert persona_counts(store, 1).tolist() == [[[0, 0, 0, 299, 1, 0]]]


def test_every_commit_reaches_the_disk(store):
    """synchronous FULL (2) and a rollback journal: see DESIGN.md, section 7."""
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("persist",)


def test_a_closed_store_is_closed(path):
    with open_store(path, write=True) as store:
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        store.origin("f", "v")
    assert isinstance(store, Store)


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path):
    """What was bought stays, its tokens count as spent, and the columns of later versions are there and empty."""
    path = tmp_path / "ratings.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
            "CREATE TABLE runs (id INTEGER PRIMARY KEY, family TEXT NOT NULL, variant TEXT NOT NULL, origin TEXT, report TEXT,"
            " UNIQUE (family, variant));"
            "CREATE TABLE questions (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, condition TEXT NOT NULL, persona INTEGER,"
            " item INTEGER NOT NULL, identity TEXT NOT NULL, prompt_hash TEXT, asked INTEGER NOT NULL);"
            "CREATE UNIQUE INDEX one_question ON questions (run, condition, ifnull(persona, -1), item, identity);"
            "CREATE TABLE slots (question INTEGER NOT NULL, repetition INTEGER NOT NULL, rating INTEGER, reason TEXT, reply TEXT,"
            " finish_reason TEXT, logprobs TEXT, served_model TEXT, fingerprint TEXT, request_id TEXT, attempts INTEGER,"
            " input_tokens INTEGER, output_tokens INTEGER, time TEXT, PRIMARY KEY (question, repetition)) WITHOUT ROWID;"
            "CREATE VIEW ratings AS SELECT family FROM slots JOIN questions ON question = questions.id JOIN runs ON run = runs.id;"
            "INSERT INTO runs VALUES (1, 'f', 'v', NULL, NULL);"
            "INSERT INTO questions VALUES (1, 1, 'persona', 0, 1, 'x', 'h', 2);"
            "INSERT INTO slots (question, repetition, rating, request_id, input_tokens, output_tokens)"
            " VALUES (1, 1, 4, 'r', 140, 2), (1, 2, 5, 'r', 0, 0);"
        )
    with open_store(path, write=True) as store:
        assert store.ratings("f", "v", "persona", "") == [(0, 1, 1, 4), (0, 1, 2, 5)]
        assert store.spent_tokens() == {("f", "v"): (140, 2)}
        assert store.traffic("f", "v", "persona") == {"answered": 1}
        assert recorded(store, "latency, provider") == [(None, None)] * 2
    with open_store(path, write=True) as store:  # once is enough
        assert store.spent_tokens() == {("f", "v"): (140, 2)}


def test_a_store_of_the_fourth_version_gets_a_place_for_answers_in_words(path):
    with open_store(path, write=True) as store:
        store.run_id("f", "v")
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE answers; PRAGMA user_version = 4;")
    with open_store(path) as store:
        assert store.text_answers("verification") == []
    with open_store(path, write=True) as store:
        store.add([], texts=[TextAnswer("f", "v", "task", "set", "q", "plain", 1, "x", reply="half \ud83d")])
        store.add([], texts=[TextAnswer("f", "v", "task", "set", "q", "plain", 1, "x", reply="another")])
        (kept,) = store.text_answers("task", [("f", "v")])
        assert kept.reply.startswith("half ") and store.texts_settled() == {kept.key}


def test_only_a_text_that_never_came_may_be_written_again(path):
    key = ("f", "v", "verification", "eight", "wish", "plain", 1, "x")
    with open_store(path, write=True) as store:
        store.add([], texts=[TextAnswer(*key, reason="transport", reply="no answer within 60 s")])
        assert store.texts_settled() == set()
        store.add([], texts=[TextAnswer(*key, reason="refusal")])
        store.add([], texts=[TextAnswer(*key, reply="too late")])
        assert [(one.reason, one.reply) for one in store.text_answers("verification")] == [("refusal", None)]
