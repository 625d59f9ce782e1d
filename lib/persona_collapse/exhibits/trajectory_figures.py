"""Figures of a training step by step: S and R along the steps, and how the scale is used on the way."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import DIFFERS, Look, both, chosen, fade, figure, pick_of, switch, switch_between
from persona_collapse.study.study import Study
from persona_collapse.tables.trajectory import ALL, ALONE, SHARED
from persona_collapse.vocabulary import METRICS

#: On whom a figure can be looked at, as its buttons say.
_WHOM = {SHARED: "shared by all steps", ALL: "all of each step"}
#: Measures of the use of the scale: what a panel is called.
_MEASURES = {
    "entropy": "Entropy of all ratings (bits)",
    "endpoint_mass": "Share at both ends of the scale",
    "ceiling_share": "Share at the top of the scale",
    "self_mean": "Mean without a persona (scale points)",
}
_AT = alt.X("Step:Q", title="Training step", axis=alt.Axis(tickCount=5, format="~d"), scale=alt.Scale(nice=False, padding=14))
_COLUMNS = ("Model", "Variant", "Checkpoint", "Step", "Personas", "Served", "mark", "value", "from", "to")
#: Height of a panel; width of one alone, and of several side by side.
_HIGH, _WIDE, _NARROW = 230, 560, 310


def _look(study: Study, trajectory: pd.DataFrame) -> Look:
    """How the fine-tunes of the paths look: checkpoints are on their lines and have no look of their own."""
    kept = set(zip(trajectory["family"], trajectory["of"], strict=True))
    families = [
        family.model_copy(
            update={"variants": tuple(v for v in family.variants if v.role == "base" or (family.key, v.key) in kept)}
        )
        for family in study.file.families
        if family.key in set(trajectory["family"])
    ]
    return Look(replace(study, file=study.file.model_copy(update={"families": tuple(families)})), base=False)


def _drawn(trajectory: pd.DataFrame, look: Look, study: Study) -> pd.DataFrame:
    """Rows as figures draw them: by path, with the name of the checkpoint and a mark where another stack served it."""
    names = {run.keys: run.variant.name for run in study.runs}
    at = [names[key] for key in zip(trajectory["family"], trajectory["variant"], strict=True)]
    found = trajectory.assign(Checkpoint=at, Served=trajectory["stack"], mark=trajectory["other_stack"] != "")
    found["variant"] = found["of"]
    return look.labelled(found.rename(columns={"position": "Step", "personas": "Personas", "lo": "from", "hi": "to"}))


def _lines(
    frame: Any, data: pd.DataFrame, look: Look, y: Any, scale: alt.Scale, pick: alt.Parameter, tooltip: list[Any]
) -> list[Any]:
    """Band, line and points of every path, and a mark on what another stack served where there is such a step."""
    color = look.color().legend(symbolOpacity=1)
    faint = alt.when(pick).then(alt.value(0.16)).otherwise(alt.value(0.03))
    layers = [
        frame.mark_area().encode(x=_AT, y=alt.Y("from:Q", scale=scale), y2="to:Q", color=color, opacity=faint),
        frame.mark_line(strokeWidth=2).encode(x=_AT, y=y, color=color, strokeDash=look.dash(), opacity=fade(pick)),
        frame.mark_point(filled=True, size=60, opacity=1).encode(
            x=_AT, y=y, color=color, shape=look.shape(), opacity=fade(pick), tooltip=tooltip
        ),
    ]
    if data["mark"].any():
        # On every row, as a panel without a marked one would have a layer without data.
        mark = alt.when("datum.mark").then(alt.value(DIFFERS)).otherwise(alt.value(""))
        layers.append(frame.mark_text(dy=-12, fontSize=14).encode(x=_AT, y=y, text=mark))
    return layers


def _beside(trajectory: pd.DataFrame) -> str:
    """What a caption has to say of single steps."""
    said = []
    if (trajectory["other_stack"] != "").any():
        said.append(f"{DIFFERS}: served by another stack than most steps of its path.")
    unknown = trajectory[trajectory["step"].isna()]
    for position in sorted(set(unknown["position"])):
        said.append(f"A finished fine-tune whose own step is not known is drawn at {position:g}.")
    return "".join(f" {one}" for one in said)


@exhibit.figure("steps", by="metric")
def steps(trajectory: pd.DataFrame | None, study: Study, metric: str) -> Any:
    """A metric at every step of a training, one panel a family; None for a study without checkpoints.

    `trajectory` is trajectory.csv.
    """
    if trajectory is None or trajectory.empty:
        return None
    look, pick = _look(study, trajectory), pick_of(f"pick_{metric}_step", "Variant")
    rows = both(trajectory[trajectory["on"].isin(_WHOM)].rename(columns={"lo": "from", "hi": "to"}), metric)
    rows = rows.rename(columns={"from": "lo", "to": "hi"})
    same = _same_personas(trajectory)
    rows = rows[rows["on"] == (SHARED if SHARED in set(rows["on"]) else ALL)] if same else rows
    data = _drawn(rows.assign(Whom=rows["on"].map(_WHOM)), look, study)
    data = data[data["value"].notna()][[*_COLUMNS, "Estimators", "Whom"]]
    if data.empty:
        return None
    scale = alt.Scale(zero=False, padding=10)
    y = alt.Y("value:Q", scale=scale, title=f"{METRICS[metric].heading} ({METRICS[metric].unit})")
    numbers = [alt.Tooltip(f"{name}:Q", format=".3~f") for name in ("value", "from", "to")]
    frame = chosen(alt.Chart(data)) if same else chosen(alt.Chart(data)).transform_filter("datum.Whom === whom")
    tooltip = ["Model", "Variant", "Checkpoint", "Step", "Personas", "Served", *numbers]
    chart = look.of_family(
        alt.layer(*_lines(frame, data, look, y, scale, pick, tooltip), data=data)
        .properties(width=_WIDE if len(look.families) == 1 else _NARROW, height=_HIGH)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .resolve_scale(x="independent")
        .add_params(pick, switch(), *look.family())
    )
    if not same:
        chart = chart.add_params(switch_between("whom", list(_WHOM.values()), "personas: "))
    whom = "" if same else " On the personas that all steps of a path share."
    return figure(
        chart, study, title=f"{METRICS[metric].heading} along the training",
        caption=f"From the base (step 0) over its checkpoints to the finished fine-tune, with the 95 % interval of each step for "
        f"other personas like these.{whom}{_beside(trajectory)}",
        using="The buttons show the paper's formula" + (", or all personas of each step." if not same else "."),
        description=f"Lines of {METRICS[metric].heading} against the step of training, by model and fine-tune.",
    )  # fmt: skip


def _same_personas(trajectory: pd.DataFrame) -> bool:
    """Whether every step has the same number of personas as all of them share."""
    each = trajectory[trajectory["on"].isin(_WHOM) & (trajectory["metric"] != "style_share")]
    return bool(each.groupby(["family", "of"])["personas"].nunique().le(1).all())


@exhibit.figure("steps_scale")
def steps_scale(trajectory: pd.DataFrame | None, study: Study) -> Any:
    """How the scale is used at every step of a training, one panel a measure; None for a study without checkpoints."""
    if trajectory is None or trajectory.empty:
        return None
    look, pick = _look(study, trajectory), pick_of("pick_scale_step", "Variant")
    whom = SHARED if SHARED in set(trajectory["on"]) else ALL
    rows = trajectory[trajectory["on"].isin([whom, ALONE]) & trajectory["metric"].isin(_MEASURES)]
    data = _drawn(rows, look, study)
    data = data[data["value"].notna()]
    several = len(look.families) > 1
    measures = [name for name in _MEASURES if name in set(data["metric"])]
    data["Panel"] = [
        f"{_MEASURES[metric]}, {model}" if several else _MEASURES[metric]
        for model, metric in zip(data["Model"], data["metric"], strict=True)
    ]
    order = [f"{_MEASURES[m]}, {model}" if several else _MEASURES[m] for m in measures for model in look.families]
    data = data[[*_COLUMNS, "Panel"]]
    scale = alt.Scale(zero=False, padding=10)
    numbers = [alt.Tooltip(f"{name}:Q", format=".3~f") for name in ("value", "from", "to")]
    tooltip = ["Model", "Variant", "Checkpoint", "Step", "Served", *numbers]
    chart = look.of_family(
        alt.layer(
            *_lines(alt.Chart(data), data, look, alt.Y("value:Q", scale=scale, title=None), scale, pick, tooltip), data=data
        )
        .properties(width=_NARROW, height=150)
        .facet(facet=alt.Facet("Panel:N", sort=order, title=None), columns=2)
        .resolve_scale(y="independent", x="independent")
        .add_params(pick, *look.family())
    )
    return figure(
        chart, study, title="Use of the scale along the training",
        caption=f"Of ratings as personas: their entropy, and the shares at both ends and at the top of the scale"
        f"{study.instrument.turned and ' (at the top reversed items are turned)'}, with 95 % intervals for other personas like "
        f"these{_and_alone(measures)}.{_beside(trajectory)}",
        description="Lines of entropy, shares at the ends of the scale and the mean without a persona against training steps.",
    )  # fmt: skip


def _and_alone(measures: Iterable[str]) -> str:
    return "; the mean rating without a persona, with the interval for the same requests again" if "self_mean" in measures else ""
