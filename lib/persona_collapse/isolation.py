"""Processes of our own, away from what a user's account sets for other Python work."""

import os
import sys
from collections.abc import Mapping

from persona_collapse.paths import PACKAGE

#: Variables of Python's that change no result: how it writes texts and compiled files.
_KEPT = ("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a process of ours, with `more` in it.

    Of the variables PYTHON* only harmless ones stay: another library's folder, warnings as errors, stripped docstrings or a
    startup file are meant for other work. This library is found where it lies, and neither the user's own packages nor the
    working directory stand before those of the virtual environment.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name in _KEPT}
    own = {"PYTHONPATH": str(PACKAGE.parent), "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}
    return kept | own | dict(more or {})


def restart() -> None:
    """Begin the present command anew in that environment; returns if it is in it already."""
    own = environment()
    if own != dict(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", "persona_collapse", *sys.argv[1:]], own)
