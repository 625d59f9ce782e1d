"""Every reply of a study, cell by cell: nothing is lost, what is missing has its reason, and no key is among them."""

import pytest

from importable import cell, small_study, write_rows
from live import live
from persona_collapse.asking.collect import collect
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.rows import Answer, Question
from persona_collapse.store.store import open_store
from persona_collapse.tables.every_reply import ABSENT, REMOVED, Reply, every_reply


def read(study):
    with open_store(study.store_path) as store:
        return every_reply(read_ratings(study, store), store)


def replied(rows, *texts):
    return [row | {"response": text} for row, text in zip(rows, texts, strict=True)]


def test_different_replies_of_a_cell_are_counted_with_how_they_were_read(outputs, tmp_path):
    # Persona 0, item 1: "5" twice, "5, fully" read as 5, and "I" without a rating; everything else is one 2.
    rows = replied(cell(0, 1, 5, 5, 5, -1), "5", "5", "5, fully", "I")
    write_rows(tmp_path / "base.csv", rows + cell(0, 2, 2) + cell(1, 1, 2) + cell(1, 2, 2))
    study = small_study(tmp_path)
    collect(study)
    found = read(study)
    said = found.cells["f/base", "persona"]
    assert said[0, 0] == {Reply("5", 5, None): 2, Reply("5, fully", 5, None): 1, Reply("I", None, "invalid"): 1}
    assert said[1, 1] == {Reply("2", 2, None): 1}
    assert found.times("f/base") == {
        Reply("5", 5, None): 2, Reply("5, fully", 5, None): 1, Reply("I", None, "invalid"): 1, Reply("2", 2, None): 3,
    }  # fmt: skip
    assert found.people == {"persona": [("0", "persona 0"), ("1", "persona 1")]}
    assert (found.removed, found.shares) == (0, {})


def test_the_ids_of_imported_personas_are_their_own(outputs, tmp_path):
    rows = [row | {"persona_id": f"p{row['persona_id']}"} for p in (7, 3) for i in (1, 2) for row in cell(p, i, 1)]
    write_rows(tmp_path / "base.csv", rows)
    study = small_study(tmp_path)
    collect(study)
    assert read(study).people["persona"] == [("p3", "persona p3"), ("p7", "persona p7")]


def test_a_requested_rating_of_which_nothing_is_stored_is_absent(outputs, tmp_path):
    # Most cells have two rows, so two were requested of the one that has one.
    write_rows(tmp_path / "base.csv", cell(0, 1, 5, 5) + cell(0, 2, 4) + cell(1, 1, 3, 3) + cell(1, 2, 2, 2))
    study = small_study(tmp_path)
    collect(study)
    assert read(study).cells["f/base", "persona"][0, 1] == {Reply("4", 4, None): 1, Reply(None, None, ABSENT): 1}


def test_files_without_texts_give_counts_of_ratings(outputs, tmp_path):
    columns = ["persona_id", "question_id", "run_index", "rating"]
    write_rows(tmp_path / "base.csv", cell(0, 1, 5, 5, 4) + cell(0, 2, 1) + cell(1, 1, 1) + cell(1, 2, 1), columns)
    study = small_study(tmp_path)
    collect(study)
    assert read(study).cells["f/base", "persona"][0, 0] == {Reply(None, 5, None): 2, Reply(None, 4, None): 1}


@pytest.fixture
def told(outputs, tmp_path, monkeypatch):
    """What a live study keeps of these replies, one a repetition of the first cell."""
    monkeypatch.setenv("TEST_KEY", " sk-0123456789\n")

    def made(*replies):
        study = live(tmp_path, "http://127.0.0.1:9/v1")
        with open_store(study.store_path, write=True) as store:
            numbers = store.plan("gpt-4o", "base", [Question("persona", 0, 1, "i", "h", len(replies))])
            store.add(Answer(numbers["persona", 0, 1], n, None, "unparseable", text) for n, text in enumerate(replies, start=1))
        return read(study)

    return made


def test_a_reply_that_holds_a_key_does_not_show_it(told):
    found = told("your key is sk-0123456789!", "sk-0123456789 sk-0123456789", "fine")
    texts = {reply.text for reply in found.times("gpt-4o/base")}
    assert texts == {f"your key is {REMOVED}!", f"{REMOVED} {REMOVED}", "fine"} and found.removed == 2


def test_a_short_key_may_be_a_word_of_any_text(told, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "none")
    assert {reply.text for reply in told("none").times("gpt-4o/base")} == {"none"}


def test_replies_that_differ_only_in_what_acts_on_a_screen_are_one(told):
    found = told("a\r\nb", "a\nb", "x\x1b[1m", "x\x9b[1m", "")
    texts = {reply.text: times for reply, times in found.times("gpt-4o/base").items()}
    assert texts == {"a\nb": 2, "x\ufffd[1m": 2, "": 1}
