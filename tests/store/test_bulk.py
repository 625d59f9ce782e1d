"""Many rows at once, and a file in one piece."""

import sqlite3

import pytest

from persona_collapse.store import bulk


@pytest.mark.parametrize("variables", [2, 7, 32_766])
def test_rows_go_in_as_they_stand_whatever_a_statement_may_hold(variables):
    """5,000 rows of two columns are several statements; what is not given is NULL."""
    db = sqlite3.connect(":memory:")
    db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, variables)
    db.execute("CREATE TABLE t (a, b, c)")
    bulk.insert(db, "t", {"a": range(5_000), "c": ["x", None] * 2_500})
    assert db.execute("SELECT * FROM t ORDER BY rowid").fetchall() == [(n, None, (None if n % 2 else "x")) for n in range(5_000)]


def test_columns_of_different_length_are_refused():
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (a, b)")
    with pytest.raises(ValueError):
        bulk.insert(db, "t", {"a": [1, 2], "b": [1]})


def test_a_file_is_there_when_the_block_ends(tmp_path):
    with bulk.in_one_piece(tmp_path / "x") as part:
        part.write_text("whole")
        assert not (tmp_path / "x").exists()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "whole")]


def test_a_block_that_fails_leaves_what_there_was(tmp_path):
    (tmp_path / "x").write_text("before")
    with pytest.raises(RuntimeError), bulk.in_one_piece(tmp_path / "x") as part:
        part.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "before")]
