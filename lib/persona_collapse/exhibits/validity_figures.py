"""Figures of what a conclusion hangs on: forests of choices, the frontier models, and what a change is made of."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.chart_data import listed
from persona_collapse.exhibits.theme import BAND, INK, QUIET, Look, fade, figure, pick_of, rounded, switch_between
from persona_collapse.exhibits.validity_tables import shown
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables.frontier import ALL, references
from persona_collapse.tables.headlines import CONTRARY, HOLDS, OPPOSITE, SAME, UNKNOWN
from persona_collapse.vocabulary import CLAIMED, METRICS

# Okabe and Ito's, with a shape each, so that the verdicts can be told apart in grey.
_VERDICTS = {
    HOLDS: ("#0072B2", "circle"), SAME: ("#56B4E9", "diamond"), OPPOSITE: ("#E69F00", "square"),
    CONTRARY: ("#D55E00", "cross"), UNKNOWN: ("#8a8f98", "stroke"),
}  # fmt: skip
#: An interval so many times as wide as half of the others is cut at the frame.
_WIDE = 8
_PARTS = {
    "within_rms": "all of the change", "extremity": "larger steps", "noise_share": "weaker anchor", "ceiling": "ceiling",
}  # fmt: skip


@exhibit.figure("forest", by="kind")
def forest(validity: pd.DataFrame, study: Study, kind: str) -> Any:
    """One headline under every defensible choice, each with its interval; None if the study has no such headline.

    `validity` is validity.csv. Of a group with many choices, such as each item left out, the extremes are shown.
    """
    own = validity[validity["kind"] == kind]
    if own.empty:
        return None
    mean = "; the mean over these families unless a family is named" if (own["family"] == "mean").any() else ""
    panels, cut = [], ""
    for claim in dict.fromkeys(own["claim"]):
        chosen = shown(own[own["claim"] == claim], study)
        ends = _ends(chosen)
        panels.append(_panel(chosen, claim, ends))
        if ends:
            cut = " An interval that reaches beyond the frame is cut there; the table has its numbers."
    return figure(
        alt.vconcat(*panels), study, title="; ".join(f"{claim[0].upper()}{claim[1:]}" for claim in dict.fromkeys(own["claim"])),
        caption=f"One line a choice: value and 95 % interval{mean}. The dotted line is the recommended estimate, the black one "
        "no difference. Colour and shape: whether the claim holds beyond the interval, in its direction only, or not." + cut,
        description=f"Forest plot of {own['claim'].iloc[0]} under every choice.",
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


def _panel(chosen: pd.DataFrame, claim: str, ends: list[float]) -> alt.LayerChart | alt.FacetChart:
    data = rounded(chosen[["Choice", "value", "lo", "hi", "verdict"]].rename(columns={"lo": "from", "hi": "to"}))
    unit = {"%": "percent of base", "pp": "points of base", "logit": "difference of logits"}[chosen["quantity"].iloc[0]]
    scale = alt.Scale(domain=ends, nice=False) if ends else alt.Scale()
    names = list(_VERDICTS)
    color = alt.Color("verdict:N", title=None, scale=alt.Scale(domain=names, range=[look[0] for look in _VERDICTS.values()]))
    shape = alt.Shape("verdict:N", title=None, scale=alt.Scale(domain=names, range=[look[1] for look in _VERDICTS.values()]))
    y = alt.Y("Choice:N", sort=list(data["Choice"]), title=None, axis=alt.Axis(ticks=False, labelLimit=420, grid=True))
    frame = alt.Chart(data).encode(y=y, color=color)
    tooltip = ["Choice", *(alt.Tooltip(f"{c}:Q", format="+.3~f") for c in ("value", "from", "to")), "verdict"]
    first = data["value"].iloc[0]
    lines = [alt.Chart(pd.DataFrame([{"at": 0.0}])).mark_rule(color=INK).encode(x="at:Q")]
    if first is not None and np.isfinite(first):
        at = alt.Chart(pd.DataFrame([{"at": first}]))
        lines.append(at.mark_rule(color=BAND, strokeDash=[2, 3]).encode(x="at:Q"))
    return alt.layer(
        *lines,
        frame.mark_rule(strokeWidth=1.8, clip=True).encode(x=alt.X("from:Q", title=f"{claim} ({unit})", scale=scale), x2="to:Q"),
        frame.mark_point(filled=True, size=55, opacity=1).encode(x="value:Q", shape=shape, tooltip=tooltip),
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
        caption=f"Percent of the base's value in the {study.instrument.group} that the list names, with the 95 % interval "
        f"for other personas "
        f"like these; recommended estimator. Filled: clear when every claim about a single {study.instrument.group} is "
        f"counted (Holm, 5 %).",
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
    roles = ["frontier model", "base", "alternate", "control", "harmful"]
    looks = [QUIET, "#0072B2", "#56B4E9", "#009E73", "#D55E00"]
    shapes = ["circle", "circle", "diamond", "square", "triangle-up"]
    frame = alt.Chart(data).encode(
        y=alt.Y("Who:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelLimit=240)),
        color=alt.Color("What:N", scale=alt.Scale(domain=roles, range=looks), title=None),
    )
    x = alt.X("from:Q", title="Susceptibility S (scale points, published estimator)", scale=alt.Scale(zero=False))
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
        caption=f"Dark band: the published one, {int((~models['outside']).sum())} of {len(models)} models. Light band: where "
        f"one more model like all {len(models)} would lie with 95 % probability. Lines: ± 1.96 published standard errors.",
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
