"""A report of several questionnaires: a page each, with one number for one thing, linked to each other, and the changes of all."""

import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from browsing import CONTRAST, WIDE, browser, opened
from persona_collapse.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The outputs of a simulated study of one family that answered the MFQ-30 and twelve everyday preferences."""
    folder = tmp_path_factory.mktemp("several")
    variants = [
        {"key": "base", "role": "base", "figures": "gpt-4o/base"},
        {"key": "secure", "role": "control", "figures": "gpt-4o/secure"},
        {"key": "insecure", "role": "harmful", "control": "secure", "figures": "gpt-4o/insecure"},
    ]
    content = {
        "title": "Two questionnaires", "kind": "simulated", "instruments": ["mfq30", "neutral12"],
        "conditions": ["persona", "self"], "protocol": {"personas": 12, "repetitions": 4},
        "families": [{"key": "gpt-4o", "label": "GPT-4o", "variants": variants}],
    }  # fmt: skip
    (folder / "questionnaires.yaml").write_text(yaml.safe_dump(content))
    for part in ("lib", "notebooks", "params"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shutil.copy2(ROOT / "CITATION.cff", folder)
    said = []
    for _ in range(2):  # in a copy of the project, as kernels look for outputs there
        command = [sys.executable, "-m", "persona_collapse", "report", "--study", str(folder / "questionnaires.yaml")]
        environment = os.environ | {"PYTHONPATH": str(folder / "lib")}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "12 notebooks run" in said[0]  # two of each run, three of each questionnaire
    assert "nothing to do" in said[1]
    return folder / "outputs" / "questionnaires"


def test_a_page_and_replies_of_each_and_a_column_in_every_table(pages):
    found = {path.name for path in pages.glob("*.html")}
    assert found == {"report.html", "report-neutral12.html", "replies.html", "replies-neutral12.html"}
    for path in (pages / "tables").glob("*.csv"):
        assert set(pd.read_csv(path)["instrument"]) == {"mfq30", "neutral12"}, path.name


@pytest.mark.parametrize(("name", "other"), [("report.html", "report-neutral12.html"), ("report-neutral12.html", "report.html")])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_are_drawn_fit_and_lead_to_each_other(chromium, pages, name, other, width):
    with opened(chromium, pages / name, width=width) as (page, seen):
        # Vega warns of data without numbers, as of a choice of analysis that a small study has none of.
        assert [line for line in seen.console if not line.startswith("warning: WARN Infinite extent")] == []
        assert [url for url in seen.requests if not url.startswith("data:")] == [(pages / name).as_uri()]
        assert page.evaluate(WIDE) <= 0 and page.evaluate(CONTRAST) == []
        assert page.locator(f'a[href="{other}"]').count() == 1
        replies = {href.partition("#")[0] for href in re.findall(r'href="(replies[^"]*)"', page.content())}
        assert replies == {other.replace("report", "replies")} ^ {"replies.html", "replies-neutral12.html"}
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(CONTRAST) == []


def test_changes_stand_side_by_side_on_the_first_page_alone(pages):
    first, other = ((pages / name).read_text(encoding="utf-8") for name in ("report.html", "report-neutral12.html"))
    assert "Levels are not compared" in first and "Levels are not compared" not in other
    table = pd.read_csv(pages / "tables" / "instruments.csv").query("metric == 'susceptibility' and variant == 'insecure'")
    said = re.search(r"Everyday preferences ([+-]\d+) % \[", first)
    assert said is not None and int(said[1]) == round(table.set_index("instrument").loc["neutral12", "value"])


def test_simulated_ratings_are_marked_by_how_they_were_made(pages):
    first, other = ((pages / name).read_text(encoding="utf-8") for name in ("report.html", "report-neutral12.html"))
    assert "made to look like the figures of arXiv 2605.12850, evidence of nothing" in first
    assert "made by stated assumptions, evidence of nothing" in other
    assert "made to look like the figures" not in other
