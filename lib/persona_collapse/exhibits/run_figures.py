"""Figures of one run, and of the tour: which personas and items S and R come from, and where fine-tuning carries a model."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import (
    LOOKS,
    both,
    chosen,
    fade,
    figure,
    pick_of,
    rounded,
    switch,
)
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables import saturation
from persona_collapse.vocabulary import METRICS


@exhibit.figure("persona_strip")
def persona_strip(counts: np.ndarray, study: Study) -> Any:
    """Each persona's mean rating by foundation, one dot a persona; hovering shows who it is."""
    instrument, personas = study.instrument, study.personas
    rows = saturation.profile(counts, instrument)
    attribute = "outlook" if personas and "outlook" in personas[0].attributes else None
    data = rounded(rows[["persona", "foundation", "mean"]].astype({"persona": int}))
    index = rows["persona"].tolist()
    data["Persona"] = [i + 1 for i in index]
    data["who"] = [personas[i].text if personas else study.persona_line(i) for i in index]
    if attribute:
        data["Outlook"] = [personas[i].attributes.get(attribute, "") for i in index] if personas else ""
    data["Group"] = data["foundation"].map(study.instrument.short)
    # A spread by rank instead of a random jitter: the same picture every time.
    data["offset"] = [round(((i * 7) % 11) / 11, 3) for i in index]
    data = data.drop(columns=["persona", "foundation"])
    pick = pick_of("pick_outlook", "Outlook") if attribute else None
    hover = alt.selection_point(name="hover_persona", fields=["Persona"], on="pointerover", clear="pointerout", empty=False)
    shown = alt.when(hover).then(alt.value(220)).otherwise(alt.value(38))
    chart = (
        alt.Chart(data)
        .mark_point(filled=True, opacity=0.75)
        .encode(
            x=alt.X("mean:Q", scale=alt.Scale(domain=list(instrument.scale)), title="Mean rating of one persona"),
            y=alt.Y(
                "Group:N",
                sort=[study.instrument.short(f) for f in instrument.foundations],
                title=None,
                axis=alt.Axis(ticks=False),
            ),
            yOffset=alt.YOffset("offset:Q"),
            size=shown,
            tooltip=["who", *(["Outlook"] if attribute else []), "Group", alt.Tooltip("mean:Q", format=".2f")],
        )
        .add_params(hover)
        .properties(width=560, height=alt.Step(46))
    )
    if pick is not None:
        color = alt.Color("Outlook:N", scale=alt.Scale(scheme="tableau10"))
        chart = chart.encode(color=color, opacity=fade(pick)).add_params(pick)
    else:
        chart = chart.encode(color=alt.value(LOOKS["base"][0][0]))
    return figure(
        chart, study, title="Who answers what",
        caption=f"One dot a persona and {study.instrument.group}." + instrument.turned,
        using="Hover to read who it is and to find the same persona in the other rows."
        + (" Click an outlook to bring it forward." if attribute else ""),
        description=f"Strip plot of the mean rating of every persona by {study.instrument.group}.",
    )  # fmt: skip


@exhibit.figure("foundation_levels")
def foundation_levels(run_metrics: pd.DataFrame, study: Study) -> Any:
    """S and R of one run by foundation, with 95 % intervals, beside the overall value."""
    rows = pd.concat([both(run_metrics, metric) for metric in ("susceptibility", "robustness")])
    data = rounded(rows[["metric", "scope", "Estimators", "value", "from", "to"]]).rename(columns={"scope": "Scope"})
    order = [OVERALL, *(study.instrument.short(f) for f in study.instrument.foundations)]
    data["Scope"] = data["Scope"].map(study.instrument.short)
    data["Metric"] = data.pop("metric").map(lambda metric: METRICS[metric].heading)
    y = alt.Y("Scope:N", sort=order, title=None, axis=alt.Axis(ticks=False))
    tooltip = ["Scope", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("value", "from", "to"))]
    panels = []
    for metric in ("susceptibility", "robustness"):
        own = chosen(alt.Chart(data[data["Metric"] == METRICS[metric].heading])).encode(y=y)
        title = f"{METRICS[metric].heading} ({METRICS[metric].unit})"
        x = alt.X("value:Q", title=title, scale=alt.Scale(zero=True))
        panels.append(
            alt.layer(
                own.mark_rule(strokeWidth=2, color=LOOKS["base"][0][0]).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
                own.mark_point(filled=True, size=80, color=LOOKS["base"][0][0], opacity=1).encode(x=x, tooltip=tooltip),
            ).properties(width=260, height=150)
        )
    return figure(
        alt.hconcat(*panels).add_params(switch()), study, title=f"S and R by {study.instrument.group}",
        caption="Recommended estimators with the 95 % interval for other personas like these.",
        using="The buttons show the paper's formulas, ± 1.96 of their standard errors.",
        description=f"Dot plots of susceptibility and robustness, overall and by {study.instrument.group}.",
    )  # fmt: skip
