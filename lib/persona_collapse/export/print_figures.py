"""Every figure of a study at print size, below one folder: SVG, PDF with embedded fonts and PNG."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from persona_collapse.exhibits import theme
from persona_collapse.exhibits.exhibit import on_paper
from persona_collapse.export.names import figure_name, unlike
from persona_collapse.export.print_layout import Layout, encoded, lay_out, marked, title_of, untitled
from persona_collapse.paths import shown
from persona_collapse.report.run_notebooks import Job

_COLUMNS = ["figure", "title", "caption", "description", "notebook", "width_cm", "height_cm", "smallest_pt"]
#: So many figures are drawn before another process has started to draw.
_FEW = 12


class Figure(NamedTuple):
    """A figure as it stands in a notebook: where its files go, without a suffix; the notebook; its Vega-Lite."""

    name: str
    notebook: str
    spec: dict[str, Any]

    @property
    def kind(self) -> str:
        """What figures that are laid out alike have in common; a figure of no exhibit is like no other."""
        return str(self.spec.get("usermeta", {}).get("id", "")) or self.name


def of_notebooks(jobs: Iterable[Job], group: str) -> list[Figure]:
    """Every figure of executed notebooks, each once: those of the study, then those of each run below ``runs/``.

    Those of further instruments lie below their keys. `group` is how the instrument calls a group of its items.

    Raises FileNotFoundError where a notebook has not been executed.
    """
    taken: set[str] = set()
    folders: dict[tuple[str, ...], str] = {}
    found, seen = [], []
    for job in sorted(jobs, key=lambda job: "family" in job.parameters):
        run = tuple(job.parameters[name] for name in ("family", "variant") if name in job.parameters)
        if (instrument := job.parameters.get("instrument", "")) and not run:
            run = (instrument,)
            folders.setdefault(run, unlike(instrument, taken) + "/")
        if run and run not in folders:
            folders[run] = unlike(f"runs/{'-'.join(run)}", taken) + "/"
        for spec in _figures(job):
            if (run, spec) in seen:
                continue  # what several notebooks open with
            seen.append((run, spec))
            title = title_of(spec) or job.name
            name = unlike(folders.get(run, "") + figure_name(spec.get("usermeta", {}), title, group), taken)
            found.append(Figure(name, "/".join([*run, job.name]), spec))
    return found


def _figures(job: Job) -> Iterator[dict[str, Any]]:
    if not job.output.is_file():
        raise FileNotFoundError(f"{shown(job.output)}: no executed notebook; run `make report` for this study first")
    for cell in json.loads(job.output.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            if (spec := output.get("data", {}).get(theme.MIME)) is not None:
                yield spec


def write(figures: Sequence[Figure], folder: Path, *, simulated: bool, titles: bool = True) -> pd.DataFrame:
    """Write every figure as .svg, .pdf and .png below `folder`; returns the list of figures, one row each.

    With `simulated` each says in the picture that its ratings are; without `titles` none has its title in the picture.
    """
    with drawing(figures, folder, simulated=simulated, titles=titles) as listed:
        return listed()


@contextmanager
def drawing(
    figures: Sequence[Figure], folder: Path, *, simulated: bool, titles: bool = True
) -> Iterator[Callable[[], pd.DataFrame]]:  # fmt: skip
    """As `write`, while the caller does something else: gives a function that waits for the figures and returns their list."""
    kinds: dict[str, list[Figure]] = {}
    for figure in figures:
        kinds.setdefault(figure.kind, []).append(figure)
    # What takes long is begun first.
    ordered = sorted(kinds.values(), key=lambda kind: -sum(len(json.dumps(figure.spec)) for figure in kind))
    draw = partial(_write_kind, folder=folder, simulated=simulated, titles=titles)
    workers = min(4, os.cpu_count() or 1, len(kinds))
    if workers < 2 or len(figures) <= _FEW:
        yield lambda: _listed(figures, map(draw, ordered))
        return
    # The engine that draws has threads, which a forked process would lack.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        started = [pool.submit(draw, kind) for kind in ordered]
        yield lambda: _listed(figures, (done.result() for done in as_completed(started)))
    finally:
        pool.shutdown(cancel_futures=True)


def _listed(figures: Sequence[Figure], drawn: Iterable[list[dict[str, Any]]]) -> pd.DataFrame:
    rows: dict[str, dict[str, Any]] = {}
    with tqdm(total=len(figures), unit="figure", leave=False, disable=None) as bar:
        for done in drawn:
            rows |= {row["figure"]: row for row in done}
            bar.update(len(done))
    return pd.DataFrame([rows[figure.name] for figure in figures], columns=_COLUMNS)


def _end_with_parent() -> None:
    """Leave Ctrl-C to the process that started this one, and end when that one has ended, however it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _write_kind(figures: Sequence[Figure], folder: Path, simulated: bool, titles: bool) -> list[dict[str, Any]]:
    """Write figures of one kind, each laid out like the one before it where it fits so."""
    like: Layout | None = None
    rows = []
    for figure in figures:
        spec = marked(figure.spec) if simulated else figure.spec
        printed = lay_out(spec if titles else untitled(spec), like)
        like = printed.layout
        path = folder / figure.name
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in encoded(printed).items():
            # The name is no path to be split at a dot: keys of variants may hold one.
            path.with_name(f"{path.name}.{suffix}").write_bytes(content)
        width, height = printed.size_cm
        rows.append(
            {
                "figure": figure.name, "title": title_of(figure.spec), "caption": on_paper(figure.spec.get("usermeta", {})),
                "description": figure.spec.get("description", ""), "notebook": figure.notebook,
                "width_cm": round(width, 2), "height_cm": round(height, 2), "smallest_pt": round(printed.smallest_pt, 2),
            }
        )  # fmt: skip
    return rows
