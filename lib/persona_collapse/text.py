"""Text from outside, made harmless: characters that act on a screen, markup of Markdown, lines that are too long."""

import json
import re
import textwrap
import unicodedata
from typing import Any

#: C0 and C1 controls but tab and newline, line and paragraph separators, bidirectional embeddings, overrides and isolates,
#: and halves of characters, which no file of UTF-8 can hold.
#: The marks U+200E and U+200F and the joiners, which names need in some scripts, stay.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Letters without a shape of their own: fillers of Hangul, the blank of Braille, variation selectors.
_SHAPELESS = re.compile("[\u115f\u1160\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
#: Letters of a line, and of a text that is shown in a few lines.
LINE, LONGEST = 88, 260


def tamed(text: str) -> str:
    """`text` with every such character as U+FFFD, so that it can be seen and does nothing."""
    return CONTROLS.sub("\ufffd", text)


def whole(text: str) -> str:
    """`text` with halves of characters, as a broken reply may hold, as U+FFFD: everything else stays."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def visible(text: str) -> str:
    """What a reader sees of a text: without invisible characters, and every white space as one blank."""
    plain = "".join(letter for letter in text if letter.isspace() or unicodedata.category(letter) not in ("Cf", "Cc"))
    return " ".join(_SHAPELESS.sub("", plain).split())


def tamed_within(value: Any) -> Any:
    """A JSON value with every text in it tamed; keys, which are ours, stay."""
    if isinstance(value, str):
        return tamed(value)
    if isinstance(value, dict):
        return {key: tamed_within(inner) for key, inner in value.items()}
    return [tamed_within(inner) for inner in value] if isinstance(value, list) else value


def safe(text: object) -> str:
    """Text from a study file, a deck or a model as it stands in Markdown: no character of it is markup."""
    return re.sub(r"([\\`*_\[\]<>|&#~$])", r"\\\1", tamed(str(text))).replace("\n", " ")


def escape_markdown(text: str) -> str:
    """Any text as Markdown that shows it on one line and does nothing else."""
    found = "".join(letter if letter.isprintable() else " " for letter in text)
    for letter in "\\`*_[]<>#|!~":
        found = found.replace(letter, "\\" + letter)
    return found.replace("&", "&amp;")


def as_yaml(text: str) -> str:
    """A text as YAML takes it inside braces: plain where nothing in it means anything there, else in double quotes."""
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII)
    words = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
    return text if plain and text.lower() not in words else json.dumps(tamed(text), ensure_ascii=False)


def wrapped(text: str, *, longest: int = LONGEST) -> list[str]:
    """A text as lines of at most `LINE` letters, without characters that act, cut where it is too long to be read here."""
    plain = " ".join(tamed(text).split())
    plain = plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"
    return textwrap.wrap(plain, LINE, subsequent_indent="    ") or [""]
