"""From the raw text of a reply to a rating, or to the reason there is none."""

import re
from functools import lru_cache

#: Reasons for a missing rating, in the order in which they are tried. `absent` is an imported slot without a row.
REASONS = (
    "transport",
    "wrong_server",
    "filtered",
    "refusal",
    "truncated",
    "low_mass",
    "unparseable",
    "invalid",
    "absent",
)

_OPENING = r"[\s\"'`*_(\[{“‘«„]*"
_CLOSING = r"[\"'`*_)\]}”’»“]*"
_LEADING = re.compile(rf"{_OPENING}(?P<number>\d+){_CLOSING}(?P<rest>.*)", re.DOTALL)
# What may not follow: more of the same number, or a second number that makes the first one a range, a share or a doubt.
_MORE_NUMBER = re.compile(r"\w|\+|\s*(?:[½¼¾%‰°]|per\s?cent\b)", re.IGNORECASE)
_NUMBER_BESIDE = re.compile(r"(?P<between>[\W_]*)\d+(?P<after>[.)]?[*_ ]*[^\W\d_])?")
_NUMBER = r"(?:an?\W+)?(?:\d|(?:zero|two|three|four|five|six|seven|eight|nine|ten)\b)"
_RANGE_OR_SHARE = re.compile(
    rf"[^\w.:;!?]*(?:\.\.+\s*)?(?:points?\W+|stars?\W+)?(?:to|or|(?:out\W+)?of|through|until)[\W_]+(?:{_NUMBER}|one\W*$)"
    r"|\W*and\W+(?:\d|(?:an?\W+)?half\b)|\W*or\W+(?:more|less|higher|lower|above|below|so)\b(?!\s*\w)",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\W*(?:or\W+)?(?:maybe|perhaps|possibly|probably|rather|make\W+(?:that|it)|no|actually|wait|sorry|i\W+mean|almost)"
    rf"\W+{_NUMBER}",
    re.IGNORECASE,
)


@lru_cache(maxsize=65536)
def parse_reply(reply: str, low: int, high: int) -> int | None:
    """The rating a reply gives, or None: strict, so that no number is made up.

    The rule: the reply begins with the rating, an integer from `low` to `high`. Whitespace, quotes, brackets and
    markdown emphasis around it are tolerated, and whatever text follows is, unless it makes the number part of another
    one (4.5, 10, 4th), a range (3 to 4), a share (4/5) or a doubt (4, maybe 5). A second number with no word between is
    one of these, but for one that begins a new line of text (a numbered reason). A sign before it is not tolerated.

    On a scale from 0 to 5:

    ======================= ======  ============================ ======
    reply                   rating  reply                        rating
    ======================= ======  ============================ ======
    ``4``                   4       ``4.5``                      none
    ``␣4\\n``                4       ``10``                       none
    ``"4"``                 4       ``-3``                       none
    ``(4)``                 4       ``3 or 4``                   none
    ``[2]``                 2       ``3 to 4``                   none
    ``**3**``               3       ``0-5``                      none
    ``*3* because``         3       ``4/5``                      none
    ``5. Whether ...``      5       ``4 out of 5``               none
    ``3 - slightly agree``  3       ``4, maybe 5``               none
    ``4 (very relevant)``   4       ``6``                        none
    ``0: strongly``         0       ``I would say 4``            none
    ``5, as a nurse``       5       ``Rating: 4``                none
    ``2\\n\\nI am 41.``       2       ``four``                     none
    ``1; no``               1       (empty)                      none
    ``__0__``               0       ``4th``                      none
    ``4 points``            4       ``4 (out of 5)``             none
    ``4 as 3 is too low``   4       ``4 and a half``             none
    ``4\\n\\n1. Harm counts``  4       ``5\\n4``                     none
    ======================= ======  ============================ ======
    """
    match = _LEADING.match(reply)
    if not match:
        return None
    number, rest = match["number"], match["rest"]
    if not number.isascii() or len(number) > len(str(high)) or not low <= int(number) <= high:
        return None
    # "05" is not how a scale from 0 to 5 is answered.
    if number != str(int(number)):
        return None
    if _MORE_NUMBER.match(rest) or _RANGE_OR_SHARE.match(rest) or _DOUBT.match(rest):
        return None
    beside = _NUMBER_BESIDE.match(rest)
    if beside and not ("\n" in beside["between"] and beside["after"]):
        return None
    return int(number)


@lru_cache(maxsize=65536)
def published_rule(reply: str, low: int, high: int) -> int | None:
    """The rating that the paper's rule reads: the first point of the scale that stands alone, anywhere in the reply.

    Used only to check imported ratings against the replies beside them.
    """
    match = re.search(rf"\b(?:{'|'.join(map(str, range(low, high + 1)))})\b", reply)
    return int(match.group()) if match else None


def missing_reason(reply: str | None, *, finish_reason: str | None = None, refused: bool = False) -> str:
    """Why an answer that arrived gives no rating; the first that applies, in the order of `REASONS`."""
    if finish_reason == "content_filter":
        return "filtered"
    if refused:
        return "refusal"
    if not (reply or "").strip() and finish_reason == "length":
        return "truncated"
    return "unparseable"
