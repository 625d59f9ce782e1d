"""Text as it stands on a page: Markdown with formulae as MathML, and JSON inside a script, both harmless whatever they hold."""

import json
import re
from typing import Any

import mistune
from latex2mathml.converter import convert as to_mathml
from mistune.plugins.math import math as math_plugin


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element whatever its strings hold."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def markdown(text: str) -> str:
    """Markdown as HTML; raw HTML in it is shown as text, formulae become MathML."""
    renderer = mistune.HTMLRenderer(escape=True)
    parser = mistune.create_markdown(renderer=renderer, plugins=["table", math_plugin])
    # The plugin registers renderers of its own for MathJax; ours write MathML.
    renderer.register("inline_math", lambda _, text: to_mathml(text))
    renderer.register("block_math", lambda _, text: to_mathml(text, display="block"))
    # Links between notebooks lead nowhere from the appendix.
    return re.sub(r'<a href="[^"]*\.ipynb">(.*?)</a>', r"\1", str(parser(text)))


def plain(text: str) -> str:
    """Markdown without its marks, on one line, as alternative text needs it."""
    without = re.sub(r"(?<!\\)(\*\*|\*|`|\$)", "", re.sub(r"(?m)^\s*(?:[-*>]|#+)\s+", "", text))
    return " ".join(re.sub(r"\\([\\`*_\[\]<>|&#~$])", r"\1", without).split())
