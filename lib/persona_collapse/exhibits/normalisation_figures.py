"""What is left of every change of S and of noise after a monotone recoding of the scale, as a figure."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import INK, Look, fade, figure, pick_of
from persona_collapse.study.study import Study
from persona_collapse.tables.normalisation import LEFT, MEASURED, ROOM

#: Parts that are drawn, from above, and their panels.
_PARTS = {MEASURED: "as measured", LEFT: "left after recoding", ROOM: "relative to the room"}
_PANELS = {"susceptibility": "S", "within_rms": "noise"}


@exhibit.figure("normalisation")
def normalisation(normalisation: pd.DataFrame, study: Study) -> Any:
    """Changes of S and noise as measured and normalised in two ways, one panel a family and metric; takes normalisation.csv."""
    rows = normalisation[normalisation["part"].isin(_PARTS) & np.isfinite(normalisation["value"].astype(float))]
    look = Look(study, base=False)
    several = len(look.families) > 1
    data = look.labelled(rows.assign(Part=rows["part"].map(_PARTS), What=rows["metric"].map(_PANELS)))
    if data.empty:
        return None
    data["Panel"] = [f"{what}, {model}" if several else what for what, model in zip(data["What"], data["Model"], strict=True)]
    order = [f"{what}, {model}" if several else what for model in look.families for what in _PANELS.values()]
    data = data[["Model", "Variant", "Panel", "Part", "value", "lo", "hi"]].rename(columns={"lo": "from", "hi": "to"})
    pick = pick_of("pick_normalised", "Variant")
    y = alt.Y("Part:N", sort=list(_PARTS.values()), title=None, axis=alt.Axis(ticks=False))
    x = alt.X("from:Q", title="change against the base (%)", axis=alt.Axis(tickCount=5))
    frame = alt.Chart(data).encode(y=y, yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick))
    tooltip = ["Model", "Variant", "Part", *(alt.Tooltip(f"{name}:Q", format="+.1f") for name in ("value", "from", "to"))]
    chart = look.of_family(
        alt.layer(
            alt.Chart(data).mark_rule(color=INK).encode(x=alt.datum(0)),
            frame.mark_rule(strokeWidth=2).encode(x=x, x2="to:Q"),
            frame.mark_point(filled=True, size=55, opacity=1).encode(x="value:Q", shape=look.shape(), tooltip=tooltip),
            data=data,
        )
        .properties(width=270, height=alt.Step(11))
        .facet(facet=alt.Facet("Panel:N", sort=order, title=None), columns=2)
        .resolve_scale(x="independent")
        .add_params(pick, *look.family())
    )
    return figure(
        chart, study, title="What is left after a recoding of the scale",
        caption="Changes against the base as measured; what is left once the scales of base and variant are equated, item by "
        "item, by a monotone recoding of their points; and the change relative to the room that item means leave. Equated scales "
        "share one total, so that what noise gains S loses. 95 % intervals for other personas like these; the line is no change.",
        description="Dot plots of changes of S and noise, measured and normalised in two ways, by variant.",
    )  # fmt: skip
