"""Figures of single personas: from base to variant, one among all, and what was answered, chosen from lists under them."""

from collections.abc import Mapping
from typing import Any, cast

import altair as alt
import numpy as np

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.chart_data import (
    COMMA,
    EVERYBODY,
    entry,
    listed,
    of_foundation,
    of_persona,
    on_persona,
    only,
    packed,
    people,
    unpacked,
    who,
)
from persona_collapse.exhibits.theme import BAND, INK, LOOKS, Look, figure
from persona_collapse.statistics.published_estimators import moments
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.saturation import persona_means

# Okabe and Ito's, with a dash each: which way a persona went.
_WAYS = {"higher": ("#D55E00", [1, 0]), "lower": ("#0072B2", [5, 3]), "the same": (BAND, [1, 2])}


@exhibit.figure("trajectories")
def trajectories(by_run: Mapping[Run, np.ndarray], study: Study) -> Any:
    """Each persona's mean at the base and at a variant as one line, a panel a family; None for bases alone.

    `by_run` has every run's ratings as personas. Lists choose variant, foundation and family; hovering, or the list of
    personas, brings one forward in every panel and says who it is.
    """
    look, rows = Look(study, base=False), _moves(by_run, study)
    if not rows:
        return None
    names = [name for name in look.names if any(row["Variant"] == name for row in rows)]
    first = next((r.variant.name for r in study.runs if r.variant.role == "harmful" and r.variant.name in names), names[0])
    words = who(study, max(row["Persona"] for row in rows))
    hover = alt.selection_point(
        name="persona", fields=["Persona"], on=on_persona("pointerover"), clear=False, toggle=False, empty=False,
        value=[{"Persona": _furthest(rows, first)}],
        # A list a field, which altair's types do not know.
        bind={"Persona": of_persona(study, len(words), "persona: ")},  # type: ignore[arg-type]
    )  # fmt: skip
    lines = _lines(study, hover).properties(width=max(130, 600 // len(look.families)), height=250)
    panels = lines.facet(facet=alt.Facet("Model:N", sort=look.families, title=None), columns=4, data=alt.InlineData(values=rows))
    named = alt.Chart(alt.InlineData(values=words)).transform_filter(only(hover))
    named = named.mark_text(align="left", baseline="top", fontSize=12, lineBreak="\n", color=INK, limit=620)
    named = named.encode(x=alt.value(0), y=alt.value(0), text="who:N").properties(width=540, height=34)
    variants = alt.param(name="variant", value=first, bind=alt.binding_radio(options=names, name="variant: "))
    chart = alt.vconcat(_from_base(look.of_family(panels), words), named, spacing=8)
    return figure(
        chart.add_params(of_foundation(study.instrument), variants, *look.family()), study,
        title="Every persona from base to variant",
        caption="Each thin line is one persona: its mean rating at the base and at a variant. The heavy line without marks is "
        "the mean of all; the one with marks is the persona that is named below."
        f"{study.instrument.turned}{_left_out(rows)}",
        using=f"Buttons choose the variant, lists the {study.instrument.group} and the family. Hover over a line, or choose a "
        "persona, to see the same one in every panel; first the one that moved furthest.",
        still=f"Shown: {first}, over all items; marked is the persona that moved furthest.",
        description="Line charts of every persona's mean rating at the base and at a variant, one panel a model.", cells=True,
    )  # fmt: skip


def _lines(study: Study, hover: alt.Parameter) -> alt.LayerChart:
    """The lines of one panel: every persona's, the mean, and the one that is brought forward."""
    axis = alt.Axis(labelAngle=0, ticks=False, labelExpr="datum.value === 'base' ? 'base' : variant")
    x = alt.X("end:N", sort=["base", "variant"], title=None, scale=alt.Scale(padding=0.15), axis=axis)
    y = alt.Y("mean:Q", scale=alt.Scale(domain=list(study.instrument.scale)), title="Mean rating of one persona")
    colors, dashes = zip(*_WAYS.values(), strict=True)
    color = alt.Color("way:N", scale=alt.Scale(domain=list(_WAYS), range=list(colors)), title=None)
    dash = alt.StrokeDash("way:N", scale=alt.Scale(domain=list(_WAYS), range=list(dashes)), title=None)
    tooltip = [
        alt.Tooltip("who:N", title="Persona"), alt.Tooltip("base:Q", format=".2f"),
        alt.Tooltip("variant:Q", format=".2f"), alt.Tooltip("change:Q", format="+.2f"),
    ]  # fmt: skip
    frame = alt.Chart().encode(x=x, y=y, detail="Persona:N")
    thin = frame.mark_line(strokeWidth=1.1, opacity=0.45, aria=False)
    found = alt.layer(
        thin.encode(color=color.legend(symbolOpacity=1, symbolType="stroke"), strokeDash=dash).add_params(hover),
        alt.Chart().mark_line(color=INK, strokeWidth=2.5).encode(x=x, y="mean(mean):Q"),
        frame.transform_filter(only(hover)).mark_line(strokeWidth=3.5, point={"size": 70}).encode(color=color, tooltip=tooltip),
        # A thin line is hard to hit.
        frame.mark_line(strokeWidth=9, opacity=0, aria=False).encode(tooltip=tooltip),
    )
    return cast(alt.LayerChart, found)  # layers with facets of their own would be a FacetChart


def _left_out(rows: list[dict[str, Any]]) -> str:
    empty = sum(not row["at"].partition(COMMA)[0] or not row["to"].partition(COMMA)[0] for row in rows)
    lines = "1 line is" if empty == 1 else f"{empty:,} lines are"
    return f" {lines} left out of the overall picture: an item without a rating on one side." * bool(empty)


def _moves(counts: Mapping[Run, np.ndarray], study: Study) -> list[dict[str, Any]]:
    """One row a family, variant and persona: means at both ends by scope, packed."""
    found = {run: persona_means(one, study.instrument) for run, one in counts.items() if len(one)}
    rows = []
    for run, own in found.items():
        base = found.get(Run(run.family, run.family.base))
        if base is None or run.variant.role == "base":
            continue
        rows += [
            {"Model": run.family.name, "Variant": run.variant.name, "Persona": p + 1, "at": packed(base[p]), "to": packed(own[p])}
            for p in range(min(len(own), len(base)))
        ]
    return rows


def _furthest(rows: list[dict[str, Any]], variant: str) -> int:
    """The persona whose mean over all items moved furthest, in any family."""
    own = ((row["Persona"], [row[end].partition(COMMA)[0] for end in ("at", "to")]) for row in rows if row["Variant"] == variant)
    moved = [(abs(float(to) - float(at)), -persona) for persona, (at, to) in own if at and to]
    return -max(moved)[1] if moved else 1


def _from_base(panels: Any, words: list[dict[str, Any]]) -> Any:
    """Two rows a persona, base and variant, with its words and which way it went."""
    return (
        panels.transform_filter("datum.Variant === variant")
        .transform_calculate(base=entry("at", "foundation"), variant=entry("to", "foundation"))
        .transform_filter("isValid(datum.base) && isValid(datum.variant)")
        .transform_calculate(change="datum.variant - datum.base")
        .transform_calculate(way="datum.change > 0 ? 'higher' : datum.change < 0 ? 'lower' : 'the same'")
        .transform_lookup("Persona", alt.LookupData(alt.InlineData(values=words), "Persona", ["who"]))
        .transform_calculate(ends="['base', 'variant']", means="[datum.base, datum.variant]")
        .transform_flatten(["ends", "means"], as_=["end", "mean"])
    )


@exhibit.figure("one_among_all")
def one_among_all(counts: np.ndarray, study: Study) -> Any:
    """One persona's answers to every item among those of all: mean and SD over repetitions; lists choose persona, foundation."""
    instrument, cells = study.instrument, moments(counts, study.instrument.categories)
    rows = [
        {"Persona": p + 1, "mean": packed(cells.mean[p]), "sd": packed(np.sqrt(cells.variance[p]))} for p in range(len(counts))
    ]
    noisiest = int(np.argmax(np.nansum(cells.variance, axis=1))) if len(counts) else 0
    pick = alt.selection_point(
        name="persona", fields=["Persona"], on=on_persona("click"), clear=False, toggle=False, empty=False,
        value=[{"Persona": noisiest + 1}],
        # A list a field, which altair's types do not know.
        bind={"Persona": of_persona(study, len(counts), "persona: ")},  # type: ignore[arg-type]
    )  # fmt: skip
    low, high = instrument.scale
    x = alt.X("mean:Q", scale=alt.Scale(domain=[low, high]), title="Mean rating")
    order = [_item(item) for item in sorted(instrument.items, key=lambda item: instrument.foundations.index(item.foundation))]
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelLimit=330))
    tooltip = [alt.Tooltip("who:N", title="Persona"), alt.Tooltip("question:N", title="Item"),
               alt.Tooltip("mean:Q", format=".2f"), alt.Tooltip("sd:Q", title="SD", format=".2f")]  # fmt: skip
    frame = _by_item(alt.Chart(alt.InlineData(values=rows)), study, len(counts)).encode(y=y, tooltip=tooltip)
    own = frame.transform_filter(only(pick))
    color = LOOKS["harmful"][0][0]
    spread = own.transform_calculate(
        lo=f"max({low:g}, datum.mean - datum.sd)", hi=f"min({high:g}, datum.mean + datum.sd)"
    ).mark_rule(color=color, strokeWidth=2.5)
    chart = alt.layer(
        frame.mark_tick(color=BAND, opacity=0.4, thickness=2, size=11, aria=False).encode(x=x).add_params(pick),
        spread.encode(x=alt.X("lo:Q", title="Mean rating"), x2="hi:Q"),
        own.mark_point(filled=True, size=75, color=color, opacity=1, shape="diamond").encode(x=x),
    ).properties(width=330, height=alt.Step(17))
    return figure(
        chart.add_params(of_foundation(instrument)), study, title="One persona among all",
        caption="Grey: every persona's mean rating of an item. Diamond: one persona, with a line of one SD over "
        "repetitions to either side, within the scale.",
        using=f"Choose persona and {study.instrument.group} below, or click a grey mark; first the noisiest persona.",
        still=f"Shown: the noisiest persona, {people(study, len(counts))[noisiest]}" if len(counts) else "",
        description="Strip plot of every persona's mean rating of every item, with one persona brought forward.", cells=True,
    )  # fmt: skip


def _item(item: Any) -> str:
    text = f"{item.number}. {' '.join(item.text.split())}"
    return text if len(text) <= 52 else text[:51].rstrip() + "…"


def _by_item(chart: alt.Chart, study: Study, number: int) -> alt.Chart:
    """One row a cell with the words of persona and item, of the foundation that is looked at."""
    instrument = study.instrument
    place = {name: 1 + number for number, name in enumerate(instrument.foundations)}
    asked = [
        {"Item": item.number, "label": _item(item), "question": item.text, "of": place[item.foundation]}
        for item in instrument.items
    ]
    return (
        unpacked(chart, ["mean", "sd"])
        .transform_window(Item="row_number()", groupby=["Persona"])
        .transform_lookup("Item", alt.LookupData(alt.InlineData(values=asked), "Item", ["label", "question", "of"]))
        .transform_filter("(foundation === 0 || datum.of === foundation) && isValid(datum.mean)")
        .transform_lookup("Persona", alt.LookupData(alt.InlineData(values=who(study, number)), "Persona", ["who"]))
    )


@exhibit.figure("answers")
def answers(by_run: Mapping[Run, np.ndarray], study: Study) -> Any:
    """How often each category was given, beside that of the whole run; lists choose run (of several), foundation and persona."""
    instrument = study.instrument
    runs = [run for run, one in by_run.items() if len(one)]
    if not runs:
        return None
    rows = [row for place, run in enumerate(runs) for row in _given(by_run[run], instrument, place)]
    number, categories = max(len(by_run[run]) for run in runs), instrument.categories
    every = alt.Chart(alt.InlineData(values=rows)).transform_filter("datum.run === run")
    roles = [run.variant.role for run in runs]
    place = roles.index("harmful") if "harmful" in roles else 0
    picks = [
        listed("run", [run.name for run in runs], "run: ", place),
        of_foundation(instrument),
        listed("persona", [EVERYBODY, *people(study, number)], "persona: "),
    ]
    if len(runs) == 1:
        picks[0] = alt.param(name="run", value=0)
    x = alt.X("Rating:O", title="Rating", axis=alt.Axis(labelAngle=0, ticks=False))
    y = alt.Y("share:Q", title="Share of ratings", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    tooltip = ["Rating:O", alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("given:Q", title="ratings", format=",.4~f")]
    some = every.transform_filter("persona === 0 || datum.Persona === persona")
    bars = _shares(some, "foundation === 0 || datum.of === foundation", categories).mark_bar(color=LOOKS["base"][0][0])
    whole = _shares(every, "true", categories).mark_tick(color=INK, thickness=2.5, size=34)
    chart = alt.layer(bars.encode(x=x, y=y, tooltip=tooltip), whole.encode(x=x, y=y)).properties(width=alt.Step(62), height=210)
    return figure(
        chart.add_params(*picks), study, title="What was answered",
        caption="Bars: the share of each rating. Lines: the same over all personas and items of the run.",
        using=f"The lists choose the {'run, ' * (len(runs) > 1)}{study.instrument.group} and persona of the bars.",
        still=f"Shown: {runs[place].name}, all personas and items.",
        description="Bar chart of the share of each rating, beside that over the whole run.", cells=True,
    )  # fmt: skip


def _given(counts: np.ndarray, instrument: Instrument, place: int) -> list[dict[str, Any]]:
    """One row a persona: how often each category was given to the items of each foundation."""
    belongs = scope_matrix(instrument)[:, 1:] > 0
    found = np.einsum("pic,if->pfc", counts, belongs.astype(counts.dtype))
    return [{"run": place, "Persona": p + 1, "n": packed(found[p].ravel(), 3)} for p in range(len(found))]


def _shares(chart: alt.Chart, wanted: str, categories: range) -> alt.Chart:
    """Share of every category among the ratings of what is wanted; `n` has those of the first foundation first."""
    each = len(categories)
    return (
        unpacked(chart, ["n"])
        .transform_window(number="row_number()", groupby=["Persona"])
        .transform_calculate(
            of=f"ceil(datum.number / {each})", Rating=f"(datum.number - 1) % {each} * {categories.step} + {categories[0]}"
        )
        .transform_filter(wanted)
        .transform_aggregate(given="sum(n)", groupby=["Rating"])
        .transform_joinaggregate(all="sum(given)")
        .transform_calculate(share="datum.all ? datum.given / datum.all : 0")
    )
