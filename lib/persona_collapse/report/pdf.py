"""The appendix as PDF, printed by a headless Chromium where one is installed."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from persona_collapse.machine import socket_folder
from persona_collapse.paths import shown

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
#: Links to the page beside it, which would name the copy's folder in the PDF.
_BESIDE = re.compile(r' href="replies\.html[^"]*"')
#: Seconds after which a browser that does not answer is given up.
_PATIENCE = 180


def chromium() -> str:
    """Path of an installed Chromium or Chrome; a FileNotFoundError says how to get one."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(
        f"Chromium is not installed (looked for {', '.join(_NAMES)}); install it (Debian: apt install chromium), "
        "or print report.html from any browser"
    )


def print_pdf(page: Path) -> Path:
    """Print an appendix to a PDF of the same name beside it; RuntimeError where the browser fails. Its scripts do not run."""
    target = page.with_suffix(".pdf")
    part = page.with_name(f".{target.name}.{os.getpid()}.part")
    with tempfile.TemporaryDirectory() as profile:
        # Static pictures are what is printed, so a copy without script will do, and is done sooner.
        copy = Path(profile, "report.html")
        text = _BESIDE.sub("", _SCRIPT.sub("", page.read_text(encoding="utf-8")))
        copy.write_text(text, encoding="utf-8")
        command = [
            chromium(), "--headless", "--disable-gpu", "--no-pdf-header-footer",
            f"--user-data-dir={profile}", f"--print-to-pdf={part}",
            # Chromium refuses to start its sandbox as root, as in a container; the page runs no script here.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            copy.as_uri(),
        ]  # fmt: skip
        try:
            # It puts a socket into the folder for temporary files, and ends where its path is too long.
            own = os.environ | ({"TMPDIR": folder} if (folder := socket_folder()) else {})
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, env=own)
            if done.returncode or not part.is_file():
                said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise RuntimeError(f"{shown(page)}: {command[0]} could not print it ({said}); print it from any browser")
            os.replace(part, target)
        except subprocess.TimeoutExpired:
            raise RuntimeError(
                f"{shown(page)}: {command[0]} did not print it in {_PATIENCE} s; print it from any browser"
            ) from None
        finally:
            part.unlink(missing_ok=True)
    return target
