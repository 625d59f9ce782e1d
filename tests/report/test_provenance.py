"""Which commit made a report: the project's own, whatever the environment says."""

import subprocess

from persona_collapse.paths import ROOT
from persona_collapse.report import provenance


def head():
    return subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def other_repository(folder):
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)
    return folder / ".git"


def test_the_commit_is_the_projects_own_whatever_git_is_told_by_the_environment(tmp_path, monkeypatch):
    expected = head()
    monkeypatch.setenv("GIT_DIR", str(other_repository(tmp_path)))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert provenance.commit().rstrip("+") == expected


def test_a_copy_inside_another_repository_has_no_commit(tmp_path, monkeypatch):
    other_repository(tmp_path)
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.setattr(provenance, "ROOT", copy)
    assert provenance.commit() is None


def test_a_folder_of_another_user_is_said_and_not_passed_over(monkeypatch):
    def refused(*_):
        raise subprocess.CalledProcessError(128, "git", stderr="fatal: detected dubious ownership in repository at '/x'")

    monkeypatch.setattr(provenance, "_git", refused)
    assert provenance.commit() == "unknown (git takes this folder for another user's; see its safe.directory)"
