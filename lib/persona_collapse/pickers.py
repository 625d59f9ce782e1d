"""Lists under a figure that choose what it shows, without a kernel: a run, a foundation, a persona; names stay data."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from persona_collapse.drawing import short
from persona_collapse.instrument import Instrument
from persona_collapse.metrics import OVERALL
from persona_collapse.personas import Persona
from persona_collapse.said import wrapped

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
    return listed("foundation", [OVERALL, *map(short, instrument.foundations)], "foundation: ")


def of_persona(personas: Sequence[Persona] | None, number: int, label: str) -> alt.BindRadioSelect:
    """A list of the personas by number, from 1, and the beginning of what they are."""
    return alt.binding_select(options=list(range(1, number + 1)), labels=people(personas, number), name=label)


def only(pick: alt.Parameter) -> dict[str, Any]:
    """The filter that keeps what a selection holds, and nothing while it holds nothing."""
    return {"param": pick.name, "empty": False}


def on_persona(event: str) -> str:
    """An event on a mark that is a persona's; one beside all marks leaves what is chosen."""
    return f"{event}[event.item && event.item.datum && event.item.datum.Persona]"


def people(personas: Sequence[Persona] | None, number: int) -> list[str]:
    """Every persona on one short line."""
    lines = [f"{p + 1}. {personas[p].text}" if personas else f"persona {p + 1}" for p in range(number)]
    return [line if len(line) <= _NAMED else line[: _NAMED - 1].rstrip() + "…" for line in lines]


def who(personas: Sequence[Persona] | None, number: int) -> list[dict]:
    """The words of each persona, once, as data to look up by Persona."""
    lines = [f"{p + 1}. {personas[p].text}" if personas else f"persona {p + 1}" for p in range(number)]
    return [{"Persona": p + 1, "who": "\n".join(wrapped(line))} for p, line in enumerate(lines)]
