"""Fetching a study's files with git: all of them, the right ones, or nothing."""

import hashlib
import os
import shutil
import subprocess

import pytest

from importable import grid, one_line, small_study, write_rows, write_study
from persona_collapse.asking import fetch_files
from persona_collapse.asking.collect import collect
from persona_collapse.asking.fetch_files import fetch
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(origin, message="ratings"):
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", message)
    return git(origin, "rev-parse", "HEAD")


@pytest.fixture
def fetched(tmp_path, monkeypatch, outputs):
    """The folder that fetched files go to."""
    folder = tmp_path / "fetched"
    monkeypatch.setattr("persona_collapse.paths.FETCHED", folder)
    monkeypatch.setattr("persona_collapse.paths.FETCHED", folder)
    return folder


@pytest.fixture
def origin(tmp_path):
    """A repository with data/base.csv, one commit."""
    folder = tmp_path / "origin"
    write_rows(folder / "data" / "base.csv", grid([0, 1], 2, 3, 4))
    git(folder, "init", "-q")
    commit(folder)
    return folder


def source_of(origin, **changes):
    content = (origin / "data" / "base.csv").read_bytes()
    found = {"git": str(origin), "commit": git(origin, "rev-parse", "HEAD"), "folder": "data"}
    return found | {"sha256": {"base.csv": hashlib.sha256(content).hexdigest()}} | changes


def study_of(tmp_path, origin, **changes):
    return load_study(write_study(tmp_path, source=source_of(origin, **changes)), files=False)


def refusal(study):
    with pytest.raises((ValueError, OSError)) as caught:
        fetch(study)
    return one_line(caught.value)


def test_a_study_is_fetched_loaded_and_read(tmp_path, origin, fetched):
    study = study_of(tmp_path, origin)
    with pytest.raises(FileNotFoundError) as caught:
        load_study(study.path)
    assert one_line(caught.value) == (
        f"{study.path}: its ratings are not here yet; run `make published` to fetch them, or give DATA=<folder>"
    )
    assert fetch(study) == fetched / "small" / "data"
    assert os.listdir(fetched) == ["small"]
    study = load_study(study.path)
    assert collect(study) == 1
    with open_store(study.store_path) as store:
        assert (read_ratings(study, store).counts(study.runs[0], "persona") == [0, 0, 0, 1, 1, 0]).all()


def test_the_named_commit_is_fetched_not_the_newest(tmp_path, origin, fetched):
    source = source_of(origin)
    write_rows(origin / "data" / "base.csv", grid([0], 2, 5))
    commit(origin, "newer")
    assert "0,1,1,3," in (fetch(study_of(tmp_path, origin, **source)) / "base.csv").read_text()


def test_without_a_commit_the_newest_is_fetched(tmp_path, origin, fetched):
    assert (fetch(study_of(tmp_path, origin, commit=None)) / "base.csv").is_file()


def test_a_second_fetch_needs_no_repository_and_no_git(tmp_path, origin, fetched, monkeypatch):
    study = study_of(tmp_path, origin)
    folder = fetch(study)
    shutil.rmtree(origin)
    monkeypatch.setenv("PATH", "")
    assert fetch(study) == folder


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_a_copy_that_was_damaged_since_is_fetched_again(tmp_path, origin, fetched, damage):
    study = study_of(tmp_path, origin)
    path = fetch(study) / "base.csv"
    good = path.read_bytes()
    path.write_text("x") if damage == "changed" else path.unlink()
    fetch(study)
    assert path.read_bytes() == good


def test_a_damaged_copy_stays_until_a_good_one_is_there(tmp_path, origin, fetched):
    study = study_of(tmp_path, origin)
    path = fetch(study) / "base.csv"
    path.write_text("x")
    shutil.rmtree(origin)
    assert f"git could not clone {origin}: " in refusal(study)
    assert path.read_text() == "x"


def test_another_commit_in_the_study_file_is_fetched_even_without_sums(tmp_path, origin, fetched):
    fetch(study_of(tmp_path, origin, sha256={}))
    write_rows(origin / "data" / "base.csv", grid([0], 2, 5))
    commit(origin, "newer")
    study = study_of(tmp_path, origin, sha256={})
    assert "0,1,1,5," in (fetch(study) / "base.csv").read_text()
    shutil.rmtree(origin)
    fetch(study)


def test_a_file_with_another_sum_is_refused(tmp_path, origin, fetched):
    source = source_of(origin)
    found = source["sha256"]["base.csv"]
    assert refusal(study_of(tmp_path, origin, sha256={"base.csv": "0" * 64})) == (
        f"{origin} at {source['commit'][:12]}: base.csv has SHA-256 {found[:12]}..., expected 000000000000...; "
        "the study file expects other content"
    )
    assert not fetched.exists()


def test_a_file_that_is_not_there_is_named(tmp_path, origin, fetched):
    head = git(origin, "rev-parse", "HEAD")
    assert refusal(study_of(tmp_path, origin, sha256={"self.csv": "0" * 64})) == (
        f"{origin} at {head[:12]}: self.csv is missing; the study file expects other content"
    )
    assert not fetched.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path, origin, fetched):
    head = git(origin, "rev-parse", "HEAD")
    assert refusal(study_of(tmp_path, origin, folder="ratings", sha256={})) == (
        f"{origin} at {head[:12]}: folder ratings is missing; the study file expects other content"
    )
    assert not fetched.exists()


@pytest.mark.parametrize("unknown", ["dead" * 10, "no-such-tag"])
def test_a_commit_that_does_not_exist_is_named(tmp_path, origin, fetched, unknown):
    """What stands between is git's own sentence, and differs between its versions."""
    said = refusal(study_of(tmp_path, origin, commit=unknown))
    assert said.startswith(f"git could not check out {unknown} of {origin}: ")
    assert said.count(unknown) == 2
    assert said.endswith("; correct source.commit in the study file")
    assert not fetched.exists()


@pytest.mark.parametrize("address", ["{}/nowhere", "file://{}"])
def test_an_address_that_is_no_repository_is_named(tmp_path, origin, fetched, address):
    """The second address makes git add four lines of advice; the cause is the first."""
    address = address.format(tmp_path)
    said = refusal(study_of(tmp_path, origin, git=address))
    assert said.startswith(f"git could not clone {address}: ")
    assert str(tmp_path) in said.removeprefix(f"git could not clone {address}: ")
    assert said.endswith("; check the address and the network")
    assert not fetched.exists()


def test_an_address_that_looks_like_an_option_is_no_option(tmp_path, origin, fetched):
    assert "git could not clone --upload-pack=touch x: " in refusal(study_of(tmp_path, origin, git="--upload-pack=touch x"))


def test_what_a_killed_fetch_left_is_in_nobodys_way(tmp_path, origin, fetched):
    """Even with the same process number, as in a container that is started anew."""
    for number in (os.getpid(), 999999):
        (fetched / f".small.{number}.part" / ".git").mkdir(parents=True)
    study = study_of(tmp_path, origin)
    assert (fetch(study) / "base.csv").is_file()
    assert load_study(study.path).data == fetched / "small" / "data"


def test_an_interrupted_fetch_leaves_nothing(tmp_path, origin, fetched, monkeypatch):
    def interrupted(folder, source):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch_files, "_wrong", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(study_of(tmp_path, origin))
    assert not fetched.exists()


def test_without_git_the_way_out_is_named(tmp_path, origin, fetched, monkeypatch):
    study = study_of(tmp_path, origin)
    monkeypatch.setenv("PATH", "")
    assert refusal(study) == "git is not installed; install it, or give DATA=<folder> with the files"


def test_a_study_without_a_source_says_what_to_give(tmp_path, fetched):
    write_rows(tmp_path / "base.csv", grid([0], 2, 3))
    study = small_study(tmp_path)
    assert refusal(study) == (f"{study.path}, source: is missing; a study is fetched from its git address; give DATA instead")
