"""From a study file to its appendix: ratings, tables, notebooks, page, each only if something it depends on changed."""

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from persona_collapse.asking.collect import collect, import_report
from persona_collapse.files import atomic_text, epoch
from persona_collapse.machine import check_addresses
from persona_collapse.paths import PACKAGE, ROOT
from persona_collapse.report import run_notebooks
from persona_collapse.report.kernels import kernel_server
from persona_collapse.report.run_notebooks import Job, jobs, run
from persona_collapse.store.ratings import Ratings, read_ratings, with_mark
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.study import Study


def make_report(study: Study, *, say: Callable[[str], None] = lambda line: None) -> str:
    """Make a study's report.html, everything it stands on and replies.html beside it; returns what was done, in words.

    A study of several instruments has a page, and replies, of each: report.html of the first, report-<instrument>.html of others.

    Raises NotebookError if a notebook fails; an older report stays as it was.
    """
    check_addresses()
    epoch()  # a wrong one is said before anything is asked
    study.outputs.mkdir(parents=True, exist_ok=True)
    new = collect(study, say=say)
    if new and study.file.kind == "imported":
        for line in import_report(study):
            say(line)
    with open_store(study.store_path) as store:
        study = with_mark(study, store)
        every = jobs(study, store)
    stale = run_notebooks.stale(every)
    page = study.outputs / study.page
    key = page_key(every)
    pages = all(is_fresh(study.outputs / one.page, key) for one in study.each)
    if not stale and pages and _tables_there(study, page):
        with open_store(study.store_path) as store:
            return "replies made" if _write_replies(study, store, key) else "nothing to do"
    say(f"{study.name}: {len(study.runs)} runs; {len(stale)} of {len(every)} notebooks to run")
    with kernel_server() if stale else nullcontext() as server:
        # Imported late: what is up to date needs none of it.
        from persona_collapse.report.provenance import as_json, provenance
        from persona_collapse.report.study_page import render_report
        from persona_collapse.sections.record import all_tables
        from persona_collapse.tables.build import Tables, write

        with open_store(study.store_path) as store:
            ratings = read_ratings(study, store, digests=True)
        tables = Tables(ratings)
        built = all_tables(tables)
        # The table of a section that is gone goes with it.
        write(study, dict.fromkeys(_named(page)) | built)
        found = provenance(ratings)
        if server:
            server.hold(tables)
        run(stale[::-1], server=server, say=say)  # those of the study, which take longest, before those of its runs
    with open_store(study.store_path) as store:
        _write_replies(study, store, key, ratings)  # before the page, whose links lead to it
    atomic_text(study.outputs / "provenance.json", as_json(found))
    names = ",".join(name for name, table in built.items() if table is not None)
    for one in reversed(tables.each):  # the first one last, as it says that all is there
        text = render_report(one, built, found)
        atomic_text(study.outputs / one.study.page, f"{text}<!-- tables: {names} -->\n<!-- {key} -->\n")
    return f"{len(stale)} notebooks run"


def _write_replies(study: Study, store: Store, key: str, ratings: Ratings | None = None) -> bool:
    """Make the pages of replies, or remove them where the study file wants none; whether there was anything to make."""
    targets = {one.instrument.key: study.outputs / one.replies_page for one in study.each}
    if not study.file.replies:
        for target in targets.values():
            target.unlink(missing_ok=True)
        return False
    stale = {instrument: target for instrument, target in targets.items() if not is_fresh(target, key)}
    if not stale:
        return False
    from persona_collapse.report.replies import render_replies

    ratings = ratings or read_ratings(study, store)
    for instrument, target in stale.items():
        atomic_text(target, render_replies(ratings.of_instrument(instrument), store) + f"<!-- {key} -->\n")
    return True


def page_key(every: list[Job]) -> str:
    """A hash of everything that a page around these notebooks depends on."""
    beside = [
        *sorted(path for kind in ("html", "css", "js", "csv") for path in PACKAGE.rglob(f"*.{kind}")),
        ROOT / "CITATION.cff",
    ]
    return hashlib.sha256("".join(job.key for job in every).encode() + b"".join(p.read_bytes() for p in beside)).hexdigest()


def is_fresh(page: Path, key: str) -> bool:
    """Whether a page is there and ends with this key."""
    end = f"<!-- {key} -->\n".encode()
    try:
        with page.open("rb") as file:
            file.seek(-min(len(end), page.stat().st_size), os.SEEK_END)
            return file.read() == end
    except OSError:
        return False


def _tables_there(study: Study, page: Path) -> bool:
    """Whether every table that a page was made with, and its provenance, is still there."""
    files = [study.outputs / "tables" / f"{name}.csv" for name in _named(page)] + [study.outputs / "provenance.json"]
    return all(path.is_file() for path in files)


def _named(page: Path) -> list[str]:
    """The tables that a page was made with, as its end says; none where there is no such page."""
    try:
        found = re.findall(r"<!-- tables: (.*) -->", page.read_text(encoding="utf-8"))
    except OSError:
        return []
    return found[-1].split(",") if found else []
