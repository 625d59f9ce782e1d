"""Commands: what goes wrong is one line on stderr and a non-zero status, with nothing half-written."""

import errno
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from persona_collapse import __main__ as commands
from persona_collapse.paths import ROOT

GOOD = "persona_id,question_id,run_index,rating\n" + "".join(
    f"{p},{q},{i},{(p + q + i) % 6}\n" for p in range(3) for q in range(1, 31) for i in (1, 2)
)


@pytest.fixture
def imported(tmp_path, outputs):
    """A small imported study on disk; returns a function that changes its file and says where it is."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "base.csv").write_text(GOOD)
    content = {
        "title": "Small", "kind": "imported",
        "families": [{"key": "f", "variants": [{"key": "base", "role": "base", "persona": "base.csv"}]}],
    }  # fmt: skip

    def write(**changes):
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
        return path

    return write


def fails(capsys, *arguments):
    """Run a command that must fail; returns its only line."""
    status = commands.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert status == 1
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    assert "Traceback" not in captured.err + captured.out
    return captured.err.strip().removeprefix("error: ")


def test_unknown_study(capsys, outputs):
    assert fails(capsys, "report", "--study", "demmo") == (
        "params/studies/demmo.yaml: no such study (a path works too); did you mean 'demo'?"
    )


def test_a_pdf_without_a_browser_is_refused_before_anything_is_made(capsys, monkeypatch, outputs):
    monkeypatch.setattr("persona_collapse.report.pdf.shutil.which", lambda name: None)
    assert fails(capsys, "pdf", "--study", "mini").startswith("Chromium is not installed")
    assert not (outputs / "mini").exists()


def test_published_without_its_files_says_how_to_get_them(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("persona_collapse.paths.FETCHED", tmp_path)
    assert "run `make published` to fetch them, or give DATA=<folder>" in fails(capsys, "report", "--study", "published")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"titel": "x"}, "small.yaml, titel: unknown key 'titel'; did you mean 'title'?"),
        ({"families": [{"key": "f", "variants": [{"key": "a", "role": "harmful", "persona": "base.csv"}]}]}, "0 variants of role base"),
        (
            {"families": [{"key": "f", "variants": [
                {"key": "base", "role": "base", "persona": "base.csv"},
                {"key": "bad", "role": "harmful", "control": "secur", "persona": "base.csv"},
                {"key": "secure", "role": "control", "persona": "base.csv"},
            ]}]},
            "control 'secur' does not exist in family 'f' as a variant of role control; did you mean 'secure'?",
        ),
        ({"families": [{"key": "f", "variants": [{"key": "base", "role": "base", "persona": "gone.csv"}]}]}, "gone.csv does not exist in"),
    ],
)  # fmt: skip
def test_a_wrong_study_file(capsys, imported, tmp_path, outputs, changes, words):
    assert words in fails(capsys, "report", "--study", imported(**changes), "--data", tmp_path / "data")
    assert not outputs.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("persona_id,question_id,rating\n0,1,3\n", "no column 'run_index'"),
        (GOOD.replace("0,1,1,2\n", "0,1,1,7\n"), "row 1: rating is '7'; expected an integer from 0 to 5, or nothing for none"),
        (GOOD + "0,1,1,5\n", "persona 0, item 1, repetition 1 stands more than once with ratings"),
    ],
)
def test_a_wrong_file_of_ratings(capsys, imported, tmp_path, outputs, content, words):
    (tmp_path / "data" / "base.csv").write_text(content)
    assert words in fails(capsys, "elicit", "--study", imported(), "--data", tmp_path / "data")
    assert not list(outputs.rglob("*.csv")) and not list(outputs.rglob("*.html"))


def test_outputs_that_cannot_be_written(capsys, imported, tmp_path, outputs):
    outputs.write_text("a file where a folder should be")
    line = fails(capsys, "report", "--study", imported(), "--data", tmp_path / "data")
    assert "outputs" in line and line.endswith("check the path")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_loses_nothing(capsys, imported, tmp_path, outputs):
    """An import onto a file system of 40 kB fails in one line; after space is made the same command goes through."""
    outputs.mkdir()
    if os.system(f"mount -t tmpfs -o size=40k tmpfs {outputs} 2>/dev/null"):
        pytest.skip("this sandbox does not let root mount")
    try:
        line = fails(capsys, "elicit", "--study", imported(), "--data", tmp_path / "data")
        assert "disk is full; free some space and run the same command again, nothing is lost" in line
        assert os.system(f"mount -o remount,size=4m {outputs}") == 0
        assert commands.main(["elicit", "--study", str(imported()), "--data", str(tmp_path / "data")]) == 0
    finally:
        os.system(f"umount {outputs}")


def test_unset_key(capsys, tmp_path, outputs, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert fails(capsys, "elicit", "--study", "openai-example") == (
        "params/studies/openai-example.yaml, endpoints.openai: OPENAI_API_KEY is not set; export it, or use the demo study, "
        "which needs no key"
    )
    assert not outputs.exists()


def test_another_study_file_of_the_same_name_is_refused(capsys, imported, tmp_path, outputs):
    assert commands.main(["elicit", "--study", str(imported()), "--data", str(tmp_path / "data")]) == 0
    capsys.readouterr()
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "small.yaml").write_text(imported().read_text())
    assert "rename one of the two study files, or move that folder away" in fails(
        capsys, "elicit", "--study", other / "small.yaml", "--data", tmp_path / "data"
    )


def test_elicit_says_what_was_new(capsys, imported, tmp_path):
    arguments = ["elicit", "--study", str(imported()), "--data", str(tmp_path / "data")]
    assert [commands.main(arguments), commands.main(arguments)] == [0, 0]
    taken, found, first, second = capsys.readouterr().out.splitlines()
    assert (
        "small.yaml names no instrument: its items are taken for the 30 of mfq30, of which the first is 'Whether or not" in taken
    )
    assert found == "f/base: persona: base.csv, 180 rows"
    assert first.endswith("ratings.sqlite: 1 run read") and second.endswith("nothing was missing")


def test_clean_keeps_ratings_that_were_bought(capsys, imported, tmp_path, outputs, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", outputs)
    commands.main(["elicit", "--study", str(imported()), "--data", str(tmp_path / "data")])
    (outputs / "small" / "report.html").write_text("x")
    (outputs / "demo").mkdir()
    capsys.readouterr()
    commands.main(["clean"])
    gone, kept = capsys.readouterr().out.splitlines()
    assert gone.startswith("removed ") and "demo/" in gone and "small/report.html" in gone
    assert kept.startswith("kept ") and kept.endswith("small/ratings.sqlite")
    assert sorted(p.relative_to(outputs).as_posix() for p in outputs.rglob("*")) == ["small", "small/ratings.sqlite"]


def test_reproduce_without_a_report_says_what_to_do(capsys, outputs):
    assert "no executed notebooks; run `make report STUDY=mini` first" in fails(capsys, "reproduce", "--study", "mini")


def test_no_file_is_blamed_that_an_error_did_not_name(capsys, monkeypatch):
    """outputs/ was, for whatever had none."""

    def fails_without_a_name(*arguments):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(commands, "load_study", fails_without_a_name)
    assert fails(capsys, "report") == (
        "too many open files, said test_command_line.fails_without_a_name without naming a file; the option --debug shows what led "
        "to it"
    )


def test_an_interrupt_is_said_and_has_its_own_status(capsys, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "load_study", interrupted)
    assert commands.main(["report"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["0", "no", "false", "False", ""])
def test_a_switch_that_says_no_is_off(word):
    args = commands.parser().parse_args(["export", "--replies", word, "--ratings", word, "--titles", word])
    assert (args.replies, args.ratings, args.titles) == (False, False, False)
    assert not commands.parser().parse_args(["batch", "--cancel", word]).cancel


@pytest.mark.parametrize("word", ["1", "yes", "true", "TRUE"])
def test_a_switch_that_says_yes_is_on(word):
    assert commands.parser().parse_args(["export", "--replies", word]).replies is True
    assert commands.parser().parse_args(["export", "--titles", word]).titles is True
    assert commands.parser().parse_args(["batch", "--cancel"]).cancel is True


def test_figures_have_titles_unless_it_is_said():
    assert commands.parser().parse_args(["export"]).titles is True


@pytest.mark.parametrize("switch", ["--ratings", "--titles"])
def test_a_switch_that_says_something_else_is_refused(capsys, switch):
    with pytest.raises(SystemExit):
        commands.parser().parse_args(["export", switch, "maybe"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {switch}: 'maybe'; expected 1, yes or true for on, or 0, no or false for off" in line


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("3.10.4", "Python 3.10.4 is too old: install Python 3.14 (3.11 to 3.14 will do)"),
        ("3.15.0", "Python 3.15.0 is newer than the pinned packages: install Python 3.14 (3.11 to 3.14 will do)"),
        ("", "is missing: install Python 3.14 (3.11 to 3.14 will do), or name one with make PYTHON=/path/to/python"),
    ],
)
def test_make_says_which_python_to_install(tmp_path, version, said):
    """A stand-in interpreter that answers as one of this version does; none at all where it is empty."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    python = tmp_path / "python3.x"
    if version:
        numbers = tuple(map(int, version.split(".")))
        code = f"import sys; sys.version_info = {numbers}; sys.argv = sys.argv[1:]; exec(sys.argv.pop(0))"
        python.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit\n[ "$1" = -c ] && exec {sys.executable} -c "{code}" "$2"\n'
        )
        python.chmod(0o755)
    made = subprocess.run(["make", ".venv/ready", f"PYTHON={python}"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert made.returncode == 2 and said in made.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()
