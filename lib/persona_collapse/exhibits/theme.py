"""What all figures share: theme, looks of variants, alternative text, and stable bytes on every run and machine."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from persona_collapse.study.respondent_parameters import assumed
from persona_collapse.study.study import Study
from persona_collapse.text import tamed_within
from persona_collapse.vocabulary import METHODS, PUBLISHED, RECOMMENDED, twin

#: What JupyterLab draws without a network; it knows no newer version, and ours uses nothing newer.
MIME = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

INK, QUIET, GRID, WEB = "#1b1f24", "#57606a", "#e3e6ea", "#d0d4da"
#: Of areas and lines behind the data, and of the mark of simulated ratings.
BAND, WARNING = "#8a8f98", "#b03a00"
#: Colour, shape and dash.
Looks = tuple[str, str, list[int]]
# Okabe and Ito's colours, by what a variant is in its family, so that a base looks like a base in every study.
LOOKS = {
    "base": [("#0072B2", "circle", [1, 0])],
    "control": [("#009E73", "square", [6, 3]), ("#56B4E9", "square", [8, 2])],
    "harmful": [("#D55E00", "triangle-up", [2, 2]), ("#E69F00", "triangle-down", [3, 1]), ("#8C510A", "triangle-right", [4, 2])],
    "mitigated": [("#6A51A3", "diamond", [5, 2]), ("#8E7CC3", "triangle-left", [2, 1]), ("#332288", "cross", [6, 1, 1, 1])],
    "alternate": [("#56B4E9", "diamond", [1, 3])],
    "toxic": [("#CC79A7", "cross", [8, 3, 2, 3])],
}
# People beside the runs are grey: those that the questionnaire's key prints, and those of a study's reference file.
YARDSTICK: Looks = (BAND, "stroke", [5, 3])
PEOPLE: Looks = (QUIET, "diamond", [1, 2])
#: Shapes of variants beyond those.
_SHAPES = ["diamond", "cross", "triangle-left", "stroke", "triangle-up", "square", "circle"]
#: Colours of a scale of six points, low to high; `category_colors` has those of others.
_CATEGORIES = ["#08306B", "#2A6BA8", "#88BEDC", "#FDCC8A", "#F07F3C", "#A63603"]
#: What the mark of simulated ratings says of them.
MADE = "made to look like published figures, evidence of nothing"
SIMULATED = f"SIMULATED RATINGS – {MADE}"
#: The same where no figures are published.
ASSUMED = "made by stated assumptions, evidence of nothing"
#: In the list of families: all of them.
EVERY = "all families"
#: Names on one line of a legend.
_LINE = 5
#: With more families than this a figure shows one at a time, the first to begin with.
_PAGED = 4
ESTIMATORS = list(METHODS.values())
#: Marks a contrast whose sides differ in more than fine-tuning.
DIFFERS = "†"


def look_of(role: str, place: int) -> Looks:
    """Colour, shape and dash of the variant at a place among those of its role: no two alike, whatever their number."""
    looks = LOOKS[role]
    if place < len(looks):
        return looks[place]
    turn, (color, shape, dash) = place // len(looks), looks[place % len(looks)]
    # Towards white and back to ink, in steps that shrink; the shape says the rest.
    share = (turn % 2 * 2 - 1) * (1 - 0.6**turn)
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [round(part + (255 - part) * share * 0.7 if share > 0 else part * (1 + share * 0.7)) for part in parts]
    shapes = [one for one in _SHAPES if one != shape]
    return "#" + "".join(f"{part:02X}" for part in mixed), shapes[(place - len(looks)) % len(shapes)], [*dash, turn + 1, 2]


def category_colors(number: int) -> list[str]:
    """A colour for each point of a scale, low to high, no two alike: those of six points, or between them for more."""
    at = np.linspace(0, len(_CATEGORIES) - 1, number)
    if number <= len(_CATEGORIES):
        return [_CATEGORIES[i] for i in at.round().astype(int)]
    known = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in _CATEGORIES])
    mixed = np.column_stack([np.interp(at, range(len(known)), part) for part in known.T]).round().astype(int)
    return ["#" + "".join(f"{part:02X}" for part in color) for color in mixed]


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
                "labelColor": QUIET, "titleColor": INK, "titleFontWeight": "normal", "gridColor": GRID,
                "domainColor": GRID, "tickColor": GRID, "labelFontSize": 11, "titleFontSize": 12,
            },
            "axisQuantitative": {"tickCount": 7, "labelOverlap": "greedy", "labelSeparation": 6, "labelFlush": False},
            "legend": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "orient": "top", "symbolSize": 90},
            "header": {"labelFontSize": 12, "labelColor": INK, "labelFontWeight": "bold", "title": None},
            "title": {
                "anchor": "start", "fontSize": 14, "color": INK, "subtitleColor": WARNING, "subtitleFontSize": 11,
                "subtitleFontWeight": "bold", "offset": 10,
            },
        }
    }  # fmt: skip


def spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The Vega-Lite of a chart, as a viewer without our library draws it."""
    return _shown(chart.to_dict(context={"pre_transform": False}))


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    # A terminal control in a label is no XML: without this it would end the static picture.
    return tamed_within(found) | {"$schema": SCHEMA}


def _render(found: dict[str, Any], **_: Any) -> dict[str, Any]:
    found = _shown(found)
    bundle = {MIME: found, "text/plain": f"<chart: {found.get('description', '')}>"}
    # A picture for viewers that cannot draw Vega; committed notebooks have it, and nbval passes it over.
    if os.environ.get("PERSONA_COLLAPSE_PICTURES"):
        import vl_convert

        picture = vl_convert.vegalite_to_png(json.dumps(found), scale=0.8)
        bundle["image/png"] = base64.b64encode(picture).decode()
    return bundle


class Look:
    """How the variants of a study look: order, labels, and the colour, shape and dash of each; `people` bring their own."""

    def __init__(
        self, study: Study, *, toxic: bool = False, base: bool = True, people: Mapping[str, Looks] | None = None
    ) -> None:  # fmt: skip
        seen: dict[str, Looks] = {}
        used: dict[str, int] = {}
        for run in study.runs:
            name, role = run.variant.name, run.variant.role
            if name not in seen:
                seen[name] = look_of(role, used.get(role, 0))
                used[role] = used.get(role, 0) + 1
        if toxic:
            seen["hostile characters"] = LOOKS["toxic"][0]
        bases = {run.variant.name for run in study.runs if run.variant.role == "base"}
        if not base:
            seen = {name: look for name, look in seen.items() if name not in bases}
        seen |= people or {}
        self._people = bool(people)
        self.names = list(seen)
        self.families = [family.name for family in study.file.families]
        self._seen = seen
        self.labels = {run.key: (run.family.name, run.variant.name) for run in study.runs}
        self.roles = {run.key: run.variant.role for run in study.runs}

    def _scale(self, part: int, **also: Any) -> alt.Scale:
        return alt.Scale(domain=self.names, range=[look[part] for look in self._seen.values()], **also)

    def color(self) -> alt.Color:
        return alt.Color("Variant:N", scale=self._scale(0), sort=self.names, title=None, **self._lines)

    def shape(self) -> alt.Shape:
        return alt.Shape("Variant:N", scale=self._scale(1), sort=self.names, title=None, **self._lines)

    def dash(self) -> alt.StrokeDash:
        return alt.StrokeDash("Variant:N", scale=self._scale(2), sort=self.names, title=None, **self._lines)

    @property
    def _lines(self) -> dict[str, Any]:
        """Names of a legend on several lines where they are many."""
        many: dict[str, Any] = {"columns": _LINE} if len(self.names) > _LINE else {}
        wide: dict[str, Any] = {"labelLimit": 260} if self._people else {}  # they are described, where variants are named
        return {"legend": alt.Legend(**many, **wide)} if many or wide else {}

    def of_family(self, chart: Any) -> Any:
        """Only rows of the family that the list under the figure names; a study of one family has no such list."""
        if len(self.families) < 2:
            return chart
        return chart.transform_filter(f"family === '{EVERY}' || datum.Model === family")

    def family(self) -> list[alt.Parameter]:
        """The list under a figure of which `of_family` speaks."""
        if len(self.families) < 2:
            return []
        first, *others = family_choices(self.families)
        return [alt.param(name="family", value=first, bind=alt.binding_select(options=[first, *others], name="family: "))]

    def labelled(self, table: pd.DataFrame) -> pd.DataFrame:
        """`table` with the columns Model and Variant, in words, in the study's order, and numbers to six digits."""
        named = [self.labels.get(f"{f}/{v}", (f, v)) for f, v in zip(table["family"], table["variant"], strict=True)]
        found = table.assign(Model=[n[0] for n in named], Variant=[n[1] for n in named])
        return rounded(found.drop(columns=["family", "variant"]))


def family_choices(families: Sequence[str]) -> list[str]:
    """What a list of families offers, the one that is shown first on top: all of them, or where they are many, the first."""
    return [EVERY, *families] if len(families) <= _PAGED else [*families, EVERY]


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers to six significant digits: the seventh differs between machines."""
    found = table.copy()
    for column in found.select_dtypes("number"):
        found[column] = [float(f"{v:.6g}") if np.isfinite(v) else None for v in found[column].astype(float)]
    return found


def figure(
    chart: Any, study: Any, *, title: str, caption: str, description: str, using: str = "", still: str = "",
    mark: str = SIMULATED, cells: bool = False,
) -> Any:  # fmt: skip
    """A finished figure of a study, or of a pair of them: title, the mark of simulated ratings, caption, alternative text.

    The caption holds anywhere; `using` follows it where there is something to press, and `still`, which says what was chosen,
    where the figure is a picture. With `cells` its data are every cell of a run, packed: too much to be printed beside it.
    """
    actions = {"export": True, "source": False, "editor": False}
    about = {"caption": caption, "using": using, "still": still, "embedOptions": {"actions": actions}}
    subtitle: dict[str, Any] = {"subtitle": [mark if _printed(study) else mark.replace(MADE, ASSUMED)]}
    subtitle = {} if study.is_evidence else subtitle
    return chart.properties(
        title=alt.TitleParams(title, **subtitle),
        description=description + (" Simulated ratings." if not study.is_evidence else ""),
        usermeta={name: value for name, value in about.items() if value} | ({"cells": True} if cells else {}),
    )


def _printed(study: Any) -> bool:
    """Whether figures are published for a study's questionnaire; a pair of studies has none that is not."""
    return not (isinstance(study, Study) and study.simulated and assumed(study.instrument))


def pick_of(name: str, field: str) -> alt.Parameter:
    """Click an entry of the legend to bring it forward; click beside it to bring all back."""
    return alt.selection_point(name=name, fields=[field], bind="legend")


def fade(pick: alt.Parameter) -> Any:
    return alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.12))


def switch() -> alt.Parameter:
    """Two buttons under a figure: recommended estimators with interval A, or the published ones."""
    return switch_between("estimators", ESTIMATORS, "estimators: ")


def switch_between(name: str, options: list[str], label: str) -> alt.Parameter:
    """Buttons under a figure, of which the first is pressed."""
    return alt.param(name=name, value=options[0], bind=alt.binding_radio(options=options, name=label))


def chosen(frame: alt.Chart) -> alt.Chart:
    """Only rows of the estimators that the buttons of `switch` name."""
    return frame.transform_filter("datum.Estimators === estimators")


def both(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of a metric by the recommended method and of its published twin, told apart by the column Estimators."""
    wanted = ((table["method"] == RECOMMENDED) & (table["metric"] == metric)) | (
        (table["method"] == PUBLISHED) & (table["metric"] == twin(metric))
    )
    found = table[wanted].rename(columns={"method": "Estimators", "lo": "from", "hi": "to"})
    return found.assign(Estimators=found["Estimators"].map(METHODS))


def over(study: Study) -> str:
    """What the SD within a cell is taken over: repetitions, or the distribution that logprobs give."""
    return "the answer's distribution" if study.by_logprobs else "repetitions"
