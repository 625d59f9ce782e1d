"""From the raw text of a reply to a rating, or to the reason there is none."""

import re
import unicodedata
from collections.abc import Iterable
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
_THINKING = re.compile(
    r"<(think|thinking|thought|reasoning)>.*?</\1>|\[THINK\].*?\[/THINK\]|◁think▷.*?◁/think▷", re.DOTALL | re.IGNORECASE
)
#: Thinking whose opening tag the chat template had already written, so that the reply holds the closing one alone.
_THOUGHT = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|◁/think▷", re.IGNORECASE)
#: Thinking that never came to an end.
_TAGS = ("<", "[", "◁")  #: what any of them begins with
_UNCLOSED = re.compile(r"\s*(<(think|thinking|thought|reasoning)>|\[THINK\])", re.IGNORECASE)
_DIGIT = re.compile(r"\d")  # of any script
_INVISIBLE = re.compile("[\ufeff\u200b-\u200f\u2060\u00ad]|&nbsp;", re.IGNORECASE)
# Where a sentence or a clause ends.
_BOUNDARY = re.compile(r"[.!?;:,]\s|\n|\s(?:-|–|—|--)\s")
# A number by itself: no part of 1,200, of DSM-5, or of Romans 13:4.
_POINT = re.compile(r"(?<![\w.,])(?<![^\W\d_]-)(?<!\d:)\d+(?!\w|,\d{3}\b|:\d)")
# What a number counts, so that it is no rating: "3 things matter here", "5 years ago".
_COUNTED = re.compile(
    r"[ \t]+(?:(?:main|key|major|important|different|other|more|of)\s+)?"
    r"(?:years?|months?|weeks?|days?|hours?|minutes?|times?|things?|people|persons?|men|women|children|kids|reasons?|factors?"
    r"|considerations?|aspects?|ways?|cases?|examples?|steps?)\b"
    r"|[ \t]+of\s+(?:my|our|your|his|her|their|the|these|those|us|them)\b|[ \t]+\w+\s\d+:\d",  # or a book: 1 Peter 2:17
    re.IGNORECASE,
)
# What stands between a number and its label, and how far a label is looked for.
_BESIDE = re.compile(r"^[\s*_)\]]*[=:(–—.,-]?[\s\"'“”‘’*_]*")
_LONGEST = 200
_STEP = re.compile(r"\b(?:step|point|part|reason)\s$", re.IGNORECASE)
_NUMBERED = re.compile(r"\b(?:day|week|month|year|grade|chapter|verse|page|article)\s$", re.IGNORECASE)
# Words in which another rating is given: "I rate this a", "my rating is".
_VERDICT = re.compile(
    r"\b(?:I|my)\b(?![^.!?\n]{0,12}(?:not|n['’]t)\b)[^.!?\n]{0,12}\b(?:rate|give|choose|pick|score|answer|say|rating)\w*\b[^.!?\n]{0,16}$",
    re.IGNORECASE,
)
# A list whose first number would be taken for a rating: "1. Harm ...", and a line further down "2. Intent ...".
_LIST_NUMBER = re.compile(r"[.)]\s*\S")
_LISTED = re.compile(r"^[ \t*_>(-]{0,20}\d+[.)]", re.MULTILINE)
_SECOND_THOUGHT = re.compile(
    r"\b(?:wait|actually|reconsider\w*|rather|instead|sorry|correct(?:ion|ed)|change\w*|maybe|perhaps)\b", re.IGNORECASE
)
# A second thought at once.
_AT_ONCE = re.compile(r"\W*(?:wait|actually|hmm+|on second thought|let me re\w+|sorry|correction|no,)", re.IGNORECASE)
#: Letters behind a second thought in which another point is taken for the answer that was meant.
_REACH = 80
#: Points of a scale and the words that a prompt gives them.
Labels = tuple[tuple[int, str], ...]


@lru_cache(maxsize=65536)
def parse_reply(reply: str, low: int, high: int, labels: Labels = (), *, cut: bool = False) -> int | None:
    """The rating a reply gives, or None: strict, so that no number is made up.

    The rule: without closed thinking blocks, invisible characters and markup, and with digits of any script read as digits, the
    reply begins with the rating, an integer from `low` to `high` that is no part of a larger number (4.5, 10, 4th), a range
    (3 to 4, 3 bis 4), a share (4/5) or a doubt (4, maybe 5). No sign before it is tolerated. Another point of the scale may
    follow only as a mention: after the end of a sentence or a clause, with a word after it, and not within 80 letters of a
    second thought (wait, actually, instead, sorry, ...). "A scale of low to high", numbers of a list and the rating itself are
    passed over. A reply in which another point stands beside a label of the scale (`labels`) recites the scale, and so does one
    that was `cut` by its length right behind a label: neither gives a rating. Nor does a reply whose number stands beside the
    label of another point (0 = very relevant), as one of the two is wrong; nor one whose number counts something (3 things
    matter) or begins a list (1. Harm, and further down 2. Intent).

    On a scale from 0 to 5, with the label "not at all relevant":

    ============================ ======  ================================ ======
    reply                        rating  reply                            rating
    ============================ ======  ================================ ======
    ``4``                        4       ``4.5``                          none
    ``␣4\\n``                     4       ``10``                           none
    ``"4"``                      4       ``-3``                           none
    ``(4)``                      4       ``3 or 4``                       none
    ``[2]``                      2       ``3 to 4``                       none
    ``**3**``                    3       ``0-5``                          none
    ``*3* because``              3       ``4/5``                          none
    ``5. Whether ...``           5       ``4 out of 5``                   none
    ``3 - slightly agree``       3       ``4, maybe 5``                   none
    ``4 (very relevant)``        4       ``6``                            none
    ``0: strongly``              0       ``I would say 4``                none
    ``5, as a nurse``            5       ``Rating: 4``                    none
    ``2\\n\\nI am 41.``            2       ``four``                         none
    ``1; no``                    1       (empty)                          none
    ``__0__``                    0       ``4th``                          none
    ``4 points``                 4       ``4 (out of 5)``                 none
    ``4\\n\\n1. Harm counts``      4       ``5\\n4``                         none
    ``4. I see 2 people``        4       ``4 as 3 is too low``            none
    ``4, because 5 is a lot``    4       ``4. Wait, let me see: 2``       none
    ``<think>2?</think>4``       4       ``4 (closer to 5)``              none
    ``４``                        4       ``3 bis 4``                      none
    ``0 = not at all relevant``  0       ``0 = not at all, 1 = not very`` none
    ``4 - very relevant``        4       ``0 = very relevant``            none
    ``2?</think>4``              4       ``3 things matter here``         none
    ============================ ======  ================================ ======
    """
    text = plain(reply)
    match = _LEADING.match(text)
    if not match:
        return None
    number, rest = match["number"], match["rest"]
    if len(number) > len(str(high)) or not low <= int(number) <= high:
        return None
    # "05" is not how a scale from 0 to 5 is answered.
    if number != str(int(number)):
        return None
    if _MORE_NUMBER.match(rest) or _RANGE_OR_SHARE.match(rest) or _DOUBT.match(rest):
        return None
    beside = _NUMBER_BESIDE.match(rest)
    if beside and not ("\n" in beside["between"] and beside["after"]):
        return None
    if _COUNTED.match(rest) or _begins_list(text, match) or (cut and _AT_ONCE.match(rest)):
        return None
    if (named := _label(rest, labels)) and (int(number), named) not in _folded(labels):
        return None
    if _another_answer(rest, int(number), low, high, labels) or (cut and _ends_with_label(rest, labels)):
        return None
    return int(number)


def unrated(replies: Iterable[tuple[str, str | None]], scale: tuple[int, int], labels: Labels) -> list[str]:
    """Of replies with the reasons why they ended those that give no rating."""
    return [reply for reply, end in replies if parse_reply(reply, *scale, labels, cut=end == "length") is None]


def plain(reply: str) -> str:
    """A reply without closed thinking and invisible characters, its digits those of ASCII."""
    text = reply
    if any(begins in text for begins in _TAGS):  # to look for them takes a hundred times as long as to see that none begins
        text = _THOUGHT.split(_THINKING.sub("", text))[-1]
    if "&" in text or not text.isascii():
        text = _INVISIBLE.sub("", text)
    return text if text.isascii() else _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)


def _begins_list(text: str, match: re.Match[str]) -> bool:
    """Whether the number is that of a list's first entry: a line further down begins with the next one."""
    before, behind = text[: match.start("number")], text[match.end("number") :]
    following = rf"^[ \t*_]{{0,8}}{int(match['number']) + 1}[.)]"
    return bool("(" not in before and _LIST_NUMBER.match(behind) and re.search(following, behind, re.MULTILINE))


def _is_point(number: str, low: int, high: int) -> bool:
    return len(number) <= len(str(high)) and low <= int(number) <= high


def _another_answer(rest: str, rating: int, low: int, high: int, labels: Labels) -> bool:
    """Whether what follows the rating holds another point of the scale that is no mention in passing."""
    if not _DIGIT.search(rest):
        return False
    others = [found for found in _POINT.finditer(rest) if _is_point(found[0], low, high) and int(found[0]) != rating]
    if not others:
        return False
    between = rf"{low}\b[^\d\n]{{1,40}}{high}\b"
    words = r"(?:scale|range)\b"
    named = rf"\b{words}[^\d\n]{{0,12}}{between}|\b{low}\b\W{{0,3}}(?:to\W{{1,3}})?{high}\b[-\s]*(?:points?\s)?{words}"
    scale = [m.span() for m in re.finditer(named, rest, re.IGNORECASE)]
    listed = {m.end() for m in _LISTED.finditer(rest)}
    ends = _BOUNDARY.search(rest)
    for found in others:
        start, end = found.span()
        if end + 1 in listed or any(a <= start < b for a, b in scale):
            continue
        before = rest[max(0, start - _REACH) : start]
        if (_STEP.search(before[-12:]) and rest[end : end + 1] in (":", ".")) or _NUMBERED.search(before[-12:]):
            continue
        behind = rest[end : end + _REACH]
        mention = ends is not None and ends.start() < start and re.match(r"[*_\"')\]]*(?:\s+|-)[^\W\d_]", behind)
        if not mention or _labelled(behind, labels) or _SECOND_THOUGHT.search(before) or _VERDICT.search(before):
            return True
    return False


@lru_cache(maxsize=64)
def _folded(labels: Labels) -> set[tuple[int, str]]:
    return {(point, label.casefold()) for point, label in labels}


def _label(behind: str, labels: Labels) -> str:
    """The label that stands right behind a number, the longest that fits, in small letters; nothing where none does."""
    words = _BESIDE.sub("", behind[:_LONGEST]).casefold()
    return max((label for _, label in _folded(labels) if words.startswith(label)), key=len, default="")


def _labelled(behind: str, labels: Labels) -> bool:
    """Whether a number is followed by the label of a point of the scale: by an equals sign, or by its words."""
    return bool(re.match(r"[\s*_)\]]*=", behind)) or bool(_label(behind, labels))


def _ends_with_label(rest: str, labels: Labels) -> bool:
    """Whether a reply breaks off in a label of the scale, or right behind it: a recital that ran out of tokens."""
    words = _BESIDE.sub("", rest[:_LONGEST]).rstrip(" \n\t,;.)\\").casefold()
    return bool(words) and any(label.startswith(words) for _, label in _folded(labels))


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
    if finish_reason == "length" and (not (reply or "").strip() or _UNCLOSED.match(plain(reply or ""))):
        return "truncated"
    return "unparseable"
