"""From a study file to its appendix: ratings, tables, notebooks, page, each only if something it depends on changed."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from persona_collapse.asking.collect import collect, import_report
from persona_collapse.files import atomic_text
from persona_collapse.paths import ROOT
from persona_collapse.report import run_notebooks
from persona_collapse.report.run_notebooks import Job, jobs, run
from persona_collapse.store.ratings import read_ratings, with_mark
from persona_collapse.store.store import open_store
from persona_collapse.study.study import Study


def make_report(study: Study, *, say: Callable[[str], None] = lambda line: None) -> str:
    """Make a study's report.html and everything it stands on; returns what was done, in words.

    Raises NotebookError if a notebook fails; an older report stays as it was.
    """
    study.outputs.mkdir(parents=True, exist_ok=True)
    new = collect(study, say=say)
    if new and study.file.kind == "imported":
        for line in import_report(study):
            say(line)
    with open_store(study.store_path) as store:
        study = with_mark(study, store)
        every = jobs(study, store)
        stale = run_notebooks.stale(every)
        page = study.outputs / "report.html"
        key = page_key(every)
        if not stale and is_fresh(page, key) and _tables_there(study):
            return "nothing to do"
        # Imported late: what is up to date needs none of it.
        from persona_collapse.report.provenance import as_json, provenance
        from persona_collapse.report.study_page import render_report
        from persona_collapse.tables.build import build_tables, write_tables

        say(f"{study.name}: {len(study.runs)} runs; {len(stale)} of {len(every)} notebooks to run")
        ratings = read_ratings(study, store, digests=True)
        built = build_tables(ratings)
        write_tables(study, built)
        found = provenance(ratings)
    run(stale, say=say)
    atomic_text(study.outputs / "provenance.json", as_json(found))
    atomic_text(page, render_report(study, built, found) + f"<!-- {key} -->\n")
    return f"{len(stale)} notebooks run"


def page_key(every: list[Job]) -> str:
    """A hash of everything that a page around these notebooks depends on."""
    beside = [Path(__file__).parent / name for name in ("page.html", "page.css", "dictionary.csv")] + [ROOT / "CITATION.cff"]
    return hashlib.sha256("".join(job.key for job in every).encode() + b"".join(p.read_bytes() for p in beside)).hexdigest()


def is_fresh(page: Path, key: str) -> bool:
    """Whether a page is there and ends with this key."""
    try:
        return page.read_text(encoding="utf-8").rstrip().endswith(f"<!-- {key} -->")
    except OSError:
        return False


def _tables_there(study: Study) -> bool:
    names = [
        "metrics", "contrasts", "companions", "validity", "foundation_claims", "profiles", "saturation", "quality",
    ]  # fmt: skip
    if study.file.kind == "imported" and study.file.published:
        names.append("published_check")
    if study.by_logprobs:
        names.append("temperature")
    return (study.outputs / "provenance.json").is_file() and all(
        (study.outputs / "tables" / f"{name}.csv").is_file() for name in names
    )
