"""The appendix: a study's executed notebooks as one HTML file that opens without a network."""

import base64
import html
import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import mistune
import pandas as pd
from jinja2 import Environment, FileSystemLoader
from latex2mathml.converter import convert as to_mathml
from markupsafe import Markup
from mistune.plugins.math import math as math_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from persona_collapse import charts, comparing, conclusions, findings
from persona_collapse.controls import tamed
from persona_collapse.runner import STUDY_NOTEBOOKS
from persona_collapse.study import Study
from persona_collapse.tables import Tables

#: A figure with more numbers than this is not also printed as a table; they are in tables/.
_MOST_ROWS = 400


@dataclass
class _Page:
    """What the page has gathered so far: figures and the headings of its contents list."""

    figures: list[dict[str, Any]] = field(default_factory=list)
    contents: list[tuple[int, str, str]] = field(default_factory=list)


def render(study: Study, tables: Tables, provenance: dict[str, Any]) -> str:
    """The appendix of a study as the text of one HTML file.

    Everything from a study file, a deck or a model is escaped; figures are drawn by one inlined Vega bundle, with a static
    picture for print and for readers without script.
    """
    page = _Page()
    ratings = _section(page, "Ratings", "ratings")
    sections = [_notebook(page, study.outputs / "notebooks" / f"{name}.ipynb") for name in STUDY_NOTEBOOKS]
    runs = _section(page, "Every run", "runs")
    made = _section(page, "Provenance", "provenance")
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("page.html").render(
        title=study.file.title,
        kind=study.file.kind,
        simulated=not study.is_evidence,
        by_logprobs=study.by_logprobs,
        summary=Markup(markdown(_summary(study, tables))),
        cautions=Markup(markdown(findings.cautions(tables.quality, study))),
        contents=page.contents,
        ratings_heading=ratings,
        quality=Markup(_html_table(_quality_table(study, tables))),
        quality_finding=Markup(markdown(findings.quality(tables.quality))),
        sections=[Markup(section) for section in sections],
        runs_heading=runs,
        runs=_runs(study, tables),
        provenance_heading=made,
        provenance=json.dumps(provenance, indent=1),
        made=provenance,
        figures=Markup(script_json([figure["spec"] for figure in page.figures])),
        vega=Markup(_vega_bundle() if page.figures else ""),
        code_style=Markup(HtmlFormatter(style="default").get_style_defs(".code")),
    )
    return tamed(text)


def _summary(study: Study, tables: Tables) -> str:
    """The page's first sentences, computed."""
    parts = [f"### {title}\n\n{comparing.change(tables.contrasts, study, metric)}" for metric, title in charts.TITLES.items()]
    parts.append("### Answers without a persona\n\n" + findings.saturated(tables.saturation, tables.profiles, study))
    parts.append("### What the conclusions hang on\n\n" + _hanging(study, tables))
    return "\n\n".join(parts)


def _hanging(study: Study, tables: Tables) -> str:
    """Which headlines survive, and what the numbers do not carry, as one list."""
    found = [
        conclusions.overview(tables.validity, study),
        conclusions.without_excess(tables, study),
        conclusions.anchored(tables.validity, study),
        conclusions.stacks(tables, study).partition("\n\n")[0],
    ]
    return "\n".join(line if line.startswith("- ") else f"- {line}" for line in found)


def _quality_table(study: Study, tables: Tables) -> pd.DataFrame:
    table = tables.quality.copy()
    names = {run.key: run.name for run in study.runs}
    table.insert(0, "run", [names[f"{f}/{v}"] for f, v in zip(table.pop("family"), table.pop("variant"), strict=True)])
    for column in ("first_date", "last_date"):
        table[column] = [str(value)[:10] if pd.notna(value) else "" for value in table[column]]
    # A reason that never occurred is a column of zeros: the file has it, the page does not need it.
    reasons = list(table.loc[:, "transport":"absent"])
    empty = [name for name in [*reasons, "personas_dropped", "first_date", "last_date"] if not table[name].any()]
    empty += ["latency_p50", "latency_p95"]  # 01_elicit shows them
    empty += [
        name for name in table.loc[:, "retries":].columns.difference(empty) if table[name].isna().all() or not table[name].any()
    ]
    low, high = table.pop("min_repetitions"), table.pop("max_repetitions")
    spans = [str(b) if a == b else f"{a}–{b}" for a, b in zip(low, high, strict=True)]
    table.insert(table.columns.get_loc("personas_used"), "repetitions", spans)
    return table.drop(columns=empty).rename(columns=lambda name: name.replace("_", " "))


def _runs(study: Study, tables: Tables) -> list[tuple[str, Markup]]:
    """The tables of every run with their titles, recommended estimators first."""
    wanted = [(title, metric, "recommended") for metric, title in {**charts.TITLES, "icc": "ICC, share due to personas"}.items()]
    published = {"susceptibility": "Susceptibility S", "robustness": "Robustness R", "within_sd": "Within-persona SD"}
    wanted += [(f"{title}, published estimator", metric, "published") for metric, title in published.items()]
    found = [(title, _runs_table(study, tables, metric, method)) for title, metric, method in wanted]
    return [(title, Markup(_html_table(table, wide=True))) for title, table in found]


def _runs_table(study: Study, tables: Tables, metric: str, method: str) -> pd.DataFrame:
    """A metric of every run and scope: value and interval A, or as the paper prints it, value ± SE."""
    rows = tables.metrics.query("method == @method and metric == @metric")
    limits = zip(rows["value"], rows["se"], rows["lo"], rows["hi"], strict=True)
    if method == "published":
        text = [f"{v:.2f}" + (f" ± {e:.2f}" if e == e else "") for v, e, *_ in limits]
    else:
        text = [f"{v:.2f}" + (f" [{lo:.2f}, {hi:.2f}]" if lo == lo else "") for v, _, lo, hi in limits]
    shown = rows.assign(
        text=text,
        run=[study.run(f, v).name for f, v in zip(rows["family"], rows["variant"], strict=True)],
        scope=[charts.short(scope) for scope in rows["scope"]],
    )
    wide = shown.pivot_table(index="run", columns="scope", values="text", aggfunc="first", sort=False)
    return wide.rename_axis(columns=None).reset_index()


# --- notebooks -------------------------------------------------------------------------------------------------------


def _notebook(page: _Page, path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [f'<section class="notebook" data-notebook="{html.escape(path.stem)}">']
    for cell in cells:
        tags = cell["metadata"].get("tags", [])
        # Parameters, versions and links between notebooks are for JupyterLab.
        if {"parameters", "injected-parameters", "nbval-ignore-output", "no-report"} & set(tags):
            continue
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_headed(page, path.stem, markdown(source)))
        elif cell["cell_type"] == "code" and cell["outputs"]:
            parts += [_output(page, output) for output in cell["outputs"]]
            parts.append(f"<details class='source'><summary>code</summary>{_code(source)}</details>")
    return "\n".join([*parts, "</section>"])


def _section(page: _Page, title: str, anchor: str) -> Markup:
    page.contents.append((2, title, anchor))
    return Markup(f'<h2 id="{anchor}">{html.escape(title)}</h2>')


def _headed(page: _Page, stem: str, text: str) -> str:
    """Headings one level down, under an anchor, and in the contents list."""

    def replace(match: re.Match[str]) -> str:
        level, inner = min(6, int(match[1]) + 1), match[2]
        anchor = f"{stem}-{len(page.contents)}"
        if level <= 3:
            page.contents.append((level, html.unescape(re.sub(r"<[^>]+>", "", inner)), anchor))
        return f'<h{level} id="{anchor}">{inner}</h{level}>'

    return re.sub(r"<h([1-6])>(.*?)</h\1>", replace, text, flags=re.DOTALL)


def _output(page: _Page, output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return f'<pre class="stream">{html.escape("".join(output["text"]))}</pre>'
    data = output.get("data", {})
    if charts.MIME in data:
        return _figure(page, data[charts.MIME])
    if "text/markdown" in data:
        return f'<div class="finding">{markdown("".join(data["text/markdown"]))}</div>'
    if "text/html" in data:
        return _framed(_only_table("".join(data["text/html"])))
    return f'<pre class="stream">{html.escape("".join(data.get("text/plain", "")))}</pre>'


def _framed(table: str, *, wide: bool = False) -> str:
    """A table in a frame that scrolls where it is long, and is set smaller where it is wide."""
    kind = " long" * (table.count("<tr") > 45) + " wide" * (wide or table.partition("</thead>")[0].count("<th") > 8)
    return f'<div class="table{kind}">{table}</div>'


def _only_table(text: str) -> str:
    """The table of pandas' HTML, whose cells it has escaped, without the style sheet that comes with it."""
    match = re.search(r"<table.*</table>", text, re.DOTALL)
    return match[0].replace('border="1" ', "") if match else html.escape(text)


def _code(source: str) -> str:
    return highlight(source, PythonLexer(), HtmlFormatter(cssclass="code"))


def _figure(page: _Page, spec: dict[str, Any]) -> str:
    """A figure three ways: drawn by script, as a static picture, and as a table of its numbers."""
    number = len(page.figures) + 1
    # The bundle's own version draws it; the older one named in notebooks is for JupyterLab.
    spec = {key: value for key, value in spec.items() if key != "$schema"}
    page.figures.append({"spec": spec})
    alternative = html.escape(spec.get("description", ""), quote=True)
    caption = html.escape(spec.get("usermeta", {}).get("caption", ""))
    picture = base64.b64encode(static_picture(json.dumps(spec)).encode()).decode()
    return (
        f'<figure id="figure-{number}"><div class="drawn" role="img" aria-label="{alternative}"></div>'
        f'<img class="static" alt="{alternative}" src="data:image/svg+xml;base64,{picture}">'
        f"<figcaption><b>Figure {number}.</b> {caption}</figcaption>{_numbers(spec)}</figure>"
    )


def _numbers(spec: dict[str, Any]) -> str:
    """The numbers of a figure as tables: its largest data set, unless it is too long to be read."""
    tables = sorted(spec.get("datasets", {}).values(), key=len)
    if not tables or not tables[-1]:
        return ""
    if len(tables[-1]) > _MOST_ROWS:
        return f"<p class='numbers'>{len(tables[-1]):,} numbers; they are in the study's tables/ folder.</p>"
    frame = pd.DataFrame(tables[-1])
    return f"<details class='numbers'><summary>numbers</summary>{_html_table(frame)}</details>"


def _html_table(frame: pd.DataFrame, *, wide: bool = False) -> str:
    text = frame.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:.4g}")
    return _framed(text, wide=wide)


@lru_cache(maxsize=256)
def static_picture(spec: str) -> str:
    """A figure as SVG."""
    import vl_convert

    return vl_convert.vegalite_to_svg(spec)


@lru_cache
def _vega_bundle() -> str:
    import vl_convert

    bundle = vl_convert.javascript_bundle()
    if "</script" in bundle.lower():
        raise ValueError("the Vega bundle contains a closing script tag; it cannot be inlined")
    return bundle


# --- text ------------------------------------------------------------------------------------------------------------


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element whatever its strings hold."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def markdown(text: str) -> str:
    """Markdown as HTML; raw HTML in it is shown as text, formulae become MathML."""
    renderer = mistune.HTMLRenderer(escape=True)
    parser = mistune.create_markdown(renderer=renderer, plugins=["table", math_plugin])
    # The plugin registers renderers of its own for MathJax; ours write MathML.
    renderer.register("inline_math", lambda _, text: to_mathml(text))
    renderer.register("block_math", lambda _, text: to_mathml(text, display="block"))
    # Links between notebooks lead nowhere from the appendix.
    return re.sub(r'<a href="[^"]*\.ipynb">(.*?)</a>', r"\1", str(parser(text)))
