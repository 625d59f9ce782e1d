"""What README and docs/ say can be done: every command is one of the Makefile's, every link leads somewhere, a page a question."""

import re
import shlex
import subprocess

import pytest

from persona_collapse.paths import ROOT

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))


def commands(path):
    """The lines of a page's shell blocks that call make, without what they say behind a #."""
    blocks = re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("make ")]


def test_the_readme_is_read_in_one_sitting():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("path", [README, *PAGES], ids=lambda path: path.name)
def test_every_command_is_known_and_reaches_the_library(path):
    for line in commands(path):
        words = shlex.split(line, comments=True)
        done = subprocess.run(
            [words[0], "-n", "-o", ".venv/ready", "-o", ".venv/local", *words[1:]],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, (line, done.stderr)
        assert ".venv/bin/python" in done.stdout, line


@pytest.mark.parametrize("path", [README, *PAGES], ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_is_a_question_and_linked_from_the_readme():
    linked = README.read_text(encoding="utf-8")
    for path in PAGES:
        assert f"(docs/{path.name})" in linked, path.name
        title = path.read_text(encoding="utf-8").partition("\n")[0]
        assert title.startswith("# ") and title.endswith("?"), title


def test_the_picture_is_small_and_says_that_it_is_simulated():
    picture = (ROOT / "docs" / "verdict.svg").read_text(encoding="utf-8")
    assert len(picture) < 60_000 and "SIMULATED RATINGS" in picture and "GPT-4o insecure" in picture


def test_the_first_two_commands_are_those_of_the_checkout():
    """tests/roads/test_whole_road.py makes a report from nothing; .ci/run calls the other."""
    assert commands(README)[:2] == [
        "make report      # simulated ratings, no key: outputs/demo/report.html",
        "make test        # everything is tested, notebooks included",
    ]
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
