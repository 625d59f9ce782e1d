"""What every figure is made of beside its marks: lists that choose without a kernel, and many values packed as one text."""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np

from persona_collapse.study.instrument import Instrument
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.text import wrapped

#: Between numbers, and between texts, which hold no tab.
COMMA, TAB = ",", "\t"
#: Letters of a persona that a list shows.
_NAMED = 60
#: In lists of foundations and of personas: all of them.
EVERYBODY = "all personas"


def listed(name: str, labels: Sequence[str], label: str, first: int = 0) -> alt.Parameter:
    """A list whose value is the place of what is chosen: expressions see a number, and never a name."""
    bind = alt.binding_select(options=list(range(len(labels))), labels=list(labels), name=label)
    return alt.param(name=name, value=first, bind=bind)


def of_foundation(instrument: Instrument) -> alt.Parameter:
    """The list of what can be looked at: 0 is everything, then each foundation in the instrument's order."""
    return listed("foundation", [OVERALL, *map(instrument.short, instrument.foundations)], f"{instrument.group}: ")


def of_persona(study: Study, number: int, label: str) -> alt.BindRadioSelect:
    """A list of so many personas, whose value counts from 1, and the beginning of what they are."""
    return alt.binding_select(options=list(range(1, number + 1)), labels=people(study, number), name=label)


def only(pick: alt.Parameter) -> Any:
    """The filter that keeps what a selection holds, and nothing while it holds nothing: a mapping, which altair's types lack."""
    return {"param": pick.name, "empty": False}


def on_persona(event: str) -> str:
    """An event on a mark that is a persona's; one beside all marks leaves what is chosen."""
    return f"{event}[event.item && event.item.datum && event.item.datum.Persona]"


def people(study: Study, number: int) -> list[str]:
    """Every persona on one short line."""
    lines = [study.persona_line(p) for p in range(number)]
    return [line if len(line) <= _NAMED else line[: _NAMED - 1].rstrip() + "…" for line in lines]


def who(study: Study, number: int) -> list[dict[str, Any]]:
    """The words of each persona, once, as data to look up by Persona."""
    return [{"Persona": p + 1, "who": "\n".join(wrapped(study.persona_line(p)))} for p in range(number)]


def packed(values: Iterable[float], digits: int = 2) -> str:
    """Numbers as text, rounded; nothing where there is none (NaN)."""
    return COMMA.join(f"{float(v):.{digits}f}".rstrip("0").rstrip(".") if np.isfinite(v) else "" for v in values)


def unpacked(chart: Any, numbers: Iterable[str] = (), texts: Iterable[str] = ()) -> Any:
    """A chart's data with one row for every entry of these packed fields, which run in parallel; missing numbers are null."""
    numbers, texts = list(numbers), list(texts)
    split = {f: f"split(datum.{f}, '{COMMA}')" for f in numbers} | {f: f"split(datum.{f}, '\\t')" for f in texts}
    found = chart.transform_calculate(**split).transform_flatten(list(split))
    read = {f: f"datum.{f} === '' ? null : toNumber(datum.{f})" for f in numbers}
    return found.transform_calculate(**read) if read else found


def entry(field: str, place: str) -> str:
    """The number at a place of a packed field, as a Vega expression; null where it is missing."""
    text = f"split(datum.{field}, '{COMMA}')[{place}]"
    return f"{text} === '' ? null : toNumber({text})"
