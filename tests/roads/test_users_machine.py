"""What a user's machine and account bring along: text in variables, settings of Python, limits, file systems."""

import errno
import os
import resource
import shutil
import subprocess
import sys

import pytest

from persona_collapse import machine
from persona_collapse.files import epoch
from persona_collapse.paths import ROOT
from persona_collapse.store.store import open_store

#: A stand-in for an interpreter: says what it was given, a line each, and makes another one where a venv is asked for.
STAND_IN = """\
#!/bin/sh
[ "$1" = -c ] && exit 0
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; exit; fi
for given; do printf "<%s>\\n" "$given"; done
env | grep -E "^(PIP_USER|PYTHONHOME|PYTHONOPTIMIZE|PYTHONPATH)="
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile and a stand-in for the environment it would build."""
    folder = tmp_path / "checkout"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.txt", "requirements.lock", "pyproject.toml", ".venv/ready"):
        (folder / name).touch()
    for path in (folder / ".venv" / "bin" / "python", tmp_path / "python3.x"):
        path.write_text(STAND_IN)
        path.chmod(0o755)
    return folder


def make(folder, *arguments, **variables):
    """Status, output and errors of a make that knows nothing of one around it, as in `make test`."""
    outer = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    found = subprocess.run(["make", *arguments], capture_output=True, text=True, cwd=folder, env=outer | variables, check=False)
    return found.returncode, found.stdout, found.stderr


def given(said):
    """What the stand-in was given."""
    return [line[1:-1] for line in said.splitlines() if line.startswith("<")]


TEXTS = [
    "o'brien/x.yaml", "a b/x.yaml", 'a "b".yaml', "ä ö/ü.yaml", "$HOME/x.yaml", "a$b.yaml", "`touch hit`", "$(touch hit)",
    "$(shell touch hit)", "'; touch hit; '", "a\\b", "*", "#x", "-x", "%.yaml",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_what_a_variable_holds_arrives_as_it_is_and_is_never_run(checkout, text):
    for arguments, variables in (([f"STUDY={text}"], {}), ([], {"STUDY": text})):
        status, said, error = make(checkout, "report", *arguments, **variables)
        assert (status, error) == (0, "")
        assert given(said) == ["-m", "persona_collapse", "report", f"--study={text}"]
    assert not (checkout / "hit").exists()


def test_a_line_break_in_a_variable_begins_no_command(checkout):
    status, said, _ = make(checkout, "report", STUDY="x\ntouch hit #")
    assert status == 0 and "<--study=x\ntouch hit #>" in said and not (checkout / "hit").exists()


def test_every_variable_arrives_at_its_command(checkout):
    commands = {
        "export": ({"STUDY": "a", "DATA": "d d", "REPLIES": "0", "RATINGS": "no", "TITLES": "", "LICENCE": "CC BY"},
                   ["export", "--study=a", "--data=d d", "--replies=0", "--ratings=no", "--titles=", "--licence=CC BY"]),
        "batch": ({"CANCEL": "0", "BY_HAND": "1"}, ["batch", "--by-hand=1", "--cancel=0"]),
        "elicit": ({"ANYWAY": "1"}, ["elicit", "--anyway=1"]),
        "plan": ({"TARGET": "3 %"}, ["plan", "--target=3 %"]),
        "compare": ({"STUDIES": "a 'b c'"}, ["compare", "--studies=a 'b c'"]),
        "registry": ({"STUDIES": "a 'b c'"}, ["registry", "--studies=a 'b c'"]),
        "serve": ({"OPTIONS": "--latency 0.05; touch hit"}, ["serve", "--port=8000", "--latency", "0.05;", "touch", "hit"]),
        "report": ({}, ["report"]),
    }  # fmt: skip
    for command, (variables, expected) in commands.items():
        assert given(make(checkout, command, *(f"{name}={text}" for name, text in variables.items()))[1])[2:] == expected
    assert given(make(checkout, "plan")[1])[2:] == ["plan", "--target=5"]
    assert given(make(checkout, "export")[1])[2:] == ["export", "--titles=1"]
    assert not (checkout / "hit").exists()


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("reprot", "there is no command reprot; did you mean make report"),
        ("estimat", "there is no command estimat; did you mean make estimate"),
        ("xyzzy", "there is no command xyzzy; `make help` lists them"),
        ("$(shell touch hit)", "there is no command $(shell; `make help` lists them"),
        ("it's", "there is no command it's; `make help` lists them"),
    ],
)
def test_a_mistyped_command_gets_the_nearest(checkout, goal, said):
    (checkout / ".venv" / "bin" / "python").unlink()  # it needs none
    status, _, error = make(checkout, goal)
    assert status == 2 and said in error and not (checkout / "hit").exists()


def test_settings_of_pip_and_python_stay_outside_and_pip_says_nothing_but_errors(checkout, tmp_path):
    (checkout / ".venv" / "ready").unlink()
    account = {"PIP_USER": "1", "PYTHONHOME": "/nowhere", "PYTHONOPTIMIZE": "2", "PYTHONPATH": "/of/another/work"}
    status, said, error = make(checkout, ".venv/ready", f"PYTHON={tmp_path / 'python3.x'}", **account)
    assert (status, error) == (0, "")
    assert given(said)[1:6] == ["pip", "install", "--quiet", "--quiet", "--no-user"]
    assert [line for line in said.splitlines() if line.startswith("P")] == [f"PYTHONPATH={checkout}/lib"]


@pytest.mark.parametrize("by", ["argument", "environment"])
@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ('[ "$1" = --version ] && echo Python 3.10.4; exit 11', "Python 3.10.4 is too old: install Python 3.14"),
        ('echo "pyenv: python3.13: command not found" >&2; echo more >&2; exit 127',
         "does not run (pyenv: python3.13: command not found): install Python 3.14"),
        ("[ $1 = -c ] && exit; echo Error: No module named venv; exit 1", "the venv module of "),
        ("[ $1 = -c ] && exit; echo 'Error: [Errno 28] No space left on device'; exit 1",
         ".venv cannot be made: Error: [Errno 28] No space left on device"),
    ],
    ids=["too old", "shim", "no venv", "full disk"],
)  # fmt: skip
def test_an_interpreter_that_will_not_do_is_told_for_what_it_is(checkout, tmp_path, answers, said, by):
    (checkout / ".venv" / "ready").unlink()
    python = tmp_path / "a python"  # a blank in its path is no matter
    python.write_text(f"#!/bin/sh\n{answers}\n")
    python.chmod(0o755)
    arguments, variables = ([f"PYTHON={python}"], {}) if by == "argument" else ([], {"PYTHON": str(python)})
    status, _, error = make(checkout, ".venv/ready", *arguments, **variables)
    assert status == 2 and said in error.splitlines()[0]


def hostile(tmp_path):
    """An account whose settings of Python are for other work: a foreign numpy, warnings as errors, no docstrings."""
    foreign = tmp_path / "foreign"
    for name in ("numpy", "pydantic", "openai"):
        (foreign / name).mkdir(parents=True)
        (foreign / name / "__init__.py").write_text("raise ImportError('of another work')")
    (foreign / "startup.py").write_text("raise SystemExit('a startup file')")
    return {
        "PYTHONPATH": f"{foreign}{os.pathsep}{ROOT / 'lib'}", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2",
        "PYTHONSTARTUP": str(foreign / "startup.py"),
    }  # fmt: skip


def command(*arguments, cwd=ROOT, before="", **variables):
    line = f'{before} exec "$@"'
    return subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-m", "persona_collapse", *arguments],
        capture_output=True, text=True, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT / "lib")} | variables, check=False,
    )  # fmt: skip


def test_a_command_runs_whatever_the_account_sets_for_other_work(tmp_path):
    """From a folder with a foreign numpy, too: `estimate` needs pandas."""
    made = command("estimate", cwd=tmp_path / "foreign" if (account := hostile(tmp_path)) else None, **account)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines()[0].startswith("run ")


def test_a_limit_on_addresses_is_one_line_before_anything_is_made():
    """Drawing would end the whole process. A limit that may be raised, and one that may not."""
    for before, remedy in (
        ("ulimit -S -v 12000000;", "run `ulimit -v unlimited` and the same command again\n"),
        ("ulimit -v 12000000;", "run it from a shell or a job without this limit\n"),
    ):
        made = command("compare", before=before)
        assert made.returncode == 1
        assert made.stderr.startswith("error: ulimit -v: a process has 12 GB of addresses at most here, and ")
        assert made.stderr.endswith(remedy) and made.stderr.count("\n") == 1


def test_enough_addresses_are_no_matter(monkeypatch):
    for limit in (resource.RLIM_INFINITY, 70 * 10**9):
        monkeypatch.setattr(resource, "getrlimit", lambda what, limit=limit: (limit, limit))
        machine.check_addresses()
    monkeypatch.setattr(resource, "getrlimit", lambda what: (70 * 10**9 - 1,) * 2)
    with pytest.raises(RuntimeError, match="reserves 70 GB"):
        machine.check_addresses()


@pytest.mark.parametrize("call", ["lockf", "flock"])
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_for_what_it_is(monkeypatch, tmp_path, call, number):
    """It once was `another process is writing to it`, after half a minute."""

    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"persona_collapse.machine.fcntl.{call}", refuse)
    with pytest.raises(OSError) as caught, open_store(tmp_path / "ratings.sqlite", write=True):
        pass
    assert str(caught.value) == (
        f"{tmp_path}: its file system gives no locks ({os.strerror(number).lower()}), as happens on NFS and Lustre, and ratings "
        "need one; put the project on a local disk, or have this one mounted with locks (Lustre: flock)"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["²", "-1", "1e9", "yesterday", "4354819199", "99999999999"])
def test_an_epoch_that_is_none_is_named(monkeypatch, text):
    """A zip dates nothing after 2107-12-31T23:59:58Z, 4,354,819,198 seconds after 1970."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(ValueError, match=f"^SOURCE_DATE_EPOCH: '{text}'; expected seconds since 1970"):
        epoch()


@pytest.mark.parametrize(("text", "found"), [("", 7), (" ", 7), ("0", 0), ("4354819198", 4354819198)])
def test_an_epoch_is_what_it_says(monkeypatch, text, found):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    assert epoch(7) == found


def test_a_reader_that_is_gone_is_told_for_what_it_is():
    reader, writer = os.pipe()
    os.close(reader)
    made = subprocess.run(
        [sys.executable, "-m", "persona_collapse", "estimate"], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "lib")},
    )  # fmt: skip
    os.close(writer)
    assert (made.returncode, made.stderr) == (
        1, "error: nobody reads the output any more; what was done is kept, and the same command goes on\n"
    )  # fmt: skip
