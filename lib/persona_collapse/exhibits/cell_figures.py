"""Heat maps of cells, personas down and items across: means, noise, and the replies behind a cell that is clicked."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.chart_data import TAB, entry, listed, of_persona, on_persona, only, packed, unpacked, who
from persona_collapse.exhibits.theme import INK, figure, over
from persona_collapse.statistics.published_estimators import Moments, moments
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.cell_replies import CellReplies
from persona_collapse.text import wrapped

#: What rows can be sorted by, and how the list under a map calls it.
SORTS = {"deck": "deck", "mean": "mean rating", "noise": "noise"}
#: Height of a line of the panel under a map, and of the map itself at least and at most, in pixels.
_LINE, _LEAST, _TALLEST = 16, 170, 420
_PICKED = "#E69F00"
#: The lines of the panel, in Vega's words: who was asked what, and what was said. Data, never an expression.
_TOLD = r"datum.who + '\n' + datum.question + '\n' + datum.said"


@exhibit.figure("cell_map", by="what")
def cell_map(counts: np.ndarray, study: Study, what: str, replies: CellReplies | None = None) -> Any:
    """Every cell of a run: `mean` of its ratings, or `sd` over its repetitions; personas down, items across.

    Rows are sorted by what is shown; a list under the map sorts them otherwise. Hovering names persona and item. With `replies`
    a click on a cell, or the two lists that choose one, shows what was said there: first the noisiest cell.
    """
    instrument = study.instrument
    cells = moments(counts, instrument.categories)
    shown = {what: _shown(cells, what)}
    rows = _rows(shown, cells, replies.cells if replies else None)
    words = who(study, len(cells.n))
    frame = _looked_up(alt.Chart(alt.InlineData(values=rows)), words, instrument, [*shown], ["said"] if replies else [])
    pick = _pick(shown[what], study) if replies else None
    chart = _map(frame, study, what, width=18 * len(instrument.items), personas=len(words), pick=pick)
    if replies and pick:
        most = max((text.count("\n") for row in replies.cells for text in row), default=0)
        chart = alt.vconcat(chart, _panel(frame, pick, most + 2 + 4), spacing=14)
    sort = "mean" if what == "mean" else "noise"
    return figure(
        chart.add_params(_sorted_by(sort)), study, title=_TITLES[what],
        caption=_caption(study, what), using=_told(replies) if replies else "",
        still="Below, what was said in the framed cell, the noisiest one." if replies else "",
        description=f"Heat map of the {_label(study, what).lower()} of every persona and item.", cells=True,
    )  # fmt: skip


@exhibit.figure("cell_replies")
def cell_replies(counts: np.ndarray, study: Study, said: CellReplies) -> Any:
    """The noise of every cell of a run; a click shows what was said there. `said` has the replies of every cell."""
    return cell_map(counts, study, "sd", said)


@exhibit.figure("cell_maps")
def cell_maps(by_run: Mapping[Run, np.ndarray], study: Study) -> Any:
    """Means and noise of every cell side by side, of the run that the list under them names; `by_run` has every run's ratings.

    First the harmful variant with the most noise. None without ratings.
    """
    found = {run: moments(one, study.instrument.categories) for run, one in by_run.items() if len(one)}
    if not found:
        return None
    rows = [
        {"run": place} | row
        for place, cells in enumerate(found.values())
        for row in _rows({what: _shown(cells, what) for what in _TITLES}, cells, None)
    ]
    most = max(len(cells.n) for cells in found.values())
    noisiest = max(found, key=lambda run: (run.variant.role == "harmful", np.nan_to_num(_variance(found[run])).mean()))
    pick = listed("run", [run.name for run in found], "run: ", list(found).index(noisiest))
    of_run = alt.Chart(alt.InlineData(values=rows)).transform_filter("datum.run === run")
    frame = _looked_up(of_run, who(study, most), study.instrument, list(_TITLES))
    width = 9 * len(study.instrument.items)
    maps = [_map(frame, study, what, width=width, personas=most) for what in _TITLES]
    return figure(
        alt.hconcat(*maps, spacing=30).resolve_scale(color="independent").add_params(pick, _sorted_by("mean")), study,
        title="Every cell of a run",
        caption=f"Left the mean rating of every cell, right its {_label(study, 'sd')}, rows alike. "
        "Columns on the left that change colour from row to row carry susceptibility; dark cells on the right "
        f"carry noise.{study.instrument.as_given}",
        using="The lists choose the run and sort the rows. Hover for persona and item.",
        still=f"Shown: {noisiest.name}, rows sorted by mean rating.",
        description=f"Two heat maps, mean rating and {_label(study, 'sd').lower()} of every persona and item of one run.",
        cells=True,
    )  # fmt: skip


_TITLES = {"mean": "What each persona answers", "sd": "How steadily each persona answers"}


def _label(study: Study, what: str) -> str:
    return "Mean rating" if what == "mean" else f"SD over {over(study)}"


def _caption(study: Study, what: str) -> str:
    moves = "answers" if study.by_logprobs else "repetitions"
    return (
        f"{_label(study, what)} of every cell. "
        + (
            "Columns that change colour from row to row carry susceptibility."
            if what == "mean"
            else f"Dark cells move between {moves}; R is one over the average of this picture."
        )
        + (study.instrument.as_given if what == "mean" else "")
    )


def _told(said: CellReplies) -> str:
    heavy = f" The replies of {said.cut:,} steadier cells would make this page heavy: their ratings stand alone."
    return "Click a cell, or choose persona and item, to read what was said there and how often." + heavy * bool(said.cut)


def _variance(cells: Moments) -> np.ndarray:
    # Centred on the cell mean; what is left of rounding is no noise.
    return np.where(cells.variance < 1e-12, 0.0, cells.variance)


def _shown(cells: Moments, what: str) -> np.ndarray:
    return cells.mean if what == "mean" else np.sqrt(_variance(cells))


def _rows(values: Mapping[str, np.ndarray], cells: Moments, said: list[list[str]] | None) -> list[dict[str, Any]]:
    """One row a persona with its cells packed, a tenth of the letters of one row a cell, and its place in each order."""
    places = _places(cells)
    return [
        {"Persona": p + 1, "places": packed(places[p])}
        | {what: packed(found[p]) for what, found in values.items()}
        | ({"said": TAB.join(said[p])} if said else {})
        for p in range(len(places))
    ]


def _places(cells: Moments) -> list[list[int]]:
    """Where each persona's row stands when rows are sorted by each of `SORTS`: lowest mean and most noise on top."""
    with np.errstate(invalid="ignore"):
        mean = np.nan_to_num(np.nansum(cells.mean, axis=1) / (~np.isnan(cells.mean)).sum(axis=1))
    every = np.arange(len(mean))
    orders = [every, np.argsort(mean, kind="stable"), np.argsort(-np.nansum(_variance(cells), axis=1), kind="stable")]
    return np.stack([np.argsort(order, kind="stable") for order in orders], axis=1).tolist()


def _looked_up(
    chart: alt.Chart, words: list[dict[str, Any]], instrument: Instrument, numbers: Sequence[str], texts: Sequence[str] = ()
) -> alt.Chart:  # fmt: skip
    """One row a cell, with the words of its persona and item, which the data hold once."""
    asked = [
        {"Item": item.number, "question": "\n".join(wrapped(f"{item.number}. {item.text} ({item.foundation})"))}
        for item in instrument.items
    ]
    return (
        unpacked(chart, numbers, texts)
        .transform_window(Item="row_number()", groupby=["Persona"])
        .transform_lookup("Persona", alt.LookupData(alt.InlineData(values=words), "Persona", ["who"]))
        .transform_lookup("Item", alt.LookupData(alt.InlineData(values=asked), "Item", ["question"]))
        .transform_calculate(row=entry("places", "sorted_by"))
    )


def _sorted_by(value: str) -> alt.Parameter:
    """The list that sorts the rows."""
    return listed("sorted_by", list(SORTS.values()), "personas sorted by: ", list(SORTS).index(value))


def _map(frame: alt.Chart, study: Study, what: str, *, width: int, personas: int, pick: alt.Parameter | None = None) -> Any:
    instrument = study.instrument
    grouped = sorted(instrument.items, key=lambda item: instrument.foundations.index(item.foundation))
    order = [item.number for item in grouped]
    domain = list(instrument.scale) if what == "mean" else [0, (instrument.scale[1] - instrument.scale[0]) / 2]
    axis = alt.Axis(labelAngle=0, labelFontSize=9, labelOverlap="parity", ticks=False, labelSeparation=2)
    x = alt.X("Item:O", sort=order, scale=alt.Scale(domain=order), title=f"Item, grouped by {study.instrument.group}", axis=axis)
    scale = alt.Scale(domain=domain, scheme="viridis" if what == "mean" else "magma", reverse=what == "sd", clamp=True)
    legend = alt.Legend(orient="top", gradientLength=160, titleOrient="left", titleLimit=200, offset=22)
    # Thousands of labels would only be in a screen reader's way; the figure has one of its own.
    cells = frame.mark_rect(aria=False).encode(
        x=x,
        y=alt.Y("row:O", title="Personas", axis=alt.Axis(labels=False, ticks=False)),
        color=alt.Color(f"{what}:Q", title=_label(study, what), scale=scale, legend=legend),
        tooltip=[
            alt.Tooltip("who:N", title="Persona"), alt.Tooltip("question:N", title="Item"),
            alt.Tooltip(f"{what}:Q", title=_label(study, what), format=".2f"),
        ],
    )  # fmt: skip
    layers = [cells]
    if pick is not None:
        outline = frame.transform_filter(only(pick)).mark_rect(aria=False, fillOpacity=0, stroke=_PICKED, strokeWidth=2)
        layers = [cells.add_params(pick), outline.encode(x=x, y="row:O")]
    heads = [
        {"Item": item.number, "name": study.instrument.short(item.foundation)}
        for place, item in enumerate(grouped)
        if place == 0 or grouped[place - 1].foundation != item.foundation
    ]
    at = alt.Chart(alt.InlineData(values=heads)).encode(x=alt.X("Item:O", sort=order, bandPosition=0))
    layers.append(at.mark_text(align="left", baseline="bottom", dy=-4, fontSize=11).encode(y=alt.value(0), text="name:N"))
    layers.append(at.mark_rule(stroke="white", strokeWidth=2))
    return alt.layer(*layers).properties(width=width, height=min(_TALLEST, max(_LEAST, 4.2 * personas)))


def _pick(noise: np.ndarray, study: Study) -> alt.Parameter:
    """The cell that is read: clicked, or chosen from two lists, which the keyboard reaches; first the liveliest of the map."""
    persona, item = np.unravel_index(int(np.nanargmax(np.where(np.isnan(noise), -1, noise))), noise.shape)
    return alt.selection_point(
        name="cell", fields=["Item", "Persona"], on=on_persona("click"), clear=False, toggle=False, empty=False,
        value=[{"Persona": int(persona) + 1, "Item": int(item) + 1}],
        # A list a field, which altair's types do not know; Vega puts the last one on top.
        bind={  # type: ignore[arg-type]
            "Item": alt.binding_select(options=list(range(1, noise.shape[1] + 1)), name="to item: "),
            "Persona": of_persona(study, len(noise), "replies of persona: "),
        },
    )  # fmt: skip


def _panel(frame: alt.Chart, pick: alt.Parameter, lines: int) -> alt.Chart:
    """Who was asked what, and every different reply with its number, as lines of text; nothing in them is markup."""
    return (
        frame.transform_filter(only(pick))
        .transform_calculate(told=f"split({_TOLD}, '\\n')", asked=r"length(split(datum.who + '\n' + datum.question, '\n'))")
        .transform_flatten(["told"])
        .transform_window(line="row_number()")
        .mark_text(align="left", baseline="top", fontSize=12, color=INK, limit=620)
        .encode(
            x=alt.value(0),
            y=alt.Y("line:Q", axis=None, scale=alt.Scale(domain=[1, lines + 1], reverse=True, nice=False, zero=False)),
            text="told:N",
            opacity=alt.condition("datum.line <= datum.asked", alt.value(0.65), alt.value(1)),
        )
        .properties(width=540, height=_LINE * lines)
    )
