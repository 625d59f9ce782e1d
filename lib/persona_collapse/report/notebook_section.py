"""An executed notebook as a section of a page: prose, findings, figures three ways, tables, code where it is asked for."""

import base64
import html
import json
import re
from collections.abc import Set
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from persona_collapse.exhibits import pictures, theme
from persona_collapse.exhibits.exhibit import MARK, exhibit_id
from persona_collapse.report.markdown import markdown, plain
from persona_collapse.report.page import Page, as_html, framed, only_table

#: A figure with more numbers than this is not also printed as a table; they are in tables/.
_MOST_ROWS = 400
#: Figures of which the second and further ones are closed until a reader opens them.
_LONG = exhibit_id("figure", "specification_curve")
#: Letters of a finding that alternative text takes up.
_MOST_SAID = 500
#: Findings that the head of a page says already.
_AT_THE_HEAD = {exhibit_id("finding", name) for name in ("study", "answer", "pair", "shared", "agreement", "counted")}
#: Tags of cells that are for JupyterLab alone.
_FOR_JUPYTER = {"parameters", "injected-parameters", "nbval-ignore-output", "no-report"}


def notebook(
    page: Page, path: Path, left: Set[str] = frozenset(), *, headed: tuple[str, str] | None = None
) -> str:  # fmt: skip
    """An executed notebook as a section: prose, findings, figures and tables, code; cells with tags `left` left out.

    The first line of its first cell is the heading, the last paragraph of that cell the question that it answers, unless both
    are given; what lies between says what the notebook reads and writes, and is for JupyterLab.
    """
    first, *cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    title, *more = "".join(first["source"]).split("\n\n")
    title, lead = headed or (title, more[-1] if more else "")

    def made() -> str:
        inside = _cells(page, path.stem, cells, left)
        return f'<div class="notebook" data-notebook="{html.escape(path.stem)}">{inside}</div>'

    return page.section(title.removeprefix("# "), f"{path.stem}-{len(page.contents)}", made, lead=plain(lead))


def _cells(page: Page, stem: str, cells: list[dict[str, Any]], left: Set[str]) -> str:
    parts = []
    for place, cell in enumerate(cells):
        tags = cell["metadata"].get("tags", [])
        source = "".join(cell["source"])
        # Parameters, versions and links between notebooks are for JupyterLab.
        if (_FOR_JUPYTER | left) & set(tags) or source.startswith("Saved: "):
            continue
        if cell["cell_type"] == "markdown":
            parts.append(_headed(page, stem, markdown(source)))
        elif cell["cell_type"] == "code" and cell["outputs"]:
            shown = [output for output in cell["outputs"] if _about(output).get("id") not in _AT_THE_HEAD]
            parts += [_output(page, output, _finding_after(cells, place)) for output in shown]
            parts.append(f'<div class="source">{_code(source)}</div>')
    return "\n".join(parts)


def _about(output: dict[str, Any]) -> dict[str, Any]:
    """What the exhibit in an output says of itself; nothing where it is none."""
    spec = output.get("data", {}).get(theme.MIME)
    return spec.get("usermeta", {}) if spec else output.get("metadata", {}).get(MARK, {})


def _finding_after(cells: list[dict[str, Any]], place: int) -> str:
    """The computed sentence below a figure, before the next prose, as plain text: what is to be seen in it."""
    for cell in cells[place + 1 :]:
        if cell["cell_type"] != "code":
            break
        for output in cell["outputs"]:
            if text := "".join(output.get("data", {}).get("text/markdown", "")):
                said = plain(text)
                return said if len(said) <= _MOST_SAID else said[:_MOST_SAID].rpartition(" ")[0] + " …"
    return ""


def _headed(page: Page, stem: str, text: str) -> str:
    """Headings one level down, under an anchor, and in the contents list."""

    def replace(match: re.Match[str]) -> str:
        level, inner = min(6, int(match[1]) + 1), match[2]
        anchor = f"{stem}-{len(page.contents)}"
        if level <= 3:
            page.contents.append((level, html.unescape(re.sub(r"<[^>]+>", "", inner)), anchor))
        return f'<h{level} id="{anchor}">{inner}</h{level}>'

    return re.sub(r"<h([1-6])>(.*?)</h\1>", replace, text, flags=re.DOTALL)


def _output(page: Page, output: dict[str, Any], finding: str) -> str:
    if output.get("name") == "stderr":
        return ""  # what a library warns of is not the reader's, and names the machine's folders
    if output["output_type"] == "stream":
        return f'<pre class="stream">{html.escape("".join(output["text"]))}</pre>'
    data = output.get("data", {})
    if theme.MIME in data:
        return _figure(page, data[theme.MIME], finding)
    if "text/markdown" in data:
        key = str(_about(output).get("id", ""))
        if key in page.places:
            return ""  # it stands on the page already
        if key:
            page.places[key] = key, "finding"
        anchor = f' id="{html.escape(key)}"' * bool(key)
        return f'<div class="finding"{anchor}>{markdown("".join(data["text/markdown"]))}</div>'
    if "text/html" in data:
        about, heading = _about(output), page.contents[-1][1] if page.contents else ""
        caption = about.get("caption") or (f"{heading}: the numbers." if heading else "Numbers.")
        return page.table(only_table("".join(data["text/html"])), caption, key=about.get("id", ""))
    return f'<pre class="stream">{html.escape("".join(data.get("text/plain", "")))}</pre>'


def _code(source: str) -> str:
    return highlight(source, PythonLexer(), HtmlFormatter(cssclass="code"))


def _figure(page: Page, spec: dict[str, Any], finding: str) -> str:
    """A figure three ways: drawn by script, as a static picture, and as a table of its numbers."""
    # The bundle's own version draws it; the older one named in notebooks is for JupyterLab.
    spec = {key: value for key, value in spec.items() if key != "$schema"}
    number = page.figure(spec, spec.get("usermeta", {}).get("id", ""))
    shown = spec.get("description", "")
    alternative = html.escape(f"{shown} {finding}".strip(), quote=True)
    caption = _captioned(spec)
    label = html.escape(shown, quote=True)
    picture = base64.b64encode(static_picture(json.dumps(_whole(spec))).encode()).decode()
    drawn = (
        f'<figure id="figure-{number}"><div class="card"><div class="drawn" role="group" aria-label="{label}"></div>'
        f'<img class="static" alt="{alternative}" src="data:image/svg+xml;base64,{picture}"></div>'
        f"<figcaption><b>Figure {number}.</b> {caption}</figcaption>{_numbers(spec)}{_replies(page, spec)}</figure>"
    )
    if not _again(page, spec):
        return drawn
    return f'<details class="rows"><summary>Figure {number}. {html.escape(_title(spec))}</summary>{drawn}</details>'


def _whole(spec: dict[str, Any]) -> dict[str, Any]:
    """A figure as it is printed: of all families, where a list would show one at a time."""
    params = [one | {"value": theme.EVERY} if one.get("name") == "family" else one for one in spec.get("params", [])]
    return spec | {"params": params} if params else spec


def _replies(page: Page, spec: dict[str, Any]) -> str:
    """The way from the map of every cell to the replies of one: the link follows the list of runs and a click on a cell."""
    if not page.replies or spec.get("usermeta", {}).get("id") != exhibit_id("figure", "cell_maps"):
        return ""
    runs = html.escape(" ".join(page.replies), quote=True)
    return (
        f'<p class="numbers"><a class="replies" data-runs="{runs}" href="{page.replies_page}">All replies</a>'
        '<span class="using" hidden>; a click on a cell makes this link lead to the replies of that cell</span>.</p>'
    )


def _again(page: Page, spec: dict[str, Any]) -> bool:
    """Whether a figure is of a kind that is long, and one of its kind stands on the page already."""
    kinds = [figure["spec"].get("usermeta", {}).get("id", "").startswith(_LONG) for figure in page.figures]
    return spec.get("usermeta", {}).get("id", "").startswith(_LONG) and sum(kinds) > 1


def _title(spec: dict[str, Any]) -> str:
    title = spec.get("title", {})
    return str(title.get("text", "") if isinstance(title, dict) else title)


def _captioned(spec: dict[str, Any]) -> str:
    """A caption that stands alone, the title first; then what can be done where script draws, and what a picture shows."""
    title, about = _title(spec), spec.get("usermeta", {})
    parts = [html.escape(part) for part in (f"{title}." if title else "", about.get("caption", "")) if part]
    parts += [f'<span class="{kind}">{html.escape(about[kind])}</span>' for kind in ("using", "still") if about.get(kind)]
    return " ".join(parts)


def _numbers(spec: dict[str, Any]) -> str:
    """The numbers of a figure as tables: its largest data set, unless it is too long to be read."""
    if spec.get("usermeta", {}).get("cells"):
        return (
            "<p class='numbers'>Made of every rating: they are in ratings.sqlite; <code>make export</code> writes them out.</p>"
        )
    tables = sorted(spec.get("datasets", {}).values(), key=len)
    if not tables or not tables[-1]:
        return ""
    if len(tables[-1]) > _MOST_ROWS:
        return f"<p class='numbers'>{len(tables[-1]):,} numbers; they are in the study's tables/ folder.</p>"
    frame = pd.DataFrame(tables[-1])
    return f"<details class='numbers'><summary>numbers</summary>{framed(as_html(frame))}</details>"


@lru_cache(maxsize=256)
def static_picture(spec: str) -> str:
    """A figure as SVG, light or dark as its reader's screen."""
    return pictures.both_ways(pictures.svg(spec))
