"""Figures as still pictures, and what their colours become where a reader's screen is dark.

Nothing is drawn again for the dark: rules for the colours that a drawing names stand in its own style, or in that of the page
around it, so that they follow the reader's choice without script, and paper and saved pictures stay light.
"""

import re

from persona_collapse.exhibits.theme import GRID, INK, QUIET, WARNING, WEB

#: The ground of a dark page, as page.css has it.
GROUND = "#14171b"
_LETTERS = "#e4e7eb"
#: What is not data: ground and halos, letters, lines.
_OTHERWISE = {
    "white": GROUND, "#fff": GROUND, "black": _LETTERS, "#000": _LETTERS, INK: _LETTERS, QUIET: "#a7b0ba",
    WARNING: "#ffb38a", GRID: "#383e46", "#ddd": "#383e46", WEB: "#4a515a",
}  # fmt: skip
#: How far colours of data go towards white: all alike, so that those of a scale keep their order, and so far that the darkest
#: stands out from the ground by 3 to 1.
_TOWARDS_WHITE = 0.32
_COLOR = re.compile(r'"(#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6}|white|black)"')
_START = re.compile(r"<svg [^>]*>")
#: The engine counts these through all that it has drawn.
_NUMBERED = re.compile(r'(id="|url\(#)((?:gradient_|clip)\d+)\b')

_PATH, _ATTRIBUTE = re.compile(r'<path(?: [\w:-]+="[^"]*")*/>'), re.compile(r' ([\w:-]+)="([^"]*)"')


def svg(spec: str) -> str:
    """A figure (Vega-Lite as JSON) as SVG; the same text whatever was drawn before."""
    import vl_convert

    # To forbid addresses here would start the library's engine anew for every figure.
    drawn = vl_convert.vegalite_to_svg(spec)
    numbers: dict[str, str] = {}
    drawn = _NUMBERED.sub(lambda match: match[1] + numbers.setdefault(match[2], f"part-{len(numbers)}"), drawn)
    return _PATH.sub(_plain, drawn)


def _plain(path: re.Match[str]) -> str:
    """A path that looks the same and costs less: every opacity of its own is a sheet that is laid over the picture."""
    found = dict(_ATTRIBUTE.findall(path[0]))
    if found.get("opacity") == "0":
        return ""  # it was there to be hit by a pointer
    text = path[0].replace(' stroke-dasharray="1,0"', "")
    painted = [name for name in ("fill", "stroke") if name in found]
    if "opacity" in found and len(painted) == 1 and f"{painted[0]}-opacity" not in found:
        text = text.replace(' opacity="', f' {painted[0]}-opacity="')
    return text


def in_the_dark(color: str) -> str:
    """What a color becomes on a dark ground: both as figures name it, #rrggbb, #rgb, white or black."""
    if found := _OTHERWISE.get(color.lower()):
        return found
    parts = color[1:] if len(color) == 7 else "".join(2 * letter for letter in color[1:])
    whole = (int(parts[place : place + 2], 16) for place in (0, 2, 4))
    return "#" + "".join(f"{round(part + (255 - part) * _TOWARDS_WHITE):02x}" for part in whole)


def rules(drawn: str, within: str = "") -> str:
    """CSS for every color that figures (Vega-Lite or SVG) name, below the elements that `within` selects."""
    colors = sorted({color.lower() for color in _COLOR.findall(drawn)} | {"white", "black", "#000", "#ddd"})
    return "\n".join(
        f'{within}[{part}="{color}" i] {{ {part}: {in_the_dark(color)}; }}' for color in colors for part in ("fill", "stroke")
    )


def both_ways(drawn: str) -> str:
    """An SVG that is light, and dark where its reader's screen is."""
    style = f"<style>@media screen and (prefers-color-scheme: dark) {{ {rules(drawn)} }}</style>"
    return _START.sub(lambda match: match[0] + style, drawn, count=1)
