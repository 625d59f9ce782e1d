"""What a figure, a table for reading and a finding say of themselves: an id, a caption, and the tables they are made from.

The id is given, not taken from a function's name or from a notebook's source: whoever renames a function loses no caption and no
link. It travels with what a notebook shows: in a figure's `usermeta`, in the metadata of any other output.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ParamSpec

import pandas as pd

#: Where an output's metadata holds what an exhibit says of itself.
MARK = "persona_collapse"
#: Rows, columns and letters of a cell from which on a notebook would cut a table.
_WHOLE = ("display.max_rows", 1000, "display.max_columns", 50, "display.max_colwidth", 200)

_P = ParamSpec("_P")


class Finding(str):
    """A sentence or several, computed from numbers, as Markdown; a notebook shows it as text."""

    exhibit: dict[str, Any]

    def __repr__(self) -> str:
        return str(self)  # in a terminal, too, it is there to be read

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        return {"text/markdown": str(self), "text/plain": str(self)}, {MARK: self.exhibit}


class ReadingTable(pd.DataFrame):  # type: ignore[misc]
    """A table for reading, which a notebook shows whole; what is computed from it is a plain data frame."""

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        with pd.option_context(*_WHOLE):
            return {"text/html": self._repr_html_(), "text/plain": repr(self)}, {MARK: self.attrs[MARK]}


@dataclass(frozen=True)
class Exhibit:
    """A function that makes an exhibit, and what all of its exhibits have in common."""

    kind: str  #: figure, table or finding
    name: str  #: how `persona_collapse.figures`, `tabulate` and `say` call it
    make: Callable[..., Any]
    by: str = ""  #: the argument that tells its exhibits apart, as the metric does for levels
    caption: str | Callable[[str], str] = ""  #: of a table, from the value of `by`; a figure brings its own
    shown: Callable[..., Any] | None = None  #: the function with its mark

    @property
    def parameters(self) -> tuple[str, ...]:
        """What the function takes."""
        return tuple(inspect.signature(self.make).parameters)

    def of(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Id, caption and tables of the exhibit that the function makes of these arguments."""
        bound = inspect.signature(self.make).bind(*args, **kwargs)
        bound.apply_defaults()
        which = str(bound.arguments[self.by]) if self.by else ""
        caption = self.caption if isinstance(self.caption, str) else self.caption(which)
        return {"id": exhibit_id(self.kind, self.name, which), "caption": caption}


#: Every exhibit whose module has been imported.
EXHIBITS: list[Exhibit] = []


def exhibit_id(kind: str, name: str, which: str = "") -> str:
    """The id of an exhibit, as pages link to it: exhibit_id("figure", "levels", "robustness") is figure-levels-robustness."""
    return "-".join(part.replace("_", "-") for part in (kind, name, which) if part)


def on_paper(about: Mapping[str, Any]) -> str:
    """The caption of a figure where there is nothing to press, from its `usermeta`: what it shows, and what was chosen there."""
    return " ".join(str(about[part]) for part in ("caption", "still") if about.get(part))


def figure(name: str, *, by: str = "") -> Callable[[Callable[_P, Any]], Callable[_P, Any]]:
    """Mark a function that draws an Altair chart, or None where there is nothing to draw."""

    def marked(make: Callable[_P, Any]) -> Callable[_P, Any]:
        exhibit = Exhibit("figure", name, make, by)

        @wraps(make)
        def made(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            chart = make(*args, **kwargs)
            if chart is not None:
                chart.usermeta = dict(chart.usermeta) | {"id": exhibit.of(*args, **kwargs)["id"]}
            return chart

        EXHIBITS.append(replace(exhibit, shown=made))
        return made

    return marked


def table(
    name: str, caption: str | Callable[[str], str], *, by: str = ""
) -> Callable[[Callable[_P, "pd.DataFrame | None"]], Callable[_P, Any]]:
    """Mark a function that makes a table for reading, or None where there is nothing to show; a caption stands alone."""

    def marked(make: Callable[_P, pd.DataFrame | None]) -> Callable[_P, Any]:
        exhibit = Exhibit("table", name, make, by, caption)

        @wraps(make)
        def made(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            rows = make(*args, **kwargs)
            if rows is None:
                return None
            found = ReadingTable(rows)
            found.attrs[MARK] = exhibit.of(*args, **kwargs)
            return found

        EXHIBITS.append(replace(exhibit, shown=made))
        return made

    return marked


def finding(name: str, *, by: str = "") -> Callable[[Callable[_P, str]], Callable[_P, Finding]]:
    """Mark a function that says what numbers show, as Markdown; all that is foreign in it is escaped."""

    def marked(make: Callable[_P, str]) -> Callable[_P, Finding]:
        exhibit = Exhibit("finding", name, make, by)

        @wraps(make)
        def made(*args: _P.args, **kwargs: _P.kwargs) -> Finding:
            found = Finding(make(*args, **kwargs))
            found.exhibit = exhibit.of(*args, **kwargs)
            return found

        EXHIBITS.append(replace(exhibit, shown=made))
        return made

    return marked
