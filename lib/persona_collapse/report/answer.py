"""The answer, at the head of a study's page: each variant in a sentence, and the verdict on all of them as a table."""

import html
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.exhibits.change_sentences import moved, whole
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.exhibits.verdict_sentences import MEANS
from persona_collapse.report.markdown import markdown
from persona_collapse.report.page import Page, framed
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables
from persona_collapse.text import safe

#: Length and height of the bar of an interval, in pixels.
_LONG, _HIGH = 76, 10


class _Column(NamedTuple):
    """A column of intervals: its heading, and value, lower and upper end of each row; NaN where there is none."""

    heading: str
    rows: Sequence[tuple[float, float, float]]
    marks: Sequence[float] = ()  #: where another value is marked in each row, such as the style share of an unchanged base
    digits: str = ""  #: how values are written; whole numbers without


def answer(page: Page, tables: Tables) -> str:
    """Sentences and table as HTML; nothing for a study without variants. Links lead to figures that `page` knows."""
    verdict = _ordered(tables.study, tables.verdict)
    if verdict.empty:
        return ""
    said = "\n".join(f"- {line}{_link(page, *see)}" for line, see in _sentences(tables))
    return f'<div class="answer">{markdown(said)}{_table(tables, verdict, page.replies)}</div>'


def _ordered(study: Study, verdict: pd.DataFrame) -> pd.DataFrame:
    """Harmful variants first, then the others, each in the study's order."""
    harmful = [study.run(r.family, r.variant).variant.role == "harmful" for r in verdict.itertuples()]
    return verdict.assign(other=~np.array(harmful, dtype=bool)).sort_values("other", kind="stable")


def _sentences(tables: Tables) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What each variant comes to, and where that is shown; then the answers without a persona."""
    at = {(row.kind, row.variant): row for row in tables.headlines.itertuples()}
    roles = [(run.variant.role, run.variant.key) for run in tables.study.runs if not run.variant.of]
    variants = [key for role, key in dict.fromkeys(sorted(roles, key=lambda one: one[0] != "harmful")) if role in _ROLES]
    for variant in dict.fromkeys(variants):
        own = tables.verdict[tables.verdict["variant"] == variant]["verdict"]
        if own.empty:
            continue
        number = own.value_counts()  # the commonest first
        called = ", ".join(f"{name.replace(': ', ', ')} in {n}" for name, n in number.items())
        called = f"{called} of {len(own)} families" if len(own) > 1 else str(own.iloc[0]).replace(": ", ", ")
        changes = [
            f"{what} {moved(row)}"
            for kind, what in (("susceptibility", "S"), ("noise", "noise"))
            if (row := at.get((kind, variant))) is not None and np.isfinite(row.lo)
        ]
        mean = ", on average" if len(own) > 1 else ""
        yield (
            f"**{safe(variant)}: {called}**." + (f" {'; '.join(changes)}{mean}." if changes else ""),
            (exhibit_id("table", "verdict"), exhibit_id("figure", "collapse_map")),
        )
    nearer = [(variant, rows) for variant, rows in tables.drift.groupby("variant", sort=False) if variant in variants]
    if nearer:
        nearer.sort(key=lambda one: variants.index(one[0]))
        yield f"**Without a persona**, {_nearer(nearer)}.", (exhibit_id("figure", "self_profiles"),)


def _nearer(each: Sequence[tuple[Any, pd.DataFrame]]) -> str:
    """Under which variants answers are clearly nearer to the ceiling, counted where there are several families."""
    found = [(safe(str(name)), int((rows["hi"] < 0).sum()), len(rows)) for name, rows in each]
    if max(of for *_, of in found) > 1:
        counted = [f"{number} of {of}{' families' * (not place)} under {name}" for place, (name, number, of) in enumerate(found)]
        return f"answers are clearly nearer to the ceiling than the base's in {' and '.join(counted)}"
    yes, no = ([name for name, number, _ in found if bool(number) == told] for told in (True, False))
    what = "answers are clearly nearer to the ceiling than the base's under "
    if not yes:
        return f"no answers are clearly nearer to the ceiling than the base's (under {' and '.join(no)})"
    return what + " and ".join(yes) + (f", not under {' and '.join(no)}" if no else "")


_ROLES = ("harmful", "control")


def _link(page: Page, *keys: str) -> str:
    found = [page.places[key] for key in keys if key in page.places]
    return "".join(f" [{name}](#{anchor})" for anchor, name in found[:1])


def _table(tables: Tables, verdict: pd.DataFrame, replies: Sequence[str]) -> str:
    rows, study = list(verdict.itertuples()), tables.study
    columns = list(_columns(tables, rows))
    heads = ["", "personas told apart", *(column.heading for column in columns), "verdict"]
    body = []
    for place, row in enumerate(rows):
        run = study.run(row.family, row.variant)
        cells = "".join(f"<td>{_cell(column, place)}</td>" for column in columns)
        who, name = html.escape(run.name), html.escape(str(row.verdict).replace(": ", ", "))
        if run.key in replies:
            who = f'<a href="replies.html#run={run.key}">{who}</a>'
        means = html.escape(MEANS[str(row.verdict)], quote=True)
        body.append(
            f'<tr{" class=other" * bool(row.other)}><th scope="row">{who}</th>'
            f"<td>{html.escape(_PRESENT.get(str(row.presence), str(row.presence)))}</td>{cells}"
            f'<td class="verdict"><abbr title="{means}">{name}</abbr></td></tr>'
        )
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in heads)
    table = f'<table id="verdict"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    said = html.escape(_CAPTION + " The name of a run leads to all of its replies." * bool(replies))
    return f'{framed(table)}<p class="kind">{said}</p>'


#: A verdict of presence.csv under the heading "personas told apart"; the others say themselves.
_PRESENT = {"told apart": "yes"}
_CAPTION = (
    "Changes against the base in percent, beyond the matched control in points of the base; the line in each bar is no change. "
    "95 % intervals for other personas like these; without a persona, for the same requests again. Style share: what a monotone "
    "recoding of the base's answers explains, of what it explains of an unchanged base."
)


def _columns(tables: Tables, rows: Sequence[Any]) -> Iterator[_Column]:
    """The columns that have a value in some row."""
    drift = {(r.family, r.variant): (r.value, r.lo, r.hi) for r in tables.drift.itertuples()}
    nothing = (np.nan, np.nan, np.nan)

    def of(name: str, times: float = 1) -> list[tuple[float, float, float]]:
        return [tuple(times * float(getattr(row, f"{name}{end}")) for end in ("", "_lo", "_hi")) for row in rows]  # type: ignore[misc]

    every = (
        _Column("S", of("s")),
        _Column("noise", of("noise")),
        _Column("S beyond control", of("excess_s")),
        _Column("noise beyond control", of("excess_noise")),
        _Column("style share (%)", of("share", 100), [100 * float(row.ceiling) for row in rows]),
        _Column("no persona: distance to ceiling", [drift.get((r.family, r.variant), nothing) for r in rows], digits="+.2f"),
    )
    yield from (column for column in every if any(np.isfinite(lo) for _, lo, _ in column.rows))


def _cell(column: _Column, place: int) -> str:
    """A number with its interval, and both as a bar on the scale of its column."""
    value, lo, hi = column.rows[place]
    if not np.isfinite(lo):
        return "-"
    mark = column.marks[place] if column.marks else np.nan
    sign = "" if column.marks else "+"
    value = round(value) if column.marks else value  # percent
    show = (lambda number, sign="": f"{number:.2f}") if column.digits else whole
    first = f"{value:{column.digits}}" if column.digits else whole(value, sign)
    interval = f"[{show(lo)}, {show(hi)}]" if np.isfinite(hi) else "or more"
    known = [n for one, row in zip(column.marks or [np.nan] * len(column.rows), column.rows, strict=True) for n in (*row, one)]
    ends = [n for n in known if np.isfinite(n)] + [0.0]
    low, high = min(ends), max(ends)

    def x(number: float) -> float:
        return round(2 + (_LONG - 4) * (min(max(number, low), high) - low) / (high - low or 1), 1)

    lines = [f'<line class="none" x1="{x(0)}" x2="{x(0)}" y1="0" y2="{_HIGH}"/>']
    if np.isfinite(mark):
        lines.append(f'<line class="mark" x1="{x(mark)}" x2="{x(mark)}" y1="1" y2="{_HIGH - 1}"/>')
    lines.append(f'<line x1="{x(lo)}" x2="{x(hi)}" y1="{_HIGH / 2}" y2="{_HIGH / 2}"/>')
    lines.append(f'<circle cx="{x(value if np.isfinite(value) else lo)}" cy="{_HIGH / 2}" r="2.6"/>')
    bar = f'<svg aria-hidden="true" width="{_LONG}" height="{_HIGH}" viewBox="0 0 {_LONG} {_HIGH}">{"".join(lines)}</svg>'
    of = f" of {mark:.0f}" if np.isfinite(mark) else ""
    return f"{first}{of} <small>{interval}</small>{bar}"
