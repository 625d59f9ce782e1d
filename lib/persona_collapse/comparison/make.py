"""Two studies side by side as one page: checked, computed, drawn and written, each only if something it depends on changed."""

import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from persona_collapse.asking.collect import collect
from persona_collapse.comparison.pair import NOTEBOOK, Pair
from persona_collapse.files import atomic_text, epoch
from persona_collapse.machine import check_addresses
from persona_collapse.paths import NOTEBOOKS, shown
from persona_collapse.report import run_notebooks
from persona_collapse.report.make import is_fresh, page_key
from persona_collapse.report.run_notebooks import Job, ratings_key, stale, study_argument
from persona_collapse.store.ratings import read_ratings, with_mark
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.study.study import Study

_SUCH_AS = 'such as STUDIES="demo mini"'


def make_comparison(
    names: Sequence[str], data: str | None = None, *, say: Callable[[str], None] = lambda line: None
) -> tuple[str, str]:
    """Compare two studies; returns the path of the page, and what was done, in words.

    Nothing is asked of anybody: a study without ratings is refused. `data` is the folder of an imported study's files, which
    are read if they have not been. Raises ValueError, OSError or NotebookError, one line.
    """
    check_addresses()
    epoch()
    with _opened(_two(names), data) as (studies, stores):
        pair = Pair(*(read_ratings(study, store, digests=True) for study, store in zip(studies, stores, strict=True)))
        _check_matched(pair)
        parameters = {name: study_argument(study) for name, study in zip(("study", "other"), studies, strict=True)}
        ratings = hashlib.sha256("".join(map(ratings_key, studies, stores)).encode()).hexdigest()
        notebook = pair.folder / "notebooks" / f"{NOTEBOOK}.ipynb"
        job = Job(NOTEBOOKS / f"{NOTEBOOK}.ipynb", parameters, notebook, ratings)
        page, key = pair.folder / "report.html", page_key([job])
        there = [pair.folder / "tables" / f"{name}.csv" for name in ("matches", "levels", "changes", "differences")]
        if job.fresh and is_fresh(page, key) and all(path.is_file() for path in there):
            return shown(page), "nothing to do"
        # Imported late: what is up to date needs none of it.
        from persona_collapse.comparison.build import build_comparison, write_comparison
        from persona_collapse.comparison.page import provenance_of, render_comparison
        from persona_collapse.report import provenance

        say(f"{' and '.join(pair.names)}: {len(pair.together)} runs in both of {len(pair.matches)}")
        built = build_comparison(pair)
        write_comparison(pair, built)
        run_notebooks.run(stale([job]), say=say)
        made = provenance_of(pair)
        atomic_text(pair.folder / "provenance.json", provenance.as_json(made))
        atomic_text(page, render_comparison(pair, built, made) + f"<!-- {key} -->\n")
    return shown(page), f"{len(pair.together)} matched runs"


def _two(names: Sequence[str]) -> tuple[str, str]:
    """Two names, from a command line or from one text with both."""
    try:
        found = shlex.split(names[0]) if len(names) == 1 else list(names)
    except ValueError as error:
        raise ValueError(f"studies: {names[0]!r} cannot be read ({error}); expected two studies, {_SUCH_AS}") from None
    if len(found) != 2:
        said = f"{len(found)} named ({', '.join(map(repr, found))})" if found else "none named"
        raise ValueError(f"studies: {said}; expected two, {_SUCH_AS}")
    return found[0], found[1]


@contextmanager
def _opened(names: tuple[str, str], data: str | None) -> Iterator[tuple[tuple[Study, Study], tuple[Store, Store]]]:
    """Both studies with their stores, once it is known that both have ratings."""
    studies = [load_study(name, files=False) for name in names]
    a, b = studies
    if a.path == b.path:
        raise ValueError(f"studies: {a.name!r} is named twice; expected two different studies, {_SUCH_AS}")
    if a.outputs == b.outputs:
        raise ValueError(
            f"studies: {shown(a.path)} and {shown(b.path)} leave their ratings in the same folder {shown(a.outputs)}; rename one "
            "of the files and make its report again"
        )
    with ExitStack() as stack:
        stores = []
        for name, study in zip(names, studies, strict=True):
            _read_files(name, study, data)
            if not study.store_path.is_file():
                raise _without_ratings(study)
            stores.append(store := stack.enter_context(open_store(study.store_path)))
            _check_store(study, store)
        yield (with_mark(a, stores[0]), with_mark(b, stores[1])), (stores[0], stores[1])


def _read_files(name: str, study: Study, data: str | None) -> None:
    """Read an imported study's files where their folder is given and nothing has read them yet."""
    if data is not None and study.file.kind == "imported" and not study.store_path.is_file():
        collect(load_study(name, data))


def _check_store(study: Study, store: Store) -> None:
    owner = store.recall("study")
    if owner not in (None, shown(study.path)):
        raise ValueError(
            f"{shown(study.outputs)}: holds the ratings of {owner}, not of {shown(study.path)}; rename one of the two study "
            "files and make its report again"
        )
    if not any(store.quality(*run.keys, "persona", study.instrument.key)["valid"] for run in study.runs):
        raise _without_ratings(study)


def _without_ratings(study: Study) -> Exception:
    argument = study_argument(study)
    folder = " DATA=<folder>" if study.file.kind == "imported" else ""
    return FileNotFoundError(
        f"{shown(study.store_path)}: no ratings yet; run `make elicit STUDY={argument}{folder}` first, as a comparison asks "
        "nothing"
    )


def _check_matched(pair: Pair) -> None:
    if not pair.together:
        each = "; ".join(f"{study.name} has {', '.join(run.key for run in study.runs)}" for study in pair.studies)
        raise ValueError(f"studies: no run stands in both ({each}); runs belong together by family key, then variant key or role")
