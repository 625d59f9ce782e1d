"""From the reply to a task to its answer, by a stated rule: behind the last marker, from the last box, or the whole reply.

- `whole`: the reply is the answer. A letter may stand in brackets or be followed by `.`, `)` or `:` and the words of its choice;
  a number may have a currency or a percent sign.
- `marker`: what is read is the rest of the line behind the last `Answer:` (or `####`, as GSM8K writes it): its last number, or
  the letter that it begins with. Without a marker there is no answer.
- `boxed`: the same of what stands in the last `\\boxed{...}`.

A reply that the rule cannot read has no answer; that is a result, it is counted as wrong, and nobody is asked again for it.
"""

import re
from fractions import Fraction
from functools import lru_cache

#: Letters of choices.
LETTERS = "ABCDEFGHIJ"
_MARKER = re.compile(r"(?:\banswer\b\s*(?:is\s*)?[:=]|####)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
#: A number: digits with thousands set off by commas, a decimal point, a fraction; not part of a word.
_NUMBER = re.compile(r"(?<![\w.])[-\u2212+]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?/\s?[1-9]\d*)?(?![\w/]|,\d{3}|\.\d)")
_ROUND = "*_`$ \t\r\n\"'“”"
_LETTER = re.compile(rf"[\s*_`\"'(\[{{$]*(?:\\text\{{)?([{LETTERS}])(?:[\s*_`\"')\]}}.!$]*$|[\s*_`]*[.):\]][\s*_`].*)", re.DOTALL)
_UNIT = re.compile(r"[$€£¥%°]|\\[%$]")


@lru_cache(maxsize=100_000)
def read_answer(reply: str, kind: str, rule: str, choices: int = 0) -> str:
    """The answer of a reply: a letter of the first so many, or a number in its shortest form; empty where it gives none."""
    part = _part(reply, rule)
    if part is None:
        return ""
    part = part.replace("{,}", ",").replace("\\,", "").replace("\\!", "")  # how TeX writes thousands
    if kind == "choice":
        found = _LETTER.match(part)
        return found[1] if found and found[1] in LETTERS[:choices] else ""
    if rule == "whole":
        return number_in(_UNIT.sub("", part).strip(_ROUND).removesuffix(".")) or ""
    numbers = _NUMBER.findall(_UNIT.sub("", part))
    return (number_in(numbers[-1]) or "") if numbers else ""


def _part(reply: str, rule: str) -> str | None:
    """The part of a reply that holds its answer; None where there is no marker, or no box."""
    if rule == "whole":
        return reply.strip()
    if rule == "boxed":
        boxes = _BOXED.findall(reply)
        return boxes[-1].strip() if boxes else None
    marks = list(_MARKER.finditer(reply))
    if not marks:
        return None
    behind = reply[marks[-1].end() :].strip(_ROUND)
    return behind.split("\n")[0]


def number_in(text: str) -> str | None:
    """A text that is one number, in its shortest form: 1,200.50 and 1200.5 are the same, and so are 2/4 and 0.5."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    value = Fraction(re.sub(r"[,\s]", "", text).replace("\u2212", "-"))
    return _shortest(value)


def _shortest(value: Fraction) -> str:
    """As a whole or decimal number where that is exact, else as a fraction."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return str(value)
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    whole = f"{abs(int(value * 10**digits)):0{digits + 1}d}"
    sign = "-" * (value < 0)
    return f"{sign}{whole[:-digits]}.{whole[-digits:]}" if digits else f"{sign}{whole}"
