"""What a notebook opens with: the verdict on every variant as a figure, and where one run stands among the others."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import BAND, INK, QUIET, Look, figure, rounded
from persona_collapse.exhibits.verdict_sentences import called, harmful_first
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.printed_figures import Band
from persona_collapse.vocabulary import METRICS, RECOMMENDED

#: Panels of the verdict: columns of verdict.csv, and what the axis says, in lines that are no wider than a panel.
_PANELS = {
    "s": ["S (%)"], "noise": ["noise (%)"], "excess_s": ["S beyond", "control (pp)"],
    "excess_noise": ["noise beyond", "control (pp)"], "share": ["style", "share (%)"],
}  # fmt: skip
#: Metrics of a run that are set beside those of the others.
_STANDING = ("susceptibility", "robustness", "icc")


@exhibit.figure("verdict")
def verdict(verdict: pd.DataFrame, study: Study) -> Any:
    """Every variant in a row, harmful ones first: changes, excesses and style share with 95 % intervals, and the verdict."""
    if verdict.empty:
        return None
    look = Look(study, base=False)
    rows = harmful_first(verdict, study)
    order = [study.run(row.family, row.variant).name for row in rows.itertuples()]
    panels: list[Any] = []
    for name, title in _PANELS.items():
        own = rows[np.isfinite(rows[f"{name}_lo"].astype(float))]
        if own.empty:
            continue
        times = 100 if name == "share" else 1
        data = pd.DataFrame({
            "run": [study.run(row.family, row.variant).name for row in own.itertuples()],
            "Variant": [study.run(row.family, row.variant).variant.name for row in own.itertuples()],
            **{to: times * own[f"{name}{end}"].astype(float) for to, end in (("value", ""), ("from", "_lo"), ("to", "_hi"))},
        })  # fmt: skip
        panels.append(_panel(rounded(data), order, look, title, labels=not panels))
    said = pd.DataFrame({"run": order, "verdict": [called(row.verdict) for row in rows.itertuples()]})
    y = alt.Y("run:N", sort=order, scale=alt.Scale(domain=order), title=None, axis=None)
    text = alt.Chart(said).mark_text(align="left", x=0, color=INK, fontSize=11).encode(y=y, text="verdict:N")
    panels.append(text.properties(width=145, height=alt.Step(22)))
    return figure(
        alt.hconcat(*panels, spacing=14), study, title="The verdict",
        caption="Changes against the base, excesses over the matched control, and what a monotone recoding of the base's answers "
        "explains (style share), with 95 % intervals for other personas like these; the line is no change.",
        description="Dot plots of the numbers that the verdict on every variant stands on, one row a variant.",
    )  # fmt: skip


def _panel(data: pd.DataFrame, order: list[str], look: Look, title: list[str], *, labels: bool) -> Any:
    axis = alt.Axis(ticks=False, labelLimit=170, labelPadding=6) if labels else None
    y = alt.Y("run:N", sort=order, scale=alt.Scale(domain=order), title=None, axis=axis)
    x = alt.X("from:Q", title=title, axis=alt.Axis(tickCount=3))
    frame = alt.Chart(data).encode(y=y, color=look.color().legend(None))
    tooltip = ["run", *(alt.Tooltip(f"{name}:Q", format=".3~f") for name in ("value", "from", "to"))]
    return alt.layer(
        alt.Chart(data).mark_rule(color=QUIET).encode(x=alt.datum(0)),
        frame.mark_rule(strokeWidth=2).encode(x=x, x2="to:Q"),
        frame.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q", shape=look.shape().legend(None), tooltip=tooltip),
    ).properties(width=86, height=alt.Step(22))


@exhibit.figure("standing")
def standing(study_metrics: pd.DataFrame, study: Study, run: Run, band: Band | None = None) -> Any:
    """S, R and ICC of a run with their intervals, among those of every other run of the study that has ratings."""
    rows = study_metrics[(study_metrics["scope"] == OVERALL) & (study_metrics["method"] == RECOMMENDED)]
    panels, look = [], Look(study)
    for name in _STANDING:
        own = rows[(rows["metric"] == name) & np.isfinite(rows["value"].astype(float))]
        if own.empty:
            continue
        data = rounded(pd.DataFrame({
            "run": [study.run(row.family, row.variant).name for row in own.itertuples()],
            "Variant": [study.run(row.family, row.variant).variant.name for row in own.itertuples()],
            "value": own["value"].astype(float), "from": own["lo"].astype(float), "to": own["hi"].astype(float),
            "this": ["this run" if (row.family, row.variant) == run.keys else "the others" for row in own.itertuples()],
        }))  # fmt: skip
        panels.append(_strip(data, name, look, band))
    if not panels:
        return None
    said = f" The grey band is where {band.inside} of {band.models} frontier models lie in S (published)." if band else ""
    return figure(
        alt.vconcat(*panels, spacing=10), study, title=f"{run.name} among the runs of this study",
        caption=f"One tick a run; the large mark is this run, with its 95 % interval for other personas like these.{said}",
        description="Strips of susceptibility, robustness and ICC of every run; this run is the large mark.",
    )  # fmt: skip


def _strip(data: pd.DataFrame, metric: str, look: Look, band: Band | None) -> Any:
    about = METRICS[metric]
    title = f"{about.heading} ({about.unit})" if about.unit else about.heading
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False, padding=12))
    tooltip = ["run", *(alt.Tooltip(f"{name}:Q", format=".3~f") for name in ("value", "from", "to"))]
    here, others = (alt.Chart(data[(data["this"] == "this run") == own]).encode(color=look.color()) for own in (True, False))
    layers = [
        others.mark_tick(thickness=2, size=22, opacity=1).encode(x=x, tooltip=tooltip),
        here.mark_rule(strokeWidth=3).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
        here.mark_point(filled=True, size=130, opacity=1, stroke="white").encode(x=x, shape=look.shape(), tooltip=tooltip),
    ]
    if band and metric == "susceptibility":
        area = alt.Chart(pd.DataFrame([{"low": band.low, "high": band.high}])).mark_rect(color=BAND, opacity=0.22)
        layers.insert(0, area.encode(x=alt.X("low:Q"), x2="high:Q"))
    return alt.layer(*layers).properties(width=560, height=34)
