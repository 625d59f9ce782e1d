"""Draw docs/verdict.svg, the picture of the README, from the demo: `make picture` after what the verdict shows has changed."""

import json
from pathlib import Path

import vl_convert

import persona_collapse as pc
from persona_collapse.exhibits.theme import spec

PICTURE = Path(__file__).with_suffix(".svg")


def drawn() -> str:
    """The verdict on the variants of the demo, as SVG."""
    return str(vl_convert.vegalite_to_svg(json.dumps(spec(pc.figures.verdict(pc.open_study("demo"))))))


if __name__ == "__main__":
    PICTURE.write_text(drawn() + "\n", encoding="utf-8")
