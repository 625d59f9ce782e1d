"""Fetching the files of an imported study from the git repository that publishes them."""

import hashlib
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from persona_collapse import paths
from persona_collapse.paths import shown
from persona_collapse.study.study import Study
from persona_collapse.study.study_file import Source


def fetch(study: Study) -> Path:
    """Clone a study's source into a git-ignored folder and check every file it names; returns the folder.

    Does nothing when a complete copy is there. Raises ValueError or OSError; nothing is left half-fetched.
    """
    source = study.file.source
    if source is None:
        raise ValueError(f"{shown(study.path)}, source: is missing; a study is fetched from its git address; give DATA instead")
    target = paths.FETCHED / study.name
    if target.is_dir() and not _wrong(target, source):
        return target / source.folder
    partial = paths.FETCHED / f".{study.name}.{os.getpid()}.part"
    try:
        paths.FETCHED.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)  # a killed fetch may have had this number
        _git(
            "clone", "--quiet", "--no-checkout", "--", source.git, str(partial),
            what=f"clone {source.git}", remedy="check the address and the network",
        )  # fmt: skip
        commit = source.commit or "HEAD"
        _git(
            "-C", str(partial), "checkout", "--quiet", "--detach", commit, "--",
            what=f"check out {commit} of {source.git}", remedy="correct source.commit in the study file",
        )  # fmt: skip
        if problem := _wrong(partial, source):
            raise ValueError(f"{source.git} at {commit[:12]}: {problem}; the study file expects other content")
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # of a failed fetch no empty folder stays
            paths.FETCHED.rmdir()
    return target / source.folder


def _wrong(folder: Path, source: Source) -> str:
    """What is wrong with a fetched copy; empty if every named file is there with its sum (without sums: the named commit)."""
    if not (folder / source.folder).is_dir():
        return f"folder {source.folder} is missing"
    head = folder / ".git" / "HEAD"
    commit = source.commit if source.commit is not None and re.fullmatch(r"[0-9a-f]{7,40}", source.commit) else None
    if commit is not None and not source.sha256 and not (head.is_file() and head.read_text().startswith(commit)):
        return "another commit is checked out"
    for name, expected in source.sha256.items():
        path = folder / source.folder / name
        if not path.is_file():
            return f"{name} is missing"
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            return f"{name} has SHA-256 {found[:12]}..., expected {expected[:12]}..."
    return ""


def _git(*arguments: str, what: str, remedy: str) -> None:
    try:
        # Never ask for a password in the middle of a headless run; speak the language that is read below.
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        raise OSError("git is not installed; install it, or give DATA=<folder> with the files") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()
        # The last lines are advice; the first fatal one is the cause.
        cause = next((line for line in said if line.startswith("fatal: ")), said[-1] if said else f"exit {error.returncode}")
        raise OSError(f"git could not {what}: {cause.removeprefix('fatal: ')}; {remedy}") from None
