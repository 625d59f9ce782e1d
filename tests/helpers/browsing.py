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
#: Ratio of the luminances of every text and what lies under it, after WCAG 2.1; texts of no size and in closed parts are left out.
CONTRAST = """() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n.length > 3 ? n[3] : 1]; };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { if (!e) return [255, 255, 255];
    const own = parse(getComputedStyle(e).backgroundColor); return own[3] === 1 ? own.slice(0, 3) : over(own, ground(e.parentElement)); };
  const opacity = e => e ? Number(getComputedStyle(e).opacity) * opacity(e.parentElement) : 1;
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walker.nextNode();) {
    const e = node.parentElement, style = getComputedStyle(e);
    if (!node.textContent.trim() || !e.getClientRects().length || style.visibility === "hidden" || e.closest("script, style, svg")) continue;
    const under = ground(e), color = parse(style.color); color[3] *= opacity(e);
    const [a, b] = [light(over(color, under)), light(under)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return [...new Set(found)];
}"""
#: Places of the elements that the Tab key should reach: links, controls, closed parts, frames that scroll. Of a group of radio
#: buttons the pressed one is.
FOCUSABLE = """() => {
  const every = [...document.querySelectorAll("*")];
  return [...document.querySelectorAll("a[href], select, input, button, summary, [tabindex='0']")]
    .filter(e => e.checkVisibility() && (e.type !== "radio" || e.checked)).map(e => every.indexOf(e));
}"""
#: The element that has the focus: its place among all, what it is, and whether its outline shows it; null for none.
WHERE = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), what = `${e.tagName}.${e.className}#${e.id} ${e.textContent.trim().slice(0, 30)}`;
  return {place: [...document.querySelectorAll("*")].indexOf(e), what, outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0};
}"""
#: Elements that reach over the right edge though nothing around them scrolls.
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
#: The middle of the mark of one cell, in pixels of the window.
CELL = """([persona, item]) => {
  const path = [...document.querySelectorAll(".mark-rect path")].find(p => {
    const datum = p.__data__ && p.__data__.datum; return datum && datum.Persona === persona && datum.Item === item; });
  path.scrollIntoView({block: "center"});
  const box = path.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""


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


def not_reached(page) -> tuple[list[str], list[int]]:
    """What the Tab key reaches without an outline, and the places of what it should reach and does not, from the top on."""
    seen, reached, bare = page.evaluate(FOCUSABLE), set(), []
    for _ in range(len(seen) + 20):
        page.keyboard.press("Tab")
        where = page.evaluate(WHERE)
        if where is None:
            break
        reached.add(where["place"])
        if not where["outlined"]:
            bare.append(where["what"])
    return bare, sorted(set(seen) - reached)
