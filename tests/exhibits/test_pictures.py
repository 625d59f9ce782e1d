"""Pictures of figures: the same whatever was drawn before, cheap to draw again, and dark where the reader's screen is."""

import json
import re

import pytest

from persona_collapse.exhibits import component_figures, pictures, theme
from persona_collapse.paths import NOTEBOOKS

BARS = {
    "data": {"values": [{"a": 1, "b": 2}, {"a": 2, "b": 3}]}, "width": 90, "height": 60,
    "mark": {"type": "bar", "color": "#0072B2"}, "config": {"background": "white", "title": {"color": theme.INK}}, "title": "T",
    "encoding": {
        "x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "ordinal"},
        "color": {"field": "a", "type": "quantitative", "scale": {"scheme": "viridis"}},
    },
}  # fmt: skip


def luminance(color):
    """Relative luminance after WCAG 2.1."""
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_a_picture_is_the_same_whatever_was_drawn_before():
    first = pictures.svg(json.dumps(BARS))
    assert 'id="part-0"' in first and "url(#part-0)" in first  # the gradient of the legend
    pictures.svg(json.dumps(BARS | {"width": 50}))
    assert pictures.svg(json.dumps(BARS)) == first


def test_what_cannot_be_seen_is_left_out_and_an_opacity_is_that_of_the_paint():
    mark = {"type": "line", "strokeDash": [1, 0], "opacity": 0.5}
    thin = BARS | {"mark": mark, "encoding": {"x": {"field": "a"}, "y": {"field": "b"}}}
    drawn = pictures.svg(json.dumps(thin))
    assert 'stroke-opacity="0.5"' in drawn and ' opacity="0.5"' not in drawn and "stroke-dasharray" not in drawn
    unseen = pictures.svg(json.dumps(thin | {"mark": mark | {"opacity": 0}}))
    assert drawn.count("<path") - unseen.count("<path") == 1
    both = {"type": "bar", "opacity": 0.5, "fill": "#0072B2", "stroke": "#D55E00"}
    assert ' opacity="0.5"' in pictures.svg(json.dumps(thin | {"mark": both}))  # fill and stroke lie over each other


def test_a_color_of_data_goes_a_third_of_the_way_to_white():
    # 0x08 = 8: 8 + .32 * 247 = 87.0; 0x30 = 48: 48 + .32 * 207 = 114.2; 0x6b = 107: 107 + .32 * 148 = 154.4.
    assert pictures.in_the_dark("#08306B") == "#57729a"
    assert pictures.in_the_dark("white") == pictures.in_the_dark("#fff") == pictures.GROUND
    assert pictures.in_the_dark("#123") == pictures.in_the_dark("#112233")


def test_every_color_stands_out_from_the_dark_ground():
    """Letters by 4.5 to 1, marks by 3 to 1, in every look that a study of up to nine variants of a role can have."""
    letters = ["black", "#000", theme.INK, theme.QUIET, theme.WARNING]
    assert min(contrast(pictures.in_the_dark(color), pictures.GROUND) for color in letters) >= 4.5
    looks = [theme.look_of(role, place)[0] for role in theme.LOOKS for place in range(9)]
    scales = [color for number in range(2, 12) for color in theme.category_colors(number)]
    parts = [color for _, color in component_figures._PARTS.values()]
    faint = {c: contrast(pictures.in_the_dark(c), pictures.GROUND) for c in [*looks, *scales, *parts, theme.BAND]}
    assert {color: ratio for color, ratio in faint.items() if ratio < 3} == {}


def test_the_points_of_a_scale_keep_their_order_in_the_dark():
    colors = theme.category_colors(6)
    light, dark = ([luminance(c) for c in found] for found in (colors, [pictures.in_the_dark(c) for c in colors]))
    assert sorted(range(6), key=light.__getitem__) == sorted(range(6), key=dark.__getitem__)


def test_every_color_of_the_committed_figures_has_its_rule():
    specs = [
        output["data"][theme.MIME]
        for path in NOTEBOOKS.glob("0[1-6]*.ipynb")
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", ())
        if theme.MIME in output.get("data", {})
    ]
    rules = pictures.rules(json.dumps(specs), ".drawn ")
    drawn = "".join(pictures.svg(json.dumps(spec)) for spec in specs)
    named = {color.lower() for color in re.findall(r'(?:fill|stroke)="(#\w+|white|black)"', drawn)}
    schemes = {c for c in named if f'"{c}" i' not in rules}
    # Vega's own blue and its ten colours of outlooks, which stand out as they are.
    assert min((contrast(color, pictures.GROUND) for color in schemes), default=9) >= 3
    assert '.drawn [fill="white" i] { fill: #14171b; }' in rules and '.drawn [stroke="#0072b2" i]' in rules


def test_a_picture_is_dark_where_the_screen_is_and_nowhere_else():
    drawn = pictures.svg(json.dumps(BARS))
    both = pictures.both_ways(drawn)
    style = re.search(r"<style>(.*?)</style>", both, re.DOTALL)[1]
    assert style.startswith("@media screen and (prefers-color-scheme: dark) {") and f'[fill="{theme.INK}" i]' in style
    assert both.replace(f"<style>{style}</style>", "") == drawn


@pytest.mark.parametrize("text", ['"#fff"</style><script>', "url(#gradient_1)", 'id="clip3"'])
def test_a_label_that_looks_like_style_stays_text(text):
    drawn = pictures.both_ways(pictures.svg(json.dumps(BARS | {"title": text})))
    assert drawn.count("</style>") == 1 and "<script" not in drawn
