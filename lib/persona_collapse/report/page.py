"""What a page has gathered so far: headings with anchors, and tables and figures with numbers that text can refer to."""

import html
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from pygments.formatters import HtmlFormatter

from persona_collapse.exhibits import pictures
from persona_collapse.exhibits.theme import ESTIMATORS, family_choices
from persona_collapse.files import epoch
from persona_collapse.report.markdown import markdown, script_json
from persona_collapse.text import tamed

#: A table with more rows than this scrolls in its frame on screen, one with more columns than that is set smaller.
_LONG, _WIDE = 45, 6
#: One with more rows than this is closed until a reader opens it; on paper it is open.
_CLOSED = 16


@dataclass
class Page:
    """Figures, number of tables, contents list (level, text, anchor), and the anchor and name of what can be referred to.

    ``replies`` are the keys of the runs that `replies_page` beside the page has; none where there is no such page.
    """

    figures: list[dict[str, Any]] = field(default_factory=list)
    tables: int = 0
    contents: list[tuple[int, str, str]] = field(default_factory=list)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)
    replies: Sequence[str] = ()
    replies_page: str = "replies.html"

    def heading(self, level: int, title: str, anchor: str) -> str:
        """A heading under an anchor; levels 2 and 3 enter the contents list."""
        if level <= 3:
            self.contents.append((level, title, anchor))
        return f'<h{level} id="{anchor}">{html.escape(title)}</h{level}>'

    def section(self, title: str, anchor: str, make: Callable[[], str], *, lead: str = "") -> str:
        """A section that is closed until a reader opens it: its heading, what it is about, and links to its parts.

        `make` gives what is in it, and may number figures and tables; `lead` is plain text.
        """
        heading, start = self.heading(2, title, anchor), len(self.contents)
        body = make()
        parts = [f'<a href="#{name}">{html.escape(text)}</a>' for level, text, name in self.contents[start:] if level == 3]
        about = f'<span class="lead">{html.escape(lead)}</span>' if lead else ""
        inside = f'<p class="inside">{" · ".join(parts)}</p>' if parts else ""
        return f'<details class="section" name="section"><summary>{heading}{about}</summary>{body}</details>{inside}'

    def figure(self, spec: dict[str, Any], key: str = "") -> int:
        """Number of a new figure, which `links` finds by its key."""
        self.figures.append({"spec": spec})
        number = len(self.figures)
        self.places.setdefault(key, (f"figure-{number}", f"Figure {number}"))
        return number

    def table(self, table: str | pd.DataFrame, caption: str, *, key: str = "", wide: bool = False, words: bool = False) -> str:
        """A numbered table under its caption (plain text), in a frame that the keyboard can scroll, closed where it is long.

        `words`: cells are prose.
        """
        self.tables += 1
        name, anchor = f"Table {self.tables}", f"table-{self.tables}"
        self.places.setdefault(key, (anchor, name))
        text = as_html(table) if isinstance(table, pd.DataFrame) else with_scopes(table)
        frame, rows = framed(text, wide=wide, caption=f"{anchor}-caption"), text.count("<tr") - 1
        if rows > _CLOSED:
            frame = f'<details class="rows"><summary>{rows} rows</summary>{frame}</details>'
        return (
            f'<div class="tabled{" words" * words}" id="{anchor}"><p class="caption" id="{anchor}-caption"><b>{name}.</b> '
            f"{html.escape(caption)}</p>{frame}</div>"
        )

    def links(self, *keys: str) -> str:
        """Links to these figures and tables, as far as the page holds them, as Markdown."""
        found = dict.fromkeys(self.places[key] for key in keys if key in self.places)
        return ", ".join(f"[{name}](#{anchor})" for anchor, name in found)


def as_html(frame: pd.DataFrame) -> str:
    """A data frame as an HTML table; pandas escapes its cells."""
    text = frame.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:.4g}")
    return with_scopes(text)


def framed(table: str, *, wide: bool = False, caption: str = "") -> str:
    """A table in a frame that scrolls where it is long, and is set smaller where it is wide; a caption's id names the frame."""
    wide = wide or table.partition("</thead>")[0].count("<th") > _WIDE
    kind = " long" * (table.count("<tr") > _LONG) + " wide" * wide
    named = f' role="region" aria-labelledby="{caption}"' if caption else ""
    return f'<div class="table{kind}" tabindex="0"{named}>{table}</div>'


def only_table(text: str) -> str:
    """The table of pandas' HTML, whose cells it has escaped, without the style sheet that comes with it."""
    match = re.search(r"<table.*</table>", text, re.DOTALL)
    return match[0].replace('border="1" ', "") if match else html.escape(text)


def with_scopes(table: str) -> str:
    """pandas' table with one row of headings, each with its scope; a row without a heading is headed by its first cell."""
    head, mark, body = table.partition("</thead>")
    if not mark:
        return table
    rows = [re.findall(r"<th[^>]*>(.*?)</th>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", head, re.DOTALL)]
    if len(rows) == 2 and len(rows[0]) == len(rows[1]) and all(bool(a) != bool(b) or not a for a, b in zip(*rows, strict=True)):
        # The names of the index stand in a row of their own.
        rows = [[a or b for a, b in zip(*rows, strict=True)]]
    numbered = rows[0][:1] == [""] and re.findall(r"<tr[^>]*>\s*<th>(\d+)</th>", body) == [
        str(i) for i in range(body.count("<tr"))
    ]
    if numbered:  # an index that only counts says nothing
        rows = [row[1:] for row in rows]
        body = re.sub(r"(<tr[^>]*>)\s*<th>\d+</th>", r"\1", body)
    lines = ["".join(f'<th scope="col">{cell}</th>' for cell in row) for row in rows]
    body = re.sub(r"<th( rowspan=\"\d+\")[^>]*>", r'<th scope="rowgroup"\1>', body)
    body = body.replace("<th>", '<th scope="row">')
    if "<th" not in body:
        body = re.sub(r"(<tr[^>]*>\s*)<td>(.*?)</td>", r'\1<th scope="row">\2</th>', body, flags=re.DOTALL)
    start = head[: head.index("<thead")].replace(' class="dataframe"', "")
    return f"{start}<thead>{''.join(f'<tr>{line}</tr>' for line in lines)}</thead>{body}"


def assemble(
    page: Page, sections: list[str], *, title: str, kind: str, simulated: str, measured: str, made: dict[str, Any],
    families: Sequence[str] = (), answer: str = "", like: str = "",
) -> str:  # fmt: skip
    """A whole page around its sections and the `answer`, which are HTML; `measured` is Markdown, all else plain text, escaped.

    `simulated` says whose ratings are, as the banner begins, empty for none, and `like` how they were made where they are not
    like the paper's. `made` is provenance: version and commit. Figures can be switched between `families` where there
    are several.
    """
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    figures = script_json([figure["spec"] for figure in page.figures])
    text = environment.get_template("page.html").render(
        title=title,
        kind=kind,
        simulated=simulated,
        like=like,
        measured=Markup(markdown(measured)),
        answer=Markup(answer),
        code=any('class="source"' in part for part in sections),
        contents=page.contents,
        sections=[Markup(part) for part in sections],
        made=made,
        today=datetime.fromtimestamp(epoch(int(time.time())), UTC).date().isoformat(),
        figures=Markup(figures),
        dark_figures=Markup(pictures.rules(figures, "figure .drawn svg ")),
        estimators=ESTIMATORS,
        families=family_choices(families) if len(families) > 1 else [],
        vega=Markup(_vega_bundle() if page.figures else ""),
        script=Markup(files(__package__).joinpath("page.js").read_text(encoding="utf-8")),
        style=Markup(files(__package__).joinpath("page.css").read_text(encoding="utf-8")),
        code_style=Markup(HtmlFormatter(style="default").get_style_defs(".code")),  # type: ignore[no-untyped-call]
    )
    return tamed(text)


@lru_cache
def _vega_bundle() -> str:
    import vl_convert

    # Its types ask for a snippet, which it can do without.
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    if "</script" in bundle.lower():
        raise ValueError("the Vega bundle contains a closing script tag; it cannot be inlined")
    return bundle
