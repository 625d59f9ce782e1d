"""Profiles over the foundations without a persona, twice: as lines, and as the radar that the paper prints."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import PEOPLE, QUIET, WEB, YARDSTICK, Look, Looks, fade, figure, pick_of, rounded
from persona_collapse.study.reference import people
from persona_collapse.study.study import Study

#: Profiles over foundations and their source (`measured` or `printed`), by family key.
Toxic = Mapping[str, tuple[np.ndarray, str]]


@exhibit.figure("self_profiles")
def self_profiles(profiles: pd.DataFrame, study: Study, toxic: Toxic, reference: pd.DataFrame | None = None) -> Any:
    """Answers without a persona by foundation, one panel a family, with the base's profile as hostile characters.

    `toxic` maps a family key to its hostile profile over foundations and its source (`measured` or `printed`). Grey lines are
    of people: those of the instrument's yardstick, and those of `reference`, reference.csv.
    """
    look, data = _profiles(profiles, study, toxic, reference)
    if data.empty:
        return None  # nobody was asked without a persona
    pick = pick_of("pick_profile", "Variant")
    low, high = study.instrument.scale
    x = alt.X(
        "Group:N",
        sort=[study.instrument.short(f) for f in study.instrument.foundations],
        title=None,
        axis=alt.Axis(labelAngle=0),
    )
    y = alt.Y("mean:Q", scale=alt.Scale(domain=[low, high]), title="Mean rating")
    frame = alt.Chart(data).encode(x=x, y=y, color=look.color(), opacity=fade(pick))
    chart = look.of_family(
        alt.layer(
            frame.mark_line(strokeWidth=2).encode(strokeDash=look.dash()),
            frame.mark_point(filled=True, size=65).encode(
                shape=look.shape(), tooltip=["Model", "Variant", "Group", alt.Tooltip("mean:Q", format=".2f")]
            ),
            data=data,
        )
        .properties(width=310, height=190)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick, *look.family())
    )
    return figure(
        chart, study, title="Answers without a persona",
        caption=f"Mean rating by {study.instrument.group} when no persona is given; {high} is the ceiling of the scale. "
        f"Hostile characters: the base's mean over its hostile personas.{study.instrument.turned}{_note(toxic)}"
        + _of_people(study, reference),
        description=f"Line charts of the mean self rating by {study.instrument.group} for every variant, one panel a model.",
    )  # fmt: skip


@exhibit.figure("self_radar")
def self_radar(profiles: pd.DataFrame, study: Study, toxic: Toxic, reference: pd.DataFrame | None = None) -> Any:
    """The profiles of `self_profiles` as the paper draws them: foundations round a circle, the scale from its middle outwards."""
    look, data = _profiles(profiles, study, toxic, reference)
    if data.empty:
        return None
    names, pick = [study.instrument.short(f) for f in study.instrument.foundations], pick_of("pick_radar", "Variant")
    data["turn"] = data["Group"].map({name: place for place, name in enumerate(names)})
    # Each line closes where it began.
    data = pd.concat([data, data[data["turn"] == 0].assign(turn=len(names))], ignore_index=True)
    low, high = study.instrument.scale
    x = alt.X("across:Q", scale=alt.Scale(domain=[-1.6, 1.6]), axis=None)
    y = alt.Y("up:Q", scale=alt.Scale(domain=[-1.05, 1.3]), axis=None)
    # The panels share this data, the web has its own.
    frame = alt.Chart().encode(x=x, y=y, color=look.color(), opacity=fade(pick))
    web, *words = _web(names, low, high, x, y)
    panel = alt.layer(
        *web,
        frame.mark_line(strokeWidth=2).encode(strokeDash=look.dash(), order="turn:O").add_params(pick),
        frame.mark_point(filled=True, size=45).encode(
            shape=look.shape(), tooltip=["Model", "Variant", "Group", alt.Tooltip("mean:Q", format=".2f")]
        ),
        *words,
        data=data,
    ).properties(width=310, height=230)
    chart = look.of_family(panel.facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2))
    chart = chart.transform_calculate(**_place("datum.mean", len(names), low, high)).add_params(*look.family())
    return figure(
        chart, study, title="Answers without a persona, as a radar",
        caption=f"The same profiles as the paper draws them: the middle is {low}, the rim {high}, the ceiling of the scale, with "
        f"a ring a point. Mean rating by {study.instrument.group}; the areas mean nothing, as they depend on the order of the "
        f"{study.instrument.groups}."
        f"{study.instrument.turned}{_note(toxic)}{_of_people(study, reference)}",
        description=f"Radar charts of the mean self rating by {study.instrument.group} for every variant, one panel a model.",
    )  # fmt: skip


def _profiles(
    profiles: pd.DataFrame, study: Study, toxic: Toxic, reference: pd.DataFrame | None
) -> tuple[Look, pd.DataFrame]:  # fmt: skip
    beside = _people(study, reference)
    look = Look(study, toxic=any(len(found) for found, _ in toxic.values()), people={name: own for name, own, _ in beside})
    own = look.labelled(profiles.query("condition == 'self'"))[["Model", "Variant", "foundation", "mean"]]
    names = {f.key: f.name for f in study.file.families}
    hostile = [
        (names[family], "hostile characters", foundation, value)
        for family, (found, _) in toxic.items()
        for foundation, value in zip(study.instrument.foundations, found, strict=False)
    ]
    if len(own) or hostile:  # else there is nothing to set people beside
        hostile += [
            (family, name, foundation, value)
            for family in look.families
            for name, _, means in beside
            for foundation, value in zip(study.instrument.foundations, means, strict=True)
        ]
    data = pd.concat([own, rounded(pd.DataFrame(hostile, columns=own.columns))], ignore_index=True)
    data = data.rename(columns={"foundation": "Group"})
    data["Group"] = data["Group"].map(study.instrument.short)
    return look, data


def _people(study: Study, reference: pd.DataFrame | None) -> list[tuple[str, Looks, Sequence[float]]]:
    """People that profiles are set beside: how they are called, how they look, and their means over foundations."""
    found: list[tuple[str, Looks, Sequence[float]]] = []
    if study.instrument.yardstick:
        found.append((study.instrument.yardstick.name, YARDSTICK, study.instrument.yardstick.means))
    if reference is not None:
        found.append((people(study), PEOPLE, reference.query("metric == 'mean'")["value"].to_list()))
    return found


def _of_people(study: Study, reference: pd.DataFrame | None) -> str:
    """Whose the grey lines are."""
    yardstick = study.instrument.yardstick
    said = f" Grey dashes: {yardstick.name} ({yardstick.source}), who answered once, as themselves." if yardstick else ""
    if reference is not None:
        number = int(reference.query("metric == 'mean'")["personas"].max())
        said += f" Grey dots: the mean of {number:,} {people(study)}, as themselves."
    return f"{said} No test uses them." if said else ""


def _note(toxic: Toxic) -> str:
    printed = any(source == "printed" and len(found) for found, source in toxic.values())
    return " The hostile characters' profiles are the printed ones: their ratings were not published." if printed else ""


def _place(value: str, number: int, low: float, high: float) -> dict[str, str]:
    """Where a rating lies: outwards by its share of the scale, turned clockwise from the top by its foundation."""
    share, angle = f"({value} - {low:g}) / {high - low:g}", f"2 * PI * datum.turn / {number}"
    return {"across": f"{share} * sin({angle})", "up": f"{share} * cos({angle})"}


def _web(names: list[str], low: float, high: float, x: alt.X, y: alt.Y) -> list[Any]:
    """Rings and spokes, which lie under the lines; then the points of the scale and the foundations, which lie over them."""
    number = len(names)
    placed = _place("datum.ring", number, low, high)
    points = range(int(low), int(high) + 1)
    rings = [{"line": f"ring {ring}", "ring": ring, "turn": turn} for ring in points[1:] for turn in range(number + 1)]
    spokes = [{"line": f"spoke {turn}", "ring": end, "turn": turn} for turn in range(number) for end in (low, high)]
    web = alt.Chart(alt.InlineData(values=rings + spokes)).transform_calculate(**placed).mark_line(color=WEB, strokeWidth=1)
    found = [[web.encode(x=x, y=y, detail="line:N", order="turn:O")]]
    scale = [{"name": f"{ring:g}", "turn": 0, "ring": ring} for ring in points]
    sides: dict[str, list[dict[str, Any]]] = {"left": [], "center": [], "right": []}
    for turn, name in enumerate(names):
        across = round(float(np.sin(2 * np.pi * turn / number)), 6)
        row = {"name": name, "turn": turn, "ring": round(low + (1.06 if across else 1.13) * (high - low), 6)}
        sides["left" if across > 0 else "right" if across < 0 else "center"].append(row)
    for align, rows in {**sides, "scale": scale}.items():
        look: dict[str, Any] = (
            {"align": "right", "dx": -4, "fontSize": 10, "color": QUIET} if align == "scale" else {"align": align, "fontSize": 11}
        )
        if rows:
            text = alt.Chart(alt.InlineData(values=rows)).transform_calculate(**placed).mark_text(**look)
            found.append(text.encode(x=x, y=y, text="name:N"))
    return found
