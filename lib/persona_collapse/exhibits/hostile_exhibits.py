"""Does role-play of the base as hostile characters reproduce a fine-tune's answers without a persona? Figures and a sentence."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import Look, fade, figure, pick_of, rounded
from persona_collapse.study.study import Study
from persona_collapse.tables.hostile import BASE, CEILING, CHARACTER, DOES, DOES_NOT, HOSTILE, UNTOLD
from persona_collapse.text import safe

_NAMED = {HOSTILE: "mean of hostile characters", CEILING: "top of the scale", BASE: "the base itself"}
_SAID = {
    DOES: "role-play of the base reproduces it", DOES_NOT: "role-play of the base does not reproduce it",
    UNTOLD: "whether role-play of the base reproduces it cannot be told",
}  # fmt: skip


def character(study: Study, persona: str) -> str:
    """How a hostile character is called: by its kind where the deck has one, else by its number or id."""
    if study.toxic and persona.isdecimal() and int(persona) < len(study.toxic):
        one = study.toxic[int(persona)]
        return one.attributes.get("kind") or f"character {int(persona) + 1}"
    return f"character {persona}"


@exhibit.figure("hostile_profiles")
def hostile_profiles(profiles: pd.DataFrame, study: Study) -> Any:
    """The base as each hostile character, and every variant without a persona, one panel a family; takes profiles.csv."""
    each = profiles[(profiles["condition"] == "toxic") & profiles["persona"].notna()]
    if each.empty:
        return None
    look = Look(study, toxic=True)
    names = {family.key: family.name for family in study.file.families}
    order = [study.instrument.short(group) for group in study.instrument.foundations]
    cast = rounded(pd.DataFrame({
        "Model": each["family"].map(names), "Variant": "hostile characters",
        "Character": [character(study, str(persona)) for persona in each["persona"]],
        "Group": each["foundation"].map(study.instrument.short), "mean": each["mean"].astype(float),
    }))  # fmt: skip
    own = look.labelled(profiles.query("condition == 'self'"))[["Model", "Variant", "foundation", "mean"]]
    own = own.rename(columns={"foundation": "Group"}).assign(Character="")
    own["Group"] = own["Group"].map(study.instrument.short)
    data = pd.concat([cast, own[own["Model"].isin(cast["Model"])][cast.columns]], ignore_index=True)
    pick = pick_of("pick_hostile", "Variant")
    low, high = study.instrument.scale
    x = alt.X("Group:N", sort=order, title=None, axis=alt.Axis(labelAngle=0))
    y = alt.Y("mean:Q", scale=alt.Scale(domain=[low, high]), title="Mean rating")
    tooltip = ["Model", "Variant", "Character", "Group", alt.Tooltip("mean:Q", format=".2f")]
    frame = alt.Chart(data).encode(x=x, y=y, color=look.color(), opacity=fade(pick))
    chart = look.of_family(
        alt.layer(
            frame.mark_line(strokeWidth=1.6).encode(strokeDash=look.dash(), detail="Character:N"),
            frame.mark_point(filled=True, size=45).encode(shape=look.shape(), tooltip=tooltip),
            data=data,
        )
        .properties(width=310, height=190)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick, *look.family())
    )
    return figure(
        chart, study, title="Hostile characters one by one",
        caption=f"Mean rating by {study.instrument.group}: the base as each of its hostile characters, one line each, and every "
        f"run without a persona; {high} is the ceiling of the scale.{study.instrument.turned}",
        description="Line charts of the base's profile as each hostile character and of runs without a persona.",
    )  # fmt: skip


@exhibit.figure("hostile_distances")
def hostile_distances(hostile: pd.DataFrame | None, study: Study) -> Any:
    """How far every variant without a persona lies from each hostile character, from the ceiling and from the base."""
    rows = _of_variants(hostile, study)
    if rows is None:
        return None
    look = Look(study, base=False)
    data = look.labelled(rows.assign(To=[_called(row, study) for row in rows.itertuples()]))
    data["Kind"] = ["character" if kind == CHARACTER else "mean, ceiling, base" for kind in rows["target"]]
    data = data.rename(columns={"lo": "from", "hi": "to"})[["Model", "Variant", "To", "Kind", "distance", "from", "to"]]
    fixed = [_NAMED[CEILING], _NAMED[HOSTILE], _NAMED[BASE]]
    order = [*(name for name in fixed if name in set(data["To"])), *sorted(set(data["To"]) - set(fixed))]
    pick = pick_of("pick_distance", "Variant")
    y = alt.Y("To:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelLimit=190))
    x = alt.X("from:Q", title="distance (scale points)", scale=alt.Scale(zero=True))
    tooltip = ["Model", "Variant", "To", *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("distance", "from", "to"))]
    frame = alt.Chart(data).encode(y=y, color=look.color(), opacity=fade(pick))
    chart = look.of_family(
        alt.layer(
            frame.mark_rule(strokeWidth=2).encode(x=x, x2="to:Q"),
            frame.mark_point(filled=True, size=55).encode(x="distance:Q", shape=look.shape(), tooltip=tooltip),
            data=data,
        )
        .properties(width=260, height=alt.Step(16))
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick, *look.family())
    )
    return figure(
        chart, study, title="Distances of answers without a persona",
        caption="Root mean square distance over groups of items of each variant's profile without a persona to the top of the "
        "scale, to the base's own, and to the base as hostile characters, with 95 % intervals for the same requests again.",
        description="Dot plots of distances of profiles without a persona to hostile characters, ceiling and base.",
    )  # fmt: skip


def _of_variants(hostile: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    if hostile is None:
        return None
    bases = {family.key: family.base.key for family in study.file.families}
    rows = hostile[hostile["variant"] != hostile["family"].map(bases)]
    return None if rows.empty else rows


def _called(row: Any, study: Study) -> str:
    return _NAMED.get(row.target) or character(study, str(row.persona))


@exhibit.finding("hostile")
def hostile(hostile: pd.DataFrame | None, study: Study) -> str:
    """Of every variant: whether role-play of the base reproduces its answers without a persona, and the rule of that."""
    rows = _of_variants(hostile, study)
    if rows is None:
        return "No base of this study played a hostile character, or no variant was asked without a persona."
    lines = []
    for (family, variant), own in rows.groupby(["family", "variant"], sort=False):
        by = {row.target: row for row in own.itertuples() if row.target != CHARACTER}
        mean, ceiling = by[HOSTILE], by[CEILING]
        if not mean.verdict:
            continue
        run = study.run(str(family), str(variant))
        also = _items(mean)
        printed = " (printed)" if mean.source == "printed" else ""
        lines.append(
            f"- **{safe(run.name)}: {_SAID[mean.verdict]}.** Without a persona it lies {_points(mean)} from the mean of the "
            f"hostile characters{printed} and {_points(ceiling)} from the ceiling: {mean.beyond:+.2f} "
            f"[{mean.beyond_lo:.2f}, {mean.beyond_hi:.2f}]{also}{_of_base(by.get(BASE))}.{_each(own, study)}"
        )
    rule = (
        "Role-play of the base *reproduces* a variant's answers without a persona where the mean profile of its hostile "
        "characters is clearly nearer to them than the ceiling is, and than the base's own; it does *not* where either is "
        "clearly nearer. Clearly: by the 95 % interval of the difference for the same requests again."
    )
    return "\n".join([*lines, "", rule])


def _points(row: Any) -> str:
    return f"{row.distance:.2f} [{row.lo:.2f}, {row.hi:.2f}]"


def _of_base(row: Any) -> str:
    return "" if row is None else f"; the base itself lies {_points(row)} away"


def _items(row: Any) -> str:
    if not np.isfinite(row.beyond_lo_items) or row.beyond_lo <= 0 <= row.beyond_hi:
        return ""
    holds = row.beyond_lo_items > 0 or row.beyond_hi_items < 0
    return ", for other items like these too" if holds else ", but not for other items like these"


def _each(own: pd.DataFrame, study: Study) -> str:
    """The nearest character, and how many are clearly nearer than the ceiling."""
    cast = own[own["target"] == CHARACTER]
    if cast.empty:
        return ""
    nearest = next(cast.loc[[cast["distance"].idxmin()]].itertuples())
    nearer = int((cast["beyond_hi"] < 0).sum())
    kind = character(study, str(nearest.persona))
    name = kind if kind.startswith("character ") else f"the {kind}"
    return (
        f" The nearest character is {safe(name)} at {nearest.distance:.2f}; {nearer} of {len(cast)} "
        f"characters {'is' if nearer == 1 else 'are'} clearly nearer than the ceiling."
    )
