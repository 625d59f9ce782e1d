"""Figures that compare the runs of a study: a table in, an Altair chart out."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.theme import (
    BAND,
    DIFFERS,
    ESTIMATORS,
    INK,
    PEOPLE,
    QUIET,
    Look,
    both,
    category_colors,
    chosen,
    fade,
    figure,
    over,
    pick_of,
    rounded,
    switch,
)
from persona_collapse.study.reference import people
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables.printed_figures import Band
from persona_collapse.vocabulary import METHODS, METRICS, RECOMMENDED

# --- comparing the variants of a study -------------------------------------------------------------------------------


@exhibit.figure("levels", by="metric")
def levels(
    metrics: pd.DataFrame, study: Study, metric: str, band: Band | None = None, reference: pd.DataFrame | None = None
) -> Any:  # fmt: skip
    """A metric of every run, with 95 % intervals, for S the band of frontier models if `band` is given, and a line for people.

    Recommended estimators with interval A; the buttons show the published ones. `reference` is reference.csv.
    """
    line, of_people = _people(study, metric, reference)
    look = Look(study, people={people(study): PEOPLE} if len(line) else None)
    data = look.labelled(both(metrics.query(f"scope == '{OVERALL}'"), metric))
    data = data[["Model", "Variant", "Estimators", "value", "from", "to", "se"]]
    infinite = data[data["value"].isna() & (data["Estimators"] == "recommended")]
    pick = pick_of("pick_level", "Variant")
    x = alt.X("Model:N", sort=look.families, title=None, axis=alt.Axis(labelAngle=0, ticks=False))
    offset = alt.XOffset("Variant:N", sort=look.names)
    tooltip = ["Model", "Variant", *(alt.Tooltip(f"{c}:Q", format=".3~f") for c in ("value", "from", "to", "se"))]
    frame = look.of_family(chosen(alt.Chart(data))).encode(x=x, xOffset=offset, opacity=fade(pick))
    bars = frame.mark_bar().encode(
        y=alt.Y("value:Q", title=f"{METRICS[metric].heading} ({METRICS[metric].unit})"), color=look.color(), tooltip=tooltip
    )
    # The shape above the interval says in grey what the colour says.
    marks = frame.mark_point(filled=True, size=42, stroke="white", strokeWidth=0.6).encode(
        y="value:Q", shape=look.shape(), color=alt.value(INK), tooltip=tooltip
    )
    errors = frame.mark_rule(color=INK, strokeWidth=1.3).encode(y="from:Q", y2="to:Q")
    layers = [bars, errors, marks]
    said = ""
    if band and metric == "susceptibility":
        low, high = band.low, band.high
        area = alt.Chart(pd.DataFrame([{"low": low, "high": high}])).mark_rect(color=BAND, opacity=0.22)
        layers.insert(0, area.encode(y=alt.Y("low:Q"), y2="high:Q"))
        said = f" The grey band is where {band.inside} of {band.models} frontier models lie ({low:g} to {high:g}; published)."
    if len(line):
        rule = chosen(alt.Chart(line)).mark_rule(strokeWidth=2, strokeDash=PEOPLE[2])
        layers.append(rule.encode(y="value:Q", color=look.color(), opacity=fade(pick), tooltip=tooltip[1:5]))
        said += of_people
    if len(infinite):
        said += f" Without a bar: {', '.join(infinite['Model'] + ' ' + infinite['Variant'])} (no finite value)."
    chart = alt.layer(*layers).add_params(pick, switch(), *look.family()).properties(width=alt.Step(36), height=260)
    return figure(
        chart, study, title=f"{METRICS[metric].heading} of every run",
        caption=f"{METRICS[metric].heading}: {_meaning(metric, study)} Lines: 95 % interval for other personas like these.{said}",
        using="The buttons show the paper's formula, ± 1.96 of its standard errors.",
        description=f"Bar chart of {METRICS[metric].heading} by model and variant, with 95 % intervals.",
    )  # fmt: skip


def _people(study: Study, metric: str, reference: pd.DataFrame | None) -> tuple[pd.DataFrame, str]:
    """A metric of human respondents by estimators, and what is said of it; of one rating a cell S is a bound by either."""
    if reference is None:
        return pd.DataFrame(), ""
    found = both(reference.query(f"scope == '{OVERALL}'"), metric).set_index("Estimators")
    found, bound = found[np.isfinite(found["value"])], ""
    if metric == "susceptibility" and len(found) == 1:
        found, bound = found.iloc[[0, 0]].set_axis(ESTIMATORS), "; with one rating a cell it is an upper bound"
    line = rounded(found[["value", "from", "to"]]).rename_axis("Estimators").reset_index().assign(Variant=people(study))
    if line.empty:
        return line, ""
    return (
        line,
        f" Grey dots: {METRICS[metric].name} among {found['personas'].iloc[0]:,} {people(study)}{bound}. No test uses them.",
    )


_MEANING = {
    "susceptibility": "how much answers differ between personas (SD over personas of their mean ratings, averaged over items).",
    "robustness": "how steadily one persona is held (1 over the root mean square SD over {over}).",
    "within_rms": "how much answers of one persona vary (root mean square SD over {over}).",
}


def _meaning(metric: str, study: Study) -> str:
    return _MEANING[metric].format(over=over(study))


@exhibit.figure("changes", by="metric")
def changes(contrasts: pd.DataFrame, study: Study, metric: str) -> Any:
    """Change of a metric against base in percent, family by family, and the mean over these families, with intervals.

    A contrast whose sides differ in more than fine-tuning bears a mark. None for bases alone.
    """
    look = Look(study, base=False)
    data = look.labelled(both(contrasts.query(f"scope == '{OVERALL}' and quantity == 'change_pct'"), metric))
    data = data[["Model", "Variant", "Estimators", "value", "from", "to", "differs"]].rename(columns={"value": "change"})
    if len(study.file.families) == 1:  # the mean is that family's own change
        data = data[data["Model"] != "mean"]
    data["Variant"] = [_variant_name(study, v) for v in data["Variant"]]
    data["Model"] = data["Model"].replace("mean", "mean of families")
    data["mark"] = [DIFFERS if differs else "" for differs in data["differs"]]
    order = [*look.families, "mean of families"]
    if data.empty:
        return None
    pick = pick_of("pick_change", "Variant")
    frame = look.of_family(chosen(alt.Chart(data))).encode(
        y=alt.Y("Model:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelPadding=8)),
        yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick),
    )  # fmt: skip
    tooltip = ["Model", "Variant", *(alt.Tooltip(f"{c}:Q", format="+.1f") for c in _CHANGE), "differs"]
    title = f"Change of {METRICS[metric].inside} against base (%)"
    zero = alt.Chart(pd.DataFrame([{"change": 0}])).mark_rule(color=INK).encode(x="change:Q")
    chart = alt.layer(
        zero,
        frame.mark_rule(strokeWidth=2).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
        frame.mark_point(filled=True, size=90).encode(x=alt.X("change:Q", title=title), shape=look.shape(), tooltip=tooltip),
        frame.mark_text(dy=-7, dx=7, fontSize=10).encode(x="change:Q", text="mark:N"),
    ).add_params(pick, switch(), *look.family())
    mean, none = " The mean is that of these families.", ", whose average has none"
    if len(study.file.families) == 1:
        mean = none = ""
    marked = data["mark"].any()
    said = f" {DIFFERS}: the two sides also differ otherwise; see what else differs." if marked else ""
    return figure(
        chart.properties(width=560, height=alt.Step(16)), study, title=f"Change of {METRICS[metric].inside} against base",
        caption="Percent of the base of the same family, with the 95 % interval for other personas like these, the same ones on "
        f"both sides.{mean}{said}",
        using=f"The buttons show the paper's formula, ± 1.96 of its standard errors{none}."
        + f" Hover over a mark with {DIFFERS} to read in what." * bool(marked),
        description=f"Dot plot of the percent change of {METRICS[metric].heading} against base, by model and variant.",
    )  # fmt: skip


def _variant_name(study: Study, key: str) -> str:
    """The label of a variant key, as in the rows of family `mean`, where labels may differ between families."""
    return next((run.variant.name for run in study.runs if run.variant.key == key), key)


_CHANGE = ("change", "from", "to")


@exhibit.figure("foundation_changes", by="metric")
def foundation_changes(contrasts: pd.DataFrame, study: Study, metric: str) -> Any:
    """Change of a metric against base by foundation, one panel a family; None for bases alone."""
    look = Look(study, base=False)
    rows = contrasts.query(f"scope != '{OVERALL}' and quantity == 'change_pct' and family != 'mean'")
    data = look.labelled(both(rows, metric))[["Model", "Variant", "Estimators", "scope", "value", "from", "to"]]
    data = data.rename(columns={"scope": "Group", "value": "change"})
    data["Group"] = data["Group"].map(study.instrument.short)
    order = [study.instrument.short(f) for f in study.instrument.foundations]
    if data.empty:
        return None
    pick = pick_of("pick_foundation", "Variant")
    y = alt.Y("Group:N", sort=order, title=None, axis=alt.Axis(ticks=False))
    frame = chosen(alt.Chart(data)).encode(
        y=y, yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=fade(pick)
    )
    chart = look.of_family(
        alt.layer(
            alt.Chart(data).mark_rule(color=INK).encode(x=alt.datum(0)),
            frame.mark_rule(strokeWidth=1.6).encode(x=alt.X("from:Q", title="Change against base (%)"), x2="to:Q"),
            frame.mark_point(filled=True, size=55).encode(
                x="change:Q", shape=look.shape(),
                tooltip=["Model", "Variant", "Group", *(alt.Tooltip(f"{c}:Q", format="+.0f") for c in _CHANGE)],
            ),
            data=data,
        )
        .properties(width=310, height=150)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .resolve_scale(x="independent")
        .add_params(pick, switch(), *look.family())
    )  # fmt: skip
    return figure(
        chart, study, title=f"Change of {METRICS[metric].inside} by {study.instrument.group}",
        caption=f"Percent of the base's value for the same {study.instrument.group}, with the 95 % interval for other "
        "personas like these. The panels have scales of their own.",
        using="The buttons show the paper's formula.",
        description=f"Dot plots of the percent change of {METRICS[metric].heading} by {study.instrument.group}, one panel a "
        f"model.",
    )  # fmt: skip


@exhibit.figure("collapse_map")
def collapse_map(metrics: pd.DataFrame, study: Study, band: Band | None = None) -> Any:
    """S against R, with a trail from each base to its variants: where fine-tuning carried the model."""
    look, pick = Look(study), pick_of("pick_map", "Variant")
    points = _map_points(metrics, look)
    x = alt.X("R:Q", scale=_LOG, title="Robustness R (1 / scale points, log scale)")
    y = alt.Y("S:Q", scale=_LINEAR, title="Susceptibility S (scale points)")
    base = {(row.Model, row.Estimators): row for row in points.itertuples() if row.role == "base"}
    trail = [
        (row.Model, row.Variant, row.Estimators, step, end.R, end.S)
        for row in points.itertuples()
        if row.role != "base" and (row.Model, row.Estimators) in base
        for step, end in ((0, base[row.Model, row.Estimators]), (1, row))
    ]
    drawn = alt.Chart(pd.DataFrame(trail, columns=["Model", "Variant", "Estimators", "step", "R", "S"]))
    lines = look.of_family(chosen(drawn)).mark_trail(opacity=0.45).encode(
        x=x, y=y, size=alt.Size("step:Q", scale=alt.Scale(range=[0.5, 7]), legend=None), detail=["Model:N", "Variant:N"],
        color=look.color().legend(symbolOpacity=1), order="step:Q",
    )  # fmt: skip
    tooltip = [
        "Model",
        "Variant",
        *(alt.Tooltip(f"{c}:Q", format=".3~f") for c in ("S", "S_from", "S_to", "R", "R_from", "R_to")),
    ]
    frame = look.of_family(chosen(alt.Chart(points)))
    dots = frame.mark_point(filled=True, size=130, opacity=1, stroke="white").encode(
        x=x, y=y, color=look.color(), shape=look.shape(), opacity=fade(pick), tooltip=tooltip
    )  # fmt: skip
    # Controls crowd round their base, and several harmful variants round one another; trail and colour name them.
    one = points[points["role"] == "harmful"].groupby(["Model", "Estimators"])["Variant"].nunique().max() <= 1
    named = look.of_family(chosen(alt.Chart(points[points["role"].isin(["base", "harmful"] if one else ["base"])])))
    names = named.mark_text(align="left", dx=9, dy=-8, fontSize=10.5, color=QUIET).encode(
        x=x, y=y, text="Model:N", opacity=fade(pick)
    )  # fmt: skip
    layers = [lines, *_crosses(frame, look, x, y, fade(pick)), dots, names]
    if band:
        area = alt.Chart(pd.DataFrame([{"low": band.low, "high": band.high}])).mark_rect(color=BAND, opacity=0.22)
        layers.insert(0, area.encode(y=alt.Y("low:Q"), y2="high:Q"))
    chart = alt.layer(*layers).add_params(pick, switch(), *look.family())
    return figure(
        chart.properties(width=600, height=340), study, title="Collapse map",
        caption="Each trail widens from a base to one of its variants; crosses are 95 % intervals for other personas like these. "
        "Up: personas answer more differently from one another. Left: one persona answers less steadily. Collapse by the paper's "
        "meaning is up and to the left."
        + (f" The grey band is where {band.inside} of {band.models} frontier models lie in S (published)." if band else ""),
        using="The buttons show the paper's formulas.",
        description="Scatter plot of susceptibility against robustness; trails lead from each base to its variants.",
    )  # fmt: skip


def small_map(metrics: pd.DataFrame, study: Study) -> Any:
    """The collapse map as a picture beside the verdict, without lists and buttons, of bases and finished fine-tunes.

    None where no run has a place on it.
    """
    look = Look(study.finished)
    known = set(look.roles)
    metrics = metrics[[f"{f}/{v}" in known for f, v in zip(metrics["family"], metrics["variant"], strict=True)]]
    points = _map_points(metrics, look)
    points = points[points["Estimators"] == METHODS[RECOMMENDED]]
    if points.empty:
        return None
    x = alt.X("R:Q", scale=_LOG, title="robustness R (log scale)", axis=alt.Axis(tickCount=4))
    y = alt.Y("S:Q", scale=_LINEAR, title="susceptibility S", axis=alt.Axis(tickCount=5))
    frame = alt.Chart(points)
    dots = frame.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=look.color(), shape=look.shape())
    layers = [*_crosses(frame, look, x, y, alt.value(1)), dots]
    if len(look.families) in range(2, _NAMED + 1):
        named = alt.Chart(points[points["role"] == "harmful"]).mark_text(align="left", dx=7, dy=-6, fontSize=9, color=QUIET)
        layers.append(named.encode(x=x, y=y, text="Model:N"))
    chart = alt.layer(*layers)
    return figure(
        chart.properties(width=245, height=200), study, title="Collapse map", caption="", mark="SIMULATED RATINGS",
        description="Susceptibility against robustness of every run, with 95 % intervals as crosses.",
    )  # fmt: skip


#: Families whose names fit on the small map.
_NAMED = 4
_LOG, _LINEAR = alt.Scale(type="log", nice=False, padding=24), alt.Scale(zero=False, padding=16)


def _map_points(metrics: pd.DataFrame, look: Look) -> pd.DataFrame:
    """S and R of every run by either method, with both intervals, and the role of its variant."""
    rows = metrics.query(f"scope == '{OVERALL}' and metric in ('susceptibility', 'robustness')")
    ends = {"value": "", "lo": "_from", "hi": "_to"}
    columns = [f"{name}{end}" for name in "SR" for end in ends.values()]
    # Of a study without a rating there is no column.
    wide = rows.pivot_table(index=["method", "family", "variant"], columns="metric", values=list(ends), sort=False)
    wide.columns = [f"{metric[0].upper()}{ends[end]}" for end, metric in wide.columns]
    wide = wide.reindex(columns=columns)
    wide = wide[np.isfinite(wide[["S", "R"]].astype(float)).all(axis=1)].reset_index().rename(columns={"method": "Estimators"})
    wide["Estimators"] = wide["Estimators"].map(METHODS)
    wide["role"] = [look.roles[f"{f}/{v}"] for f, v in zip(wide["family"], wide["variant"], strict=True)]
    return look.labelled(wide)[["Model", "Variant", "role", "Estimators", *columns]]


def _crosses(frame: Any, look: Look, x: Any, y: Any, opacity: Any) -> list[Any]:
    """The intervals of S and of R through each point."""
    rules = frame.mark_rule(strokeWidth=1.2).encode(color=look.color(), opacity=opacity)
    return [
        rules.encode(x=x, y=alt.Y("S_from:Q"), y2="S_to:Q"),
        rules.encode(y=y, x=alt.X("R_from:Q"), x2="R_to:Q"),
    ]


@exhibit.figure("temperature_curves", by="metric")
def temperature_curves(temperature: pd.DataFrame | None, study: Study, metric: str) -> Any:
    """A metric at every sampling temperature, base against variants, one panel a family; None for a study by samples.

    `temperature` is temperature.csv.
    """
    if temperature is None:
        return None
    look = Look(study)
    data = look.labelled(temperature[temperature["metric"] == metric])[["Model", "Variant", "temperature", "value", "lo", "hi"]]
    data = data.rename(columns={"temperature": "T", "lo": "from", "hi": "to"})
    log = metric == "robustness"
    if log:
        # A log axis has no place for what is not above 0; a band that would reach it ends at the axis.
        data = data[data["value"].notna() & (data["value"] > 0)]
        data["from"] = data["from"].clip(lower=data["value"].min() / 2)
    at = study.file.protocol.temperature
    pick = pick_of(f"pick_{metric}_curve", "Variant")
    ticks = alt.Axis(values=[0, 0.3, 0.6, 0.9, 1.2, 1.5], format=".1f")
    x = alt.X("T:Q", title="Sampling temperature T", axis=ticks, scale=alt.Scale(nice=False, domainMin=0))
    scale = alt.Scale(type="log", nice=False, padding=8) if log else alt.Scale(zero=False, padding=8)
    y = alt.Y("value:Q", scale=scale, title=f"{METRICS[metric].heading} ({METRICS[metric].unit}{', log scale' if log else ''})")
    # The legend would take the faintness of the bands.
    color = look.color().legend(symbolOpacity=1)
    frame = alt.Chart(data).encode(x=x, color=color)
    faint = alt.when(pick).then(alt.value(0.16)).otherwise(alt.value(0.03))
    tooltip = ["Model", "Variant", "T", *(alt.Tooltip(f"{c}:Q", format=".3~f") for c in ("value", "from", "to"))]
    chart = look.of_family(
        alt.layer(
            alt.Chart(data).mark_rule(color=BAND, strokeDash=[2, 3]).encode(x=alt.datum(at)),
            frame.mark_area().encode(y=alt.Y("from:Q", scale=scale), y2="to:Q", opacity=faint),
            frame.mark_line(strokeWidth=2).encode(y=y, strokeDash=look.dash(), opacity=fade(pick)),
            frame.mark_point(filled=True, size=34).encode(y=y, shape=look.shape(), opacity=fade(pick), tooltip=tooltip),
            data=data,
        )
        .properties(width=310, height=210)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick, *look.family())
    )
    return figure(
        chart, study, title=f"{METRICS[metric].heading} at every temperature",
        caption=f"From the logprobs of one request a cell. Bands: ± 1.96 standard errors as in the paper, persona part only, as "
        f"distributions carry no sampling noise. The dashed line is T = {at:g}, for which every other number is computed.",
        description=f"Line charts of {METRICS[metric].heading} against sampling temperature for every variant, one panel a "
        "model.",
    )  # fmt: skip


# --- saturation ------------------------------------------------------------------------------------------------------


@exhibit.figure("rating_shares", by="condition")
def rating_shares(shares: pd.DataFrame, study: Study, condition: str) -> Any:
    """Share of each category among all ratings of a condition as given, one bar a run; `shares` is saturation.csv."""
    look = Look(study)
    rows = shares[(shares["condition"] == condition) & shares["measure"].str.startswith("share_")]
    if rows["value"].isna().all():
        return None  # nobody was asked so
    data = look.labelled(rows.assign(category=rows["measure"].str.removeprefix("share_").astype(int)))
    data = data[["Model", "Variant", "category", "value"]].rename(columns={"category": "Rating", "value": "share"})
    categories = list(study.instrument.categories)
    colors = alt.Scale(domain=categories, range=category_colors(len(categories)))
    pick = pick_of("pick_share", "Rating")
    chart = look.of_family(
        alt.Chart(data)
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("share:Q", stack="normalize", axis=alt.Axis(format="%"), title="Share of ratings"),
            y=alt.Y("Variant:N", sort=look.names, title=None, axis=alt.Axis(ticks=False)),
            color=alt.Color("Rating:O", scale=colors, title="Rating"),
            order=alt.Order("Rating:Q"),
            opacity=fade(pick),
            tooltip=["Model", "Variant", "Rating", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=310, height=alt.Step(20))
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .resolve_scale(y="independent")
        .add_params(pick, *look.family())
    )
    deck = "personas" if study.personas is None else f"{len(study.personas)} personas"
    what = {"persona": f"as {deck}", "self": "without a persona", "toxic": "as hostile characters"}[condition]
    return figure(
        chart, study, title=f"Which ratings were given, {what}",
        caption=("Mean probability of every category over all cells that are used" if study.by_logprobs else
                 "Share of every category of the scale among all valid ratings") + ", lowest category on the left.",
        description=f"Stacked bars of the share of each rating {what}, by model and variant.",
    )  # fmt: skip
