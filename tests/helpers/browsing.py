"""Pages in headless Chromium with the network off, and what they do there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from persona_collapse.report.markdown import script_json
from persona_collapse.report.page import _vega_bundle

#: Debian's Chromium; tests look for no other, and download none.
CHROMIUM = shutil.which("chromium")


@dataclass
class Seen:
    """What a page said and asked for beside its own file."""

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator:
    """Chromium for as many pages as one likes; skips where there is none, but never in CI."""
    if not os.environ.get("CI"):
        pytest.importorskip(
            "playwright", reason="playwright is not installed: pip install -r requirements-browser.txt -c requirements.lock"
        )
        if CHROMIUM is None:
            pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    assert CHROMIUM, "chromium is not installed, which .ci/run does"
    from playwright.sync_api import sync_playwright

    # Root, as which containers run, has no sandbox; the pages are our own and offline.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield found
        found.close()


def chart_page(folder: Path, *specs: dict) -> Path:
    """Figures on a page of their own, drawn as a notebook's viewer draws them."""
    figures = "".join(f'<figure id="figure-{number}"><div class="drawn"></div></figure>' for number in range(1, len(specs) + 1))
    script = (
        "JSON.parse(document.getElementById('figures').textContent).forEach((spec, i) => { "
        "const figure = document.getElementById(`figure-${i + 1}`); delete spec.$schema; "
        "vegaEmbed(figure.querySelector('.drawn'), spec, {renderer: 'svg'}).then(() => figure.classList.add('live')); });"
    )
    path = folder / "charts.html"
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><title>charts</title>{figures}<script>{_vega_bundle()}</script>'
        f'<script id="figures" type="application/json">{script_json(specs)}</script><script>{script}</script>',
        encoding="utf-8",
    )
    return path


@contextmanager
def opened(found, path: Path, *, width: int = 1280, script: bool = True, closed: bool = False) -> Iterator[tuple]:
    """A page from disk with the network off: (page, what it did). All its sections are open and drawn, unless `closed`."""
    context = found.new_context(
        viewport={"width": width, "height": 900}, java_script_enabled=script, offline=True, reduced_motion="reduce"
    )
    page, seen = context.new_page(), Seen()
    page.on("console", lambda message: seen.console.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.console.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (seen.console.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    context.on("request", lambda request: seen.requests.append(request.url))
    page.goto(path.as_uri())
    if script and not closed:
        # As a script, so that the keyboard still begins at the top.
        page.evaluate("document.getElementById('open-all')?.click()")
        page.wait_for_function("[...document.querySelectorAll('figure')].every(f => f.classList.contains('live'))")
    yield page, seen
    context.close()
