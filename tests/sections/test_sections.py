"""Sections: one folder and one line add a notebook with all that is its own, and leave without a trace."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from persona_collapse.paths import ROOT
from persona_collapse.report import dictionary
from persona_collapse.sections.record import RUN, SECTIONS, STUDY, all_tables, of_study, sections

PROBE = Path(__file__).parents[1] / "helpers" / "probe"


def test_sections_stand_in_the_order_of_their_notebooks_and_every_one_has_its_parts():
    names = [entry.notebook for entry in SECTIONS]
    assert names == sorted(names)
    for entry in SECTIONS:
        assert entry.source.is_file() and entry.section() and (entry.folder / "dictionary.csv").is_file()


def test_notebooks_of_runs_come_before_those_of_the_study(mini):
    every = [entry.per for entry in of_study(mini[0])]
    assert every == sorted(every) and {RUN, STUDY} == set(every)  # "run" before "study"


def test_every_table_has_one_section_and_all_of_its_columns_are_described(mini):
    names = [table.name for section in sections(mini[0]) for table in section.tables]
    assert len(names) == len(set(names))
    found = all_tables(mini[2])
    assert list(found) == names and found["temperature"] is None and found["published_check"] is None
    missing = [(n, c) for n, table in found.items() if table is not None for c in table if dictionary.entry(n, c) is None]
    assert missing == []


def test_every_tag_that_a_section_shows_or_not_is_on_a_cell_of_a_notebook():
    """What only some studies have would vanish in silence with its cell."""
    tags = {tag for entry in SECTIONS for tag in entry.section().shown}
    cells = [cell for entry in SECTIONS for cell in nbformat.read(entry.source, as_version=4).cells]
    assert tags >= {"only-variants", "only-logprobs", "only-printed", "only-reference", "only-frontier"}
    assert tags - {tag for cell in cells for tag in cell.metadata.get("tags", [])} == set()


def test_an_unknown_table_is_refused(mini):
    with pytest.raises(ValueError, match=r"^tables: no table 'metric'; expected one of quality, metrics, contrasts, "):
        all_tables(mini[2], ["metric"])


def copy_of_the_project(folder):
    """Library, notebooks and what they read, without outputs."""
    for part in ("lib", "notebooks", "params"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for file in ("CITATION.cff", "LICENSE"):
        shutil.copy(ROOT / file, folder)
    return folder


#: What `make report` does of a study, but that only the probe's notebook is executed: the committed ones have their outputs.
_REPORT = """
from persona_collapse.asking.collect import collect
from persona_collapse.paths import NOTEBOOKS
from persona_collapse.report.provenance import provenance
from persona_collapse.report.run_notebooks import jobs, run
from persona_collapse.report.study_page import render_report
from persona_collapse.sections.record import all_tables
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables, write
study = load_study("mini")
collect(study)
with open_store(study.store_path) as store:
    todo = [job for job in jobs(study, store) if "family" not in job.parameters]
    ratings = read_ratings(study, store, digests=True)
for job in todo:
    job.output.parent.mkdir(parents=True, exist_ok=True)
    if job.source.parent == NOTEBOOKS:
        job.output.write_bytes(job.source.read_bytes())
    else:
        run([job])
tables = Tables(ratings)
built = all_tables(tables)
write(study, built)
(study.outputs / "report.html").write_text(render_report(tables, built, provenance(ratings)), encoding="utf-8")
"""


def report(project):
    """The page of mini as this copy of the project makes it."""
    environment = os.environ | {"PYTHONPATH": str(project / "lib"), "SOURCE_DATE_EPOCH": "1790000000"}
    done = subprocess.run([sys.executable, "-c", _REPORT], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (project / "outputs" / "mini" / "report.html").read_text(encoding="utf-8")


def add_the_probe(project):
    """One folder, with the notebook in it, and one line of the list."""
    folder = project / "lib" / "persona_collapse" / "sections" / "probe"
    shutil.copytree(PROBE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    sources = [
        'study = "mini"  # a name in params/studies/, or a path to a study file',
        "import persona_collapse as pc\n\nratings = pc.open_study(study)\npc.write_tables(ratings, 'probes')\npc.say.study(ratings)",
        "pc.figures.probe(ratings)",
        "pc.say.probe(ratings)",
        "pc.tabulate.probe(ratings)",
    ]
    cells = [nbformat.v4.new_markdown_cell("# What was probed"), *map(nbformat.v4.new_code_cell, sources)]
    cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "09_probe.ipynb")
    line = '    Entry("05_validity"),\n'
    record = project / "lib" / "persona_collapse" / "sections" / "record.py"
    text = record.read_text(encoding="utf-8")
    assert text.count(line) == 1
    record.write_text(text.replace(line, line + '    Entry("09_probe"),\n'), encoding="utf-8")
    return folder, record, text


@pytest.mark.slow
def test_a_folder_and_a_line_add_a_section_and_leave_without_a_trace(tmp_path):
    project = copy_of_the_project(tmp_path)
    before = report(project)
    folder, record, text = add_the_probe(project)
    page = report(project)
    # Notebook, figure with its caption and alternative text, finding, table with its caption.
    assert "What was probed</h2>" in page and re.search(r"<b>Figure \d+\.</b> Probe\. Probed personas of every run\.", page)
    assert 'alt="Bars of personas. Simulated ratings. 20 personas were probed."' in page
    assert re.search(r"<b>Table \d+\.</b> Personas that were probed, by run\.", page)
    # The head has its line, with links; methods and dictionary have their own.
    head = page[page.index('class="answer') : page.index("<nav")]
    assert re.search(
        r'20</strong> personas were probed\. <a href="#figure-\d+">Figure \d+</a>, <a href="#table-\d+">Table \d+</a></li>', head
    )
    assert "<h3>The probe</h3>" in page and "<td>Personas that were probed</td>" in page
    assert (project / "outputs" / "mini" / "tables" / "probes.csv").read_text().startswith("family,variant,probed\n")
    shutil.rmtree(folder)
    record.write_text(text, encoding="utf-8")
    assert report(project) == before
