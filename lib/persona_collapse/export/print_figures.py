"""Every figure of a study at print size: SVG, PDF with embedded fonts and PNG, no letter below 8 points."""

import copy
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from persona_collapse.exhibits import theme
from persona_collapse.export.stable_pdf import stable
from persona_collapse.paths import shown
from persona_collapse.report.run_notebooks import Job

#: Widths of one and of two columns of a journal page, in centimetres, and dots an inch of a PNG.
COLUMN_CM, PAGE_CM, DPI = 8.5, 17.5, 300
_PT_PER_CM = 72 / 2.54
#: A pixel of a figure is three quarters of a point in print, as in CSS; 11 px are then 8.25 pt.
_PT_PER_PX = 0.75
_LEAST_PX = 11.0
#: A figure up to this many times one column is squeezed into it; a wider one gets the page.
_SQUEEZE = 1.15
#: Columns of a legend that are tried, until it fits; None is one line.
_LEGEND_COLUMNS = (None, 5, 3)
_FONT_SIZES = {"labelFontSize", "titleFontSize", "fontSize", "subtitleFontSize"}
#: Where a Vega-Lite specification holds further views.
_VIEWS = ("layer", "hconcat", "vconcat", "concat")
_SIZE = re.compile(r'^<svg [^>]*?width="([\d.]+)" height="([\d.]+)"')
_FONT = re.compile(r'font-size="([\d.]+)px"')


class Figure(NamedTuple):
    """A figure as it stands in a notebook: where its files go, without a suffix, and its Vega-Lite."""

    name: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Printed:
    """A figure laid out for print: an SVG in pixels, and how many points a pixel is."""

    svg: str
    scale: float

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


def of_notebooks(jobs: Iterable[Job]) -> Iterator[Figure]:
    """Every figure of executed notebooks, in the order of the report.

    Raises FileNotFoundError where a notebook has not been executed.
    """
    for job in jobs:
        if not job.output.is_file():
            raise FileNotFoundError(f"{shown(job.output)}: no executed notebook; run `make report` for this study first")
        who = "/".join(job.parameters[name] for name in ("family", "variant") if name in job.parameters)
        number = 0
        for cell in json.loads(job.output.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                spec = output.get("data", {}).get(theme.MIME)
                if spec is not None:
                    number += 1
                    yield Figure(f"{who}/{job.name}-{number}".lstrip("/"), spec)


def write(figures: Iterable[Figure], folder: Path, *, simulated: bool) -> pd.DataFrame:
    """Write every figure as .svg, .pdf and .png below `folder`; returns the list of figures, one row each.

    With `simulated` each says in the picture that its ratings are.
    """
    figures = list(figures)
    rows = []
    for figure in tqdm(figures, unit="figure", leave=False, disable=None):
        printed = lay_out(marked(figure.spec) if simulated else figure.spec)
        path = folder / figure.name
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in encoded(printed).items():
            # The name is no path to be split at a dot: keys of variants may hold one.
            path.with_name(f"{path.name}.{suffix}").write_bytes(content)
        width, height = printed.size_cm
        title, _ = _title(figure.spec)
        rows.append(
            {
                "figure": figure.name, "title": " ".join(title),
                "caption": figure.spec.get("usermeta", {}).get("caption", ""),
                "description": figure.spec.get("description", ""), "width_cm": round(width, 2), "height_cm": round(height, 2),
                "smallest_pt": round(printed.smallest_pt, 2),
            }
        )  # fmt: skip
    columns = ["figure", "title", "caption", "description", "width_cm", "height_cm", "smallest_pt"]
    return pd.DataFrame(rows, columns=columns)


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


def marked(spec: dict[str, Any]) -> dict[str, Any]:
    """The figure with the mark of simulated ratings under its title, if it does not bear it yet."""
    title, subtitle = _title(spec)
    if theme.SIMULATED in " ".join(subtitle):
        return spec
    return _titled(spec, title, [*subtitle, theme.SIMULATED])


# --- laying out ------------------------------------------------------------------------------------------------------


def lay_out(spec: dict[str, Any]) -> Printed:
    """A figure as wide as a column or a page, its views stretched to fit, its letters of 8 points or more.

    One whose letters alone are wider than a page is as narrow as they let it be. Raises ValueError for a figure that would
    fetch something.
    """
    _refuse_addresses({key: value for key, value in spec.items() if key != "datasets"})
    column, page = (cm * _PT_PER_CM / _PT_PER_PX for cm in (COLUMN_CM, PAGE_CM))
    narrow = _legible(_wrapped(spec, 46), _LEAST_PX)
    if _size(_svg(narrow))[0] <= _SQUEEZE * column:
        found = _fitted(narrow, column)
        if _size(found)[0] <= column + 1:
            return Printed(found, _PT_PER_PX)
    wide = _wrapped(spec, 96)
    for columns in _LEGEND_COLUMNS:
        found = _fitted(_legible(wide, _LEAST_PX, columns), page)
        if _size(found)[0] <= page + 1:
            break
    # What is all letters stays wider than the page: smaller ones could not be read.
    return Printed(found, _PT_PER_PX)


def _refuse_addresses(value: Any) -> None:
    """Raise ValueError for a figure that would fetch something; its numbers are not looked at."""
    if isinstance(value, dict):
        if "url" in value:
            raise ValueError(f"a figure names the address {value['url']!r}; expected its data in the figure itself")
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            _refuse_addresses(inner)


def _fitted(spec: dict[str, Any], target: float) -> str:
    """The SVG of a figure with its views stretched until it is `target` pixels wide, or as near as can be."""
    stretch, svg = 1.0, _svg(spec)
    other, width = 0.9, _size(svg)[0]
    at_other = _size(_svg(_stretched(spec, other)))[0]
    for _ in range(6):
        slope = (width - at_other) / (stretch - other) if stretch != other else 0.0
        if abs(width - target) < 0.5 or (slope < 1 and width > target):
            break
        other, at_other = stretch, width
        # A title or legend that is wider than the views hides what stretching them does.
        stretch = stretch * 1.3 if slope < 1 else min(4.0, max(0.3, stretch + (target - 0.2 - width) / slope))
        svg = _svg(_stretched(spec, stretch))
        width = _size(svg)[0]
    return svg


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
    return _titled(spec, *([part for line in lines for part in textwrap.wrap(line, letters)] for lines in _title(spec)))


# --- drawing ---------------------------------------------------------------------------------------------------------


def _svg(spec: dict[str, Any]) -> str:
    import vl_convert

    # To forbid addresses here would start the library's engine anew for every figure; `_refuse_addresses` does.
    return vl_convert.vegalite_to_svg(json.dumps(spec))


def _size(svg: str) -> tuple[float, float]:
    match = _SIZE.match(svg)
    if match is None:
        raise ValueError(f"a figure came out as {svg[:60]!r}; expected an SVG with its size; see the version of vl-convert")
    return float(match[1]), float(match[2])
