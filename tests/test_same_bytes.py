"""The same ratings give the same page, byte for byte, in another process, order of hashing, time zone and language."""

import os
import re
import subprocess
import sys

from persona_collapse import report
from persona_collapse.paths import ROOT
from persona_collapse.provenance import provenance

#: Renders the page of the mini study whose outputs lie in the folder of the first argument.
_RENDER = """
import sys
from pathlib import Path
from persona_collapse import study
study.OUTPUTS = Path(sys.argv[1])
import hashlib
from persona_collapse import report, tables
from persona_collapse.provenance import provenance
from persona_collapse.store import open_store
mini = study.load_study("mini")
with open_store(mini.store_path) as store:
    made = provenance(mini, store) | {"commit": "c" * 40}
    print(hashlib.sha256(report.render(mini, tables.build(mini, store), made).encode()).hexdigest())
"""


def test_another_process_renders_the_same_page(mini_page):
    """The hashes of two processes that differ in order of hashing, time zone and language."""
    odd = {"PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1", "PYTHONUTF8": "1"}
    found = set()
    for environment in ({"PYTHONHASHSEED": "1"}, odd):
        done = subprocess.run(
            [sys.executable, "-c", _RENDER, str(mini_page.parent.parent)],
            capture_output=True, check=True, text=True, env=os.environ | environment | {"PYTHONPATH": str(ROOT / "lib")},
        )  # fmt: skip
        found.add(done.stdout.strip())
    assert len(found) == 1 and len(found.pop()) == 64


def test_only_lines_that_name_the_commit_differ_between_commits(mini, mini_page):
    study, store, found = mini
    made = provenance(study, store)
    one, other = (report.render(study, found, made | {"commit": commit}).splitlines() for commit in ("a" * 40, "b" * 40))
    differ = [line for line, twin in zip(one, other, strict=True) if line != twin]
    # The head, the table of provenance and provenance.json itself.
    assert 1 <= len(differ) <= 3 and all("a" * 10 in line for line in differ)


def test_no_date_or_clock_time_is_printed(mini_page):
    # Simulated slots carry no time, so whatever looks like one would be that of the rendering.
    text = re.sub(r"<script>.*?</script>|base64,[A-Za-z0-9+/=]+", "", mini_page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b", text) == []
