"""Figures of tasks with a right answer: accuracy of every run, and instability by condition as differences and as ratios."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.capability_tables import NAMES
from persona_collapse.exhibits.theme import ASSUMED, INK, MADE, SIMULATED, Look, fade, figure, pick_of, switch_between
from persona_collapse.study.study import Study
from persona_collapse.tables.capability import DIFFERENCE, LEVEL, RATIO

#: Measures of instability, as the buttons call them.
_MEASURES = {"gini": "Gini impurity", "non_unanimity": "share of cells not all alike"}
_WIDE = 250
#: Intervals of a ratio that reach further are cut there.
_FROM, _TO = 1 / 16, 16


@exhibit.figure("tasks")
def tasks(capability: pd.DataFrame | None, study: Study) -> Any:
    """Accuracy of every run, one panel a family and task; None where no task was given. `capability` is capability.csv."""
    if capability is None:
        return None
    rows = capability[(capability["measure"] == "accuracy") & (capability["quantity"] == LEVEL)]
    look, pick = Look(study), pick_of("pick_task", "Variant")
    data = look.labelled(rows)
    data = data.assign(**{name: 100 * data[name] for name in ("value", "lo", "hi")})
    data["Panel"] = data["Model"] + ": " + data["task"]
    data = data.rename(columns={"task": "Task", "items": "Items", "replies": "Replies", "lo": "from", "hi": "to"})
    panels = [f"{model}: {task}" for model in look.families for task in dict.fromkeys(rows["task"])]
    numbers = [alt.Tooltip(f"{name}:Q", format=".1f") for name in ("value", "from", "to")]
    data = data[["Model", "Variant", "Task", "Panel", "Items", "Replies", "value", "from", "to"]]
    frame = alt.Chart(data).encode(
        y=alt.Y("Variant:N", sort=look.names, title=None, axis=alt.Axis(ticks=False)), color=look.color(), opacity=fade(pick),
        tooltip=["Model", "Variant", "Task", "Items", "Replies", *numbers],
    )  # fmt: skip
    x = alt.Scale(domain=[0, 100])
    chart = look.of_family(
        alt.layer(
            frame.mark_rule(strokeWidth=1.6).encode(x=alt.X("from:Q", title="Accuracy (%)", scale=x), x2="to:Q"),
            frame.mark_point(filled=True, size=60).encode(x=alt.X("value:Q", scale=x), shape=look.shape()),
            data=data,
        )
        .properties(width=270, height=22 * len(look.names))
        .facet(facet=alt.Facet("Panel:N", sort=panels, title=None), columns=2)
        .resolve_scale(y="independent")
        .add_params(pick, *look.family())
    )
    return figure(
        chart, study, title="Accuracy on tasks with a right answer",
        caption="Share of right replies, with the 95 % interval for other items of the same groups; a reply that cannot be read "
        "is a wrong one.",
        mark=SIMULATED.replace(MADE, ASSUMED), description="Dot plots of accuracy by variant, a panel a model and task.",
    )  # fmt: skip


@exhibit.figure("instability")
def instability(instability: pd.DataFrame | None, study: Study) -> Any:
    """Change of instability against the base in every condition, as a difference and as a ratio; None without a variant.

    `instability` is instability.csv.
    """
    if instability is None or not (instability["quantity"] == DIFFERENCE).any():
        return None
    look, pick = Look(study, base=False), pick_of("pick_unsteady", "Variant")
    rows = instability[instability["quantity"].isin([DIFFERENCE, RATIO]) & instability["value"].notna()]
    several = len(look.families) > 1
    data = look.labelled(rows)
    data["Condition"] = [NAMES.get(name, name) for name in data["condition"]]
    data["Measure"], data["Quantity"] = data["measure"].map(_MEASURES), data["quantity"]
    data = data.rename(columns={"lo": "from", "hi": "to", "repetitions": "Answers"})
    conditions = [NAMES.get(name, name) for name in dict.fromkeys(rows["condition"])]
    data["Panel"] = data["Model"] + ": " + data["Condition"] if several else data["Condition"]
    order = [f"{model}: {name}" for model in look.families for name in conditions] if several else conditions
    data = data[["Model", "Variant", "Condition", "Panel", "Measure", "Quantity", "Answers", "value", "from", "to"]]
    panels = [_panel(data[data["Quantity"] == what], what, look, pick, order) for what in (DIFFERENCE, RATIO)]
    switches = switch_between("measure", list(_MEASURES.values()), "measure: "), *look.family()
    chart = alt.hconcat(*panels, spacing=24).add_params(*switches)
    cut = data[(data["Quantity"] == RATIO) & ((data["from"] < _FROM) | (data["to"] > _TO))]
    return figure(
        chart, study, title="Instability against the base, by condition",
        caption="How much less alike repeated answers to one question are than the base's: left as a difference, right "
        "as a ratio. Intervals are 95 %, for other personas (as personas) or other items. What is far to the right as personas "
        f"alone is selective; a base that hardly ever differs makes ratios large and uncertain.{_said_cut(cut)}",
        using="The buttons change the measure.", still="Measure: Gini impurity.",
        description="Dot plots of the difference and the ratio of instability by condition and variant.",
    )  # fmt: skip


def _said_cut(cut: pd.DataFrame) -> str:
    return f" Intervals that reach beyond {_TO} times, or below 1/{_TO}, are cut there." if len(cut) else ""


def _panel(data: pd.DataFrame, what: str, look: Look, pick: alt.Parameter, order: list[str]) -> Any:
    """All rows of one quantity, a row of the panel a condition."""
    ratio = what == RATIO
    title = "Ratio to the base" if ratio else "Difference from the base"
    if ratio:
        scale: Any = alt.Scale(type="log", domain=[_FROM, _TO], clamp=True, nice=False)
        label = "datum.value < 1 ? '1/' + 1 / datum.value : datum.label"
        axis = alt.Axis(values=[_FROM, 0.25, 1, 4, _TO], format="~g", labelExpr=label)
    else:
        ends = data[["value", "from", "to"]].to_numpy(float)
        scale, axis = alt.Scale(domain=[min(0.0, float(np.nanmin(ends))), float(np.nanmax(ends))]), alt.Axis(tickCount=5)
    y = alt.Y("Variant:N", sort=look.names, title=None, axis=alt.Axis(labels=False, ticks=False))
    frame = alt.Chart(data).encode(y=y, color=look.color(), opacity=fade(pick))
    numbers = [alt.Tooltip(f"{name}:Q", format=".3~f") for name in ("value", "from", "to")]
    points = frame.mark_point(filled=True, size=55).encode(
        x=alt.X("value:Q", scale=scale), shape=look.shape(),
        tooltip=["Model", "Variant", "Condition", "Measure", "Answers", *numbers],
    ).properties(name=f"unsteady_{what}")  # fmt: skip
    layers = alt.layer(
        points if ratio else points.add_params(pick),  # the other panel knows it by its name
        frame.mark_rule(strokeWidth=1.6).encode(x=alt.X("from:Q", title=title, scale=scale, axis=axis), x2="to:Q"),
        alt.Chart(data).mark_rule(color=INK).encode(x=alt.datum(1 if ratio else 0)),
        data=data,
    )
    header = alt.Header(labelAngle=0, labelAlign="left", labelOrient="left", labels=not ratio)
    shown = look.of_family(layers.transform_filter("datum.Measure === measure"))
    row = alt.Row("Panel:N", sort=order, title=None, header=header)
    return shown.properties(width=_WIDE, height=alt.Step(13)).facet(row=row, spacing=6)
