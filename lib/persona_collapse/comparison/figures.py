"""Figures of two studies side by side: a table in, an Altair chart out."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.comparison.build import StudyTables
from persona_collapse.comparison.differences import EFFECT, EXCESS, LEVEL
from persona_collapse.comparison.pair import Pair
from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import (
    DIFFERS,
    INK,
    MADE,
    QUIET,
    both,
    chosen,
    fade,
    figure,
    pick_of,
    rounded,
    switch,
)
from persona_collapse.study.scopes import OVERALL
from persona_collapse.vocabulary import CLAIMED, METRICS, RECOMMENDED

# Okabe and Ito's, with a shape each: the first study and the second.
_COLOURS, _SHAPES = ["#0072B2", "#D55E00"], ["circle", "triangle-up"]
#: What a forest shows of S and of noise.
_FOREST = {metric: METRICS[metric].name for metric in CLAIMED}
_QUANTITIES = {
    LEVEL: ("difference", "difference (%)", "{b} against {a}, in percent of {a}"),
    EFFECT: ("difference of the effect", "difference of the effect (%)",
             "the ratio of variant to base in {b} over that in {a}, less one, in percent: 0 is the same effect"),
    EXCESS: ("difference of the excess", "difference of the excess (points of base)",
             "the excess over the control in {b} less that in {a}, in points of the base"),
}  # fmt: skip


@exhibit.figure("levels", by="metric")
def levels(tables: StudyTables, pair: Pair, metric: str) -> Any:
    """A metric of every run in both studies, with interval A; the buttons show the published estimators."""
    data = both(_long(tables.levels[tables.levels["scope"] == OVERALL], pair), metric)
    chart = _beside(data, pair, f"{METRICS[metric].heading} ({METRICS[metric].unit})", "", zero=False)
    return _finished(
        chart, pair, title=f"{METRICS[metric].heading} in both studies",
        caption=f"{METRICS[metric].heading} of every run, each study on its own personas and items. Lines: 95 % interval for "
        "other personas like these.",
        using="The buttons show the paper's formula, ± 1.96 of its standard errors, of which R and the within-persona SD can be "
        "compared at equal repetitions only.",
        description=f"Dot plot of {METRICS[metric].heading} of every run, one mark a study, with 95 % intervals.",
    )  # fmt: skip


@exhibit.figure("changes", by="metric")
def changes(tables: StudyTables, pair: Pair, metric: str) -> Any:
    """Change of a metric against the base in both studies; None for bases alone."""
    changed = tables.changes
    own = changed[(changed["scope"] == OVERALL) & (changed["quantity"] == "change_pct")]
    data = both(_long(own, pair), metric)
    if data.empty:
        return None
    chart = _beside(data, pair, f"Change of {METRICS[metric].inside} against base (%)", "+", zero=True)
    return _finished(
        chart, pair, title=f"Change of {METRICS[metric].inside} against base in both studies",
        caption="Percent of the base of the same family and study, with the 95 % interval for other personas like these; means "
        "are over the families that stand in both.",
        using="The buttons show the paper's formula.",
        description=f"Dot plot of the percent change of {METRICS[metric].heading} against base in both studies.",
    )  # fmt: skip


@exhibit.figure("forest", by="quantity")
def forest(tables: StudyTables, pair: Pair, quantity: str) -> Any:
    """What differs between the studies in S and in noise, with both intervals, from differences.csv; None for nothing."""
    found = tables.differences
    rows = found[(found["scope"] == OVERALL) & (found["quantity"] == quantity) & (found["method"] == RECOMMENDED)]
    rows = rows[rows["metric"].isin(_FOREST) & np.isfinite(rows["value"].astype(float))]
    if rows.empty:
        return None
    what, axis, words = (text.format(a=pair.names[0], b=pair.names[1]) for text in _QUANTITIES[quantity])
    marked = {pair.name_of(*key) + f" {DIFFERS}" * bool(differs): None
              for *key, differs in rows[["family", "variant", "variant_b", "differs"]].itertuples(index=False)}  # fmt: skip
    data = pd.DataFrame(
        {
            "Run": [pair.name_of(r.family, r.variant, r.variant_b) + f" {DIFFERS}" * bool(r.differs) for r in rows.itertuples()],
            "Metric": [_FOREST[metric] for metric in rows["metric"]], "value": rows["value"], "from": rows["lo"],
            "to": rows["hi"], "again from": rows["lo_repeat"], "again to": rows["hi_repeat"],
            "said": [_said(row, pair) for row in rows.itertuples()], "differs": rows["differs"],
        }
    )  # fmt: skip
    panels = [
        _panel(rounded(data[data["Metric"] == name]), pair, list(marked), f"{name}: {axis}", named=not place)
        for place, name in enumerate(_FOREST.values())
    ]
    dagger = f" {DIFFERS}: the sides also differ otherwise; see what else differs." if data["differs"].any() else ""
    return _finished(
        alt.hconcat(*panels), pair, title=f"{what[0].upper()}{what[1:]} between the studies",
        caption=f"Each point is {words}. Thin line: 95 % interval for other personas; thick, pale line: 95 % interval for the "
        f"same requests again. The line at 0 is no difference.{dagger}",
        description=f"Forest plots of the {what} between {pair.names[0]} and {pair.names[1]} in S and in noise.",
    )  # fmt: skip


def _said(row: Any, pair: Pair) -> str:
    """What an interval tells, as legends say it."""
    if np.isnan(row.lo):
        return "no interval"
    if row.lo > 0 or row.hi < 0:
        return f"{'higher' if row.lo > 0 else 'lower'} in {pair.names[1]}"
    return "cannot be told"


def _panel(data: pd.DataFrame, pair: Pair, order: list[str], title: str, *, named: bool) -> alt.LayerChart | alt.FacetChart:
    names = [f"higher in {pair.names[1]}", f"lower in {pair.names[1]}", "cannot be told", "no interval"]
    scale: dict[str, Any] = {"domain": names, "range": ["#D55E00", "#0072B2", QUIET, QUIET]}
    shapes: dict[str, Any] = {"domain": names, "range": ["triangle-right", "triangle-left", "circle", "cross"]}
    y = alt.Y("Run:N", sort=order, title=None, axis=alt.Axis(ticks=False, labels=named, labelLimit=300, grid=True))
    # The legend would take the paleness of the thick lines.
    legend = alt.Legend(symbolOpacity=1)
    frame = alt.Chart(data).encode(y=y, color=alt.Color("said:N", scale=alt.Scale(**scale), title=None, legend=legend))
    numbers = ("value", "from", "to", "again from", "again to")
    tooltip = ["Run", *(alt.Tooltip(f"{name}:Q", format="+.3~f") for name in numbers), "said", "differs"]
    return alt.layer(
        alt.Chart(pd.DataFrame([{"at": 0.0}])).mark_rule(color=INK).encode(x="at:Q"),
        frame.mark_rule(strokeWidth=7, opacity=0.25).encode(x="again from:Q", x2="again to:Q"),
        frame.mark_rule(strokeWidth=1.8).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
        frame.mark_point(filled=True, size=70, opacity=1).encode(
            x="value:Q", shape=alt.Shape("said:N", scale=alt.Scale(**shapes), title=None), tooltip=tooltip
        ),
    ).properties(width=290, height=alt.Step(20))


def _long(table: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """One row a study where levels.csv and changes.csv have one a pair, with names for readers."""
    keys = [name for name in ("family", "variant", "variant_b", "metric", "method") if name in table]
    parts = []
    for name, suffix in zip(pair.names, "ab", strict=True):
        numbers = {f"{column}_{suffix}": column for column in ("value", "lo", "hi")}
        parts.append(table[[*keys, *numbers]].rename(columns=numbers).assign(Study=name))
    found = pd.concat(parts, ignore_index=True)
    found = found[np.isfinite(found["value"].astype(float))]
    return found.assign(Run=[pair.name_of(*key) for key in found[keys[:3]].itertuples(index=False)])


def _beside(data: pd.DataFrame, pair: Pair, title: str, sign: str, *, zero: bool) -> alt.LayerChart | alt.FacetChart:
    """One line a run, one mark a study."""
    data = rounded(data[["Run", "Study", "Estimators", "value", "from", "to"]])
    order = list(dict.fromkeys(data["Run"]))
    pick = pick_of("pick_study", "Study")
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False, padding=12))
    frame = chosen(alt.Chart(data)).encode(
        y=alt.Y("Run:N", sort=order, title=None, scale=alt.Scale(paddingInner=0.35),
                axis=alt.Axis(ticks=False, labelLimit=300)),
        yOffset=alt.YOffset("Study:N", sort=list(pair.names)), opacity=fade(pick),
        color=alt.Color("Study:N", scale=alt.Scale(domain=list(pair.names), range=_COLOURS), title=None),
    )  # fmt: skip
    shape = alt.Shape("Study:N", scale=alt.Scale(domain=list(pair.names), range=_SHAPES), title=None)
    tooltip = ["Run", "Study", *(alt.Tooltip(f"{c}:Q", format=f"{sign}.3~f") for c in ("value", "from", "to"))]
    layers = [alt.Chart(pd.DataFrame([{"at": 0.0}])).mark_rule(color=INK).encode(x="at:Q")] if zero else []
    layers += [
        frame.mark_rule(strokeWidth=2).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
        frame.mark_point(filled=True, size=80).encode(x=x, shape=shape, tooltip=tooltip),
    ]
    return alt.layer(*layers).add_params(pick, switch()).properties(width=520, height=alt.Step(14))


def _finished(chart: Any, pair: Pair, **words: Any) -> Any:
    """A figure with the mark of simulated ratings, which names the study where only one is simulated."""
    if len(pair.simulated) == 1:
        words["mark"] = f"SIMULATED RATINGS in {pair.simulated[0]}: {MADE}"
    return figure(chart, pair, **words)
