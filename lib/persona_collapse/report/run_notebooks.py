"""Notebooks run headless: what is stale is executed, a few kernels side by side, whole or not at all."""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from persona_collapse import isolation
from persona_collapse.machine import check_addresses, socket_folder
from persona_collapse.paths import NOTEBOOKS, PACKAGE, PARAMS, ROOT, shown
from persona_collapse.report.kernels import HEADLESS, KernelServer, kernel_server
from persona_collapse.sections.record import RUN, SECTIONS, STUDY, of_study
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.reference import people_of, people_path
from persona_collapse.study.study import Study

#: Seconds a cell may take, and a kernel to start.
CELL_TIMEOUT, START_TIMEOUT = 900, 120
#: Seconds between the starts of two kernels: at once they would only wait for each other's imports.
_STAGGER = 0.3
#: Seconds between two lines on progress where nobody sees a bar.
_LINE = 30.0


class NotebookError(RuntimeError):
    """A notebook failed; the message names notebook, cell and cause."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute: where it comes from, its parameters, where it goes, and what it depends on."""

    source: Path
    parameters: dict[str, str]
    output: Path
    ratings: str

    @property
    def name(self) -> str:
        """The notebook's name."""
        return self.source.stem

    @cached_property
    def key(self) -> str:
        """A hash of everything the executed notebook depends on: cells, parameters, library, params/ and ratings."""
        cells = [(c["cell_type"], "".join(c["source"])) for c in json.loads(self.source.read_text(encoding="utf-8"))["cells"]]
        parts = [cells, self.parameters, code_digest(), self.ratings]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def fresh(self) -> bool:
        """Whether the executed notebook is there and made from exactly this."""
        try:
            return json.loads(self.output.read_text(encoding="utf-8"))["metadata"].get("persona_collapse") == self.key
        except (OSError, ValueError, KeyError):
            return False


_digests: dict[str, str] = {}


def code_digest() -> str:
    """A hash of the library and of everything in params/ that a notebook may read, by content."""
    if "code" not in _digests:
        found = hashlib.sha256()
        read = (path for path in PARAMS.rglob("*") if path.is_file() and path.parent.name != "studies")
        files = [*PACKAGE.rglob("*.py"), *read]
        for path in sorted(files):
            found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        _digests["code"] = found.hexdigest()
    return _digests["code"]


def jobs(study: Study, store: Store) -> list[Job]:
    """Every notebook that a study's report needs; each depends on the ratings of all runs, as it shows one among the others.

    Those of a run show the first instrument; those of the study are executed for every one.
    """
    name, ratings = study_argument(study), ratings_key(study, store)
    found = [
        Job(
            entry.source,
            {"study": name, "family": run.family.key, "variant": run.variant.key},
            study.notebooks / run.family.key / run.variant.key / entry.source.name,
            ratings,
        )
        for run in study.runs
        for entry in of_study(study, RUN)
    ]
    for one in study.each:
        about = {"study": name} | ({} if one.of_first else {"instrument": one.instrument.key})
        found += [Job(e.source, about, one.notebooks / e.source.name, ratings) for e in of_study(one, STUDY)]
    return found


def ratings_key(study: Study, store: Store) -> str:
    """A hash of a study's file, of what it names beside the ratings, and of all its ratings."""
    named = study.file.cluster
    beside = (study.path.parent / named.file).read_bytes() if named and named.file else repr(study.clusters or "").encode()
    found = hashlib.sha256(study.path.read_bytes() + (beside if named else b"") + _digest_of_people(study).encode())
    found.update(repr(study.tasks).encode() if study.tasks else b"")  # a right answer may have been corrected
    digests = store.digests(run.keys for run in study.runs)
    found.update("".join(digests[run.keys] for run in study.runs).encode())
    return found.hexdigest()


def _digest_of_people(study: Study) -> str:
    """A hash of the human respondents that the study names, as they were read."""
    people = people_of(study)
    if people is None:
        return ""
    with open_store(people_path(study)) as store:
        return store.digest(*people.runs[0].keys)


def study_argument(study: Study) -> str:
    """How a notebook names the study: by name if it is one of ours, else by path."""
    return study.name if study.path.parent == PARAMS / "studies" else str(study.path)


def run(
    todo: Sequence[Job], *, workers: int | None = None, server: KernelServer | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:  # fmt: skip
    """Execute notebooks, a few at a time; each output appears whole under its name, or not at all.

    Their kernels come from `server`, where there is one. Where nobody sees a progress bar, `say` hears how far it is, now and
    then.

    Raises NotebookError naming every notebook that failed, its cell and the cause, after the others have finished.
    """
    # One more than there are cores where kernels cost little: each waits, now and then, for a message.
    workers = workers or max(1, min(4, (os.cpu_count() or 1) + (server is not None)))
    failures: list[str] = []
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(todo), unit="notebook", leave=False, disable=None) as bar:
        started, said_at = [], time.monotonic()
        for place, job in enumerate(todo):
            started.append(pool.submit(_execute_later, job, server, _STAGGER * place if place < workers else 0))
        try:
            for number, done in enumerate(as_completed(started), start=1):
                if bar.disable and time.monotonic() - said_at > _LINE and number < len(todo):
                    said_at = time.monotonic()
                    say(f"{number} of {len(todo)} notebooks")
                if (error := done.exception()) is not None:
                    if not isinstance(error, NotebookError):
                        raise error
                    failures.append(str(error))
                bar.update(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            if server is not None:
                server.end()  # nobody waits for what its kernels still do
            raise
    if failures:
        raise NotebookError("; ".join(sorted(failures)))


def _execute_later(job: Job, server: KernelServer | None, seconds: float) -> None:
    time.sleep(seconds)
    execute(job, server)


def execute(job: Job, server: KernelServer | None = None) -> None:
    """Execute one notebook; a failed one is kept as <name>.failed.ipynb beside where it would have been."""
    import nbformat
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    _check_parameters(job)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    for left in job.output.parent.glob(f".{job.output.stem}.*.part.ipynb"):
        left.unlink()  # of a run that was killed
    partial = job.output.with_name(f".{job.output.stem}.{os.getpid()}.part.ipynb")
    failed = job.output.with_name(f"{job.output.stem}.failed.ipynb")
    try:
        try:
            notebook = _papermill(job, partial, server)
        except DeadKernelError:
            notebook = _papermill(job, partial, server)
        _check_complete(job, notebook)
        _tidy(notebook, job)
        nbformat.write(notebook, partial)  # type: ignore[no-untyped-call]
        os.replace(partial, job.output)
        failed.unlink(missing_ok=True)
    except (PapermillExecutionError, DeadKernelError, CellTimeoutError, _IncompleteError) as error:
        if partial.exists():
            os.replace(partial, failed)
        # Stale from here on: what it was made from has changed, and what it would be now does not exist.
        job.output.unlink(missing_ok=True)
        raise NotebookError(f"{_named(job)}{_cause(error)}; see {shown(failed)}") from None
    finally:
        partial.unlink(missing_ok=True)


class _IncompleteError(RuntimeError):
    """A notebook ended without running every cell."""


def _papermill(job: Job, output: Path, server: KernelServer | None) -> Any:
    """The executed notebook, which also lies at `output`, as far as it came, where one of papermill's errors is raised."""
    import papermill
    from jupyter_client.connect import KernelConnectionInfo
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets import Unicode

    base = socket_folder()
    # Sockets in a folder of their own: no open port on the machine, and none shared with the kernel beside it.
    with TemporaryDirectory(prefix="persona-collapse-", dir=base) as folder:

        class Forked(LocalProvisioner):
            """Takes a kernel from the server where it has one."""

            async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
                kernel = server.fork(cmd, options["cwd"], options["env"]) if server else None
                if kernel is None:
                    return await super().launch_kernel(cmd, **options)
                self.process = kernel  # type: ignore[assignment]  # as good as a Popen
                self.pid = self.pgid = kernel.pid
                return self.connection_info

        class ThisPython(AsyncKernelManager):
            """Kernels of the running interpreter, whatever kernelspec, startup files and packages the user's account has."""

            transport = Unicode("ipc" if base else "tcp")
            ip = Unicode(f"{folder}/kernel" if base else "127.0.0.1")
            connection_file = Unicode(f"{folder}/kernel.json")

            # Typed as the method of a KernelManager, which does not wait.
            async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
                env = isolation.environment({**HEADLESS, "IPYTHONDIR": f"{folder}/ipython"})
                self.provisioner = Forked(kernel_spec=self.kernel_spec, parent=self)
                # What a kernel itself says on its way out is not the notebook's; a failure is read from the notebook.
                await super().start_kernel(**options | {"stderr": DEVNULL, "env": env, "cwd": str(NOTEBOOKS)})

            def _kernel_spec_manager_default(self) -> KernelSpecManager:
                return KernelSpecManager(parent=self, kernel_dirs=[])

        class WrittenOnce(NBClientEngine):  # type: ignore[misc]
            """Leaves writing to the end: papermill writes the notebook whole before and after each of its cells."""

            @classmethod
            def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
                nb_man.output_path, path = None, nb_man.output_path
                try:
                    super().execute_managed_notebook(nb_man, kernel_name, **options)
                except BaseException:
                    nb_man.output_path = path
                    raise

        papermill_engines.register("written-once", WrittenOnce)
        return papermill.execute_notebook(
            _literal(job.source), _literal(output), parameters=job.parameters, kernel_name="python3", progress_bar=False,
            log_output=False, cwd=str(NOTEBOOKS), start_timeout=START_TIMEOUT, execution_timeout=CELL_TIMEOUT,
            kernel_manager_class=ThisPython, language="python", engine_name="written-once",
        )  # fmt: skip


def _literal(path: Path) -> str:
    """A path as papermill takes it, who fills in parameters between braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _check_parameters(job: Job) -> None:
    """papermill runs on with the defaults when a parameter is unknown; here that is an error."""
    notebook = json.loads(job.source.read_text(encoding="utf-8"))
    tagged = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise NotebookError(f"{shown(job.source)}: {len(tagged)} cells tagged `parameters`; expected exactly one")
    known = set(re.findall(r"^(\w+)\s*(?::[^=]+)?=", "".join(tagged[0]["source"]), re.MULTILINE))
    for name in job.parameters:
        if name not in known:
            raise NotebookError(f"{shown(job.source)}: unknown parameter {name!r}; expected one of {', '.join(sorted(known))}")


def _check_complete(job: Job, notebook: Any) -> None:
    """Every code cell ran: a cell that calls sys.exit(0) ends a notebook without an error."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            raise _IncompleteError(f", cell {number}: was never run; an earlier cell ended the notebook")


def _tidy(notebook: Any, job: Job) -> None:
    """Keep what was computed and from what; drop clock times and machine paths, so that the same is the same bytes."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata["persona_collapse"] = job.key
    for number, cell in enumerate(notebook.cells):
        # papermill gives the cell it adds a random id.
        cell["id"] = f"cell-{number}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)


def _named(job: Job) -> str:
    who = "/".join(job.parameters[name] for name in ("family", "variant", "instrument") if name in job.parameters)
    return f"{job.name}{f' ({who})' if who else ''}"


def _cause(error: Any) -> str:
    if isinstance(error, _IncompleteError):
        return str(error)
    if hasattr(error, "ename"):
        return f", cell {error.cell_index}: {error.ename}: {' '.join(str(error.evalue).split())}"
    return f": {type(error).__name__}: {str(error).strip().splitlines()[0]}"


def stale(every: Iterable[Job]) -> list[Job]:
    """The notebooks whose output is missing or made from something else."""
    return [job for job in every if not job.fresh]


def notebooks() -> list[Path]:
    """Every committed notebook: those of notebooks/, then those that sections bring."""
    brought = (entry.source for entry in SECTIONS if entry.source.parent != NOTEBOOKS)
    return [*sorted(NOTEBOOKS.glob("*.ipynb")), *brought]


def execute_all(only: str | None = None) -> Iterator[str]:
    """Execute every committed notebook with their default parameters and store the outputs, pictures included."""
    import nbformat

    check_addresses()
    os.environ["PERSONA_COLLAPSE_PICTURES"] = "1"
    with kernel_server() as server:
        for path in notebooks():
            if only and path.stem != only:
                continue
            done = path.with_name(f".{path.stem}.done.ipynb")
            execute(Job(path, {}, done, ""), server)
            notebook = nbformat.read(done, as_version=4)  # type: ignore[no-untyped-call]
            notebook.metadata.pop("persona_collapse", None)
            notebook.metadata["language_info"] = {"name": "python"}
            nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
            done.unlink()
            yield path.name


def working_copy() -> Path:
    """The folder work/, which git ignores, with a copy of every notebook; what somebody has tried out there stays."""
    copy = ROOT / "work"
    copy.mkdir(exist_ok=True)
    for notebook in notebooks():
        if not (copy / notebook.name).exists():
            shutil.copy2(notebook, copy / notebook.name)
    return copy
