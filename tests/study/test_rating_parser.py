"""From a reply to a rating: strict, so that no number is made up."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from persona_collapse.study.rating_parser import REASONS, missing_reason, parse_reply, published_rule

LABELS = tuple(
    enumerate(
        (
            "not at all relevant",
            "not very relevant",
            "slightly relevant",
            "somewhat relevant",
            "very relevant",
            "extremely relevant",
        )
    )
)
TABLE = [
    ("" if written == "(empty)" else written.strip("`").replace("␣", " ").replace(r"\n", "\n"), rating)
    for written, rating in re.findall(r"(``.+?``|\(empty\)) +(\d|none)\b", parse_reply.__doc__)
]


def test_the_docstring_table_is_read_whole():
    rows = [line for line in parse_reply.__doc__.splitlines() if re.match(r" *``", line)]
    assert len(TABLE) == 2 * len(rows) == 48


@pytest.mark.parametrize(("reply", "rating"), TABLE, ids=repr)
def test_docstring_table(reply, rating):
    assert parse_reply(reply, 0, 5, LABELS) == (None if rating == "none" else int(rating))


RATINGS = {
    "alone": [("0", 0), ("1", 1), ("5", 5)],
    "space around": [(" 3", 3), ("\n\n3", 3), ("3   ", 3), ("\t3\r\n", 3), ("\xa03", 3), ("3\u200b", 3)],
    "quotes": [("'4'", 4), ("“4”", 4), ("‘4’", 4), ("«4»", 4), ("„4“", 4), ('"4', 4), ("```4```", 4), ("```\n4\n```", 4)],
    "brackets": [("{4}", 4), ("[ 4 ]", 4), ("((4))", 4), ("(4", 4), ("4)", 4), ("(4).", 4)],
    "emphasis": [("**4**", 4), ("*4*", 4), ("_4_", 4), ("***4***", 4), ("**4", 4), ("**4**: it matters", 4), ("* 4", 4)],
    "punctuation": [("4.", 4), ("4!", 4), ("4:", 4), ("4;", 4), ("4,", 4), ("4-", 4), ("4 -", 4), ("4...", 4)],
    # A question mark after the only number there is makes no other number of it.
    "one number, unsure": [("4?", 4), ("4, maybe", 4), ("4, I think", 4), ("4 (perhaps)", 4)],
    "explanation": [
        ("5. Whether or not someone was cruel", 5),
        ("5.Whether", 5),
        ("3 - slightly agree", 3),
        ("3 – slightly agree", 3),
        ("3-slightly agree", 3),
        ("4 (very relevant)", 4),
        ("0 = not at all relevant", 0),
        ("4 -- because", 4),
        ("4\nbecause", 4),
        ("4, as 5 is too much", 4),
        ("4 points", 4),
        ("5, as a nurse of 30 years", 5),
        ("5. No one should suffer.", 5),
        ("5, one of the worst things", 5),
        ("4 or very relevant", 4),
        ("4, or more precisely: it matters", 4),
        ("4 and a good reason", 4),
        ("4 to me", 4),
        ("4 of course", 4),
        ("4 😀", 4),
        ("4\n\nI have seen 100 cases.", 4),
    ],
    "numbered reasons": [
        ("4\n\n1. Harm matters", 4),
        ("4\n1) Harm matters", 4),
        ("4\n\n**1.** Harm matters", 4),
        ("4\n- 2 people", 4),
        ("4\n\nStep 1: Identify the harm. Step 2: Weigh it.", 4),
        ("(4)\n\n5) people", 4),
        ("4\n\n40 years of nursing", 4),
        ("5\n\nMen and women are different", 5),
    ],
    "thinking": [
        # Some chat templates write the opening tag themselves, so that the reply holds the closing one alone.
        ("So 3? A nurse would say 5.</think>\n\n4 - very relevant", 4),
        ("4 at first.</think>5", 5),
        ("◁think▷2◁/think▷**4**", 4),
        ("<think>2? no, 3</think>4", 4),
        ("<think>\n\n</think>\n\n**4**", 4),
        ("[THINK]5[/THINK]4", 4),
    ],
    "invisible": [("\ufeff4", 4), ("\u200b4", 4), ("&nbsp;4", 4), ("\u200e4\u200f", 4)],
    "other scripts": [("４", 4), ("５", 5), ("٣", 3), ("४", 4), ("𝟒", 4), ("４．", 4)],
    "mentions": [
        ("4. Because the persona cares about 2 people who depend on her", 4),
        ("4, as a mother of 3 children", 4),
        ("4, because 5 would be too much", 4),
        ("4. On a scale of 0 to 5 this is high.", 4),
        ("4. On the scale from 0 (not at all) to 5 I choose this.", 4),
        ("4 - very relevant", 4),
        ("4 = very relevant", 4),
        ("0 = not at all relevant", 0),
        ("5. Romans 13 says so, and 2 others agree", 5),
        ("4. A study of 1,200 adults says so", 4),
        ("4. ICD-11 and DSM-5 name it", 4),
        ("4 (on the 0-5 scale). It is very relevant.", 4),
        ("4, on the 0 to 5 scale", 4),
    ],
    "keycap": [("4️⃣", 4), ("4\ufe0f\u20e3 very relevant", 4)],
}
NO_RATING = {
    "nothing": ["", " ", "\n", "**", "()", '""', "😀"],
    "off the scale": ["6", "9", "10", "55", "100", "4" * 5000, "05", "00", "0005"],
    "signed": ["-3", "- 3", "+3", "−3", "–3", "~3", "-0", "±3", "<3", ">3"],
    "part of another number": ["4.5", "4,5", "4.0", "4:5", "4'5", "4٫5", "4·5", "4e0", "4E2", "4_5", "**4**.5", "4 .5", "5,000"],
    "part of a word": ["4th", "4a", "3ish", "4x", "5star", "4é", "4五"],
    "of another kind": ["4%", "4 %", "4 percent", "4 per cent", "4°", "4½", "4 ½", "4²", "4+", "4 and a half", "4 and half"],
    "range": [
        *("0-5", "3-4", "3 - 4", "3–4", "3—4", "3 — 4", "3..4", "3...4", "3… 4", "3~4", "3 -- 4", "3 -> 4", "3 → 4", "[3-4]", "(3-4)"),
        *("**3**-**4**", "__3__ – __4__", '"3"-"4"', "3 to 4", "3 to\n4", "3 TO 4", "**3** to **4**", "3 to four", "3 through 4"),
        *("3, 4", "3,4", "3; 4", "3 | 4", "3 & 4", "3 and 4", "between 3 and 4", "3 or 4", "3 or four", "0 or one", "3... or 4"),
        *("3 or more", "4 or higher", "3 or so.", "3 (or 4)", "3 / 4 / 5", "1️⃣0️⃣", "3️⃣-4️⃣"),
    ],
    "share": [
        *("4/5", "4 / 5", "4/ 5", "4⁄5", "4／5", "4∕5", "**4**/5", '"4"/5', "(4)/5", "(4/5)", "[4]/[5]", "**4/5**", "4️⃣/5️⃣"),
        *("4 out of 5", "4 (out of 5)", "4, out of 5", "4 out of five", "4 of 5", "4 OUT OF 5", "4 points out of 5", "4 out of a 5"),
    ],
    "doubt": [
        *("4, maybe 5", "4 or maybe 5", "4 maybe 5", "4 (maybe 5)", "4... perhaps 5", "4, possibly a 5", "4 or rather 5", "4 - no, 5"),
        *("4, no, 5", "4. Actually, 5", "4, make that 5", "4. Wait, 5", "4, sorry, 5", "4, I mean 5", "4, almost 5", "4, maybe five"),
    ],
    "two numbers": ["4 5", "4  5", "4\t5", "5\n4", "5\n\n4", "5\n4.", "5\n4\n3", "4. 5", "4: 5", "4 (5)", "4 = 5", "4\n5 - agree", "4\n3/5"],
    "other signs than digits": ["²", "①", "Ⅳ", "1２", "２1"],
    "recited scale": [
        "0 = not at all relevant, \n 1 = not very relevant, \n 2 = slightly",
        "0: not at all relevant\n1: not very relevant",
        "0 (not at all relevant) to 5 (extremely relevant): 4",
        "0 = not at all relevant, 5 = extremely relevant. I choose 4",
        "4, because 5 = extremely relevant would be too much",
    ],
    "counted things": [
        "5 years ago my best friend left", "3 things matter here: who was hurt", "2 people can live through the same", "3 main reasons",
        "4 Reasons for this", "1 of people dies", "2 of my children", "1 Peter 2:17 says: honour all men",
    ],
    "a list without a rating": ["1. **Harm**: it hurts\n2. **Intent**: it was meant", "1) Harm\n2) Intent", "1. Harm\n\n  2. Intent"],
    "range in any language": ["3 bis 4", "3 oder 4", "3 ou 4", "3 à 4", "2 thru 3", "3 o 4", "3 eller 4"],
    "sums and second thoughts": [
        "3 plus 1", "4 as 3 is too low", "4 because 3 is too low", "4 (closer to 5)", "4. Wait, let me reconsider: 2",
        "5\n\nI rate this a 2 because", "4. My rating is 3 for most",
        "4. Actually, as a nurse of my age I would give 2 points", "5. Sorry, I think 3 is right",
    ],
    "unclosed thinking": ["<think>4", "<think>The scale goes from 0 to 5"],
    "something before": ["I would say 4", "Rating: 4", "= 4", "# 4", "$4", "a4", ".4", ",4", "😀4", "/4", "The answer is 4."],
    "markup and code": ["<b>4</b>", '{"rating": 4}', "\\boxed{4}", "~~4~~ 5", "rating=4"],
    "words": ["four", "IV", "ERROR", "I", "As", "Justice", "As an AI language model, I rate it 3."],
}  # fmt: skip


@pytest.mark.parametrize(("reply", "rating"), [case for cases in RATINGS.values() for case in cases], ids=ascii)
def test_rating(reply, rating):
    assert parse_reply(reply, 0, 5) == rating


@pytest.mark.parametrize("reply", [reply for replies in NO_RATING.values() for reply in replies], ids=lambda r: ascii(r[:30]))
def test_no_rating(reply):
    assert parse_reply(reply, 0, 5) is None


@pytest.mark.parametrize(
    ("reply", "low", "high", "rating"),
    [
        ("0", 1, 5, None),
        ("1", 1, 5, 1),
        ("5", 1, 5, 5),
        ("6", 1, 5, None),
        ("1-5", 1, 5, None),
        ("01", 1, 5, None),
        ("6", 1, 7, 6),
        ("10", 0, 10, 10),
        ("1", 0, 10, 1),
        ("1 0", 0, 10, None),
        ("10/10", 0, 10, None),
        ("10.", 0, 10, 10),
        ("11", 0, 10, None),
        ("007", 0, 10, None),
        ("100", 0, 100, 100),
        ("1", 0, 1, 1),
        ("2", 0, 1, None),
    ],
)
def test_other_scales(reply, low, high, rating):
    assert parse_reply(reply, low, high) == rating


FRAGMENTS = [
    *map(str, range(12)), "-", "–", "/", ".", ",", "...", " ", "  ", "\n", "\n\n", "*", "**", "_", "`", '"', "“", "(", ")", "[", "]",
    "to", "or", "and", "of", "out of", "maybe", "no,", "half", "%", "+", "°", "½", "²", "４", "٣", "\ufe0f\u20e3", "\u200b", "\x00",
    "very relevant", "because", "Whether", "th", "e0", "four", "five", "a", ":", ";", "?", "!", "=", "😀", "<b>", "\\", "I", "points",
]  # fmt: skip


def random_replies(seed: int, number: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(FRAGMENTS, size=rng.integers(0, 9)).tolist()) for _ in range(number)]


@pytest.mark.parametrize(("low", "high"), [(0, 5), (1, 5), (0, 10)])
def test_a_rating_is_always_the_first_number_of_the_reply(low, high):
    """10,000 replies of random fragments: None or an integer on the scale, which is the first run of digits; no exception."""
    rated = 0
    for reply in random_replies(11, 10_000):
        rating = parse_reply(reply, low, high)
        if rating is None:
            continue
        rated += 1
        assert type(rating) is int and low <= rating <= high, repr(reply)
        before, digits = re.match(r"([^\d]*)(\d+)", reply).groups()
        assert int(digits) == rating, repr(reply)
        assert re.fullmatch(r"[\W_]*", before), repr(reply)
    assert rated > 200  # the generator reaches both outcomes


def test_a_second_number_beside_the_first_never_passes():
    """Whatever stands between two numbers of one line, if it holds no letter, neither is a rating."""
    rng = np.random.default_rng(12)
    marks = [fragment for fragment in FRAGMENTS if not re.search(r"[^\W_]|\n", fragment)]
    for _ in range(5_000):
        between = "".join(rng.choice(marks, size=rng.integers(1, 5)).tolist())
        first, second = rng.integers(0, 6, size=2)
        reply = f"{first}{between}{second} because"
        assert parse_reply(reply, 0, 5) is None, repr(reply)


@pytest.mark.parametrize(
    "long",
    [
        "\n" * 50_000,
        " " * 50_000 + "x",
        "(" * 50_000,
        "4" + " \n" * 50_000,
        "4 " + "or " * 50_000,
        "4. " + "I see 2 people " * 20_000,
    ],
)
def test_long_replies_are_read_in_no_time(long):
    parse_reply(long, 0, 5)


@pytest.mark.parametrize(
    ("reply", "finish_reason", "refused", "reason"),
    [
        ("", "content_filter", True, "filtered"),
        ("I can't", "content_filter", False, "filtered"),
        (None, "content_filter", False, "filtered"),
        ("I can't", "stop", True, "refusal"),
        ("", "length", True, "refusal"),
        (None, None, True, "refusal"),
        ("", "length", False, "truncated"),
        (None, "length", False, "truncated"),
        (" \n\t", "length", False, "truncated"),
        ("<think>The scale goes from 0", "length", False, "truncated"),
        ("<think>0 to 5</think> I cannot", "length", False, "unparseable"),
        ("As", "length", False, "unparseable"),
        ("", "stop", False, "unparseable"),
        (None, None, False, "unparseable"),
        ("four", "stop", False, "unparseable"),
    ],
)
def test_the_first_reason_that_applies(reply, finish_reason, refused, reason):
    assert missing_reason(reply, finish_reason=finish_reason, refused=refused) == reason
    assert reason in REASONS


def test_reasons_stand_in_the_order_in_which_they_are_tried():
    assert REASONS[:7] == ("transport", "wrong_server", "filtered", "refusal", "truncated", "low_mass", "unparseable")
    assert REASONS[7:] == ("invalid", "absent")


@pytest.mark.parametrize(
    ("reply", "strict", "published"),
    [
        ("4", 4, 4),
        ("  **2** because", 2, 2),
        ("I would say 4", None, 4),
        ("As an AI, I rate it 3. Not 5.", None, 3),
        ("4.5", None, 4),
        ("4/5", None, 4),
        ("-3", None, 3),
        ("3 or 4", None, 3),
        ("10", None, None),
        ("10, so 5", None, 5),
        ("6 of 5", None, 5),
        ("4th", None, None),
        ("x4", None, None),
        ("_4_", 4, None),
        ("４", 4, None),
        ("ERROR", None, None),
        ("", None, None),
    ],
)
def test_published_rule_reads_the_first_point_that_stands_alone(reply, strict, published):
    """The published rule reads a number anywhere; ours reads it at the beginning or not at all."""
    assert published_rule(reply, 0, 5) == published
    assert parse_reply(reply, 0, 5) == strict


@pytest.mark.parametrize(
    ("reply", "low", "high", "rating"), [("0 or 1", 1, 5, 1), ("10", 0, 10, 10), ("7 of 10", 0, 10, 7), ("0", 1, 5, None)]
)
def test_published_rule_on_other_scales(reply, low, high, rating):
    assert published_rule(reply, low, high) == rating


@pytest.mark.parametrize(
    "reply",
    [
        "0 = not at all relevant",
        "0 = not at all relevant,",
        "0 = not at all",
        "0: not",
        "0 (not at all relevant)",
        "1 = not very relevant, \n",
    ],
)
def test_a_label_at_the_end_of_a_cut_reply_is_a_recital(reply):
    """A model that recites the options is cut off by `max_tokens`: whole, the same words are an answer."""
    assert parse_reply(reply, 0, 5, LABELS, cut=True) is None
    assert parse_reply(reply, 0, 5, LABELS) == int(reply[0])
    assert parse_reply("4", 0, 5, LABELS, cut=True) == 4
    assert parse_reply("4. Because as a nurse", 0, 5, LABELS, cut=True) == 4


@pytest.mark.parametrize("between", [" = ", ": ", " - ", " – ", " (", " ", "**: ", " (*"])
@pytest.mark.parametrize(("label", "point"), [(label, point) for point, label in LABELS])
def test_a_number_beside_the_label_of_another_point_gives_no_rating(between, label, point):
    """ "0 = not very relevant": one of the two is wrong, and nobody can say which. A label within a longer one is not it."""
    for number in range(6):
        for words in (label, label.capitalize(), f"{label} to me"):
            assert parse_reply(f"{number}{between}{words}", 0, 5, LABELS) == (number if number == point else None)


@pytest.mark.parametrize("reply", ["3 Actually, I should revise this, as", "3. Wait, I think", "3 - hmm, emotional suffering is"])
def test_a_second_thought_cut_off_before_its_number_gives_no_rating(reply):
    assert parse_reply(reply, 0, 5, LABELS, cut=True) is None
    assert parse_reply(reply, 0, 5, LABELS) == 3


def test_a_label_of_two_points_fits_both():
    """Two blocks of an instrument may count in opposite directions."""
    labels = ((0, "never"), (5, "always"), (5, "never"), (0, "always"))
    assert [parse_reply(f"{k}: never", 0, 5, labels) for k in (0, 5, 3)] == [0, 5, None]


ECHOES = [
    "{a} = {x}, {b} = {y}", "{a}: {x}\n{b}: {y}", "{a} ({x}) to {b} ({y})", "{a} = {x}; {b} = {y}. I choose {c}",
    "{a} = {y}", "{a} ({y}), as I am", "{a} - {x}\n{b} - {y}\n{c} - {z}", "{a} bis {b}", "{a} à {b}", "{a} a {b}", "de {a} a {b}", "{a} до {b}", "{a}から{b}", "{a} tot {b}",
]  # fmt: skip
WORDS = {
    "en": ("not at all", "very", "extremely"), "de": ("gar nicht", "sehr", "äußerst"), "fr": ("pas du tout", "très", "extrêmement"),
    "es": ("nada", "muy", "extremadamente"), "it": ("per niente", "molto", "estremamente"), "nl": ("helemaal niet", "zeer", "uiterst"),
    "ru": ("совсем не", "очень", "крайне"), "ja": ("全くない", "とても", "極めて"),
}  # fmt: skip
HONEST = [
    "{c}",
    "**{c}**",
    "{c}.",
    "{c} - {z}",
    "{c}. Because I care about people.",
    "<think>{a} or {b}?</think>{c}",
    "\ufeff{c}",
    '"{c}"',
    "{c}\n\n1. It matters",
]


#: Replies in which only the words say that the number is not meant: no rule about numbers sees it.
CONTRADICTED = [
    "5. This is not at all relevant to my thinking because being good at math does not make you good.",
    "0. I am a mother and I care most of all about the pain of my children, nothing is more relevant to me than this.",
]


def test_replies_written_without_knowledge_of_the_rule():
    """600 replies in two sets, each with the rating that a human coder would record, or none (`means`).

    The rule was mended after either set; before it saw the second, 4 of its 300 replies were read falsely. The published rule
    reads 112 of the 600 as what they do not mean.
    """
    path = Path(__file__).parent / "data" / "replies.jsonl"
    replies = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    read = [(one, parse_reply(one["reply"], 0, 5, LABELS, cut=one["cut"])) for one in replies]
    assert [one["reply"] for one, rating in read if rating not in (None, one["means"])] == CONTRADICTED
    honest = [rating for one, rating in read if one["begins"]]
    assert (len(replies), len(honest), honest.count(None)) == (600, 425, 47)
    published = [(one, published_rule(one["reply"], 0, 5)) for one in replies]
    assert sum(rating not in (None, one["means"]) for one, rating in published) == 112


@pytest.mark.parametrize(
    "reply",
    ["4. Romans 13:1-2 says so", "4 (Acts 5:29)", "4. I was 5 on day 1, and knew", "4. I cannot rate it a full 5 as it is"],
)
def test_numbers_of_verses_and_days_are_mentions(reply):
    assert parse_reply(reply, 0, 5, LABELS) == 4


def test_composed_replies_are_never_read_as_what_they_do_not_say():
    """20,000 replies from templates that carry their own truth: recited scales and ranges in eight languages, honest answers."""
    rng, false, lost, honest = np.random.default_rng(21), [], 0, 0
    for _ in range(20_000):
        a, b, c = rng.permutation(6)[:3].tolist()
        x, y, z = WORDS[rng.choice(list(WORDS))]
        echo = bool(rng.integers(0, 2))
        reply = str(rng.choice(ECHOES if echo else HONEST)).format(a=a, b=b, c=c, x=x, y=y, z=z)
        if rng.integers(0, 4) == 0:
            reply = str(rng.choice(["\u200b", " ", "\n", "\ufeff"])) + reply
        rating = parse_reply(reply, 0, 5, ((a, x), (b, y), (c, z)))
        if rating is not None and (echo or rating != c):
            false.append(reply)
        honest += not echo
        lost += not echo and rating is None
    assert false == []
    assert (lost, honest > 9_000) == (0, True)
