"""Sections that a page writes itself: ratings, every run, data dictionary, provenance."""

import html
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from persona_collapse.exhibits import data_sentences
from persona_collapse.report import dictionary
from persona_collapse.report.markdown import markdown
from persona_collapse.report.page import Page
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.quality import MISSING
from persona_collapse.vocabulary import HEADLINES, METRICS, OF_PUBLISHED, PUBLISHED, RECOMMENDED


def ratings_section(page: Page, tables: Tables) -> str:
    """Ratings of every run and condition, and what most replies without a rating said."""
    caption = (
        "Ratings of every run and condition: ratings requested and given, missing ones by reason, repetitions and personas. "
        "Columns of zeros are left out; quality.csv has them."
    )
    return (
        f'<div class="finding">{markdown(data_sentences.quality(tables.quality))}</div>'
        + (f'<div class="cautions">{markdown(said)}</div>' if (said := data_sentences.commonest_replies(tables.ratings)) else "")
        + page.table(quality_table(tables), caption, key="ratings")
    )


def quality_table(tables: Tables) -> pd.DataFrame:
    """quality.csv for reading, without its columns of zeros."""
    table = tables.quality.copy()
    names = {run.key: run.name for run in tables.study.runs}
    table.insert(0, "run", [names[f"{f}/{v}"] for f, v in zip(table.pop("family"), table.pop("variant"), strict=True)])
    for column in ("first_date", "last_date"):
        table[column] = [str(value)[:10] if pd.notna(value) else "" for value in table[column]]
    # A reason that never occurred is a column of zeros: the file has it, the page does not need it.
    empty = [name for name in (*MISSING, "personas_dropped", "first_date", "last_date") if not table[name].any()]
    empty += [
        "latency_p50",
        "latency_p95",
        "apart_from_base",
        "sampling",
        "probed",
        "probe_unrated",
    ]  # sentences and 01_elicit say them
    empty += [
        name for name in ("published_alone", "retries", "lost", "mean_mass", "least_mass_seen") if not table[name].fillna(0).any()
    ]
    low, high = table.pop("min_repetitions"), table.pop("max_repetitions")
    spans = [str(b) if a == b else f"{a}–{b}" for a, b in zip(low, high, strict=True)]
    table.insert(table.columns.get_loc("personas_used"), "repetitions", spans)
    empty += [name for name in table if name not in empty and table[name].isna().all()]
    return table.drop(columns=empty).rename(columns=lambda name: name.replace("_", " "))


def described(page: Page, tables: Mapping[str, pd.DataFrame | None], *, also: str = "") -> str:
    """What every column of these tables means, as far as there are any; one that means the same in several stands once."""
    found = dictionary.describe({name: list(frame.columns) for name, frame in tables.items() if frame is not None})
    means = [name for name in found.columns if name != "table"]
    once = found.groupby(means, sort=False)["table"].agg(", ".join).reset_index()[["column", "table", *means[1:]]]
    once = once.rename(columns={"table": "tables", "missing": "empty means"})
    caption = "Data dictionary: every column of the files in tables/, with its unit, its type, and what empty means."
    return (
        f"<p>Full tables stand beside this page in <code>tables/</code>, comma-separated UTF-8 at full precision{also}.</p>"
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
    return table + f'<details><summary>provenance.json</summary><pre class="stream" tabindex="0">{whole}</pre></details>'


def _without_commit(made: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_commit(value) if isinstance(value, dict) else value for name, value in made.items() if name != "commit"
    }


def runs_section(page: Page, study: Study, tables: Tables) -> str:
    """The tables of every run, recommended estimators first."""
    about = {
        RECOMMENDED: f"With the 95 % interval for other personas like these, overall and by {study.instrument.group}. S and "
        "noise are in scale points, R in their inverse.",
        PUBLISHED: "± their standard error (persona and response parts added; counts rating noise twice; treats the runs as "
        "independent). S and the within-persona SD are in scale points, R in their inverse.",
    }
    titles = {RECOMMENDED: "Recommended estimators", PUBLISHED: "By the paper's formulas"}
    parts: list[str] = []
    wanted = [(metric, METRICS[metric].heading, RECOMMENDED) for metric in HEADLINES]
    wanted.append(("icc", "ICC, the share of variation due to personas,", RECOMMENDED))
    for metric, title, method in wanted + [(metric, METRICS[metric].heading, PUBLISHED) for metric in OF_PUBLISHED]:
        if method in titles:
            parts += [page.heading(3, titles.pop(method), f"runs-{method}"), f"<p>{about[method]}</p>"]
        spread = "95 % intervals for other personas" if method == RECOMMENDED else "± standard error"
        estimator = "recommended estimator" if method == RECOMMENDED else "the paper's formula"
        caption = f"{title} of every run, over all items and by {study.instrument.group}: {estimator}, {spread}."
        parts.append(page.table(runs_table(study, tables, metric, method), caption, wide=True))
    return "\n".join(parts)


def runs_table(study: Study, tables: Tables, metric: str, method: str) -> pd.DataFrame:
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
        scope=[study.instrument.short(scope) for scope in rows["scope"]],
    )
    wide = shown.pivot_table(index="run", columns="scope", values="text", aggfunc="first", sort=False)
    return wide.rename_axis(columns=None).reset_index()
