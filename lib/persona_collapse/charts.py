"""Every figure of the report: a table in, an Altair chart out, the same bytes on every run and machine."""

import base64
import json
import os
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse import saturation
from persona_collapse.instrument import Instrument
from persona_collapse.metrics import OVERALL, moments
from persona_collapse.personas import Persona
from persona_collapse.study import Study

#: What JupyterLab draws without a network; it knows no newer version, and ours uses nothing newer.
MIME = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

# Okabe and Ito's colours, by what a variant is in its family, so that a base looks like a base in every study.
_LOOKS = {
    "base": [("#0072B2", "circle", [1, 0])],
    "control": [("#009E73", "square", [6, 3]), ("#56B4E9", "square", [8, 2])],
    "harmful": [("#D55E00", "triangle-up", [2, 2]), ("#E69F00", "triangle-down", [3, 1]), ("#8C510A", "triangle-right", [4, 2])],
    "alternate": [("#56B4E9", "diamond", [1, 3])],
    "toxic": [("#CC79A7", "cross", [8, 3, 2, 3])],
}
_CATEGORIES = ["#08306B", "#2A6BA8", "#88BEDC", "#FDCC8A", "#F07F3C", "#A63603"]
_INK, _QUIET, _GRID = "#1b1f24", "#57606a", "#e3e6ea"
_BAND = "#8a8f98"
SIMULATED = "SIMULATED RATINGS – made to look like published figures, evidence of nothing"
_SHORT = {
    "Harm/Care": "Harm", "Fairness/Reciprocity": "Fairness", "In-group/Loyalty": "Loyalty",
    "Authority/Respect": "Authority", "Purity/Sanctity": "Purity",
}  # fmt: skip
TITLES = {
    "susceptibility": "Susceptibility S",
    "robustness": "Robustness R",
    "within_sd": "Within-persona SD",
}
_INSIDE = {metric: title[0].lower() + title[1:] for metric, title in TITLES.items()}


def use_theme() -> None:
    """Draw every chart of this kernel in the project's theme, without a network, as stable bytes; show tables whole."""
    pd.set_option("display.max_rows", 1000, "display.max_columns", 50, "display.max_colwidth", 200)
    alt.theme.register("persona_collapse", enable=True)(_theme)
    alt.renderers.register("persona_collapse", _render)
    alt.renderers.enable("persona_collapse")


def _theme() -> alt.theme.ThemeConfig:
    return {
        "config": {
            "font": "Helvetica, Arial, sans-serif",
            "background": "white",
            "view": {"stroke": None},
            "axis": {
                "labelColor": _QUIET, "titleColor": _INK, "titleFontWeight": "normal", "gridColor": _GRID,
                "domainColor": _GRID, "tickColor": _GRID, "labelFontSize": 11, "titleFontSize": 12,
            },
            "axisQuantitative": {"tickCount": 7, "labelOverlap": "greedy", "labelSeparation": 6},
            "legend": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "orient": "top", "symbolSize": 90},
            "header": {"labelFontSize": 12, "labelColor": _INK, "labelFontWeight": "bold", "title": None},
            "title": {
                "anchor": "start", "fontSize": 14, "color": _INK, "subtitleColor": "#b03a00", "subtitleFontSize": 11,
                "subtitleFontWeight": "bold", "offset": 10,
            },
        }
    }  # fmt: skip


def spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The Vega-Lite of a chart, as a viewer without our library draws it."""
    return chart.to_dict(context={"pre_transform": False}) | {"$schema": SCHEMA}


def _render(found: dict[str, Any], **_: Any) -> dict[str, Any]:
    found = found | {"$schema": SCHEMA}
    bundle = {MIME: found, "text/plain": f"<chart: {found.get('description', '')}>"}
    # A picture for viewers that cannot draw Vega; committed notebooks have it, and nbval passes it over.
    if os.environ.get("PERSONA_COLLAPSE_PICTURES"):
        import vl_convert

        picture = vl_convert.vegalite_to_png(json.dumps(found), scale=0.8)
        bundle["image/png"] = base64.b64encode(picture).decode()
    return bundle


# --- what all figures share ------------------------------------------------------------------------------------------


class _Look:
    """How the variants of a study look: order, labels, and the colour, shape and dash of each."""

    def __init__(self, study: Study, *, toxic: bool = False, base: bool = True) -> None:
        seen: dict[str, tuple[str, str, list[int]]] = {}
        used: dict[str, int] = {}
        for run in study.runs:
            name, role = run.variant.name, run.variant.role
            if name not in seen:
                looks = _LOOKS[role]
                seen[name] = looks[used.get(role, 0) % len(looks)]
                used[role] = used.get(role, 0) + 1
        if toxic:
            seen["hostile characters"] = _LOOKS["toxic"][0]
        bases = {run.variant.name for run in study.runs if run.variant.role == "base"}
        if not base:
            seen = {name: look for name, look in seen.items() if name not in bases}
        self.names = list(seen)
        self.families = [family.name for family in study.file.families]
        self._seen = seen
        self.labels = {run.key: (run.family.name, run.variant.name) for run in study.runs}

    def _scale(self, part: int, **also: Any) -> alt.Scale:
        return alt.Scale(domain=self.names, range=[look[part] for look in self._seen.values()], **also)

    def color(self) -> alt.Color:
        return alt.Color("Variant:N", scale=self._scale(0), sort=self.names, title=None)

    def shape(self) -> alt.Shape:
        return alt.Shape("Variant:N", scale=self._scale(1), sort=self.names, title=None)

    def dash(self) -> alt.StrokeDash:
        return alt.StrokeDash("Variant:N", scale=self._scale(2), sort=self.names, title=None)

    def labelled(self, table: pd.DataFrame) -> pd.DataFrame:
        """`table` with the columns Model and Variant, in words, in the study's order, and numbers to six digits."""
        named = [self.labels.get(f"{f}/{v}", (f, v)) for f, v in zip(table["family"], table["variant"], strict=True)]
        found = table.assign(Model=[n[0] for n in named], Variant=[n[1] for n in named])
        return _rounded(found.drop(columns=["family", "variant"]))


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers to six significant digits: the seventh differs between machines."""
    found = table.copy()
    for column in found.select_dtypes("number"):
        found[column] = [float(f"{v:.6g}") if np.isfinite(v) else None for v in found[column].astype(float)]
    return found


def _figure(chart: Any, study: Study, *, title: str, caption: str, description: str) -> Any:
    """A finished figure: title, the mark of simulated ratings, caption, alternative text."""
    subtitle = {"subtitle": [SIMULATED]} if not study.is_evidence else {}
    return chart.properties(
        title=alt.TitleParams(title, **subtitle),
        description=description + (" Simulated ratings." if not study.is_evidence else ""),
        usermeta={"caption": caption, "embedOptions": {"actions": {"export": True, "source": False, "editor": False}}},
    )


def _pick(name: str, field: str) -> alt.Parameter:
    """Click an entry of the legend to bring it forward; click beside it to bring all back."""
    return alt.selection_point(name=name, fields=[field], bind="legend")


def _fade(pick: alt.Parameter) -> Any:
    return alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.12))


# --- comparing the variants of a study -------------------------------------------------------------------------------


def levels(metrics: pd.DataFrame, study: Study, metric: str, band: tuple[float, float] | None = None) -> Any:
    """A metric of every run, with 95 % intervals, and for S the band of frontier models if `band` (low, high) is given."""
    look = _Look(study)
    data = look.labelled(metrics.query("scope == @OVERALL and metric == @metric and method == 'published'"))
    data = data[["Model", "Variant", "value", "lo", "hi", "se"]].rename(columns={"lo": "from", "hi": "to"})
    infinite = data[data["value"].isna()]
    pick = _pick("pick_level", "Variant")
    x = alt.X("Model:N", sort=look.families, title=None, axis=alt.Axis(labelAngle=0, ticks=False))
    offset = alt.XOffset("Variant:N", sort=look.names)
    tooltip = ["Model", "Variant", *(alt.Tooltip(f"{c}:Q", format=".3~f") for c in ("value", "from", "to", "se"))]
    frame = alt.Chart(data).encode(x=x, xOffset=offset, opacity=_fade(pick))
    bars = frame.mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2).encode(
        y=alt.Y("value:Q", title=f"{TITLES[metric]} ({_UNITS[metric]})"), color=look.color(), tooltip=tooltip
    )
    # The shape above the interval says in grey what the colour says.
    marks = frame.mark_point(filled=True, size=42, stroke="white", strokeWidth=0.6).encode(
        y="value:Q", shape=look.shape(), color=alt.value(_INK), tooltip=tooltip
    )
    errors = frame.mark_rule(color=_INK, strokeWidth=1.3).encode(y="from:Q", y2="to:Q")
    layers = [bars, errors, marks]
    said = ""
    if band:
        low, high = band
        area = alt.Chart(pd.DataFrame([{"low": low, "high": high}])).mark_rect(color=_BAND, opacity=0.22)
        layers.insert(0, area.encode(y=alt.Y("low:Q"), y2="high:Q"))
        said = f" The grey band is where 13 of 15 frontier models lie ({low:g} to {high:g}; published)."
    if len(infinite):
        said += f" Without a bar: {', '.join(infinite['Model'] + ' ' + infinite['Variant'])} (no finite value)."
    chart = alt.layer(*layers).add_params(pick).properties(width=alt.Step(26), height=260)
    return _figure(
        chart, study, title=f"{TITLES[metric]} of every run",
        caption=f"{TITLES[metric]}: {_meaning(metric, study)} Lines: value ± 1.96 published standard errors.{said}",
        description=f"Bar chart of {TITLES[metric]} by model and variant, with 95 % intervals.",
    )  # fmt: skip


_UNITS = {"susceptibility": "scale points", "robustness": "1 / scale points", "within_sd": "scale points"}
_MEANING = {
    "susceptibility": "how much answers differ between personas (SD over personas, mean over items).",
    "robustness": "how steadily one persona is held (1 over the mean SD over {over}).",
    "within_sd": "how much answers of one persona vary (mean SD over {over}).",
}


def _meaning(metric: str, study: Study) -> str:
    return _MEANING[metric].format(over=_over(study))


def _over(study: Study) -> str:
    """What the SD within a cell is taken over: repetitions, or the distribution that logprobs give."""
    return "the answer's distribution" if study.by_logprobs else "repetitions"


def changes(contrasts: pd.DataFrame, study: Study, metric: str) -> Any:
    """Change of a metric against base in percent, family by family, with its published interval, and the plain average."""
    look = _Look(study, base=False)
    chosen = contrasts.query("scope == @OVERALL and metric == @metric and quantity == 'change_pct' and method == 'published'")
    data = look.labelled(chosen)[["Model", "Variant", "value", "lo", "hi", "se"]]
    data = data.rename(columns={"value": "change", "lo": "from", "hi": "to"})
    data["Variant"] = [_variant_name(study, v) for v in data["Variant"]]
    data["Model"] = data["Model"].replace("mean", "mean of families")
    order = [*look.families, "mean of families"]
    pick = _pick("pick_change", "Variant")
    frame = alt.Chart(data).encode(
        y=alt.Y("Model:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelPadding=8)),
        yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=_fade(pick),
    )  # fmt: skip
    tooltip = ["Model", "Variant", *(alt.Tooltip(f"{c}:Q", format="+.1f") for c in ("change", "from", "to"))]
    title = f"Change of {_INSIDE[metric]} against base (%)"
    zero = alt.Chart(pd.DataFrame([{"change": 0}])).mark_rule(color=_INK).encode(x="change:Q")
    chart = alt.layer(
        zero,
        frame.mark_rule(strokeWidth=2).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
        frame.mark_point(filled=True, size=90).encode(x=alt.X("change:Q", title=title), shape=look.shape(), tooltip=tooltip),
    ).add_params(pick)
    return _figure(
        chart.properties(width=560, height=alt.Step(16)), study, title=f"Change of {_INSIDE[metric]} against base",
        caption="Percent of the base of the same family, ± 1.96 published standard errors (base and variant taken as "
        "independent). The average over families is printed without an error, as published.",
        description=f"Dot plot of the percent change of {TITLES[metric]} against base, by model and variant.",
    )  # fmt: skip


def _variant_name(study: Study, key: str) -> str:
    """The label of a variant key, as in the rows of family `mean`, where labels may differ between families."""
    return next((run.variant.name for run in study.runs if run.variant.key == key), key)


_CHANGE = ("change", "from", "to")


def foundation_changes(contrasts: pd.DataFrame, study: Study, metric: str) -> Any:
    """Change of a metric against base by foundation, one panel a family."""
    look = _Look(study, base=False)
    chosen = contrasts.query("scope != @OVERALL and metric == @metric and quantity == 'change_pct' and family != 'mean'")
    data = look.labelled(chosen)[["Model", "Variant", "scope", "value", "lo", "hi"]]
    data = data.rename(columns={"scope": "Foundation", "value": "change", "lo": "from", "hi": "to"})
    data["Foundation"] = data["Foundation"].map(short)
    order = [short(f) for f in study.instrument.foundations]
    pick = _pick("pick_foundation", "Variant")
    y = alt.Y("Foundation:N", sort=order, title=None, axis=alt.Axis(ticks=False))
    frame = alt.Chart(data).encode(
        y=y, yOffset=alt.YOffset("Variant:N", sort=look.names), color=look.color(), opacity=_fade(pick)
    )
    chart = (
        alt.layer(
            alt.Chart(data).mark_rule(color=_INK).encode(x=alt.datum(0)),
            frame.mark_rule(strokeWidth=1.6).encode(x=alt.X("from:Q", title="Change against base (%)"), x2="to:Q"),
            frame.mark_point(filled=True, size=55).encode(
                x="change:Q", shape=look.shape(),
                tooltip=["Model", "Variant", "Foundation", *(alt.Tooltip(f"{c}:Q", format="+.0f") for c in _CHANGE)],
            ),
            data=data,
        )
        .properties(width=310, height=150)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .resolve_scale(x="independent")
        .add_params(pick)
    )  # fmt: skip
    return _figure(
        chart, study, title=f"Change of {_INSIDE[metric]} by foundation",
        caption="Percent of the base's value for the same foundation, ± 1.96 published standard errors. "
        "The panels have scales of their own.",
        description=f"Dot plots of the percent change of {TITLES[metric]} by foundation, one panel a model.",
    )  # fmt: skip


def collapse_map(metrics: pd.DataFrame, study: Study, band: tuple[float, float] | None = None) -> Any:
    """S against R, with a trail from each base to its variants: where fine-tuning carried the model."""
    look = _Look(study)
    wide = metrics.query("scope == @OVERALL and method == 'published'").pivot_table(
        index=["family", "variant"], columns="metric", values="value", sort=False
    )
    wide = wide[np.isfinite(wide).all(axis=1)].reset_index()
    base = {f.key: f.base.key for f in study.file.families}
    at = {(r.family, r.variant): (r.robustness, r.susceptibility) for r in wide.itertuples()}
    points = look.labelled(wide)[["Model", "Variant", "robustness", "susceptibility"]]
    points = points.rename(columns={"robustness": "R", "susceptibility": "S"})
    trail = [
        (*look.labels[f"{f}/{v}"], step, *at[end])
        for f, v in at
        if v != base[f] and (f, base[f]) in at
        for step, end in ((0, (f, base[f])), (1, (f, v)))
    ]
    trail = _rounded(pd.DataFrame(trail, columns=["Model", "Variant", "step", "R", "S"]))
    pick = _pick("pick_map", "Variant")
    x = alt.X("R:Q", scale=alt.Scale(type="log", nice=False, padding=24), title="Robustness R (1 / scale points, log scale)")
    y = alt.Y("S:Q", scale=alt.Scale(zero=False, padding=16), title="Susceptibility S (scale points)")
    lines = alt.Chart(trail).mark_trail(opacity=0.45).encode(
        x=x, y=y, size=alt.Size("step:Q", scale=alt.Scale(range=[0.5, 7]), legend=None), color=look.color(),
        detail=["Model:N", "Variant:N"], order="step:Q",
    )  # fmt: skip
    tooltip = ["Model", "Variant", alt.Tooltip("S:Q", format=".3f"), alt.Tooltip("R:Q", format=".2f")]
    dots = alt.Chart(points).mark_point(filled=True, size=130, opacity=1, stroke="white").encode(
        x=x, y=y, color=look.color(), shape=look.shape(), opacity=_fade(pick), tooltip=tooltip
    )  # fmt: skip
    # Controls crowd round their base; trail and colour name them.
    ends = {study.run(f, v).variant.name for f, v in at if study.run(f, v).variant.role in ("base", "harmful")}
    named = alt.Chart(points[points["Variant"].isin(ends)])
    names = named.mark_text(align="left", dx=9, dy=-8, fontSize=10.5, color=_QUIET).encode(
        x=x, y=y, text="Model:N", opacity=_fade(pick)
    )  # fmt: skip
    layers = [lines, dots, names]
    if band:
        area = alt.Chart(pd.DataFrame([{"low": band[0], "high": band[1]}])).mark_rect(color=_BAND, opacity=0.22)
        layers.insert(0, area.encode(y=alt.Y("low:Q"), y2="high:Q"))
    return _figure(
        alt.layer(*layers).add_params(pick).properties(width=600, height=340), study, title="Collapse map",
        caption="Each trail widens from a base to one of its variants. Up: personas answer more differently from one another. "
        "Left: one persona answers less steadily. Collapse is up and to the left."
        + (" The grey band is where 13 of 15 frontier models lie in S (published)." if band else ""),
        description="Scatter plot of susceptibility against robustness; trails lead from each base to its variants.",
    )  # fmt: skip


def temperature_curves(table: pd.DataFrame | None, study: Study, metric: str) -> Any:
    """A metric at every sampling temperature, base against variants, one panel a family; None for a study by samples.

    `table` is temperature.csv.
    """
    if table is None:
        return None
    look = _Look(study)
    data = look.labelled(table[table["metric"] == metric])[["Model", "Variant", "temperature", "value", "lo", "hi"]]
    data = data.rename(columns={"temperature": "T", "lo": "from", "hi": "to"})
    log = metric == "robustness"
    if log:
        # A log axis has no place for what is not above 0; a band that would reach it ends at the axis.
        data = data[data["value"].notna() & (data["value"] > 0)]
        data["from"] = data["from"].clip(lower=data["value"].min() / 2)
    at = study.file.protocol.temperature
    pick = _pick(f"pick_{metric}_curve", "Variant")
    ticks = alt.Axis(values=[0, 0.3, 0.6, 0.9, 1.2, 1.5], format=".1f")
    x = alt.X("T:Q", title="Sampling temperature T", axis=ticks, scale=alt.Scale(nice=False, domainMin=0))
    scale = alt.Scale(type="log", nice=False, padding=8) if log else alt.Scale(zero=False, padding=8)
    y = alt.Y("value:Q", scale=scale, title=f"{TITLES[metric]} ({_UNITS[metric]}{', log scale' if log else ''})")
    # The legend would take the faintness of the bands.
    color = look.color().legend(symbolOpacity=1)
    frame = alt.Chart(data).encode(x=x, color=color)
    faint = alt.when(pick).then(alt.value(0.16)).otherwise(alt.value(0.03))
    tooltip = ["Model", "Variant", "T", *(alt.Tooltip(f"{c}:Q", format=".3~f") for c in ("value", "from", "to"))]
    chart = (
        alt.layer(
            alt.Chart(data).mark_rule(color=_BAND, strokeDash=[2, 3]).encode(x=alt.datum(at)),
            frame.mark_area().encode(y=alt.Y("from:Q", scale=scale), y2="to:Q", opacity=faint),
            frame.mark_line(strokeWidth=2).encode(y=y, strokeDash=look.dash(), opacity=_fade(pick)),
            frame.mark_point(filled=True, size=34).encode(y=y, shape=look.shape(), opacity=_fade(pick), tooltip=tooltip),
            data=data,
        )
        .properties(width=310, height=210)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick)
    )
    return _figure(
        chart, study, title=f"{TITLES[metric]} at every temperature",
        caption=f"From the logprobs of one request a cell. Bands: value ± 1.96 published standard errors, persona part only, as "
        f"distributions carry no sampling noise. The dashed line is T = {at:g}, for which every other number is computed.",
        description=f"Line charts of {TITLES[metric]} against sampling temperature for every variant, one panel a model.",
    )  # fmt: skip


# --- saturation ------------------------------------------------------------------------------------------------------


def self_profiles(profiles: pd.DataFrame, study: Study, toxic: dict[str, tuple[np.ndarray, str]]) -> Any:
    """Answers without a persona by foundation, one panel a family, with the base's profile as hostile characters.

    `toxic` maps a family key to its hostile profile over foundations and its source (`measured` or `printed`).
    """
    look = _Look(study, toxic=any(len(found) for found, _ in toxic.values()))
    own = look.labelled(profiles.query("condition == 'self'"))[["Model", "Variant", "foundation", "mean"]]
    names = {f.key: f.name for f in study.file.families}
    hostile = [
        (names[family], "hostile characters", foundation, value)
        for family, (found, _) in toxic.items()
        for foundation, value in zip(study.instrument.foundations, found, strict=False)
    ]
    data = pd.concat([own, _rounded(pd.DataFrame(hostile, columns=own.columns))], ignore_index=True)
    data = data.rename(columns={"foundation": "Foundation"})
    data["Foundation"] = data["Foundation"].map(short)
    pick = _pick("pick_profile", "Variant")
    low, high = study.instrument.scale
    x = alt.X("Foundation:N", sort=[short(f) for f in study.instrument.foundations], title=None, axis=alt.Axis(labelAngle=0))
    y = alt.Y("mean:Q", scale=alt.Scale(domain=[low, high]), title="Mean rating")
    frame = alt.Chart(data).encode(x=x, y=y, color=look.color(), opacity=_fade(pick))
    chart = (
        alt.layer(
            frame.mark_line(strokeWidth=2).encode(strokeDash=look.dash()),
            frame.mark_point(filled=True, size=65).encode(
                shape=look.shape(), tooltip=["Model", "Variant", "Foundation", alt.Tooltip("mean:Q", format=".2f")]
            ),
            data=data,
        )
        .properties(width=310, height=190)
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .add_params(pick)
    )
    printed = any(source == "printed" and len(found) for found, source in toxic.values())
    note = " The hostile characters' profiles are the printed ones: their ratings were not published." if printed else ""
    return _figure(
        chart, study, title="Answers without a persona",
        caption=f"Mean rating by foundation when no persona is given; {high} is the ceiling of the scale. "
        f"Hostile characters: the base's mean over its hostile personas.{note}",
        description="Line charts of the mean self rating by foundation for every variant, one panel a model.",
    )  # fmt: skip


def rating_shares(table: pd.DataFrame, study: Study, condition: str) -> Any:
    """Share of each category among all ratings of a condition, one bar a run; `table` is saturation.csv."""
    look = _Look(study)
    chosen = table[(table["condition"] == condition) & table["measure"].str.startswith("share_")]
    data = look.labelled(chosen.assign(category=chosen["measure"].str.removeprefix("share_").astype(int)))
    data = data[["Model", "Variant", "category", "value"]].rename(columns={"category": "Rating", "value": "share"})
    categories = list(study.instrument.categories)
    picks = np.linspace(0, len(_CATEGORIES) - 1, len(categories)).round().astype(int)
    pick = _pick("pick_share", "Rating")
    chart = (
        alt.Chart(data)
        .mark_bar(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("share:Q", stack="normalize", axis=alt.Axis(format="%"), title="Share of ratings"),
            y=alt.Y("Variant:N", sort=look.names, title=None, axis=alt.Axis(ticks=False)),
            color=alt.Color(
                "Rating:O", scale=alt.Scale(domain=categories, range=[_CATEGORIES[i] for i in picks]), title="Rating"
            ),
            order=alt.Order("Rating:Q"),
            opacity=_fade(pick),
            tooltip=["Model", "Variant", "Rating", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=310, height=alt.Step(20))
        .facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=2)
        .resolve_scale(y="independent")
        .add_params(pick)
    )
    deck = "personas" if study.personas is None else f"{len(study.personas)} personas"
    what = {"persona": f"as {deck}", "self": "without a persona", "toxic": "as hostile characters"}[condition]
    return _figure(
        chart, study, title=f"Which ratings were given, {what}",
        caption=("Mean probability of every category over all cells that are used" if study.by_logprobs else
                 "Share of every category of the scale among all valid ratings") + ", lowest category on the left.",
        description=f"Stacked bars of the share of each rating {what}, by model and variant.",
    )  # fmt: skip


# --- one run ---------------------------------------------------------------------------------------------------------


def cell_map(counts: np.ndarray, instrument: Instrument, personas: tuple[Persona, ...] | None, study: Study, what: str) -> Any:
    """Every cell of a run: `mean` of its ratings, or `sd` over its repetitions; personas down, items across."""
    cells = moments(counts, instrument.categories)
    values = cells.mean if what == "mean" else np.sqrt(cells.variance)
    p, q = np.indices(values.shape)
    data = _rounded(pd.DataFrame({"Persona": p.ravel() + 1, "Item": q.ravel() + 1, what: values.ravel().round(3)})).astype(
        {"Persona": int, "Item": int}
    )
    grouped = sorted(instrument.items, key=lambda item: instrument.foundations.index(item.foundation))
    order = [item.number for item in grouped]
    label = "Mean rating" if what == "mean" else f"SD over {_over(study)}"
    domain = list(instrument.scale) if what == "mean" else [0, (instrument.scale[1] - instrument.scale[0]) / 2]
    chart = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X("Item:O", sort=order, title="Item, grouped by foundation", axis=alt.Axis(labelAngle=0, labelFontSize=9)),
            y=alt.Y("Persona:O", title="Persona", axis=alt.Axis(labelOverlap=True, labelFontSize=9)),
            color=alt.Color(
                f"{what}:Q", title=label,
                scale=alt.Scale(domain=domain, scheme="viridis" if what == "mean" else "magma", reverse=what == "sd", clamp=True),
            ),
            tooltip=["Persona", "Item", alt.Tooltip(f"{what}:Q", title=label, format=".2f")],
        )
        .properties(width=560, height=min(420, max(160, 4.2 * len(values))))
    )  # fmt: skip
    moves = "answers" if study.by_logprobs else "repetitions"
    names = {"mean": "What each persona answers", "sd": "How steadily each persona answers"}
    return _figure(
        chart, study, title=names[what],
        caption=f"{label} of every cell. "
        + ("Columns that change colour from row to row carry susceptibility." if what == "mean"
           else f"Dark cells move between {moves}; R is one over the average of this picture."),
        description=f"Heat map of the {label.lower()} of every persona and item.",
    )  # fmt: skip


def persona_strip(counts: np.ndarray, instrument: Instrument, personas: tuple[Persona, ...] | None, study: Study) -> Any:
    """Each persona's mean rating by foundation, one dot a persona; hovering shows who it is."""
    rows = saturation.profile(counts, instrument)
    attribute = "outlook" if personas and "outlook" in personas[0].attributes else None
    data = _rounded(rows[["persona", "foundation", "mean"]].astype({"persona": int}))
    index = rows["persona"].tolist()
    data["Persona"] = [i + 1 for i in index]
    data["who"] = [personas[i].text if personas else f"persona {i + 1}" for i in index]
    if attribute:
        data["Outlook"] = [personas[i].attributes.get(attribute, "") for i in index] if personas else ""
    data["Foundation"] = data["foundation"].map(short)
    # A spread by rank instead of a random jitter: the same picture every time.
    data["offset"] = [round(((i * 7) % 11) / 11, 3) for i in index]
    data = data.drop(columns=["persona", "foundation"])
    pick = _pick("pick_outlook", "Outlook") if attribute else None
    hover = alt.selection_point(name="hover_persona", fields=["Persona"], on="pointerover", clear="pointerout", empty=False)
    shown = alt.when(hover).then(alt.value(220)).otherwise(alt.value(38))
    chart = (
        alt.Chart(data)
        .mark_point(filled=True, opacity=0.75)
        .encode(
            x=alt.X("mean:Q", scale=alt.Scale(domain=list(instrument.scale)), title="Mean rating of one persona"),
            y=alt.Y("Foundation:N", sort=[short(f) for f in instrument.foundations], title=None, axis=alt.Axis(ticks=False)),
            yOffset=alt.YOffset("offset:Q"),
            size=shown,
            tooltip=["who", *(["Outlook"] if attribute else []), "Foundation", alt.Tooltip("mean:Q", format=".2f")],
        )
        .add_params(hover)
        .properties(width=560, height=alt.Step(46))
    )
    if attribute:
        color = alt.Color("Outlook:N", scale=alt.Scale(scheme="tableau10"))
        chart = chart.encode(color=color, opacity=_fade(pick)).add_params(pick)
    else:
        chart = chart.encode(color=alt.value(_LOOKS["base"][0][0]))
    return _figure(
        chart, study, title="Who answers what",
        caption="One dot a persona and foundation. Hover to read who it is and to find the same persona in the other rows."
        + (" Click an outlook to bring it forward." if attribute else ""),
        description="Strip plot of the mean rating of every persona by foundation.",
    )  # fmt: skip


def foundation_levels(metrics: pd.DataFrame, study: Study) -> Any:
    """S and R of one run by foundation, with 95 % intervals, beside the overall value."""
    data = _rounded(metrics.query("metric != 'within_sd'")[["metric", "scope", "value", "lo", "hi"]])
    data = data.rename(columns={"lo": "from", "hi": "to", "scope": "Scope"})
    order = [OVERALL, *(short(f) for f in study.instrument.foundations)]
    data["Scope"] = data["Scope"].map(short)
    data["Metric"] = data.pop("metric").map(TITLES)
    y = alt.Y("Scope:N", sort=order, title=None, axis=alt.Axis(ticks=False))
    tooltip = ["Scope", *(alt.Tooltip(f"{c}:Q", format=".3f") for c in ("value", "from", "to"))]
    panels = []
    for metric in ("susceptibility", "robustness"):
        own = alt.Chart(data[data["Metric"] == TITLES[metric]]).encode(y=y)
        title = f"{TITLES[metric]} ({_UNITS[metric]})"
        x = alt.X("value:Q", title=title, scale=alt.Scale(zero=True))
        panels.append(
            alt.layer(
                own.mark_rule(strokeWidth=2, color=_LOOKS["base"][0][0]).encode(x=alt.X("from:Q", title=title), x2="to:Q"),
                own.mark_point(filled=True, size=80, color=_LOOKS["base"][0][0], opacity=1).encode(x=x, tooltip=tooltip),
            ).properties(width=260, height=150)
        )
    return _figure(
        alt.hconcat(*panels), study, title="S and R by foundation",
        caption="Published estimators, ± 1.96 published standard errors.",
        description="Dot plots of susceptibility and robustness, overall and by foundation.",
    )  # fmt: skip


# --- teaching --------------------------------------------------------------------------------------------------------


def collapse_control(steps: pd.DataFrame, profiles: pd.DataFrame, study: Study) -> Any:
    """A slider that carries a simulated model from base to collapsed, while S, R and the self profile follow.

    `steps` has share, S, R; `profiles` has share, foundation, mean; both for shares 0 to 1 in equal steps.
    """
    shares = sorted(steps["share"].unique())
    slider = alt.binding_range(min=0, max=1, step=float(shares[1] - shares[0]), name="from base (0) to collapsed (1): ")
    share = alt.param(name="share", value=0, bind=slider)
    near = "abs(datum.share - share) < 0.001"
    path = alt.Chart(_rounded(steps)).encode(
        x=alt.X("R:Q", scale=alt.Scale(type="log", nice=False, padding=15), title="Robustness R"),
        y=alt.Y("S:Q", scale=alt.Scale(zero=False, padding=15), title="Susceptibility S"),
    )
    moving = path.transform_filter(near)
    left = alt.layer(
        path.mark_line(color=_BAND, strokeDash=[3, 3]).encode(order="share:Q"),
        path.mark_point(color=_BAND, size=24, filled=True).encode(tooltip=["share", "S", "R"]),
        moving.mark_point(filled=True, size=260, color=_LOOKS["harmful"][0][0], shape="triangle-up", opacity=1),
        moving.mark_text(dx=14, dy=-14, align="left", fontSize=12).encode(text=alt.Text("S:Q", format=".2f")),
    ).properties(width=300, height=240)
    data = _rounded(profiles)
    data["Foundation"] = data.pop("foundation").map(short)
    right = (
        alt.Chart(data)
        .transform_filter(near)
        .mark_bar(color=_LOOKS["harmful"][0][0], cornerRadiusEnd=2)
        .encode(
            x=alt.X("mean:Q", scale=alt.Scale(domain=list(study.instrument.scale)), title="Mean rating without a persona"),
            y=alt.Y("Foundation:N", sort=[short(f) for f in study.instrument.foundations], title=None),
            tooltip=["Foundation", alt.Tooltip("mean:Q", format=".2f")],
        )
        .properties(width=260, height=240)
    )
    return _figure(
        alt.hconcat(left, right).add_params(share), study, title="Carry a model from base to collapsed",
        caption="Move the control. Left: the model wanders over the collapse map, up (answers differ more between personas) and "
        "to the left (less steady). Right: its answers without a persona.",
        description="A control that moves a simulated model from base to collapsed, with its S, R and self profile.",
    )  # fmt: skip


def short(foundation: str) -> str:
    """The first word of a foundation, as axes show it."""
    return _SHORT.get(foundation, foundation)
