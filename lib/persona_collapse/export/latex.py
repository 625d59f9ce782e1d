"""Tables as LaTeX: booktabs rules, siunitx columns, every foreign letter escaped."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

#: What a document needs to take these tables in.
PACKAGES = ("booktabs", "longtable", "array", "siunitx")
#: More rows than this break over pages.
MOST_ROWS = 34

#: A cell that stays white, where an empty one is a number that is missing.
NOTHING = " "

#: A text column with a longer cell breaks its lines.
_LONG = 30

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}",
    "–": "--", "—": "---", "…": r"\ldots{}", "‘": "`", "’": "'", "“": "``", "”": "''", "«": r"\guillemotleft{}",
    "»": r"\guillemotright{}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}",
    "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "°": r"\textdegree{}", "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}", "·": r"\ensuremath{\cdot}", "µ": r"\ensuremath{\mu}", "−": r"\ensuremath{-}",
    "≤": r"\ensuremath{\leq}", "≥": r"\ensuremath{\geq}", "§": r"\S{}", "†": r"\textdagger{}", "©": r"\textcopyright{}",
    "\u00a0": " ",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".", "\u0308": '"',
    "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0328": "k",
}  # fmt: skip
_NUMBER = re.compile(r"(?P<sign>-?)(?P<whole>\d+)(?:\.(?P<decimals>\d+))?(?: \+- (?P<error>\d+(?:\.\d+)?))?")


class Column(NamedTuple):
    """A column: its heading, the heading that it shares with its neighbours, and whether it holds numbers.

    `wide` is the width of a text column whose lines are broken, in centimetres.
    """

    heading: str
    group: str = ""
    number: bool = True
    wide: float | None = None


@dataclass(frozen=True)
class LatexTable:
    """A table as it is printed. Cells are plain text; numbers are written out, as ``1.23`` or ``1.23 +- 0.04``."""

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    parts: Sequence[int] = field(default=())  # rows before which a little space stands
    joined: Sequence[int] = field(default=())  # rows that no page may end with


def escape(text: str) -> str:
    """Any text as LaTeX that prints it and does nothing else, in every engine.

    Letters with accents are written with accents; control characters become spaces; what common fonts lack is printed as
    its number, [U+4E2D].
    """
    found: list[str] = []
    before = ""
    for letter in unicodedata.normalize("NFC", text):
        # Two of these in a row would become a dash or a quotation mark.
        found.append(("{}" if letter == before and letter in "-,'" else "") + _letter(letter))
        before = letter
    return "".join(found)


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if " " <= letter <= "~":
        return letter
    if letter in "\t\n\r":
        return " "
    plain, *accents = list(unicodedata.normalize("NFD", letter))
    if len(accents) == 1 and accents[0] in _ACCENTS and plain.isascii() and plain.isalpha():
        return rf"\{_ACCENTS[accents[0]]}{{{plain}}}"
    return f"{{[}}U+{ord(letter):04X}{{]}}"


def label(text: str) -> str:
    """A label or file name of letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def number(value: float | None, digits: int, error: float | None = None) -> str:
    """A rounded number for a cell, with its error if there is one; empty where there is no number."""
    if value is None or value != value:
        return ""
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    text = f"{value:.{digits}f}"
    text = text.removeprefix("-") if not text.strip("-0.") else text  # no minus zero
    finite = error is not None and error == error and error != float("inf")
    return f"{text} +- {error:.{digits}f}" if finite else text


def render(table: LatexTable, prefix: str) -> str:
    """A table as LaTeX: a float, or a longtable where it is longer than a page; its label is tab:<prefix>-<name>."""
    formats = [_format(column, [row[i] for row in table.rows]) for i, column in enumerate(table.columns)]
    head = _head(table.columns)
    caption = rf"\caption{{{escape(table.caption)}}}\label{{tab:{label(prefix)}-{label(table.name)}}}"
    body = []
    joined = set(table.joined)
    for place, row in enumerate(table.rows):
        if place in table.parts and place:
            body.append(r"\addlinespace")
        cells = " & ".join(_cell(c, text) for c, text in zip(table.columns, row, strict=True))
        body.append(cells + r" \\" + "*" * (place in joined))
    rows = "\n".join(body)
    columns = "".join(formats)
    setup = r"\footnotesize\setlength{\tabcolsep}{4pt}\sisetup{separate-uncertainty=true,table-align-uncertainty=false}"
    opening = "% needs \\usepackage{" + ",".join(PACKAGES) + "}\n"
    if len(table.rows) > MOST_ROWS:
        return (
            f"{opening}\\begingroup{setup}\\setlength{{\\LTcapwidth}}{{\\linewidth}}\n"
            f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}\n"
            f"{caption} \\\\[4pt]\n\\toprule\n{head}\n\\midrule\n\\endfirsthead\n\\toprule\n{head}\n\\midrule\n\\endhead\n"
            f"\\bottomrule\n\\endfoot\n{rows}\n\\end{{longtable}}\n\\endgroup\n"
        )
    return (
        f"{opening}\\begin{{table}}[htbp]\n\\centering{setup}\n{caption}\\vspace{{4pt}}\n\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n"
        f"\\toprule\n{head}\n\\midrule\n{rows}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def document(title: str, note: str, files: Sequence[str]) -> str:
    """A document of its own that takes in every table file beside it."""
    inputs = "\n".join(f"\\input{{{name}}}" for name in files)
    return (
        "\\documentclass[10pt,a4paper]{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n"
        "\\IfFileExists{lmodern.sty}{\\usepackage{lmodern}}{}\n"
        "\\usepackage[landscape,margin=18mm]{geometry}\n"
        "\\usepackage{" + ",".join(PACKAGES) + "}\n"
        "\\setcounter{totalnumber}{9}\\setcounter{topnumber}{9}\\renewcommand{\\topfraction}{.99}\\renewcommand{\\textfraction}{.01}\n"
        f"\\begin{{document}}\n\\section*{{{escape(title)}}}\n{escape(note)}\n\n{inputs}\n\\end{{document}}\n"
    )


def _format(column: Column, cells: Sequence[str]) -> str:
    """The column type: text to the left, numbers aligned on the decimal point."""
    if not column.number:
        if column.wide is None and max(map(len, cells), default=0) > _LONG:
            column = column._replace(wide=4.5)
        return "l" if column.wide is None else rf">{{\raggedright\arraybackslash}}p{{{column.wide:g}cm}}"
    found = [match for cell in cells if (match := _NUMBER.fullmatch(cell))]
    whole = max((len(m["whole"]) for m in found), default=1)
    decimals = max((len(m["decimals"] or "") for m in found), default=0)
    sign = "-" if any(m["sign"] for m in found) else ""
    errors = [len((m["error"]).replace(".", "").lstrip("0")) or 1 for m in found if m["error"]]
    error = f"({max(errors)})" if errors else ""
    return f"S[table-format={sign}{whole}{'.' + str(decimals) if decimals else ''}{error}]"


def _head(columns: Sequence[Column]) -> str:
    """One or two lines of headings; a shared one spans its columns."""
    lines, spans, rules, at = [], [], [], 0
    while at < len(columns):
        end = at + 1
        while columns[at].group and end < len(columns) and columns[end].group == columns[at].group:
            end += 1
        spans.append(rf"\multicolumn{{{end - at}}}{{c}}{{{escape(columns[at].group)}}}" if columns[at].group else "")
        if columns[at].group:
            rules.append(rf"\cmidrule(lr){{{at + 1}-{end}}}")
        at = end
    if rules:
        lines.append(" & ".join(spans) + r" \\" + "\n" + "".join(rules))
    lines.append(" & ".join(f"{{{escape(column.heading)}}}" for column in columns) + r" \\")
    return "\n".join(lines)


def _cell(column: Column, text: str) -> str:
    if text == NOTHING:
        return ""
    if not column.number:
        return f"{{{escape(text)}}}" if text else ""
    if not text:
        return "{--}"
    if text in ("inf", "-inf"):
        return "{$" + text.replace("inf", r"\infty") + "$}"
    if re.search(r" \+- 0(\.0*)?$", text):
        return "{$" + text.replace("+-", r"\pm") + "$}"  # siunitx would drop an error of 0
    return text if _NUMBER.fullmatch(text) else f"{{{escape(text)}}}"
