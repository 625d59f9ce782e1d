"""A git clone of HEAD, run with the present environment: study file to report, again, verified, tampered with."""

import json
import os
import subprocess
import sys
import time

import pytest

from persona_collapse.paths import ROOT

pytestmark = pytest.mark.slow

STUDY = """\
title: "Two runs <b>& a title</b>"
kind: simulated
protocol: {personas: 4, repetitions: 2}
conditions: [persona, self]
families:
  - key: fam
    variants:
      - {key: base, role: base, figures: gpt-4o/base}
      - {key: bad, role: harmful, figures: gpt-4o/insecure}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("road") / "clone with spaces"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / "params" / "studies" / "two.yaml").write_text(STUDY)
    return folder


def run(clone, *arguments):
    environment = os.environ | {"PYTHONPATH": str(clone / "lib")}
    command = [sys.executable, "-m", "persona_collapse", *arguments]
    return subprocess.run(command, cwd=clone.parent, env=environment, capture_output=True, text=True)


def test_from_a_study_file_to_a_report_that_reproduces(clone):
    made = run(clone, "report", "--study", "two")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1].startswith("outputs/two/report.html (7 notebooks run")
    out = clone / "outputs" / "two"
    page = (out / "report.html").read_text()
    assert "Two runs &lt;b&gt;&amp; a title&lt;/b&gt;" in page and "<b>& a title" not in page
    assert sorted(p.stem for p in (out / "tables").iterdir()) == [
        "companions", "components", "contrasts", "drift", "equivalence", "foundation_claims", "headlines", "metrics", "normalisation", "presence",
        "profiles", "quality", "reliability", "saturation", "style", "validity", "verdict",
    ]  # fmt: skip
    assert json.loads((out / "provenance.json").read_text())["runs"]["fam/bad"]["served_models"] == ["simulated"]
    assert sorted(p.relative_to(out).as_posix() for p in (out / "notebooks").rglob("*.ipynb")) == [
        "notebooks/03_compare_variants.ipynb", "notebooks/04_saturation.ipynb", "notebooks/05_validity.ipynb",
        "notebooks/fam/bad/01_elicit.ipynb", "notebooks/fam/bad/02_metrics.ipynb",
        "notebooks/fam/base/01_elicit.ipynb", "notebooks/fam/base/02_metrics.ipynb",
    ]  # fmt: skip
    assert not [p for p in out.rglob(".*.part*")]

    began = time.monotonic()
    again = run(clone, "report", "--study", "two")
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert time.monotonic() - began < 60

    # A tampered number is found; the untouched notebooks pass.
    target = out / "notebooks" / "fam" / "bad" / "02_metrics.ipynb"
    original = target.read_text()
    assert "**R = " in original
    target.write_text(original.replace("**R = ", "**R = 9", 1))
    tampered = run(clone, "reproduce", "--study", "two")
    assert tampered.returncode == 1
    assert "an output does not reproduce" in tampered.stderr and "fam/bad/02_metrics.ipynb" in tampered.stdout
    target.write_text(original)
    verified = run(clone, "reproduce", "--study", "two")
    assert verified.returncode == 0 and "7 notebooks of two reproduce" in verified.stdout
    assert git_status(clone) == ""


def git_status(clone):
    # The study of this test is the only new file.
    found = subprocess.run(["git", "-C", str(clone), "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    return found.replace("?? params/studies/two.yaml\n", "")
