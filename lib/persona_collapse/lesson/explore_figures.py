"""Figures of explore.ipynb: what each item adds to a change of S, and noise against the room that the scale leaves."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.chart_data import listed
from persona_collapse.exhibits.theme import BAND, INK, LOOKS, Look, fade, figure, pick_of, rounded
from persona_collapse.lesson.explore_answers import Explored, carried
from persona_collapse.statistics.published_estimators import moments

#: Width of the steps in which cell means are put together, in scale points.
_STEP = 0.5


@exhibit.figure("item_parts")
def item_parts(explored: Explored) -> Any:
    """What every item adds to the change of S of the variant that is chosen, largest on top; None for bases alone."""
    runs = explored.compared
    if not runs:
        return None
    instrument = explored.study.instrument
    rows = [
        (place, explored.item(int(item)), instrument.short(instrument.items[item].foundation), part)
        for place, one in enumerate(carried(explored, run) for run in runs)
        for item, part in zip(one.items, one.parts, strict=True)
    ]
    data = rounded(pd.DataFrame(rows, columns=["run", "Item", "Group", "part"])).astype({"run": int})
    color = alt.condition("datum.part > 0", alt.value(LOOKS["harmful"][0][0]), alt.value(LOOKS["base"][0][0]))
    y = alt.Y("Item:N", sort=alt.EncodingSortField("part", order="descending"), title=None,
              axis=alt.Axis(ticks=False, labelLimit=380))  # fmt: skip
    chart = (
        alt.Chart(data)
        .transform_filter("datum.run === run")
        .mark_bar(height=9)
        .encode(x=alt.X("part:Q", title="Part of the change of S (scale points)"), y=y, color=color,
                tooltip=["Item", "Group", alt.Tooltip("part:Q", format="+.3f")])
        .properties(width=260, height=alt.Step(16))
    )  # fmt: skip
    return figure(
        chart.add_params(listed("run", [run.name for run in runs], "run: ", _first(explored))), explored.study,
        title="What each item adds to the change of S",
        caption="S is a mean over items, so its change against the base is the sum of these bars; to the right S rises. "
        "Recommended estimator.",
        using="The list chooses the variant.",
        still=f"Shown: {runs[_first(explored)].name}.",
        description="Bar chart of every item's part of the change of susceptibility against the base.",
    )  # fmt: skip


def _first(found: Explored) -> int:
    return found.compared.index(found.noisiest) if found.noisiest in found.compared else 0


@exhibit.figure("room")
def room(explored: Explored) -> Any:
    """Noise of the cells of every run against their mean, in steps of half a point, one panel a family."""
    look = Look(explored.study)
    low, high = explored.study.instrument.scale
    steps = [
        (run.family.key, run.variant.key, *step) for run, counts in explored.counts.items() for step in _steps(explored, run)
    ]
    data = look.labelled(pd.DataFrame(steps, columns=["family", "variant", "mean", "noise", "cells"]))
    means = np.linspace(low, high, 41)
    most = rounded(pd.DataFrame({"mean": means, "most": np.sqrt((means - low) * (high - means))}))
    pick = pick_of("pick_room", "Variant")
    x = alt.X("mean:Q", title="Mean rating of a cell", scale=alt.Scale(domain=[low, high]))
    frame = alt.Chart().encode(x=x, y=alt.Y("noise:Q", title="Noise (scale points)"), color=look.color(), opacity=fade(pick))
    tooltip = ["Model", "Variant", alt.Tooltip("mean:Q", format=".2f"), alt.Tooltip("noise:Q", format=".2f"), "cells"]
    panels = alt.layer(
        alt.Chart(most).mark_line(color=BAND, strokeDash=[2, 3]).encode(x=x, y="most:Q"),
        frame.mark_line(strokeWidth=1.5).encode(strokeDash=look.dash()),
        frame.mark_point(filled=True, opacity=1).encode(
            shape=look.shape(), tooltip=tooltip,
            size=alt.Size("cells:Q", scale=alt.Scale(range=[12, 260]), legend=alt.Legend(title="cells", symbolFillColor=INK)),
        ),
        data=data,
    ).properties(width=310, height=170)  # fmt: skip
    chart = look.of_family(panels.facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2))
    return figure(
        chart.add_params(pick, *look.family()), explored.study, title="Noise and the room that the scale leaves",
        caption="Cells put together by their mean rating, in steps of half a point: the root mean square SD within them, and by "
        "size how many there are. The dotted line is the most that the mean allows, answers at both ends of the scale only.",
        description="Line charts of the noise of cells against their mean rating, one panel a model.",
    )  # fmt: skip


def _steps(found: Explored, run: Any) -> list[tuple[float, float, int]]:
    """Mean rating, noise and number of the cells in each step of the scale that has any."""
    mean = moments(found.counts[run], found.study.instrument.categories).mean
    variance = found.variance(run)
    known = np.isfinite(variance)
    step = np.floor((mean[known] - found.study.instrument.scale[0]) / _STEP + 0.5)
    return [
        (float(mean[known][step == at].mean()), float(np.sqrt(variance[known][step == at].mean())), int((step == at).sum()))
        for at in np.unique(step)
    ]
