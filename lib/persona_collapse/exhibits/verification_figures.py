"""Figures of answers to open questions: scores and shares by run and judge, and incoherence beside noise."""

from typing import Any

import altair as alt
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import ASSUMED, INK, MADE, SIMULATED, Look, fade, figure, pick_of
from persona_collapse.study.study import Study
from persona_collapse.tables.verification import COHERENT, IMPORTED, LEVEL, MEAN, MISALIGNED

#: What each measure is called, the number that its unit is multiplied by to be drawn, and what it is.
_CALLED = {
    "alignment": ("Mean alignment (0 to 100)", 1, "Mean alignment"),
    "coherence": ("Mean coherence (0 to 100)", 1, "Mean coherence"),
    "misaligned": ("Misaligned answers (%)", 100, f"Share of answers with alignment below {MISALIGNED}"),
    "misaligned_coherent": (
        "Misaligned of coherent answers (%)", 100,
        f"Share with alignment below {MISALIGNED} of the answers with coherence above {COHERENT}",
    ),
    "incoherent": ("Incoherent answers (%)", 100, f"Share of answers with coherence up to {COHERENT}"),
}  # fmt: skip


#: Nothing of this is published for the simulated respondents.
_MARK = SIMULATED.replace(MADE, ASSUMED)


@exhibit.figure("open_answers", by="measure")
def open_answers(verification: pd.DataFrame | None, study: Study, measure: str) -> Any:
    """A measure of answers to open questions, one panel a family and arm; None without. `verification` is verification.csv."""
    if verification is None:
        return None
    title, unit, meaning = _CALLED[measure]
    rows = verification[(verification["measure"] == measure) & (verification["quantity"] == LEVEL)]
    rows = rows[rows["value"].notna()]
    if rows.empty:
        return None
    look, several = Look(study), rows["arm"].nunique() > 1
    data, panels = _drawn(rows, look, unit, several)
    pick = pick_of(f"pick_{measure}", "Variant")
    numbers = [alt.Tooltip(f"{name}:Q", format=".1f") for name in ("value", "from", "to")]
    frame = alt.Chart(data).encode(
        y=alt.Y("Variant:N", sort=look.names, title=None, axis=alt.Axis(ticks=False)), color=look.color(), opacity=fade(pick),
        tooltip=["Model", "Variant", "Arm", "Judge", "Answers", *numbers],
    )  # fmt: skip
    average = f"datum.Judge === '{MEAN}' || datum.Judge === '{IMPORTED}'"
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=unit == 100))
    chart = look.of_family(
        alt.layer(
            frame.transform_filter(average).mark_rule(strokeWidth=1.6).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
            frame.transform_filter(f"!({average})").mark_tick(thickness=2, size=16).encode(x=x, color=alt.value(INK)),
            frame.transform_filter(average).mark_point(filled=True, size=60).encode(x=x, shape=look.shape()),
            data=data,
        )
        .properties(width=270, height=alt.Step(26))
        .facet(facet=alt.Facet("Panel:N", sort=panels, title=None), columns=2)
        .resolve_scale(y="independent")
        .add_params(pick, *look.family())
    )
    judged = MEAN in set(data["Judge"])
    return figure(
        chart, study, title=title,
        caption=f"{meaning}, mean over judges, with the 95 % interval for other questions like these; strokes are the values of "
        "single judges." if judged else f"{meaning}, as an imported summary gives it, with value ∓ 1.96 standard errors.",
        description=f"Dot plots of {title.lower()} by variant, a panel a model.", mark=_MARK,
    )  # fmt: skip


def _drawn(rows: pd.DataFrame, look: Look, unit: int, several: bool) -> tuple[pd.DataFrame, list[str]]:
    """Rows as they are drawn, and the panels in their order."""
    data = look.labelled(rows)
    data = data.assign(**{name: unit * data[name] for name in ("value", "lo", "hi")}, Judge=data["judge"])
    data = data.rename(columns={"lo": "from", "hi": "to", "arm": "Arm", "answers": "Answers"})
    data["Panel"] = data["Model"] + (": " + data["Arm"] if several else "")
    arms = dict.fromkeys(rows["arm"])
    panels = [f"{model}: {arm}" if several else model for model in look.families for arm in arms]
    return data[["Model", "Variant", "Arm", "Panel", "Judge", "Answers", "value", "from", "to"]], panels


@exhibit.figure("incoherence")
def incoherence(incoherence: pd.DataFrame | None, study: Study) -> Any:
    """Excess of incoherent answers against excess of noise, a point a harmful variant; None without any."""
    if incoherence is None:
        return None
    look, numbers = Look(study, base=False), list(incoherence.columns[3:])
    data = look.labelled(incoherence)[["Model", "Variant", *numbers]]
    x = alt.X("noise:Q", title="Excess of noise over the control (pp of base)")
    y = alt.Y("incoherence:Q", title="Excess of incoherent answers (points)")
    frame, zero = alt.Chart(data).encode(color=look.color()), alt.Chart(data).mark_rule(color=INK, strokeDash=[2, 3])
    chart = alt.layer(
        zero.encode(x=alt.datum(0)),
        zero.encode(y=alt.datum(0)),
        frame.mark_rule().encode(x=alt.X("noise_lo:Q"), x2="noise_hi:Q", y=y),
        frame.mark_rule().encode(x=x, y=alt.Y("incoherence_lo:Q"), y2="incoherence_hi:Q"),
        frame.mark_point(filled=True, size=80).encode(
            x=x, y=y, shape=alt.Shape("Model:N", sort=look.families, title=None),
            tooltip=["Model", "Variant", *(alt.Tooltip(f"{name}:Q", format="+.1f") for name in numbers)],
        ),
        data=data,
    ).properties(width=420, height=300)  # fmt: skip
    return figure(
        chart, study, title="Noise and incoherence beyond the control",
        caption="One point a harmful variant: how far its noise as personas, and its share of incoherent answers to open "
        "questions, exceed those of its matched control, with 95 % intervals for other personas and for other questions.",
        description="Scatter plot of the excess of incoherent answers against the excess of noise, by model.", mark=_MARK,
    )  # fmt: skip
