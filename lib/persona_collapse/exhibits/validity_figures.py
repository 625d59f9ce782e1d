"""Figures of how robust conclusions are: specification curves, the frontier models, and what a change is made of."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.chart_data import listed
from persona_collapse.exhibits.theme import BAND, INK, QUIET, Look, fade, figure, pick_of, rounded, switch_between
from persona_collapse.exhibits.validity_tables import analyses, grid, no_choices
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables.frontier import ALL, references
from persona_collapse.tables.headlines import DOWN, NO_INTERVAL, NONE, UNCLEAR, UP
from persona_collapse.vocabulary import CLAIMED, METRICS, inside

# Okabe and Ito's, with a shape each, so that the verdicts can be told apart in grey.
_VERDICTS = {
    UP: ("#0072B2", "triangle-up"), UNCLEAR: ("#8a8f98", "circle"), DOWN: ("#D55E00", "triangle-down"),
    NONE: ("#009E73", "square"), NO_INTERVAL: ("#8a8f98", "diamond"),
}  # fmt: skip
#: An interval so many times as wide as half of the others is cut at the frame.
_WIDE = 8
_PARTS = {
    "within_rms": "all of the change", "extremity": "larger steps", "noise_share": "weaker anchor", "ceiling": "ceiling",
}  # fmt: skip


@exhibit.figure("specification_curve", by="kind")
def specification_curve(validity: pd.DataFrame, study: Study, kind: str) -> Any:
    """The headlines of one kind under every defensible choice, sorted; None if no analysis of one has a value.

    `validity` is validity.csv. Above, each analysis with its interval; below, what it changes; then what is no choice: each
    family alone, other populations, another construct.
    """
    own = validity[validity["kind"] == kind]
    if own.empty:
        return None
    panels: list[Any] = []
    cut = ""
    for headline in dict.fromkeys(own["headline"]):
        rows = own[own["headline"] == headline]
        curve, beside = analyses(rows, study), no_choices(rows, study)
        if curve.empty:  # one rating a cell: no analysis has a value
            continue
        ends = _ends(curve)
        cut = cut or (" An interval that reaches beyond the frame is cut there; the table has its numbers." if ends else "")
        panels.append(_curve(curve, rows, ends))
        if len(beside):
            panels.append(_beside(beside))
    if not panels:
        return None
    mean = "Numbers are means over these families unless one is named. " if (own["family"] == "mean").any() else ""
    title = "; ".join(topic[0].upper() + topic[1:] for topic in dict.fromkeys(own["headline"]))
    return figure(
        alt.vconcat(*panels).resolve_scale(color="shared", shape="shared"), study, title=f"Specification curve: {title}",
        caption=f"Every analysis changes one choice against the recommended one, sorted by its estimate, with its 95 % interval. "
        f"The grid shows which choices it makes. {mean}Below, what is no choice of the same question: single families, other "
        f"populations, another construct.{cut}",
        description=f"Specification curve of {own['headline'].iloc[0]}: estimates sorted, with intervals and choices.",
    )  # fmt: skip


def _ends(chosen: pd.DataFrame) -> list[float]:
    """Ends of an axis for all values and all intervals but those many times as wide as most; empty if none is."""
    width = chosen["hi"] - chosen["lo"]
    fits = ~(width > _WIDE * width.median())
    if fits.all():
        return []
    values = pd.concat([chosen["value"], chosen.loc[fits, "lo"], chosen.loc[fits, "hi"], pd.Series([0.0])])
    values = values[np.isfinite(values)]  # where no rating of a base varies a change is endless
    room = 0.06 * (values.max() - values.min())
    return [float(f"{values.min() - room:.3g}"), float(f"{values.max() + room:.3g}")]


def _looks() -> tuple[alt.Color, alt.Shape]:
    names = list(_VERDICTS)
    color = alt.Color("verdict:N", title=None, scale=alt.Scale(domain=names, range=[look[0] for look in _VERDICTS.values()]))
    shape = alt.Shape("verdict:N", title=None, scale=alt.Scale(domain=names, range=[look[1] for look in _VERDICTS.values()]))
    return color, shape


def _numbers(chosen: pd.DataFrame, first: str) -> pd.DataFrame:
    return rounded(chosen[[first, "value", "lo", "hi", "verdict"]].rename(columns={"lo": "from", "hi": "to"}))


def _curve(curve: pd.DataFrame, rows: pd.DataFrame, ends: list[float]) -> alt.VConcatChart:
    """Estimates sorted, with intervals, and below them the grid of the choices that each analysis makes."""
    data = _numbers(curve.sort_values("value", kind="stable"), "Analysis")
    x = alt.X("Analysis:N", sort=list(data["Analysis"]), axis=None)
    unit = {"%": "Change (percent of base)", "pp": "Difference (points of base)", "logit": "Difference of logits"}
    y = alt.Y("from:Q", title=unit[rows["quantity"].iloc[0]], scale=alt.Scale(domain=ends, nice=False) if ends else alt.Scale())
    color, shape = _looks()
    tooltip = ["Analysis", *(alt.Tooltip(f"{c}:Q", format="+.3~f") for c in ("value", "from", "to")), "verdict"]
    frame = alt.Chart(data).encode(x=x, color=color)
    recommended = alt.FieldEqualPredicate(field="Analysis", equal=str(curve["Analysis"].iloc[0]))
    upper = alt.layer(
        alt.Chart(pd.DataFrame([{"at": 0.0}])).mark_rule(color=INK).encode(y="at:Q"),
        frame.mark_rule(strokeWidth=1.8, clip=True).encode(y=y, y2="to:Q"),
        frame.mark_point(filled=True, opacity=1, clip=True).encode(
            y="value:Q", shape=shape, tooltip=tooltip, size=alt.condition(recommended, alt.value(140), alt.value(45))
        ),
    ).properties(width=430, height=170, title=alt.TitleParams(rows["headline"].iloc[0], anchor="start", fontSize=12))
    marks = grid(curve)
    order, axis = list(dict.fromkeys(marks["Choice"])), alt.Axis(ticks=False, grid=True, labelLimit=330)
    changed = alt.condition("datum.changed === 'yes'", alt.value(INK), alt.value(BAND))
    squares = alt.Chart(marks).mark_square(size=40, opacity=1)
    lower = squares.encode(
        x=x, y=alt.Y("Choice:N", sort=order, title=None, axis=axis), color=changed, tooltip=["Analysis", "Choice"]
    ).properties(width=430, height=alt.Step(12))  # fmt: skip
    return alt.vconcat(upper, lower, spacing=6).resolve_scale(x="shared")


def _beside(beside: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    data = _numbers(beside, "Beside")
    color, shape = _looks()
    frame = alt.Chart(data).encode(
        y=alt.Y("Beside:N", sort=list(data["Beside"]), title=None, axis=alt.Axis(ticks=False, labelLimit=330)), color=color
    )
    tooltip = ["Beside", *(alt.Tooltip(f"{c}:Q", format="+.3~f") for c in ("value", "from", "to")), "verdict"]
    ends = _ends(beside)
    x = alt.X("from:Q", title=None, scale=alt.Scale(domain=ends, nice=False) if ends else alt.Scale())
    return alt.layer(
        alt.Chart(pd.DataFrame([{"at": 0.0}])).mark_rule(color=INK).encode(x="at:Q"),
        frame.mark_rule(strokeWidth=1.8, clip=True).encode(x=x, x2="to:Q"),
        frame.mark_point(filled=True, size=55, opacity=1, clip=True).encode(x="value:Q", shape=shape, tooltip=tooltip),
    ).properties(width=430, height=alt.Step(15))


@exhibit.figure("single_foundations")
def single_foundations(foundation_claims: pd.DataFrame, study: Study) -> Any:
    """Change of every variant in the foundation and the metric that are chosen, with intervals; None for bases alone.

    `foundation_claims` is foundation_claims.csv. Filled marks are clear after Holm's adjustment for all foundation_claims made.
    """
    if foundation_claims.empty:
        return None
    look, foundations = Look(study, base=False), study.instrument.foundations
    data = look.labelled(foundation_claims.assign(
        of=foundation_claims["scope"].map({name: place for place, name in enumerate(foundations)}),
        Metric=foundation_claims["metric"].map({metric: METRICS[metric].heading for metric in CLAIMED}),
        Holm=np.where(foundation_claims["p_holm"] < 0.05, "clear", "not clear"),
    ))[["Model", "Variant", "Metric", "of", "Holm", "value", "lo", "hi"]].rename(columns={"lo": "from", "hi": "to"})  # fmt: skip
    metrics = [METRICS[metric].heading for metric in CLAIMED]
    pick = pick_of("pick_claimed", "Variant")
    frame = alt.Chart(data).transform_filter("datum.of === foundation && datum.Metric === metric")
    frame = look.of_family(frame).encode(
        y=alt.Y("Model:N", sort=look.families, title=None, axis=alt.Axis(ticks=False)),
        yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick),
    )  # fmt: skip
    x = alt.X("from:Q", title="Change against base (%)")
    tooltip = ["Model", "Variant", *(alt.Tooltip(f"{c}:Q", format="+.0f") for c in ("value", "from", "to")), "Holm"]
    chart = alt.layer(
        alt.Chart(pd.DataFrame([{"at": 0}])).mark_rule(color=INK).encode(x="at:Q"),
        frame.mark_rule(strokeWidth=2).encode(x=x, x2="to:Q"),
        *(
            frame.transform_filter(f"datum.Holm === '{told}'")
            .mark_point(size=85, opacity=1, **mark)
            .encode(x="value:Q", shape=look.shape(), tooltip=tooltip)
            for told, mark in (("not clear", {"fill": "white", "strokeWidth": 2}), ("clear", {"filled": True}))
        ),
    ).properties(width=520, height=alt.Step(20))
    chosen = listed("foundation", [study.instrument.short(name) for name in foundations], f"{study.instrument.group}: ")
    return figure(
        chart.add_params(pick, chosen, switch_between("metric", metrics, "metric: "), *look.family()), study,
        title=f"What changed in one {study.instrument.group}",
        caption=f"Percent of the base's value in one {study.instrument.group}, with the 95 % interval for other personas like "
        f"these; recommended estimator. Filled: clear when every claim about a single {study.instrument.group} is counted "
        "(Holm, 5 %).",
        using=f"The lists choose the {study.instrument.group} and the family, the buttons the metric.",
        still=f"Shown: {inside(metrics[0])} in {study.instrument.short(foundations[0])}.",
        description=f"Dot plot of the change of every variant in one {study.instrument.group}, by model.",
    )  # fmt: skip


@exhibit.figure("frontier")
def frontier(frontier: pd.DataFrame | None, study: Study) -> Any:
    """S of every run beside that of each published frontier model, with both bands; None where there are none.

    `frontier` is frontier.csv.
    """
    if frontier is None:
        return None
    models = references(study)
    one = [(m.model, "frontier model", m.value, m.value - 1.96 * m.se, m.value + 1.96 * m.se) for m in models.itertuples()]
    own = frontier[frontier["reference"] == ALL]
    for row in own.itertuples():
        run = study.run(row.family, row.variant)
        one.append((run.name, run.variant.role, row.value, row.lo, row.hi))
    data = rounded(pd.DataFrame(one, columns=["Who", "What", "value", "from", "to"]))
    order = [*data[: len(models)].sort_values("value")["Who"], *data[len(models) :]["Who"]]
    bands = own.iloc[0]
    areas = alt.layer(_area(bands["expected_lo"], bands["expected_hi"], 0.12), _area(bands["band_lo"], bands["band_hi"], 0.28))
    roles = ["frontier model", "base", "alternate", "control", "harmful", *["mitigated"] * study.has_treatments]
    looks = [QUIET, "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#6A51A3"][: len(roles)]
    shapes = ["circle", "circle", "diamond", "square", "triangle-up", "diamond"][: len(roles)]
    frame = alt.Chart(data).encode(
        y=alt.Y("Who:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelLimit=240)),
        color=alt.Color("What:N", scale=alt.Scale(domain=roles, range=looks), title=None),
    )
    x = alt.X("from:Q", title="Susceptibility S (scale points, the paper's formula)", scale=alt.Scale(zero=False))
    tooltip = ["Who", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("value", "from", "to"))]
    chart = alt.layer(
        areas,
        frame.mark_rule(strokeWidth=1.8).encode(x=x, x2="to:Q"),
        frame.mark_point(filled=True, size=60, opacity=1).encode(
            x="value:Q", shape=alt.Shape("What:N", scale=alt.Scale(domain=roles, range=shapes), title=None), tooltip=tooltip
        ),
    ).properties(width=460, height=alt.Step(15))
    return figure(
        chart, study, title="Among frontier models",
        caption=f"Inner band: the published one, {int((~models['outside']).sum())} of {len(models)} models. Outer band: where "
        f"one more model like all {len(models)} would lie with 95 % probability. Lines: ± 1.96 standard errors, as in the paper.",
        description="Dot plot of susceptibility of every run and of each published frontier model, with two bands.",
    )  # fmt: skip


def _area(low: float, high: float, opacity: float) -> alt.Chart:
    limits = pd.DataFrame([{"low": float(f"{low:.6g}"), "high": float(f"{high:.6g}")}])
    return alt.Chart(limits).mark_rect(color=BAND, opacity=opacity).encode(x="low:Q", x2="high:Q")


@exhibit.figure("noise_parts")
def split(companions: pd.DataFrame, study: Study) -> Any:
    """What the change of noise of every variant is made of, with intervals, one panel a family; takes companions.csv."""
    look = Look(study, base=False)
    chosen = companions[(companions["scope"] == OVERALL) & companions["part"].isin(_PARTS)]
    roles = {(f.key, v.key): "base" if v.role == "base" else "control" for f in study.file.families for v in f.variants}
    data = look.labelled(chosen.assign(Part=chosen["part"].map(_PARTS), Against=[roles[x] for x in _pairs(chosen)]))
    data = data[["Model", "Variant", "Against", "Part", "value", "lo", "hi"]].rename(columns={"lo": "from", "hi": "to"})
    if data.empty:
        return None
    pick = pick_of("pick_part", "Variant")
    # First what the sentence under the figure speaks of.
    against = ["control", "base"] if (data["Against"] == "control").any() else ["base", "control"]
    y = alt.Y("Part:N", sort=list(_PARTS.values()), title=None, axis=alt.Axis(ticks=False))
    frame = alt.Chart(data).transform_filter("datum.Against === against").encode(
        y=y, yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick)
    )  # fmt: skip
    tooltip = ["Model", "Variant", "Part", *(alt.Tooltip(f"{c}:Q", format="+.3f") for c in ("value", "from", "to"))]
    chart = look.of_family(
        alt.layer(
            alt.Chart(data).mark_rule(color=INK).encode(x=alt.datum(0)),
            frame.mark_rule(strokeWidth=1.8).encode(x=alt.X("from:Q", title="Difference of logarithms"), x2="to:Q"),
            frame.mark_point(filled=True, size=60).encode(x="value:Q", shape=look.shape(), tooltip=tooltip),
            data=data,
        )
        .properties(width=300, height=130)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick, switch_between("against", against, "set beside its: "), *look.family())
    )
    return figure(
        chart, study, title="What a change of noise is made of",
        caption="Differences of logarithms, which add up: 0.7 is twice as much, -0.7 half. Larger steps: answers vary in larger "
        "steps for the room there is. Weaker anchor: less of the variation is the persona's. Ceiling: answers moved away from "
        "the ends of the scale (+), where there is more room, or towards them (-).",
        using="The buttons choose what a variant is set beside.",
        still=f"Shown: each variant beside its {against[0]}.",
        description="Dot plots of the parts of the change of noise for every variant, one panel a model.",
    )  # fmt: skip


def _pairs(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(rows["family"], rows["against"], strict=True))


@exhibit.figure("fidelity")
def fidelity(metrics: pd.DataFrame, study: Study) -> Any:
    """How far every variant keeps the base's pattern over personas: correlation of true cell means, with interval A."""
    look = Look(study, base=False)
    bases = {(family.key, family.base.key) for family in study.file.families}
    is_base = [key in bases for key in zip(metrics["family"], metrics["variant"], strict=True)]
    chosen = metrics[(metrics["metric"] == "fidelity") & (metrics["scope"] == OVERALL) & ~np.array(is_base, dtype=bool)]
    data = look.labelled(chosen)[["Model", "Variant", "value", "lo", "hi"]].rename(columns={"lo": "from", "hi": "to"})
    if data.empty:
        return None
    pick = pick_of("pick_fidelity", "Variant")
    frame = look.of_family(alt.Chart(data)).encode(
        y=alt.Y("Model:N", sort=look.families, title=None, axis=alt.Axis(ticks=False)),
        yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick),
    )  # fmt: skip
    x = alt.X("from:Q", title="Correlation with the base over personas, noise removed", scale=alt.Scale(domainMax=1))
    tooltip = ["Model", "Variant", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("value", "from", "to"))]
    chart = alt.layer(
        frame.mark_rule(strokeWidth=2).encode(x=x, x2="to:Q"),
        frame.mark_point(filled=True, size=80).encode(x="value:Q", shape=look.shape(), tooltip=tooltip),
    ).add_params(pick, *look.family())
    return figure(
        chart.properties(width=460, height=alt.Step(18)), study, title="Who still answers like whom",
        caption="1: every persona keeps its place among the others as in the base; 0: the places have nothing to do with it. "
        "Lines: 95 % interval for other personas like these.",
        description="Dot plot of the fidelity of every variant to its base's pattern over personas.",
    )  # fmt: skip
