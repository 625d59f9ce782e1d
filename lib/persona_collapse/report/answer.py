"""The answer, at the head of a study's page: the verdict on every variant as a table, the collapse map, and three sentences."""

import base64
import html
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.exhibits import answer_sentences, data_sentences, missing_sentences, persona_sentences, study_figures
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.exhibits.theme import spec, use_theme
from persona_collapse.exhibits.verdict_sentences import MEANS, called, harmful_first, told_apart
from persona_collapse.report.markdown import markdown
from persona_collapse.report.notebook_section import static_picture
from persona_collapse.report.page import Page, framed
from persona_collapse.sections.record import sections
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.build import Tables
from persona_collapse.vocabulary import HEADLINES, METRICS, RECOMMENDED

#: With more variants than this each is a line of its own, and the map stands in its section alone.
_MANY = 12
#: Length and height of the bar of an interval, in pixels.
_LONG, _HIGH = 70, 10


class _Column(NamedTuple):
    """A column of intervals: its heading, and value, lower and upper end of each row; NaN where there is none."""

    heading: str
    rows: Sequence[tuple[float, float, float]]
    marks: Sequence[float] = ()  #: where another value is marked in each row, such as the style share of an unchanged base
    digits: str = ""  #: how values are written; whole numbers without


def answer(page: Page, tables: Tables) -> str:
    """Table, map and sentences as HTML, whose links lead to what `page` knows; levels where there is no variant."""
    verdict = harmful_first(tables.verdict, tables.study)
    said = markdown("\n".join(f"- {line}" for line in [*_sentences(page, tables), *_cautions(page, tables)]))
    if verdict.empty:
        return f'<div class="answer">{_levels(tables, page.replies)}{said}</div>'
    own, steps = _without_steps(tables.study, verdict)
    table, legend = _table(tables, own, page.replies) + steps(tables, page.replies), _legend(list(own["verdict"]), page.replies)
    if len(own) > _MANY:
        return f'<div class="answer">{said}{table}{legend}</div>'
    return f'<div class="answer beside"><div>{table}{said}</div><div class="by">{_map(page, tables)}{legend}</div></div>'


def _without_steps(study: Study, verdict: pd.DataFrame) -> tuple[pd.DataFrame, Callable[[Tables, Sequence[str]], str]]:
    """The rows of finished fine-tunes, and what makes the closed table of the others: checkpoints and treatments."""
    runs = [study.run(row.family, row.variant) for row in verdict.itertuples()]
    apart = np.array([run.variant.of is not None for run in runs], bool)
    if not apart.any() or apart.all():
        return verdict, lambda tables, replies: ""
    treated = sum(run.variant.of is not None and run.variant.step is None for run in runs)
    what = "checkpoints" if not treated else "treatments" if treated == apart.sum() else "checkpoints and treatments"

    def others(tables: Tables, replies: Sequence[str]) -> str:
        rows = list(verdict[apart].itertuples())
        columns = list(_columns(tables, rows))
        body = [_row(tables.study, columns, rows, place, replies) for place in range(len(rows))]
        table = framed(_headed(columns, body, ' class="many"'))
        return f'<details class="rows"><summary>{len(rows)} {what}</summary>{table}</details>'

    return verdict[~apart].reset_index(drop=True), others


def _sentences(page: Page, tables: Tables) -> Iterator[str]:
    """What each section says at the head, each sentence with a link to what shows it."""
    for part in (summary for section in sections(tables.study) for summary in section.summary):
        yield from (f"{line} {page.links(*part.see)}".rstrip() for line in part.say(tables))


def _cautions(page: Page, tables: Tables) -> Iterator[str]:
    """One line of links to what has to be read before the answer is relied on; nothing where there is nothing."""
    study, quality = tables.study, tables.quality
    besides, missing = exhibit_id("finding", "cautions"), exhibit_id("finding", "missing")
    found = [
        ("sides that differ in more than fine-tuning", besides, data_sentences.differing(quality, study, tables.ratings)),
        ("answers that cannot be told from the base's", besides, data_sentences.unchanged(quality, study)),
        ("personas that are nearly the same one", besides, persona_sentences.near_duplicates_line(tables.ratings)),
        (
            "changes whose sign depends on missing ratings", missing,
            missing_sentences.turned(tables.missing, tables.metrics, tables.contrasts, study),
        ),
    ]  # fmt: skip
    links = [f"[{name}](#{page.places[key][0]})" for name, key, there in found if there and key in page.places]
    if links:
        yield f"**Cautions**: {', '.join(links)}."


def _legend(verdicts: Sequence[str], replies: Sequence[str]) -> str:
    """What the words of the table mean, the verdicts that occur among them."""
    words = [*_CAPTION, *((called(name), MEANS[name]) for name in MEANS if name in verdicts)]
    said = "; ".join(f"<b>{html.escape(name)}</b>: {html.escape(means)}" for name, means in words)
    leads = " The name of a run leads to its replies." * bool(replies)
    return f'<p class="kind">{said}. Brackets and bars: 95 % intervals for other personas like these.{leads}</p>'


def _map(page: Page, tables: Tables) -> str:
    """The collapse map as a small picture that leads to the figure."""
    use_theme()
    chart = study_figures.small_map(tables.metrics, tables.study)
    place = page.places.get(exhibit_id("figure", "collapse_map"))
    if chart is None or place is None:
        return ""
    shown = spec(chart)
    picture = base64.b64encode(static_picture(json.dumps(shown)).encode()).decode()
    alternative = html.escape(f"{shown['description']} {place[1]} has every number.", quote=True)
    return f'<a class="map" href="#{place[0]}"><img alt="{alternative}" src="data:image/svg+xml;base64,{picture}"></a>'


def _table(tables: Tables, verdict: pd.DataFrame, replies: Sequence[str]) -> str:
    """Every variant as a row; where they are many, harmful ones alone, a line each, and the others closed below them."""
    rows = list(verdict.itertuples())
    columns = list(_columns(tables, rows))
    body = [_row(tables.study, columns, rows, place, replies) for place in range(len(rows))]
    harmful, kind = sum(row.harmful for row in rows), ' class="many"' * (len(rows) > _MANY)
    if not kind or not 0 < harmful < len(rows):
        return framed(_headed(columns, body, f"{_ID}{kind}"))
    others = framed(_headed(columns, body[harmful:], kind))
    more = f'<details class="rows"><summary>{len(rows) - harmful} other variants</summary>{others}</details>'
    return framed(_headed(columns, body[:harmful], f"{_ID}{kind}")) + more


def _name(study: Study, run: Run, replies: Sequence[str]) -> str:
    """The name of a run, which leads to its replies where there is a page of them."""
    name = html.escape(run.name)
    return f'<a href="{study.replies_page}#run={run.key}">{name}</a>' if run.key in replies else name


_ID = ' id="verdict"'


def _levels(tables: Tables, replies: Sequence[str]) -> str:
    """S and R of every run of a study without variants, and how its S stands among the frontier models."""
    runs = tables.study.runs
    levels = tables.metrics.query(f"scope == '{OVERALL}' and method == '{RECOMMENDED}'")
    at = {(r.family, r.variant, r.metric): (r.value, r.lo, r.hi) for r in levels.itertuples()}
    nothing = (np.nan, np.nan, np.nan)
    every = [
        _Column(f"{METRICS[name].heading} ({METRICS[name].unit})", [at.get((*r.keys, name), nothing) for r in runs], digits=".2f")
        for name in HEADLINES
    ]
    columns = [column for column in every if any(np.isfinite(lo) for _, lo, _ in column.rows)]
    presence = {(r.family, r.variant): str(r.verdict) for r in tables.presence.query(f"scope == '{OVERALL}'").itertuples()}
    lower = answer_sentences.among_frontier(tables)
    body = []
    for place, run in enumerate(runs):
        cells = "".join(f"<td>{_cell(column, place)}</td>" for column in columns)
        there = f"<td>{lower[run.keys][0]} of {lower[run.keys][1]}</td>" if run.keys in lower else "<td>-</td>" * bool(lower)
        apart = html.escape(told_apart(presence.get(run.keys, "")))
        body.append(f'<tr><th scope="row">{_name(tables.study, run, replies)}</th><td>{apart}</td>{cells}{there}</tr>')
    last = ["frontier models with a lower S (published; by the paper's formula)"] * bool(lower)
    caption = "Bars begin at 0; brackets and bars are 95 % intervals for other personas like these."
    return f"{framed(_headed(columns, body, _ID, last))}<p class='kind'>{caption}</p>"


def _headed(columns: Sequence[_Column], body: Sequence[str], about: str, last: Sequence[str] = ("verdict",)) -> str:
    heads = ["", "personas told apart", *(column.heading for column in columns), *last]
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in heads)
    return f"<table{about}><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _row(study: Study, columns: Sequence[_Column], rows: Sequence[Any], place: int, replies: Sequence[str]) -> str:
    row = rows[place]
    kinds = ["other"] * (not row.harmful) + ["starts"] * (place > 0 and row.family != rows[place - 1].family)
    cells = "".join(f"<td>{_cell(column, place)}</td>" for column in columns)
    name = html.escape(called(row.verdict))
    means = html.escape(MEANS[str(row.verdict)], quote=True)
    return (
        f'<tr class="{" ".join(kinds)}"><th scope="row">{_name(study, study.run(row.family, row.variant), replies)}</th>'
        f"<td>{html.escape(told_apart(str(row.presence)))}</td>{cells}"
        f'<td class="verdict"><a href="#glossary"><abbr title="{means}">{name}</abbr></a></td></tr>'
    )


#: What the headings of the table mean.
_CAPTION = (
    ("S", "how much answers differ between personas"),
    ("noise", "how much they vary for one persona asked again; R is one over it"),
    ("%", "against the base; the line is no change"),
    ("beyond control", "less what the matched control does, in points of the base"),
    (
        "style share",
        "how much of what distinguishes personas a recoding of the base's answers explains; the tick: of an unchanged base",
    ),
    ("no persona", "change of the distance to the top of the scale, in scale points; below 0 is nearer"),
)


def _columns(tables: Tables, rows: Sequence[Any]) -> Iterator[_Column]:
    """The columns that have a value in some row."""
    drift = {(r.family, r.variant): (r.value, r.lo, r.hi) for r in tables.drift.itertuples()}
    nothing = (np.nan, np.nan, np.nan)

    def of(name: str, times: float = 1) -> list[tuple[float, float, float]]:
        return [tuple(times * float(getattr(row, f"{name}{end}")) for end in ("", "_lo", "_hi")) for row in rows]  # type: ignore[misc]

    every = (
        _Column("S (%)", of("s")),
        _Column("noise (%)", of("noise")),
        _Column("S beyond control (pp)", of("excess_s")),
        _Column("noise beyond control (pp)", of("excess_noise")),
        _Column("style share (%)", of("share", 100), [100 * float(row.ceiling) for row in rows]),
        _Column("no persona: to the ceiling", [drift.get((r.family, r.variant), nothing) for r in rows], digits="+.2f"),
    )
    yield from (column for column in every if any(np.isfinite(lo) for _, lo, _ in column.rows))


def _cell(column: _Column, place: int) -> str:
    """A number with its interval, and both as a bar on the scale of its column."""
    value, lo, hi = column.rows[place]
    if not np.isfinite(lo):
        return "-"
    mark = column.marks[place] if column.marks else np.nan
    sign = "" if column.marks else "+"
    show = (lambda number, sign="": f"{number:.2f}") if column.digits else whole
    first = f"{value:{column.digits}}" if column.digits else f"{value:.0f}" if column.marks else whole(value, sign)
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
