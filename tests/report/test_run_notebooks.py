"""Executing notebooks: whole or not at all, up to date by content, a failure that names its cause."""

import json
import os
import tempfile

import nbformat
import pytest

from importable import grid, small_study, write_rows
from persona_collapse.asking.collect import collect
from persona_collapse.machine import socket_folder
from persona_collapse.report import run_notebooks
from persona_collapse.report.run_notebooks import Job, NotebookError, execute, run
from persona_collapse.store.store import open_store

pytestmark = pytest.mark.slow


def write(folder, name, *sources, tags=("parameters",)):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = list(tags)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")


def job(tmp_path, name, ratings="r", **parameters):
    return Job(run_notebooks.NOTEBOOKS / f"{name}.ipynb", parameters, tmp_path / "out" / f"{name}.ipynb", ratings)


def test_parameters_arrive_and_the_same_is_the_same_bytes(notebooks, tmp_path):
    write(notebooks, "n", "study = 'mini'", "print(study)")
    done = job(tmp_path, "n", study="007")
    assert not done.fresh
    run([done])
    text = done.output.read_text()
    executed = json.loads(text)
    assert executed["cells"][-1]["outputs"][0]["text"] == ["007\n"]  # not retyped to 7
    assert "start_time" not in text and str(tmp_path) not in text
    assert done.fresh
    done.output.unlink()
    run([done])
    assert done.output.read_text() == text


def test_a_notebook_is_stale_when_anything_it_depends_on_changes(notebooks, tmp_path, monkeypatch):
    write(notebooks, "n", "study = 'mini'", "1")
    keys = {job(tmp_path, "n", study="a").key, job(tmp_path, "n", study="b").key, job(tmp_path, "n", "other", study="a").key}
    monkeypatch.setattr(run_notebooks, "code_digest", lambda: "changed library")
    keys.add(job(tmp_path, "n", study="a").key)
    write(notebooks, "n", "study = 'mini'", "2")
    keys.add(job(tmp_path, "n", study="a").key)
    assert len(keys) == 5


def test_every_notebook_of_a_study_is_stale_when_one_run_changes(tmp_path, outputs):
    """01 and 02 show a run among all the others: two runs, and three notebooks of the study."""

    def keys(*rated):
        write_rows(tmp_path / "bad.csv", grid([0, 1], 2, *rated))
        collect(study)
        with open_store(study.store_path) as store:
            return {job.output: job.key for job in run_notebooks.jobs(study, store)}

    write_rows(tmp_path / "base.csv", grid([0, 1], 2, 3, 4))
    write_rows(tmp_path / "bad.csv", grid([0, 1], 2, 1, 5))
    bad = {"key": "bad", "role": "harmful", "persona": "bad.csv"}
    study = small_study(tmp_path, [{"key": "base", "role": "base", "persona": "base.csv"}, bad])
    first, again, other = keys(1, 5), keys(1, 5), keys(1, 4)
    assert first == again and first.keys() == other.keys() and len(first) == 2 * 2 + 3
    assert not set(first.values()) & set(other.values())


def test_outputs_and_metadata_of_the_source_do_not_matter(notebooks, tmp_path):
    write(notebooks, "n", "study = 'mini'", "1")
    before = job(tmp_path, "n", study="a").key
    content = json.loads((notebooks / "n.ipynb").read_text())
    content["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["x"]}]
    content["metadata"]["x"] = 1
    (notebooks / "n.ipynb").write_text(json.dumps(content))
    assert job(tmp_path, "n", study="a").key == before


def test_an_unknown_parameter_is_refused(notebooks, tmp_path):
    write(notebooks, "n", "study = 'mini'\nfamily: str = 'f'", "1")
    with pytest.raises(NotebookError, match=r"n\.ipynb: unknown parameter 'studdy'; expected one of family, study"):
        execute(job(tmp_path, "n", studdy="x"))
    assert not (tmp_path / "out").exists()


def test_a_notebook_without_tagged_parameters_is_refused(notebooks, tmp_path):
    write(notebooks, "n", "study = 'mini'", tags=())
    with pytest.raises(NotebookError, match="0 cells tagged `parameters`; expected exactly one"):
        execute(job(tmp_path, "n", study="x"))


def test_a_failure_names_notebook_cell_and_cause_and_keeps_the_notebook_aside(notebooks, tmp_path):
    write(notebooks, "bad", "study = 'mini'", "raise ValueError('no such\\nthing')")
    write(notebooks, "good", "study = 'mini'", "study")
    good = job(tmp_path, "good", study="x")
    with pytest.raises(NotebookError) as caught:
        run(
            [
                job(
                    tmp_path,
                    "bad",
                    study="x",
                ),
                good,
            ]
        )
    message = str(caught.value)
    assert message.startswith("bad, cell 2: ValueError: no such thing; see ") and message.endswith("bad.failed.ipynb")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["bad.failed.ipynb", "good.ipynb"]
    assert good.fresh


def test_a_failed_notebook_is_gone_from_its_name_and_the_next_success_clears_it(notebooks, tmp_path):
    write(notebooks, "n", "study = 'mini'", "1 / 0")
    failing = job(tmp_path, "n", study="x")
    failing.output.parent.mkdir()
    failing.output.write_text("{}")
    with pytest.raises(NotebookError, match="ZeroDivisionError"):
        execute(failing)
    assert not failing.output.exists()
    write(notebooks, "n", "study = 'mini'", "1")
    execute(job(tmp_path, "n", study="x"))
    assert [p.name for p in failing.output.parent.iterdir()] == ["n.ipynb"]


def test_sys_exit_does_not_count_as_success(notebooks, tmp_path):
    write(notebooks, "n", "study = 'mini'", "import sys\nsys.exit(0)", "print('never')")
    with pytest.raises(NotebookError, match=r"n, cell 3: was never run"):
        execute(job(tmp_path, "n", study="x"))


def test_kernels_run_this_python_from_the_notebooks_folder(notebooks, tmp_path):
    write(notebooks, "n", "study = 'mini'", "import sys, os\nprint(sys.executable)\nprint(os.getcwd())")
    done = job(tmp_path, "n", study="x")
    execute(done)
    import sys

    text = "".join(json.loads(done.output.read_text())["cells"][-1]["outputs"][0]["text"])
    assert text.splitlines() == [sys.executable, str(notebooks)]


def test_kernels_know_nothing_of_the_users_account(notebooks, tmp_path, monkeypatch):
    """Startup files, other libraries, settings of Python, a home that cannot be written: the same output, and no traceback."""
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "mine.py").write_text("import sys; sys.modules['numpy'] = None")
    (tmp_path / "foreign" / "pandas").mkdir(parents=True)
    (tmp_path / "foreign" / "pandas" / "__init__.py").write_text("raise ImportError('of another work')")
    (tmp_path / "mine.py").write_text("raise SystemExit")
    account = {
        "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": str(tmp_path / "foreign"), "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error", "PYTHONSTARTUP": str(tmp_path / "mine.py"), "JUPYTER_RUNTIME_DIR": "/proc/none",
    }  # fmt: skip
    for name, value in account.items():
        monkeypatch.setenv(name, value)
    cell = "import numpy, pandas, sys, warnings, persona_collapse\n"
    show = "print(sys.flags.optimize, sys.warnoptions, pandas.get_option('display.precision'), persona_collapse.__file__)"
    write(notebooks, "n", "study = 'mini'", cell + show)
    done = job(tmp_path, "n", study="x")
    execute(done)
    text = "".join(json.loads(done.output.read_text())["cells"][-1]["outputs"][0]["text"])
    assert text == f"0 [] 6 {run_notebooks.PACKAGE / '__init__.py'}\n"


@pytest.mark.parametrize("elsewhere", [True, False])
def test_kernels_start_however_long_the_name_of_the_temporary_folder(notebooks, tmp_path, monkeypatch, elsewhere):
    """A socket's path may have 107 bytes. Where /tmp cannot be written either, sockets are ports on loopback."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    if not elsewhere:
        monkeypatch.setattr(os, "access", lambda *given: False)
    assert (socket_folder() is None) != elsewhere
    write(notebooks, "n", "study = 'mini'", "1 + 1")
    done = job(tmp_path, "n", study="x")
    execute(done)
    assert done.fresh and not list(folder.iterdir())
