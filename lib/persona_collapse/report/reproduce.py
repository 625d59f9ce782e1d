"""Executing a study's executed notebooks again: every output must be the same."""

import subprocess
import sys
from tempfile import TemporaryDirectory

from persona_collapse import isolation
from persona_collapse.paths import ROOT, shown
from persona_collapse.study.study import Study


def reproduce(study: Study) -> int:
    """Execute what `make report` executed, from stored ratings; returns how many notebooks reproduce.

    Raises ValueError if an output differs, FileNotFoundError if there are no executed notebooks.
    """
    found = (study.outputs / "notebooks").rglob("*.ipynb")
    notebooks = sorted(p for p in found if not p.name.startswith(".") and not p.name.endswith(".failed.ipynb"))
    if not notebooks:
        raise FileNotFoundError(f"{shown(study.outputs)}: no executed notebooks; run `make report STUDY={study.name}` first")
    command = [
        sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=900",
        "-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={study.outputs}", "--tb=short", "--no-header",
    ]  # fmt: skip
    halves = [h for h in (notebooks[::2], notebooks[1::2]) if h]
    with TemporaryDirectory() as folder:
        own = isolation.environment({"IPYTHONDIR": folder})
        running = [subprocess.Popen([*command, *map(str, half)], cwd=ROOT, env=own) for half in halves]
        codes = [process.wait() for process in running]
    if any(codes):
        raise ValueError(
            f"{shown(study.outputs)}: an output does not reproduce (see above); if that is meant, make the report again"
        )
    return len(notebooks)
