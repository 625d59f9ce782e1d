"""The appendix: a study's executed notebooks as one HTML file that opens without a network."""

import base64
import html
import json
import re
import time
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from persona_collapse import captions, charts, citing, comparing, conclusions, dictionary, findings, methods
from persona_collapse.controls import tamed
from persona_collapse.drawing import ESTIMATORS, EVERY
from persona_collapse.page_parts import Page, as_html, framed, only_table
from persona_collapse.prose import markdown, plain, script_json
from persona_collapse.runner import STUDY_NOTEBOOKS
from persona_collapse.study import Study
from persona_collapse.tables import Tables
from persona_collapse.tidy import epoch

#: A figure with more numbers than this is not also printed as a table; they are in tables/.
_MOST_ROWS = 400
#: Letters of a finding that alternative text takes up.
_MOST_SAID = 500
#: Tags of cells that are for JupyterLab alone.
_FOR_JUPYTER = {"parameters", "injected-parameters", "nbval-ignore-output", "no-report"}
_STORE = "; every rating with its reply in <code>ratings.sqlite</code>"
_METRICS = {"susceptibility": "Susceptibility S", "robustness": "Robustness R", "within_sd": "Within-persona SD"}


def render(study: Study, tables: Tables, provenance: dict[str, Any]) -> str:
    """The appendix of a study as the text of one HTML file.

    Everything from a study file, a deck or a model is escaped; figures are drawn by one inlined Vega bundle, with a static
    picture for print and for readers without script. The same ratings give the same bytes, but for the line with id ``made``:
    the day of rendering (that of SOURCE_DATE_EPOCH where it is set) and the commit.
    """
    page = Page()
    opening = page.heading(2, "Summary", "summary")
    body = _body(page, study, tables, provenance)
    # Written last, as it refers to figures by number.
    summary = opening + _summary(page, study, tables)
    return assemble(
        page,
        [summary, *body],
        title=study.file.title,
        kind=f"Appendix: persona-model collapse, a {_sort(study)}{_answered(provenance)}",
        simulated="" if study.is_evidence else "Simulated ratings",
        measured=_measured(study, tables),
        made=provenance,
        families=[family.name for family in study.file.families],
    )


def assemble(
    page: Page, sections: list[str], *, title: str, kind: str, simulated: str, measured: str, made: dict[str, Any],
    families: Sequence[str] = (),
) -> str:  # fmt: skip
    """A whole page around its sections, which are HTML; `measured` is Markdown, all else plain text, which is escaped.

    `simulated` says whose ratings are, as the banner begins; empty for none. `made` is provenance: version and commit. Figures
    can be switched between `families` where there are several.
    """
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("page.html").render(
        title=title,
        kind=kind,
        simulated=simulated,
        measured=Markup(markdown(measured)),
        contents=page.contents,
        sections=[Markup(part) for part in sections],
        made=made,
        today=datetime.fromtimestamp(epoch(int(time.time())), UTC).date().isoformat(),
        figures=Markup(script_json([figure["spec"] for figure in page.figures])),
        estimators=ESTIMATORS,
        families=[EVERY, *families] if len(families) > 1 else [],
        vega=Markup(_vega_bundle() if page.figures else ""),
        style=Markup(files("persona_collapse").joinpath("page.css").read_text(encoding="utf-8")),
        code_style=Markup(HtmlFormatter(style="default").get_style_defs(".code")),
    )
    return tamed(text)


def _body(page: Page, study: Study, tables: Tables, provenance: dict[str, Any]) -> list[str]:
    """The sections below the summary, in the order in which their tables and figures are numbered."""
    sections = [_ratings(page, study, tables)]
    left = _left_out(study, tables)
    sections += [notebook(page, study.outputs / "notebooks" / f"{name}.ipynb", left) for name in STUDY_NOTEBOOKS]
    sections += [_runs(page, study, tables), page.heading(2, "Methods", "methods") + methods.section(page, study)]
    sections += [described(page, tables, also=_STORE), made_of(page, provenance, {"": provenance})]
    return [*sections, page.heading(2, "How to cite", "cite") + markdown(citing.how(study))]


# --- sections of the page's own --------------------------------------------------------------------------------------


def _measured(study: Study, tables: Tables) -> str:
    """What was measured and on what, in the words of the page's head, computed from study and ratings."""
    rows = tables.quality[tables.quality["condition"] == "persona"]
    personas = (rows["personas_used"] + rows["personas_dropped"]).max()
    low, high = rows["min_repetitions"].min(), rows["max_repetitions"].max()
    times = f"{high} {'time' if high == 1 else 'times'}" if low == high else f"{low} to {high} times"
    how = "once, for the probabilities of its answer" if study.by_logprobs else times
    families = ", ".join(findings.safe(family.name) for family in study.file.families)
    slots, valid = int(tables.quality["slots"].sum()), int(tables.quality["valid"].sum())
    return (
        "*Did fine-tuning break this model's ability to play characters?* "
        f"{_who(study)} ({families}) answered the questionnaire "
        f"*{findings.safe(study.instrument.title)}* as {personas} different people, each item {how}: {valid:,} ratings in "
        f"{slots:,} slots, other conditions included. "
        "Susceptibility S says how much the answers differ between people, robustness R how steady they are for one person. "
        "Every sentence with a number on this page is computed from the ratings."
    )


def _who(study: Study) -> str:
    """How many runs of what a study has."""
    number, families = len(study.runs), len(study.file.families)
    if number == families:
        return "1 run, a base model" if number == 1 else f"{number} runs, base models"
    return f"{number} runs, " + ("a base model and its variants" if families == 1 else "base models and their variants")


def _sort(study: Study) -> str:
    """What sort of study it is; a live one may have asked the simulated endpoint."""
    return f"{study.file.kind} study{' of the simulated endpoint' if study.served_simulated else ''}"


def _answered(provenance: dict[str, Any]) -> str:
    """When answers came, as the end of a sentence; empty where none carries a time."""
    found = dates(provenance)
    return f", answered {found}" if found else ""


def dates(provenance: dict[str, Any]) -> str:
    """When answers of a study came, from first to last day; empty where none carries a time."""
    days = sorted(str(run[name])[:10] for run in provenance["runs"].values() for name in ("first", "last") if run[name])
    return "" if not days else days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _summary(page: Page, study: Study, tables: Tables) -> str:
    """The page's first findings, computed, each with links to the figures that it stands on."""
    parts = [
        (title, comparing.change(tables.contrasts, study, metric), (f"charts.levels({metric})", f"charts.changes({metric})"))
        for metric, title in charts.TITLES.items()
    ]
    parts += [
        ("Both at once", comparing.collapse(tables.contrasts, study), ("charts.collapse_map()",)),
        (
            "Answers without a persona",
            findings.saturated(tables.saturation, tables.profiles, study),
            ("charts.self_profiles()", "tables.saturation_table()"),
        ),
        (
            "What the conclusions hang on",
            _hanging(study, tables),
            ("conclusions.overview_table()", "forest.forest(susceptibility)", "forest.forest(noise)"),
        ),
        ("Data", findings.quality(tables.quality), ("ratings",)),
    ]
    return "\n".join(
        page.heading(3, title, f"summary-{number}", listed=False) + markdown(text) + page.refer(*keys)
        for number, (title, text, keys) in enumerate(parts, 1)
    )


def _ratings(page: Page, study: Study, tables: Tables) -> str:
    caption = (
        "Ratings of every run and condition: slots asked, valid ratings, missing ones by reason, repetitions and personas. "
        "Columns of zeros are left out; quality.csv has them."
    )
    cautions = findings.cautions(tables.quality, study)
    agree = "agree in stack" in cautions
    return (
        page.heading(2, "Ratings", "ratings")
        + "<p>What was asked, what came back, and why the rest did not. A missing rating is never a number.</p>"
        + f'<div class="finding">{markdown(findings.quality(tables.quality))}</div>'
        + page.table(_quality_table(study, tables), caption, key="ratings")
        + f'<div class="{"finding" if agree else "cautions"}">{markdown(cautions)}</div>'
    )


def described(page: Page, tables: Any, *, also: str = "") -> str:
    """What every column of these tables means, as far as there are any; one that means the same in several stands once."""
    frames = {name: getattr(tables, name) for name in tables.__dataclass_fields__}
    found = dictionary.describe({name: list(frame.columns) for name, frame in frames.items() if frame is not None})
    means = [name for name in found.columns if name != "table"]
    once = found.groupby(means, sort=False)["table"].agg(", ".join).reset_index()[["column", "table", *means[1:]]]
    once = once.rename(columns={"table": "tables", "missing": "empty means"})
    caption = "Data dictionary: every column of the files in tables/, with its unit, its type, and what empty means."
    return (
        page.heading(2, "Data dictionary", "dictionary")
        + f"<p>Full tables stand beside this page in <code>tables/</code>, comma-separated UTF-8 at full precision{also}.</p>"
        + page.table(once, caption, words=True)
    )


def made_of(page: Page, made: dict[str, Any], studies: dict[str, dict[str, Any]]) -> str:
    """What went in, as a table for readers and whole for machines; `studies` holds provenance by the name to be said, if any."""
    each = [(f" of {name}" if name else "", provenance) for name, provenance in studies.items()]
    packages = ", ".join(f"{name} {number}" for name, number in made["packages"].items())
    rows = [
        *((f"study file{of}", provenance["study"]) for of, provenance in each),
        ("persona_collapse", made["persona_collapse"]), ("Python", made["python"]), ("packages", packages),
        *((f"SHA-256 of {name}{of}", value or "") for of, provenance in each for name, value in provenance["sha256"].items()),
        *((f"SHA-256 of the ratings of {key}{of}", run["ratings_sha256"])
          for of, provenance in each for key, run in provenance["runs"].items()),
    ]  # fmt: skip
    frame = pd.DataFrame([(name, str(value)) for name, value in rows], columns=["what", "value"])
    table = page.table(
        frame, "What went in, so that the same report can be made again; the commit stands under the title.", words=True
    )
    # The commit has one line of its own, so that pages of the same ratings differ nowhere else.
    whole = html.escape(json.dumps(_without_commit(made), indent=1))
    return (
        page.heading(2, "Provenance", "provenance")
        + table
        + f'<details><summary>provenance.json</summary><pre class="stream" tabindex="0">{whole}</pre></details>'
    )


def _without_commit(made: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_commit(value) if isinstance(value, dict) else value for name, value in made.items() if name != "commit"
    }


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


def _runs(page: Page, study: Study, tables: Tables) -> str:
    """The tables of every run, recommended estimators first."""
    parts = [
        page.heading(2, "Every run", "runs"),
        "<p>Recommended estimators with the 95 % interval for other personas like these, overall and by foundation; then the "
        "published estimators ± their standard error (persona and response parts added; counts rating noise twice; treats the "
        "runs as independent). S, noise and the within-persona SD are in scale points, R in their inverse.</p>",
    ]
    recommended = {**charts.TITLES, "icc": "ICC, the share of variation due to personas,"}
    wanted = [(metric, title, "recommended") for metric, title in recommended.items()]
    for metric, title, method in wanted + [(metric, title, "published") for metric, title in _METRICS.items()]:
        spread = "95 % intervals for other personas" if method == "recommended" else "± published standard error"
        caption = f"{title} of every run, over all items and by foundation: {method} estimator, {spread}."
        parts.append(page.table(_runs_table(study, tables, metric, method), caption, wide=True))
    return "\n".join(parts)


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


def _left_out(study: Study, tables: Tables) -> set[str]:
    """Tags of the cells that have nothing to show for this study."""
    shown = {
        "only-logprobs": study.by_logprobs,
        "only-printed": tables.published_check is not None or bool(study.simulated and study.file.published),
        "only-frontier": tables.frontier is not None,
    }
    return {tag for tag, there in shown.items() if not there}


def notebook(page: Page, path: Path, left: Set[str] = frozenset()) -> str:
    """An executed notebook as a section: prose, findings, figures and tables, code folded; those with tags `left` left out."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [f'<section class="notebook" data-notebook="{html.escape(path.stem)}">']
    for place, cell in enumerate(cells):
        tags = cell["metadata"].get("tags", [])
        source = "".join(cell["source"])
        # Parameters, versions and links between notebooks are for JupyterLab.
        if (_FOR_JUPYTER | left) & set(tags) or source.startswith("Saved: "):
            continue
        if cell["cell_type"] == "markdown":
            parts.append(_headed(page, path.stem, markdown(source)))
        elif cell["cell_type"] == "code" and cell["outputs"]:
            made = captions.call(source)
            if made not in ("findings.study_line()", "two_findings.pair_line()"):  # the head of the page says it
                parts += [_output(page, output, made, _finding_after(cells, place)) for output in cell["outputs"]]
            parts.append(f"<details class='source'><summary>code</summary>{_code(source)}</details>")
    return "\n".join([*parts, "</section>"])


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


def _output(page: Page, output: dict[str, Any], made: str, finding: str) -> str:
    if output["output_type"] == "stream":
        return f'<pre class="stream">{html.escape("".join(output["text"]))}</pre>'
    data = output.get("data", {})
    if charts.MIME in data:
        return _figure(page, data[charts.MIME], made, finding)
    if "text/markdown" in data:
        return f'<div class="finding">{markdown("".join(data["text/markdown"]))}</div>'
    if "text/html" in data:
        heading = page.contents[-1][1] if page.contents else ""
        return page.table(only_table("".join(data["text/html"])), captions.caption(made, heading), key=made)
    return f'<pre class="stream">{html.escape("".join(data.get("text/plain", "")))}</pre>'


def _code(source: str) -> str:
    return highlight(source, PythonLexer(), HtmlFormatter(cssclass="code"))


def _figure(page: Page, spec: dict[str, Any], made: str, finding: str) -> str:
    """A figure three ways: drawn by script, as a static picture, and as a table of its numbers."""
    # The bundle's own version draws it; the older one named in notebooks is for JupyterLab.
    spec = {key: value for key, value in spec.items() if key != "$schema"}
    number = page.figure(spec, made)
    shown = spec.get("description", "")
    alternative = html.escape(f"{shown} {finding}".strip(), quote=True)
    caption = html.escape(_titled(spec))
    label = html.escape(shown, quote=True)
    picture = base64.b64encode(static_picture(json.dumps(spec)).encode()).decode()
    return (
        f'<figure id="figure-{number}"><div class="card"><div class="drawn" role="group" aria-label="{label}"></div>'
        f'<img class="static" alt="{alternative}" src="data:image/svg+xml;base64,{picture}"></div>'
        f"<figcaption><b>Figure {number}.</b> {caption}</figcaption>{_numbers(spec)}</figure>"
    )


def _titled(spec: dict[str, Any]) -> str:
    """A caption that stands alone: the title first."""
    title = spec.get("title", {})
    title = title.get("text", "") if isinstance(title, dict) else title
    return " ".join(part for part in (f"{title}." if title else "", spec.get("usermeta", {}).get("caption", "")) if part)


def _numbers(spec: dict[str, Any]) -> str:
    """The numbers of a figure as tables: its largest data set, unless it is too long to be read."""
    if spec.get("usermeta", {}).get("cells"):
        return "<p class='numbers'>Made of every rating; they are in ratings.sqlite, and <code>make export</code> lists them.</p>"
    tables = sorted(spec.get("datasets", {}).values(), key=len)
    if not tables or not tables[-1]:
        return ""
    if len(tables[-1]) > _MOST_ROWS:
        return f"<p class='numbers'>{len(tables[-1]):,} numbers; they are in the study's tables/ folder.</p>"
    frame = pd.DataFrame(tables[-1])
    return f"<details class='numbers'><summary>numbers</summary>{framed(as_html(frame))}</details>"


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
