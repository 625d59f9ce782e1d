"""Figures of what the questionnaire measures in every run: variance components, and Cronbach's alpha of each group of items."""

from typing import Any

import altair as alt
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import INK, Look, fade, figure, pick_of
from persona_collapse.study.study import Study

#: Components in the order in which they are stacked: words, and a colour that darkens in grey the more the personas count.
_PARTS = {
    "persona": ("persona", "#084594"),
    "persona_group": ("persona by group", "#4292C6"),
    "persona_item": ("persona by item", "#C6DBEF"),
    "repetition": ("repetition", "#D55E00"),
    "wording": ("wording", "#E69F00"),
}


@exhibit.figure("components")
def components(components: pd.DataFrame, study: Study) -> Any:
    """Variance components of every run, stacked, one panel a family; None where none exists. `components` is components.csv."""
    look = Look(study)
    known = components[components["value"].notna()]
    if known.empty:
        return None
    data = look.labelled(known)[["Model", "Variant", "component", "value", "lo", "hi"]]
    data = data.rename(columns={"value": "variance", "lo": "from", "hi": "to"})
    data["Component"] = [_PARTS[part][0] for part in data.pop("component")]
    below = data[data["variance"] < 0]
    shown = [(words, color) for words, color in _PARTS.values() if words in set(data["Component"])]
    words, colors = (list(part) for part in zip(*shown, strict=True))
    pick = pick_of("pick_component", "Component")
    chart = look.of_family(
        alt.Chart(data)
        .transform_calculate(drawn="max(0, datum.variance)", order=f"indexof({words}, datum.Component)")
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("drawn:Q", stack="zero", title="Variance (squared scale points)"),
            y=alt.Y("Variant:N", sort=look.names, title=None, axis=alt.Axis(ticks=False)),
            color=alt.Color("Component:N", scale=alt.Scale(domain=words, range=colors), sort=words, title=None),
            order=alt.Order("order:Q"),
            opacity=fade(pick),
            tooltip=["Model", "Variant", "Component", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("variance", "from", "to"))],
        )
        .properties(width=310, height=alt.Step(20))
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .resolve_scale(y="independent")
        .add_params(pick, *look.family())
    )
    what = study.instrument.group
    by_group = f"; persona by group, what it has in one {what} more than in others" if "persona by group" in words else ""
    zero = f" Estimates below zero are drawn as zero: {len(below)} of {len(data)}." if len(below) else ""
    return figure(
        chart, study, title="Variance components of every run",
        caption="Where ratings differ, in squared scale points. Persona: differences between personas that hold over the whole "
        f"questionnaire{by_group}; persona by item, what it has in a single item; repetition, what changes when the same persona "
        f"is asked the same again.{study.instrument.turned}{zero}",
        description="Stacked bars of the variance components of ratings by model and variant.",
    )  # fmt: skip


@exhibit.figure("reliability")
def reliability(reliability: pd.DataFrame, study: Study) -> Any:
    """Cronbach's alpha of each group of items with 95 % intervals, one panel a family; None where none exists.

    `reliability` is reliability.csv.
    """
    look = Look(study)
    known = reliability[reliability["value"].notna()]
    if known.empty:
        return None
    data = look.labelled(known)[["Model", "Variant", "group", "value", "lo", "hi"]]
    data = data.rename(columns={"group": "Group", "value": "alpha", "lo": "from", "hi": "to"})
    data["Group"] = data["Group"].map(study.instrument.short)
    order = [study.instrument.short(group) for group in study.instrument.foundations]
    pick = pick_of("pick_alpha", "Variant")
    frame = alt.Chart(data).encode(
        y=alt.Y("Group:N", sort=order, title=None, axis=alt.Axis(ticks=False)),
        yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick),
    )  # fmt: skip
    chart = look.of_family(
        alt.layer(
            alt.Chart(data).mark_rule(color=INK).encode(x=alt.datum(0)),
            frame.mark_rule(strokeWidth=1.6).encode(x=alt.X("from:Q", title="Cronbach's alpha"), x2="to:Q"),
            frame.mark_point(filled=True, size=55).encode(
                x="alpha:Q", shape=look.shape(),
                tooltip=["Model", "Variant", "Group", *(alt.Tooltip(f"{c}:Q", format=".2f") for c in ("alpha", "from", "to"))],
            ),
            data=data,
        )
        .properties(width=310, height=150)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick, *look.family())
    )  # fmt: skip
    return figure(
        chart, study, title=f"Cronbach's alpha by {study.instrument.group}",
        caption=f"How far the items of a {study.instrument.group} order the personas alike (1: they all do; 0: not at all), with "
        f"the 95 % interval for other personas like these.{study.instrument.turned} Where alpha is near 0 the "
        f"{study.instrument.group} does not measure personas, whatever its S.",
        description=f"Dot plots of Cronbach's alpha by {study.instrument.group} and variant, one panel a model.",
    )  # fmt: skip
