"""Changes questionnaire beside questionnaire: a figure, and what it says, computed from instruments.csv."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import INK, Look, fade, figure, pick_of
from persona_collapse.study.load_study import named_instruments
from persona_collapse.study.respondent_parameters import assumptions
from persona_collapse.study.study import Study
from persona_collapse.text import safe

#: Metrics that are shown, in words; R is noise turned over and says nothing more.
_SHOWN = {"susceptibility": "S", "within_rms": "noise"}
_LEVELS = (
    "Levels are not compared: S and noise are in points of the scale, and questionnaires differ in scale, in items and in how "
    "far people differ on them. A change in percent of the base with the same questionnaire has no unit."
)


@exhibit.figure("instruments")
def instruments(instruments: pd.DataFrame | None, study: Study) -> Any:
    """Changes of S and noise against the base with every questionnaire, one panel a family; None where there is one.

    `instruments` is instruments.csv.
    """
    if instruments is None:
        return None
    look = Look(study)
    rows = instruments[(instruments["family"] != "mean") & instruments["metric"].isin(list(_SHOWN))]
    if not rows["value"].notna().any():
        return None
    data = look.labelled(rows)[["Model", "Variant", "metric", "instrument", "value", "lo", "hi"]]
    data = data.rename(columns={"instrument": "Questionnaire", "value": "change", "lo": "from", "hi": "to"})
    data["Metric"] = data.pop("metric").map(_SHOWN)
    order = [one.name for one in named_instruments(study)]
    data["Questionnaire"] = data["Questionnaire"].map({one.key: one.name for one in named_instruments(study)})
    data["Panel"] = data["Model"] + ": " + data["Metric"]
    panels = [f"{model}: {word}" for model in look.families for word in _SHOWN.values()]
    pick = pick_of("pick_questionnaire", "Variant")
    frame = alt.Chart(data).encode(
        y=alt.Y("Questionnaire:N", sort=order, title=None, axis=alt.Axis(ticks=False)),
        yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick),
    )  # fmt: skip
    chart = look.of_family(
        alt.layer(
            alt.Chart(data).mark_rule(color=INK).encode(x=alt.datum(0)),
            frame.mark_rule(strokeWidth=1.6).encode(x=alt.X("from:Q", title="Change against the base (%)"), x2="to:Q"),
            frame.mark_point(filled=True, size=55).encode(
                x="change:Q", shape=look.shape(),
                tooltip=[
                    "Model", "Variant", "Questionnaire", "Metric",
                    *(alt.Tooltip(f"{name}:Q", format="+.1f") for name in ("change", "from", "to")),
                ],
            ),
            data=data,
        )
        .properties(width=250, height=alt.Step(34))
        .facet(facet=alt.Facet("Panel:N", sort=panels, title=None), columns=len(_SHOWN))
        .resolve_scale(x="independent")
        .add_params(pick, *look.family())
    )  # fmt: skip
    return figure(
        chart, study, title="Changes questionnaire by questionnaire",
        caption="Change of S and of noise in percent of the base with the same questionnaire, with the 95 % interval for other "
        "personas like these; the same personas answered all of them. Levels are not compared, as scales and items differ.",
        description="Dot plots of the change of S and noise by questionnaire and variant, a panel a model and metric.",
    )  # fmt: skip


@exhibit.finding("instruments")
def said(instruments: pd.DataFrame | None, study: Study) -> str:
    """How the change of every variant differs between questionnaires, and why levels are not compared; from instruments.csv."""
    if instruments is None:
        return "One questionnaire was asked."
    known = {one.key: one for one in named_instruments(study)}
    names = {key: safe(known[key].name) for key in instruments["instrument"].unique()}
    lines = [f"- {_of_variant(variant, rows, names, study)}" for variant, rows in _means(instruments, study)]
    assumed = safe(assumptions(list(known.values()))) if study.simulated else ""
    return "\n".join(lines) + "\n\n" + " ".join(filter(None, [_LEVELS, assumed]))


def _means(table: pd.DataFrame, study: Study) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each variant, harmful ones first: the mean over families where there are several, else those of its family."""
    roles = {run.variant.key: run.variant.role for run in study.runs}
    for variant in sorted(table["variant"].unique(), key=lambda key: roles[key] != "harmful"):
        own = table[table["variant"] == variant]
        mean = own[own["family"] == "mean"]
        for _, rows in [("mean", mean)] if len(mean) else own.groupby("family", sort=False):
            yield str(variant), rows


def _of_variant(variant: str, rows: pd.DataFrame, names: dict[str, str], study: Study) -> str:
    family = rows["family"].iloc[0]
    mean = f"mean of {rows['families'].iloc[0]} families"
    who = mean if family == "mean" else next(safe(one.name) for one in study.file.families if one.key == family)
    parts = []
    for metric, word in _SHOWN.items():
        own = rows[rows["metric"] == metric].reset_index(drop=True)
        changes = "; ".join(f"{names[r.instrument]} {_percent(r.value, r.lo, r.hi)}" for r in own.itertuples())
        parts.append(f"{word}: {changes}. {_differences(own, names)}")
    return f"**{safe(variant)}** ({who}). " + " ".join(parts)


def _differences(own: pd.DataFrame, names: dict[str, str]) -> str:
    """With which questionnaires a change is told apart from that with the first."""
    told: list[str] = []
    alike: list[str] = []
    for row in own.iloc[1:].itertuples():
        found = f"{row.difference:+.0f} points [{row.difference_lo:.0f}, {row.difference_hi:.0f}]"
        if pd.notna(row.difference_lo):
            (alike if row.difference_lo <= 0 <= row.difference_hi else told).append(f"{names[row.instrument]} ({found})")
    first = names[own.iloc[0]["instrument"]]
    said = [f"It differs from that with {first} with {' and '.join(told)}."] if told else []
    said += [f"No difference from {first} can be told with {' and '.join(alike)}."] if alike else []
    return " ".join(said)


def _percent(value: float, lo: float, hi: float) -> str:
    return f"{value:+.0f} %" + ("" if pd.isna(lo) else f" [{lo:.0f}, {hi:.0f}]")
