"""Kernels that are forked: what notebooks see and say is the same as in kernels that start by themselves; none outlives a report."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread

import nbformat
import pytest

from persona_collapse import isolation
from persona_collapse.asking.collect import open_study
from persona_collapse.paths import ROOT
from persona_collapse.report import kernels, run_notebooks
from persona_collapse.report.kernels import kernel_server
from persona_collapse.report.run_notebooks import Job, NotebookError, execute, run
from persona_collapse.sections.record import all_tables
from persona_collapse.tables.build import Tables

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not kernels._CAN_FORK, reason="this system has no processes that can be forked safely"),
]


def job(folder, name, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in ("study = 'mini'", *sources)]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    return Job(folder / f"{name}.ipynb", {"study": "mini"}, folder.parent / "out" / f"{name}.ipynb", "r")


def shown(done):
    return "".join(json.loads(done.output.read_text())["cells"][-1]["outputs"][0]["text"])


def gone(pid):
    """Whether a process ends within ten seconds; one that nobody has waited for is no process any more."""
    for _ in range(100):
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_a_kernel_is_forked_with_everything_imported_and_is_itself_otherwise(notebooks):
    """A session, a working directory, arguments and an environment of its own; random numbers that are not those beside it."""
    cell = (
        "import os, sys, json, random, numpy as np\n"
        "print(json.dumps([os.getpid() == os.getsid(0), os.getcwd(), sys.argv[1:2], 'IPYTHONDIR' in os.environ, "
        "'altair' in sys.modules, __name__, os.getppid(), random.random(), np.random.random(), sys.stdin.read()]))"
    )
    with kernel_server() as server:
        first, second = job(notebooks, "a", cell), job(notebooks, "b", cell)
        run([first, second], server=server)
        one, other = (json.loads(shown(done)) for done in (first, second))
    assert one[:6] == other[:6] == [True, str(notebooks), ["-f"], True, True, "__main__"]
    assert one[6] == other[6] != os.getpid()  # both of the server
    assert one[7] != other[7] and one[8] != other[8] and one[9] == ""
    assert gone(one[6])


FAILING = {
    "exit": ("import sys; sys.exit(0)", "print('never')"),
    "os-exit": ("import os; os._exit(3)", "print('never')"),
    "signal": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "print('never')"),
    "hangs": ("import time; time.sleep(600)", "print('never')"),
    "raises": ("raise ValueError('no such thing')",),
}


@pytest.mark.parametrize("how", FAILING)
def test_a_cell_that_ends_its_kernel_is_told_of_in_the_same_words(notebooks, monkeypatch, how):
    monkeypatch.setattr(run_notebooks, "CELL_TIMEOUT", 3)
    failing, said = job(notebooks, how, *FAILING[how]), []
    with kernel_server() as server:
        for way in (server, None):
            with pytest.raises(NotebookError) as caught:
                execute(failing, way)
            failed = failing.output.with_name(f"{how}.failed.ipynb")
            cells = [c["source"] for c in json.loads(failed.read_text())["cells"]]
            said.append((str(caught.value), cells))
            failed.unlink()
    assert said[0] == said[1]
    assert said[0][0].startswith(how)
    assert list(failing.output.parent.iterdir()) == []


def test_where_the_server_dies_the_notebook_is_executed_once_more_in_a_kernel_that_starts_by_itself(notebooks, tmp_path):
    """The kernel, whose parent is gone, ends by itself; nobody is told."""
    flag = tmp_path / "killed"
    cell = (
        f"import os, signal, time, pathlib\nflag = pathlib.Path({str(flag)!r})\n"
        "if not flag.exists():\n    flag.write_text(str(os.getpid()))\n    os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(60)\n"
        "print('done')"
    )
    done = job(notebooks, "n", cell)
    with kernel_server() as server:
        execute(done, server)
    assert shown(done) == "done\n"
    assert gone(int(flag.read_text()))


def test_where_the_system_gives_no_process_the_others_go_on(monkeypatch):
    """As under a limit on processes: nothing is forked, the next question is answered, and the kernel is started instead."""
    monkeypatch.setattr(os, "fork", lambda: (_ for _ in ()).throw(BlockingIOError("no more processes")))
    ours, theirs = Pipe()
    served = Thread(target=kernels._serve, args=(theirs,))
    served.start()
    server = kernels.KernelServer(ours)
    command = [sys.executable, "-m", "ipykernel_launcher"]
    assert [server.fork(command, "/", {}), server.fork(command, "/", {}), server.ask("poll", 1)] == [None, None, 0]
    server.end()
    served.join(5)
    assert not served.is_alive()


def test_without_fork_kernels_start_by_themselves(notebooks, monkeypatch):
    monkeypatch.setattr(kernels, "_CAN_FORK", False)
    done = job(notebooks, "n", "import os\nprint(os.getppid())")
    with kernel_server() as server:
        execute(done, server)
    assert int(shown(done)) == os.getpid()


def test_an_interrupted_report_starts_no_kernel_any_more(notebooks):
    """What was running is gone, and is not taken for a kernel that died by chance, which is started again."""
    with kernel_server() as server:
        pass
    done = job(notebooks, "n", "1")
    with pytest.raises(RuntimeError, match="the report is over"):
        execute(done, server)
    assert list(done.output.parent.iterdir()) == []


@pytest.fixture(scope="module")
def tables():
    found = Tables(open_study("mini"))
    all_tables(found)
    return found


def test_a_kernel_that_holds_the_tables_reads_no_rating_and_computes_nothing_again(notebooks, tables):
    cell = (
        "import persona_collapse as pc\n"
        "from persona_collapse.store.store import Store\n"
        "from persona_collapse.tables import run_statistics\n"
        "Store.ratings = Store.digest = Store.plan = run_statistics.of_means = None\n"
        "ratings = pc.open_study(study)\n"
        "one, run = pc.open_run(study, 'gpt-4o', 'insecure')\n"
        "print(len(pc.contrasts(ratings)), len(ratings.answers), sorted(one.answers), len(pc.tabulate.levels(one, run=run)))"
    )
    held = job(notebooks, "n", cell)
    with kernel_server() as server:
        server.hold(tables)
        execute(held, server)
    # Conditions of the base: persona, self and toxic; of every other run the first two. 2 families of 3 runs.
    every = [
        (f"{family}/{variant}", condition, "mfq30")
        for family in ("gpt-4o", "qwen3-235b")
        for variant in ("base", "secure", "insecure")
        for condition in ("persona", "self", *(["toxic"] if variant == "base" else []))
    ]
    assert shown(held) == f"{len(tables.contrasts)} {2 * (3 + 2 + 2)} {sorted(every)} 6\n"


@pytest.mark.parametrize(
    ("name", "run_keys"),
    [("01_elicit", ("gpt-4o", "insecure")), ("02_metrics", ("qwen3-235b", "base")), ("05_validity", ())],
)
def test_a_notebook_is_the_same_bytes_whatever_kernel_executes_it(tmp_path, tables, name, run_keys):
    parameters = {"study": "mini"} | dict(zip(("family", "variant"), run_keys, strict=False))
    source = ROOT / "notebooks" / f"{name}.ipynb"
    forked, alone = (Job(source, parameters, tmp_path / way / "n.ipynb", "r") for way in ("forked", "alone"))
    with kernel_server() as server:
        server.hold(tables)
        execute(forked, server)
    execute(alone)
    assert forked.output.read_bytes() == alone.output.read_bytes()


def report(tmp_path):
    """A report of a small study that begins."""
    study = tmp_path / "killed-report.yaml"
    study.write_text((ROOT / "params" / "studies" / "mini.yaml").read_text())
    return subprocess.Popen(
        [sys.executable, "-m", "persona_collapse", "report", f"--study={study}"], env=isolation.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def children(pid):
    """Every process that descends from one, by /proc."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(after[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_report_leaves_no_process(tmp_path, number):
    started = report(tmp_path)
    try:
        for _ in range(600):
            below = children(started.pid)
            if len(below) >= 3 or started.poll() is not None:  # the server and two kernels
                break
            time.sleep(0.1)
        assert len(below) >= 3, started.communicate()
        started.send_signal(number)
        started.communicate(timeout=30)
        assert all(gone(pid) for pid in below)
    finally:
        started.kill()
        shutil.rmtree(ROOT / "outputs" / "killed-report", ignore_errors=True)
