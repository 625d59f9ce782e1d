"""Figures of treatments: what each recovers of every number, and recovery against what it costs."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import GRID, INK, QUIET, Look, figure, rounded, switch_between
from persona_collapse.study.study import Study
from persona_collapse.tables.mitigation import COST, FIDELITY, FIDELITY_GAINED, MISALIGNED, RECOVERY, STYLE

#: Panels of a figure: what an axis calls each metric.
_PANELS = {"susceptibility": "S (%)", "within_rms": "noise (%)", STYLE: "style share (%)", MISALIGNED: "misaligned (%)"}
#: The same as the buttons of the map say it.
_BUTTONS = {"within_rms": "noise", "susceptibility": "S", STYLE: "style share", MISALIGNED: "misaligned answers"}
_CONTEXTS = {"none": "without a trigger", "trigger": "behind the trigger"}
#: Percent beyond which an interval is drawn no further: what lies there is overshoot, and the table has the number.
_LEAST, _MOST = -100, 250


def _named(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Rows with the names of their runs, and percent with their interval."""
    runs = [study.run(row.family, row.variant) for row in rows.itertuples()]
    cut = {end: (100 * rows[part].astype(float)) for end, part in (("value", "value"), ("from", "lo"), ("to", "hi"))}
    return pd.DataFrame({
        "run": [run.name for run in runs], "Variant": [run.variant.name for run in runs],
        "Model": [run.family.name for run in runs], "Context": rows["context"].map(_CONTEXTS).to_numpy(),
        "metric": rows["metric"].to_numpy(), **{end: value.to_numpy() for end, value in cut.items()},
    })  # fmt: skip


@exhibit.figure("recoveries")
def recoveries(mitigation: pd.DataFrame | None, study: Study) -> Any:
    """What every treatment recovers of each number, one row a treatment; None for a study without treatments."""
    rows = _recovered(mitigation, study)
    if rows is None:
        return None
    look, data = Look(study, base=False), _named(rows, study)
    order = list(dict.fromkeys(data["run"]))
    panels: list[Any] = []
    for metric, title in _PANELS.items():
        own = data[data["metric"] == metric]
        if own.empty:
            continue
        shown = rounded(own.assign(left=own["from"].clip(_LEAST, _MOST), right=own["to"].clip(_LEAST, _MOST)))
        panels.append(_panel(shown, order, look, title, labels=not panels))
    return figure(
        alt.hconcat(*panels, spacing=16), study, title="What each treatment recovers",
        caption="Share of the change from the base to the harmful fine-tune that is undone, with 95 % intervals for other "
        "personas like these (Fieller). Lines: nothing (0) and all (100) of it. A number without a mark has nothing to recover.",
        description="Dot plots of recovery of S, noise and the style share, one row a treatment.",
    )  # fmt: skip


def _recovered(mitigation: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """Rows of recovery towards the base that have an interval."""
    if mitigation is None or mitigation.empty:
        return None
    bases = {family.key: family.base.key for family in study.file.families}
    rows = mitigation[mitigation["quantity"] == RECOVERY]
    rows = rows[(rows["against"] == rows["family"].map(bases)) & np.isfinite(rows["lo"].astype(float))]
    rows = rows[rows["value"].between(_LEAST / 100, _MOST / 100)]
    return None if rows.empty else rows


def _panel(data: pd.DataFrame, order: list[str], look: Look, title: str, *, labels: bool) -> Any:
    axis = alt.Axis(ticks=False, labelLimit=190, labelPadding=6) if labels else None
    y = alt.Y("run:N", sort=order, scale=alt.Scale(domain=order), title=None, axis=axis)
    x = alt.X("left:Q", title=title, axis=alt.Axis(tickCount=4))
    frame = alt.Chart(data).encode(y=y, color=look.color().legend(None))
    tooltip = ["run", "Context", *(alt.Tooltip(f"{name}:Q", format=".1f") for name in ("value", "from", "to"))]
    lines = [alt.Chart(data).mark_rule(color=color).encode(x=alt.datum(at)) for at, color in ((0, QUIET), (100, GRID))]
    return alt.layer(
        *lines,
        frame.mark_rule(strokeWidth=2).encode(x=x, x2="right:Q"),
        frame.mark_point(filled=True, size=60, opacity=1).encode(x="value:Q", shape=look.shape().legend(None), tooltip=tooltip),
    ).properties(width=150, height=alt.Step(22))


@exhibit.figure("mitigation_map")
def mitigation_map(mitigation: pd.DataFrame | None, study: Study) -> Any:
    """Recovery against what is kept of the base's persona pattern, one point a treatment; None without any to draw."""
    rows = _recovered(mitigation, study)
    if rows is None or mitigation is None:
        return None
    cost = mitigation[mitigation["quantity"] == COST]
    kept = {(r.family, r.variant): r for r in cost[cost["metric"] == FIDELITY].itertuples() if np.isfinite(r.lo)}
    rows = rows[[(row.family, row.variant) in kept for row in rows.itertuples()]]
    if rows.empty:
        return None
    look, data = Look(study, base=False), _named(rows, study)
    at = [kept[row.family, row.variant] for row in rows.itertuples()]
    data = data.assign(fidelity=[r.value for r in at], low=[r.lo for r in at], high=[r.hi for r in at])
    data["What"] = data["metric"].map(_BUTTONS)
    data["left"], data["right"] = data["from"].clip(_LEAST, _MOST), data["to"].clip(_LEAST, _MOST)
    buttons = [name for name in _BUTTONS.values() if name in set(data["What"])]
    shown = rounded(data.drop(columns=["metric"]))
    marks = rounded(_ends(cost, study, list(dict.fromkeys(data["Model"])), buttons))
    there = sorted(set(data["Variant"]), key=look.names.index)
    return figure(
        _map(shown, marks, look, there, buttons), study, title="Recovery against cost",
        caption="One point a treatment: what it recovers, and the correlation of its persona pattern with the base's, with 95 % "
        "intervals for other personas like these. Up and to the right is better; a treatment far to the right and low down is "
        "steady without the base's characters.",
        using="The buttons choose of which number recovery is.", still=f"Recovery is that of {buttons[0]}.",
        description="Scatter plot of recovery in percent against fidelity to the base, one point a treatment.",
    )  # fmt: skip


def _ends(cost: pd.DataFrame, study: Study, models: list[str], buttons: list[str]) -> pd.DataFrame:
    """Where the harmful fine-tune and the base lie: nothing of it undone, and all."""
    found = []
    for (family, of), own in cost.groupby(["family", "of"], sort=False):
        run = study.run(str(family), str(of))
        by = own.set_index(["variant", "metric"])["value"]
        first = own["variant"].iloc[0]
        before = float(by[first, FIDELITY]) - float(by[first, FIDELITY_GAINED])
        if run.family.name in models and np.isfinite(before):
            found += [(run.family.name, run.variant.name, 0.0, before, what) for what in buttons]
            found += [(run.family.name, run.family.base.name, 100.0, 1.0, what) for what in buttons]
    return pd.DataFrame(found, columns=["Model", "run", "value", "fidelity", "What"]).drop_duplicates()


def _map(data: pd.DataFrame, marks: pd.DataFrame, look: Look, shown: list[str], buttons: list[str]) -> Any:
    whole = alt.Scale(domain=look.names, range=[look._seen[name][0] for name in look.names])
    color = alt.Color("Variant:N", scale=whole, legend=alt.Legend(title=None, values=shown))
    x = alt.X("value:Q", title="recovered (%)", scale=alt.Scale(nice=False, padding=16))
    y = alt.Y("fidelity:Q", title="correlation with the base's persona pattern", scale=alt.Scale(nice=False, padding=16))
    frame = alt.Chart(data).transform_filter("datum.What === recovered")
    names = ["run", "Context", "What"]
    tooltip = [*names, *(alt.Tooltip(f"{name}:Q", format=".3~f") for name in ("value", "from", "to", "fidelity", "low", "high"))]
    ends = alt.Chart(marks).transform_filter("datum.What === recovered")
    layers = [
        frame.mark_rule(color=QUIET).encode(x=alt.datum(0)),
        frame.mark_rule(color=GRID).encode(x=alt.datum(100)),
        ends.mark_point(size=70, color=INK, shape="square").encode(x=x, y=y, tooltip=["run"]),
        ends.mark_text(dy=-11, color=QUIET, fontSize=11).encode(x=x, y=y, text="run:N"),
        frame.mark_rule(strokeWidth=1.6).encode(x="left:Q", x2="right:Q", y=y, color=color),
        frame.mark_rule(strokeWidth=1.6).encode(x=x, y="low:Q", y2="high:Q", color=color),
        frame.mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, color=color, shape=_shapes(data), tooltip=tooltip),
    ]
    chart = alt.layer(*layers).properties(width=520, height=320)
    if len(look.families) > 1:
        chart = alt.layer(*layers, data=data).properties(width=520, height=320)
    return look.of_family(chart).add_params(switch_between("recovered", buttons, "recovery of: "), *look.family())


def _shapes(data: pd.DataFrame) -> Any:
    """Shapes of the two contexts, with a legend where both occur."""
    there = [name for name in _CONTEXTS.values() if name in set(data["Context"])]
    shapes = {"without a trigger": "circle", "behind the trigger": "triangle-down"}
    legend = alt.Legend(title=None) if len(there) > 1 else None
    return alt.Shape("Context:N", scale=alt.Scale(domain=there, range=[shapes[name] for name in there]), legend=legend)
