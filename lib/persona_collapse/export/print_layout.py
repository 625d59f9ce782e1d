"""One figure laid out for print: as wide as a column or a page, no letter below 8 points, as SVG, PDF and PNG."""

import copy
import json
import re
import textwrap
from dataclasses import dataclass
from typing import Any, NamedTuple

from persona_collapse.exhibits import pictures, theme
from persona_collapse.export.stable_pdf import stable

#: Widths of one and of two columns of a journal page, in centimetres, and dots an inch of a PNG.
COLUMN_CM, PAGE_CM, DPI = 8.5, 17.5, 300
_PT_PER_CM = 72 / 2.54
#: A pixel of a figure is about three quarters of a point in print, as in CSS; 11 px are then 8.25 pt.
_PT_PER_PX = 0.75
_LEAST_PX, _LEAST_PT = 11.0, 8.0
#: A drawing this much too narrow is wide enough: it is enlarged. One too wide is made smaller as far as its letters allow.
_NARROW, _WIDE = 0.97, _LEAST_PX * _PT_PER_PX / _LEAST_PT
#: A figure up to this many times one column is squeezed into it; a wider one gets the page.
_SQUEEZE = 1.25
#: Pixels that letters beside the views take, until a second drawing tells.
_BESIDE = 100
#: Drawings after which what fits best is taken; two are enough for most figures, one where another of their kind was drawn.
_DRAWINGS = 8
#: Columns of a legend that are tried, until it fits; None is one line.
_LEGEND_COLUMNS = (None, 5, 3)
#: Letters in a line of a title over a column and over a page.
_LINE = {COLUMN_CM: 46, PAGE_CM: 96}
_FONT_SIZES = {"labelFontSize", "titleFontSize", "fontSize", "subtitleFontSize"}
#: Where a Vega-Lite specification holds further views.
_VIEWS = ("layer", "hconcat", "vconcat", "concat")
_SIZE = re.compile(r'^<svg [^>]*?width="([\d.]+)" height="([\d.]+)"')
_FONT = re.compile(r'font-size="([\d.]+)px"')


class Layout(NamedTuple):
    """How a figure is made to fit: its width on paper, the columns of its legends, and how far its views are stretched."""

    width_cm: float
    legend_columns: int | None
    stretch: float


@dataclass(frozen=True)
class Printed:
    """A figure laid out for print: an SVG in pixels, how many points a pixel is, and how it was made to fit."""

    svg: str
    scale: float
    layout: Layout

    @property
    def size_px(self) -> tuple[float, float]:
        """Width and height of the SVG."""
        return _size(self.svg)

    @property
    def size_cm(self) -> tuple[float, float]:
        """Width and height on paper."""
        width, height = self.size_px
        return width * self.scale / _PT_PER_CM, height * self.scale / _PT_PER_CM

    @property
    def smallest_pt(self) -> float:
        """The size of its smallest letters on paper."""
        return min((float(px) * self.scale for px in _FONT.findall(self.svg)), default=float("inf"))


def encoded(printed: Printed) -> dict[str, bytes]:
    """A figure in every format, by suffix; the same bytes for the same figure, as none of them carries a date."""
    import vl_convert

    # The library takes a pixel for a point, in PDF and in what it calls ppi.
    in_points = _sized(printed, _PT_PER_CM, "")
    return {
        "svg": _sized(printed, 1, "cm").encode(),
        "pdf": stable(vl_convert.svg_to_pdf(in_points)),
        "png": vl_convert.svg_to_png(in_points, ppi=DPI),
    }


def _sized(printed: Printed, per_cm: float, unit: str) -> str:
    """The SVG with its size on paper in another unit; what it draws is in its viewBox."""
    width, height = (cm * per_cm for cm in printed.size_cm)
    size = f'width="{width:.3f}{unit}" height="{height:.3f}{unit}"'
    return re.sub(r'width="[\d.]+" height="[\d.]+"', size, printed.svg, count=1)


# --- titles ----------------------------------------------------------------------------------------------------------


def title_of(spec: dict[str, Any]) -> str:
    """The title of a figure in one line."""
    return " ".join(_title(spec)[0])


def marked(spec: dict[str, Any]) -> dict[str, Any]:
    """The figure with the mark of simulated ratings under its title, if it does not bear it yet."""
    title, subtitle = _title(spec)
    if any(mark in " ".join(subtitle) for mark in (theme.SIMULATED, theme.ASSUMED)):
        return spec
    return _titled(spec, title, [*subtitle, theme.SIMULATED])


def untitled(spec: dict[str, Any]) -> dict[str, Any]:
    """The figure without its title; what stands under it, such as the mark of simulated ratings, takes its place."""
    _, subtitle = _title(spec)
    found = {key: value for key, value in spec.items() if key != "title"}
    if not subtitle:
        return found
    return found | {"title": {"text": subtitle, "color": theme.WARNING, "fontSize": _LEAST_PX, "fontWeight": "bold"}}


def _title(spec: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Lines of title and subtitle."""
    title = spec.get("title") or ""
    title = title if isinstance(title, dict) else {"text": title}
    first, second = (
        [text] if isinstance(text, str) else list(text) for text in (title.get("text", ""), title.get("subtitle", []))
    )
    return first, second


def _titled(spec: dict[str, Any], title: list[str], subtitle: list[str]) -> dict[str, Any]:
    kept = spec["title"] if isinstance(spec.get("title"), dict) else {}
    return spec | {"title": kept | {"text": title, "subtitle": subtitle}}


def _wrapped(spec: dict[str, Any], letters: int) -> dict[str, Any]:
    """The figure with no line of its title or subtitle longer than so many letters."""
    if not spec.get("title"):
        return spec
    return _titled(spec, *([part for line in lines for part in textwrap.wrap(line, letters)] for lines in _title(spec)))


# --- laying out ------------------------------------------------------------------------------------------------------


def lay_out(spec: dict[str, Any], like: Layout | None = None) -> Printed:
    """A figure as wide as a column or a page, its views stretched to fit, its letters of 8 points or more.

    `like` is the layout of another figure of its kind, which is tried first. One whose letters alone are wider than a page is
    as narrow as they let it be. Raises ValueError for a figure that would fetch something.
    """
    _refuse_addresses({key: value for key, value in spec.items() if key != "datasets"})
    if like is not None and _fits(printed := _drawn(spec, like)):
        return printed
    natural = _drawn(spec, Layout(PAGE_CM, None, 1.0))
    if natural.size_px[0] <= _SQUEEZE * _pixels(COLUMN_CM) and _fits(printed := _fitted(spec, Layout(COLUMN_CM, None, 1.0))):
        return printed
    for columns in _LEGEND_COLUMNS:
        printed = _fitted(spec, Layout(PAGE_CM, columns, 1.0), None if columns else natural)
        if _fits(printed):
            break
    # What is all letters stays wider than the page: smaller ones could not be read.
    return printed


def _fitted(spec: dict[str, Any], layout: Layout, drawn: Printed | None = None) -> Printed:
    """The figure with its views stretched until it is as wide as it should be, or as near as can be."""
    target = _pixels(layout.width_cm)
    drawn = drawn or _drawn(spec, layout)
    slope = max(drawn.size_px[0] - _BESIDE, _BESIDE)
    for _ in range(_DRAWINGS):
        stretch, width = drawn.layout.stretch, drawn.size_px[0]
        # A title or legend that is wider than the views hides what stretching them does.
        hidden = slope < 1
        if _fits(drawn) or (hidden and width > target):
            break
        wanted = stretch * 1.3 if hidden else stretch + (target - width) / slope
        drawn = _drawn(spec, layout._replace(stretch=min(4.0, max(0.3, wanted))))
        if drawn.layout.stretch == stretch:
            break
        slope = (drawn.size_px[0] - width) / (drawn.layout.stretch - stretch)
    return drawn


def _fits(printed: Printed) -> bool:
    return _NARROW <= printed.size_px[0] / _pixels(printed.layout.width_cm) <= _WIDE


def _pixels(cm: float) -> float:
    return cm * _PT_PER_CM / _PT_PER_PX


def _drawn(spec: dict[str, Any], layout: Layout) -> Printed:
    """The figure as it is with this layout: as wide on paper as that says, if it can be enlarged or made smaller by so much."""
    fitting = _legible(_stretched(_wrapped(spec, _LINE[layout.width_cm]), layout.stretch), _LEAST_PX, layout.legend_columns)
    printed = Printed(pictures.svg(json.dumps(fitting)), _PT_PER_PX, layout)
    if _fits(printed):
        return Printed(printed.svg, layout.width_cm * _PT_PER_CM / printed.size_px[0], layout)
    return printed


def _refuse_addresses(value: Any) -> None:
    """Raise ValueError for a figure that would fetch something; its numbers are not looked at."""
    if isinstance(value, dict):
        if "url" in value:
            raise ValueError(f"a figure names the address {value['url']!r}; expected its data in the figure itself")
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            _refuse_addresses(inner)


def _stretched(spec: dict[str, Any], factor: float) -> dict[str, Any]:
    """The figure with every view's width times `factor`; heights stay."""
    found = dict(spec)
    width = found.get("width")
    if isinstance(width, int | float):
        found["width"] = width * factor
    elif isinstance(width, dict) and isinstance(width.get("step"), int | float):
        found["width"] = width | {"step": width["step"] * factor}
    for key in _VIEWS:
        if key in found:
            found[key] = [_stretched(view, factor) for view in found[key]]
    if isinstance(found.get("spec"), dict):
        found["spec"] = _stretched(found["spec"], factor)
    return found


def _legible(spec: dict[str, Any], least: float, legend_columns: int | None = None) -> dict[str, Any]:
    """The figure with every size of letters of `least` pixels or more, and its legends in so many columns."""
    found = copy.deepcopy({key: value for key, value in spec.items() if key != "datasets"})
    # Where nothing is said, Vega's own sizes are 10 and 11.
    config = found.setdefault("config", {})
    for part, sizes in {
        "axis": ("labelFontSize", "titleFontSize"), "legend": ("labelFontSize", "titleFontSize"),
        "header": ("labelFontSize", "titleFontSize"), "text": ("fontSize",),
    }.items():  # fmt: skip
        for name in sizes:
            config.setdefault(part, {}).setdefault(name, least)
    if legend_columns is not None:
        config["legend"]["columns"] = legend_columns
    _raise_sizes(found, least)
    return found | ({"datasets": spec["datasets"]} if "datasets" in spec else {})


def _raise_sizes(value: Any, least: float) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _FONT_SIZES and isinstance(inner, int | float):
                value[key] = max(inner, least)
            else:
                _raise_sizes(inner, least)
    elif isinstance(value, list):
        for inner in value:
            _raise_sizes(inner, least)


def _size(svg: str) -> tuple[float, float]:
    match = _SIZE.match(svg)
    if match is None:
        raise ValueError(f"a figure came out as {svg[:60]!r}; expected an SVG with its size; see the version of vl-convert")
    return float(match[1]), float(match[2])
