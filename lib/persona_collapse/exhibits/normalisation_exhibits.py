"""What is left of every change of S and of noise after a monotone recoding of the scale: one figure, one sentence a variant."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.exhibits.theme import INK, Look, fade, figure, pick_of
from persona_collapse.study.study import Study
from persona_collapse.tables.normalisation import LEFT, MEASURED, ROOM
from persona_collapse.text import safe

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


@exhibit.finding("normalisation")
def left(normalisation: pd.DataFrame, study: Study) -> str:
    """Of every variant: how much of its changes of S and noise a recoding of the scale makes, and whether one is left."""
    lines = []
    for (family, variant), rows in normalisation.groupby(["family", "variant"], sort=False):
        run = study.run(str(family), str(variant))
        by = {(row.metric, row.part): row for row in rows.itertuples()}
        said = [_of(by[metric, MEASURED], by[metric, LEFT], name) for metric, name in _PANELS.items() if (metric, LEFT) in by]
        lines.append(f"- **{safe(run.name)}**: {'; '.join(said)}.")
    return "\n".join(lines) or "This study has no variant to compare with a base."


def _of(measured: Any, rest: Any, name: str) -> str:
    if not np.isfinite(rest.value):
        return f"of the change of {name} nothing can be said ({safe(str(rest.why or measured.why)).rstrip('.')})"
    if not np.isfinite(rest.lo):
        return f"{name} {whole(measured.value, '+')} %, of which {whole(rest.value, '+')} % is left, without an interval"
    number = f"{whole(rest.value, '+')} % [{whole(rest.lo)}, {whole(rest.hi)}]"
    clear = measured.lo > 0 or measured.hi < 0
    if rest.lo > 0 or rest.hi < 0:
        same = rest.value * measured.value > 0
        turned = "" if same or not clear else ", the other way round"
        return f"{name} {whole(measured.value, '+')} %, after recoding {number}{turned}"
    what = "another use of the scale makes what can be told of it" if clear else "neither can be told from none"
    return f"{name} {whole(measured.value, '+')} %, after recoding {number}: {what}"


def methods(study: Study) -> str:
    """How the scales are equated, for the methods of a page."""
    return """### Normalisation

A fine-tune that only uses the scale otherwise changes S and noise without another cast. For every item the scale of the base is
equated with the variant's (equipercentile equating): each point gets the mean of the other's ratings over the same band of
percentiles, which is an increasing recoding. As recoding cannot split a point, the base is recoded to the variant and the variant
to the base, and what the recoding makes is

$$
\\tfrac12 [\\log (X_{b \\to v} / X_b) - \\log (X_{v \\to b} / X_v)]
$$

with $X$ either S or noise; the rest of $\\log (X_v / X_b)$ is left. The recoding is found anew without each persona. Relative
susceptibility and noise are the other normalisation: shares of the largest standard deviation that the item means allow.
"""
