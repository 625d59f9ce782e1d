"""The same ratings give the same page, byte for byte, in another process, order of hashing, time zone and language."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from persona_collapse.paths import ROOT

pytestmark = pytest.mark.slow

#: Renders the page of the mini study whose outputs lie in the folder of the first argument.
_RENDER = """
import sys
from pathlib import Path
from persona_collapse import paths
paths.OUTPUTS = Path(sys.argv[1])
import hashlib
from persona_collapse.report.provenance import provenance
from persona_collapse.report.study_page import render_report
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.sections.record import all_tables
from persona_collapse.tables.build import Tables
mini = load_study("mini")
with open_store(mini.store_path) as store:
    made = provenance(read_ratings(mini, store, digests=True)) | {"commit": sys.argv[2]}
    tables = Tables(read_ratings(mini, store))
    page = render_report(tables, all_tables(tables), made).splitlines()
    print(*(hashlib.sha256(line.encode()).hexdigest() for line in page))
    print(next(line for line in page if 'id="made"' in line))
"""


def rendered(page: Path, commit: str, **environment: str) -> tuple[list[str], str]:
    """Hashes of the lines of a page that another process renders, and its line of date and commit."""
    done = subprocess.run(
        [sys.executable, "-c", _RENDER, str(page.parent.parent), commit],
        capture_output=True, check=True, text=True, env=os.environ | environment | {"PYTHONPATH": str(ROOT / "lib")},
    )  # fmt: skip
    hashes, made = done.stdout.splitlines()
    return hashes.split(), made


def test_pages_of_the_same_ratings_differ_in_one_line(mini_page):
    """Two processes that differ in order of hashing, time zone, language, day and commit."""
    # 0 and 86,400 seconds after 1970 are its first and second day, whatever the day is in Kiritimati.
    one, made = rendered(mini_page, "a" * 40, PYTHONHASHSEED="1", SOURCE_DATE_EPOCH="0")
    odd = {"PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "1", "SOURCE_DATE_EPOCH": "86400"}
    other, made_again = rendered(mini_page, "b" * 40, **odd)
    assert len(one) == len(other) > 1000
    assert sum(line != twin for line, twin in zip(one, other, strict=True)) == 1
    assert "<time>1970-01-01</time>" in made and "a" * 40 in made
    assert made_again == made.replace("1970-01-01", "1970-01-02").replace("a" * 10, "b" * 10)


def test_no_other_date_or_clock_time_is_printed(mini_page):
    # Simulated slots carry no time, so whatever looks like one would be that of the rendering.
    text = mini_page.read_text(encoding="utf-8")
    text = re.sub(r"<script>.*?</script>|base64,[A-Za-z0-9+/=]+", "", re.sub(r"<p [^>]*id=.made.>.*", "", text), flags=re.DOTALL)
    assert re.findall(r"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b", text) == []
