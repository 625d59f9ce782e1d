"""Importing a study: a new store is there whole or not at all, and the numbers do not wait for it."""

import fcntl
import hashlib
import os
import random
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from importable import cell, grid, rating_file, small_study, write_rows
from live import command
from paper import needs_data
from persona_collapse.asking import read_table
from persona_collapse.asking.collect import collect, importing
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.load_study import load_study

#: SHA-256 of the digests of the 13 published runs, as they were when rows were read and written one by one.
PUBLISHED = "e7e9e1f098b3902aa00f6faddd17dc979512c90d360b5aaeadb0ad82984a172a"
PAIR = [
    {"key": "base", "role": "base", "persona": "base.csv"},
    {"key": "bad", "role": "harmful", "persona": "bad.csv"},
]


@pytest.fixture(autouse=True)
def redirected(outputs):
    """No test writes into the checkout."""


def pair(tmp_path):
    write_rows(tmp_path / "base.csv", grid([0, 1], 2, 3, 4))
    write_rows(tmp_path / "bad.csv", grid([0, 1], 2, 1, 5))
    return small_study(tmp_path, variants=PAIR)


def left(study):
    """What lies in a study's folder, but for its lock."""
    return sorted(path.name for path in study.outputs.iterdir() if path.name != ".lock") if study.outputs.exists() else []


def digests(study):
    with open_store(study.store_path) as store:
        return [store.digest(*run.keys) for run in study.runs]


@needs_data
@pytest.mark.slow
def test_the_published_ratings_are_stored_as_they_always_were():
    study = load_study("published", os.environ["PUBLISHED_DATA"])
    assert collect(study) == 13
    assert hashlib.sha256("".join(digests(study)).encode()).hexdigest() == PUBLISHED


def test_the_numbers_are_there_before_the_store_and_the_store_when_the_block_ends(tmp_path, monkeypatch):
    study, write = pair(tmp_path), Store.replace_run

    def slowly(*arguments):
        time.sleep(0.2)
        write(*arguments)

    monkeypatch.setattr(Store, "replace_run", slowly)
    with importing(study) as found:
        # two personas, two items, ratings 3 and 4 in each cell
        assert found.new == 2
        assert found.ratings.counts("f/base").tolist() == [[[0, 0, 0, 1, 1, 0]] * 2] * 2
        assert not study.store_path.exists()
    assert left(study) == ["ratings.sqlite"]
    with importing(study) as found:
        assert found == (0, None)


def test_what_goes_wrong_with_the_numbers_leaves_the_store(tmp_path):
    study = pair(tmp_path)
    with pytest.raises(ZeroDivisionError), importing(study):
        _ = 1 / 0
    assert left(study) == ["ratings.sqlite"] and collect(study) == 0


def test_an_interrupt_while_files_are_read_keeps_the_runs_that_were(tmp_path, monkeypatch):
    study, read = pair(tmp_path), []

    def interrupted(*arguments):
        read.append(arguments)
        if len(read) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    from persona_collapse.asking import import_files

    original = import_files.read_run
    monkeypatch.setattr(import_files, "read_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        collect(study)
    with open_store(study.store_path) as store:
        assert [bool(store.ratings(*run.keys, "persona", study.instrument.key)) for run in study.runs] == [True, False]
    assert collect(study) == 1


def test_without_a_run_that_can_be_read_there_is_no_store(tmp_path):
    study = pair(tmp_path)
    write_rows(tmp_path / "base.csv", cell(0, 1, 9))
    with pytest.raises(ValueError, match=r"base\.csv, row 1: rating is '9'"):
        collect(study)
    assert left(study) == []


def test_a_store_that_cannot_be_written_is_none(tmp_path, monkeypatch):
    study = pair(tmp_path)

    def full(self, *arguments):
        with self.transaction():
            pages = self._db.execute("PRAGMA page_count").fetchone()[0]
            self._db.execute(f"PRAGMA max_page_count = {pages}")
            self._db.execute("INSERT INTO meta VALUES ('long', ?)", ("x" * 10_000,))

    with monkeypatch.context() as patch:
        patch.setattr(Store, "replace_run", full)
        with pytest.raises(OSError) as caught, importing(study) as found:
            assert found.ratings.counts("f/base").sum() == 8
    assert str(caught.value) == (
        f"{study.store_path}: the disk is full; free some space and run the same command again, nothing is lost"
    )
    assert left(study) == []
    assert collect(study) == 2


def test_a_store_is_closed_when_nothing_writes_in_it_any_more(tmp_path, monkeypatch):
    """The first run cannot be written; the second one is in the midst of it, and still reaches the database."""
    study, reached = pair(tmp_path), []

    def write(self, *arguments):
        reached.append(None)
        if len(reached) == 1:
            raise OSError("broken")
        time.sleep(0.3)
        self._db.execute("SELECT 1")
        reached.append("open")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "replace_run", write)
        with pytest.raises(OSError, match="broken"):
            collect(study)
    assert reached == [None, None, "open"] and left(study) == []


def test_what_a_killed_process_left_goes(tmp_path):
    study = pair(tmp_path)
    study.outputs.mkdir(parents=True)
    (study.outputs / ".ratings.sqlite.part").write_bytes(b"half a store")
    assert collect(study) == 2
    assert left(study) == ["ratings.sqlite"]


def test_a_second_process_waits_for_the_store_of_the_first(tmp_path):
    study, came = pair(tmp_path), []
    study.outputs.mkdir(parents=True)
    with (study.outputs / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=lambda: came.append(collect(study)))
        second.start()
        time.sleep(0.2)
        assert came == [] and left(study) == []
    second.join()
    assert came == [2]


def test_files_too_large_to_be_kept_are_read_all_the_same(tmp_path, monkeypatch):
    study = pair(tmp_path)
    collect(study)
    before = digests(study)
    study.store_path.unlink()
    for module in ("read_table", "import_files"):
        monkeypatch.setattr(f"persona_collapse.asking.{module}.KEPT_BYTES", 10)
    assert collect(study) == 2 and digests(study) == before
    assert not read_table._kept


def test_a_part_of_the_runs_is_read_and_then_the_rest(tmp_path):
    study = pair(tmp_path)
    assert collect(study, study.runs[:1]) == 1
    assert collect(study) == 1
    again = replace(study, path=tmp_path / "whole.yaml")
    again.path.write_bytes(study.path.read_bytes())
    assert collect(again) == 2
    assert digests(again) == digests(study)


@pytest.mark.slow
def test_killed_at_any_moment_there_is_no_store_or_a_whole_one(tmp_path, outputs):
    """30,000 ratings a run in three runs; the command is killed at a moment that is drawn, then goes on undisturbed."""
    counts = np.random.default_rng(5).multinomial(10, np.full(6, 1 / 6), size=(100, 30))
    variants = [{"key": key, "role": "alternate" if key != "a" else "base", "persona": f"{key}.csv"} for key in "abc"]
    for key in "abc":
        rating_file(tmp_path, f"{key}.csv", counts)
    study = load_study(small_study(tmp_path, variants=variants, instrument="mfq30").path)
    part = study.outputs / ".ratings.sqlite.part"
    draw, torn = random.Random(4), 0
    # Before it is begun, while it is written (some 5 MB), about when it is there; at last it is left alone.
    for written in [*(draw.randrange(0, 5_500_000) for _ in range(10)), 0, None]:
        process = command(outputs, "elicit", "--study", study.path)
        if written is None:
            error = process.communicate(timeout=60)[1]
            assert process.returncode == 0, error
        else:
            while not study.store_path.is_file() and not (part.is_file() and part.stat().st_size >= written):
                time.sleep(0.001)
                assert process.poll() is None
            process.kill()
            process.communicate()
        torn += part.exists()
        if study.store_path.is_file():
            with open_store(study.store_path) as store:
                assert store._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                found = read_ratings(study, store)
            assert all((found.counts(run) == counts).all() for run in study.runs)
            if written is not None:
                study.store_path.unlink()
    assert torn
    assert left(study) == ["ratings.sqlite"]
