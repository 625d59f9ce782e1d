"""The measuring instrument: prompts to the character, and what a wrong instrument file is told."""

import pytest
import yaml

from persona_collapse.paths import ROOT
from persona_collapse.study.instrument import load_instrument

# METHOD.md section 2; every space counts, those before a newline too.
RELEVANCE_1 = (
    "When deciding whether something is right or wrong, how relevant is the following consideration to your thinking: "
    "'Whether or not someone suffered emotionally'. Please rate the consideration using this scale: 0 = not at all relevant, \n"
    " 1 = not very relevant, \n"
    " 2 = slightly relevant, \n"
    " 3 = somewhat relevant, \n"
    " 4 = very relevant, \n"
    " 5 = extremely relevant. \n"
    "\n"
    " Your response should start with an integer from 0 to 5, followed by your reasoning."
)
AGREEMENT_16 = (
    "Please indicate your level of agreement with the following statement: "
    "'Compassion for those who are suffering is the most crucial virtue.'. Please rate the statement using this scale: \n"
    " 0 = strongly disagree, \n"
    " 1 = moderately disagree, \n"
    " 2 = slightly disagree, \n"
    " 3 = slightly agree, \n"
    " 4 = moderately agree, \n"
    " 5 = strongly agree. \n"
    "\n"
    " Your response should start with an integer from 0 to 5, followed by your reasoning."
)
AS_A_NURSE = (
    "You are roleplaying as the following persona: A night nurse.\n"
    "\n"
    "Please answer the following question from the perspective of this persona.\n"
    "\n"
)
CYCLE = ("Harm/Care", "Fairness/Reciprocity", "In-group/Loyalty", "Authority/Respect", "Purity/Sanctity")


@pytest.mark.parametrize(
    ("number", "persona", "expected"),
    [
        (1, None, RELEVANCE_1),
        (16, None, AGREEMENT_16),
        (1, "A night nurse.", AS_A_NURSE + RELEVANCE_1),
        (16, "A night nurse.", AS_A_NURSE + AGREEMENT_16),
    ],
    ids=["relevance, self", "agreement, self", "relevance, persona", "agreement, persona"],
)
def test_prompt_is_the_published_one_to_the_character(mfq30, number, persona, expected):
    assert mfq30.prompt(mfq30.items[number - 1], persona) == expected


def test_thirty_items_on_a_scale_from_0_to_5(mfq30):
    assert [item.number for item in mfq30.items] == list(range(1, 31))
    assert mfq30.scale == (0, 5)
    assert list(mfq30.categories) == [0, 1, 2, 3, 4, 5]


def test_foundations_cycle_and_blocks_change_after_item_15(mfq30):
    assert mfq30.foundations == CYCLE
    assert [item.foundation for item in mfq30.items] == list(CYCLE) * 6
    assert [item.block for item in mfq30.items] == ["relevance"] * 15 + ["agreement"] * 15


def test_wording_of_the_first_item_of_each_block(mfq30):
    assert mfq30.items[0].text == "Whether or not someone suffered emotionally"
    assert mfq30.items[15].text == "Compassion for those who are suffering is the most crucial virtue."


def test_every_prompt_is_different_and_says_where_to_start(mfq30):
    prompts = [mfq30.prompt(item) for item in mfq30.items]
    assert len(set(prompts)) == 30
    assert all(p.endswith("start with an integer from 0 to 5, followed by your reasoning.") for p in prompts)


@pytest.mark.parametrize("persona", ["{item}", "{persona} and {text}", "{", "}}", "{0}", "%s", "\\n", "{item!r:>9}"])
def test_persona_text_is_never_interpreted(mfq30, persona):
    expected = f"You are roleplaying as the following persona: {persona}\n\nPlease answer"
    assert mfq30.prompt(mfq30.items[0], persona).startswith(expected)
    assert mfq30.prompt(mfq30.items[0], persona).endswith(RELEVANCE_1)


def test_source_citation_and_terms_come_with_it(mfq30):
    assert set(mfq30.about) == {"source", "citation", "terms"}
    assert "Mapping the moral domain" in mfq30.about["citation"]


def test_the_yardstick_is_what_the_scoring_key_prints_over_six_items(mfq30):
    """Sums of the average politically moderate American: Harm 20.2, Fairness 20.5, In-group 16.0, Authority 16.5, Purity 12.6."""
    printed = dict(zip(mfq30.foundations, (round(6 * mean, 6) for mean in mfq30.yardstick.means), strict=True))
    assert printed == {
        "Harm/Care": 20.2, "Fairness/Reciprocity": 20.5, "In-group/Loyalty": 16.0, "Authority/Respect": 16.5, "Purity/Sanctity": 12.6,
    }  # fmt: skip
    assert mfq30.yardstick.name == "average politically moderate American"


def own(**changed):
    """A valid file of two items, with some top-level keys changed; None removes one."""
    content = {
        "title": "Own",
        "source": "here",
        "citation": "none",
        "terms": "free",
        "scale": {"low": 1, "high": 5},
        "persona_prompt": "Be {persona}\n\n{item}",
        "prompts": {"trait": "I am '{text}'. 1 to 5?"},
        "items": [
            {"number": 1, "block": "trait", "foundation": "Extraversion", "text": "talkative"},
            {"number": 2, "block": "trait", "foundation": "Openness", "text": "curious"},
        ],
    }
    return {key: value for key, value in (content | changed).items() if value is not None}


def people(**printed):
    """A file whose yardstick prints these."""
    return own(yardstick={"name": "people", "source": "their key"} | printed)


def items(*rows):
    return [{"number": n, "block": block, "foundation": "F", "text": text} for n, block, text in rows]


@pytest.fixture
def write(tmp_path):
    """A file own.yaml with this text, bytes or content."""

    def written(content):
        path = tmp_path / "own.yaml"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return written


def test_own_instrument_of_44_items_on_1_to_5(write):
    traits = ["Extraversion", "Agreeableness", "Conscientiousness", "Neuroticism", "Openness"]
    rows = [{"number": n, "block": "trait", "foundation": traits[(n - 1) % 5], "text": f"is trait {n}"} for n in range(1, 45)]
    instrument = load_instrument(write(own(items=rows)))
    assert instrument.key == "own"
    assert len(instrument.items) == 44
    assert list(instrument.categories) == [1, 2, 3, 4, 5]
    assert instrument.foundations == tuple(traits)
    assert instrument.prompt(instrument.items[43], "a clown") == "Be a clown\n\nI am 'is trait 44'. 1 to 5?"


def test_a_yardstick_is_optional_and_may_be_means_in_any_order(write):
    assert load_instrument(write(own())).yardstick is None
    assert load_instrument(write(people(means={"Openness": 2, "Extraversion": 4.5}))).yardstick.means == (4.5, 2)


def test_path_may_be_text_and_yml(write, tmp_path):
    path = write(own()).rename(tmp_path / "own.yml")
    assert load_instrument(str(path)).title == "Own"


def test_doubled_brace_is_a_literal_one(write):
    instrument = load_instrument(write(own(prompts={"trait": 'Answer {{"rating": n}} for {text}'})))
    assert instrument.prompt(instrument.items[0]) == 'Answer {"rating": n} for talkative'


def test_unicode_wording_survives(write):
    instrument = load_instrument(write(own(items=items((1, "trait", "Größe – «здоровье» 😀")))))
    assert instrument.items[0].text == "Größe – «здоровье» 😀"


def test_byte_order_mark_is_tolerated(write):
    assert load_instrument(write(b"\xef\xbb\xbf" + yaml.safe_dump(own()).encode())).title == "Own"


ITEM = {"number": 1, "block": "trait", "foundation": "F", "text": "x"}
WRONG = {
    "low equals high": (own(scale={"low": 3, "high": 3}), [", scale: low 3 is not below high 3", "give two integers"]),
    "low above high": (own(scale={"low": 5, "high": 0}), [", scale: low 5 is not below high 0"]),
    "too many points": (own(scale={"low": 0, "high": 11}), [", scale: from 0 to 11 there are 12 points; expected 11 or fewer"]),
    "short name of no group": (own(short={"C": "c"}), [", short: 'C' is no group of an item; expected one of"]),
    "yardstick of a group that is none": (
        people(means={"Extraversion": 3, "Opennes": 3}),
        [", yardstick.means: 'Opennes' is no group of an item; expected exactly 'Extraversion', 'Openness'"],
    ),
    "yardstick without a group": (
        people(sums={"Openness": 3}),
        [", yardstick.sums: 'Extraversion' is missing; expected exactly"],
    ),
    "yardstick off the scale": (
        people(means={"Extraversion": 3, "Openness": 5.5}),
        [", yardstick.means.Openness: 5.5 is off the scale; expected 1 to 5"],
    ),
    "yardstick of sums off the scale": (
        people(sums={"Extraversion": 0.5, "Openness": 3}),
        [", yardstick.sums.Extraversion: 0.5 is off the scale; expected 1 to 5 as the sum of 1 item"],
    ),
    "yardstick without numbers": (people(), [", yardstick: has neither sums nor means; give one of them"]),
    "yardstick with both": (people(sums={"F": 1}, means={"F": 1}), [", yardstick: has both sums and means; give one of them"]),
    "yardstick that is no number": (people(means={"F": float("nan")}), [", yardstick.means.F: found nan", "finite number"]),
    "groups called oddly": (own(group_name="Foundation"), [", group_name: "]),
    "scale of words": (own(scale={"low": "none", "high": 5}), [", scale.low: found 'none'", "valid integer"]),
    "scale without high": (own(scale={"low": 0}), [", scale.high: is missing; add it"]),
    "block without prompt": (
        own(items=items((1, "trait", "a"), (2, "habit", "b"))),
        [", items[1].block: 'habit' has no prompt; expected one of 'trait'"],
    ),
    "prompt without text": (
        own(prompts={"trait": "I am. 1 to 5?"}),
        [", prompts.trait: holds the fields []; expected exactly '{text}'"],
    ),
    "prompt with another field": (own(prompts={"trait": "{text} {name}"}), ["prompts.trait: holds the fields ['name', 'text']"]),
    "prompt with a nameless field": (own(prompts={"trait": "{}"}), ["prompts.trait: holds the fields ['']"]),
    "prompt that formats": (own(prompts={"trait": "{text:>{w}}"}), ["prompts.trait: holds the fields ['text:>{w}']"]),
    "prompt that converts": (own(prompts={"trait": "{text!x}"}), ["prompts.trait: holds the fields ['text!x']"]),
    "prompt with a lone brace": (own(prompts={"trait": "{text} }"}), [", prompts.trait: ", "write a literal brace twice"]),
    "persona prompt without item": (
        own(persona_prompt="Be {persona}"),
        [", persona_prompt: holds the fields ['persona']; expected exactly '{item}', '{persona}'"],
    ),
    "numbers out of order": (
        own(items=items((2, "trait", "a"), (1, "trait", "b"))),
        [", items: numbers are [2, 1]", "expected 1 to 2 in order"],
    ),
    "numbers from zero": (own(items=items((0, "trait", "a"), (1, "trait", "b"))), ["numbers are [0, 1]", "expected 1 to 2"]),
    "number twice": (own(items=items((1, "trait", "a"), (1, "trait", "b"))), ["numbers are [1, 1]"]),
    "no items": (own(items=[]), [", items: found []", "at least 1 item"]),
    "item without text": (own(items=[ITEM | {"text": ""}]), [", items[0].text: found ''", "at least 1 character"]),
    "item without foundation": (own(items=[{"number": 1, "block": "trait", "text": "x"}]), [", items[0].group: is missing"]),
    "unknown key": (own(colour="red"), [", colour: unknown key 'colour'; remove it or correct its spelling"]),
    "unknown key of an item": (own(items=[ITEM | {"reverse": True}]), [", items[0].reverse: unknown key 'reverse'"]),
    "two mistakes": (
        own(colour="red", title=None),
        [": 2 problems: (1) colour: unknown key 'colour'; remove it or correct its spelling; (2) title: is missing; add it"],
    ),
    "YAML syntax": ("title: Own\nitems: [1, 2\n", [", line 3: not YAML (", "check indentation and quotes"]),
    "tab": ("title: Own\nscale:\n\tlow: 1\n", [", line 3: not YAML (", "check indentation"]),
    "doubled key": ("title: Own\nterms: free\ntitle: Other\n", [", line 3: key 'title' stands twice; keep one"]),
    "doubled key deeper": ("scale: {low: 0, low: 1}\n", [", line 1: key 'low' stands twice"]),
    "key of brackets": ("title: Own\n{text}: 3\n", [", line 2: a key is dict, expected a word"]),
    "control character": ("title: O\x07wn\n", [", character 9: #x0007 is not allowed in YAML; remove it"]),
    "empty file": ("", [": holds NoneType, expected keys and values"]),
    "only a comment": ("# soon\n", [": holds NoneType, expected keys and values"]),
    "list": ("- a\n- b\n", [": holds list, expected keys and values"]),
    "plain text": ("hello", [": holds str, expected keys and values"]),
    "not UTF-8": ("title: Größe\n".encode("latin-1"), [": not UTF-8 text; save it as UTF-8"]),
    "code": ("!!python/object/apply:os.system ['true']\n", [", line 1: not YAML (could not determine a constructor"]),
}


@pytest.mark.parametrize(("content", "parts"), WRONG.values(), ids=WRONG)
def test_wrong_file_is_told_in_one_line(write, content, parts):
    path = write(content)
    with pytest.raises(ValueError) as caught:
        load_instrument(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize("name", ["mfq", "nowhere/mfq.yaml", "", "mfq30.yml"])
def test_unknown_instrument_lists_what_there_is(name):
    with pytest.raises(FileNotFoundError) as caught:
        load_instrument(name)
    assert str(caught.value).endswith(": no such instrument; expected one of 'bfi44', 'ipip50', 'mfq30', 'neutral12', or a path")
    assert "\n" not in str(caught.value)


def test_a_digit_is_asked_for_by_the_published_suffix(mfq30):
    item = mfq30.items[0]
    suffix = "\n\nReturn exactly one digit from 0 to 5. Do not output any other text."
    assert mfq30.prompt(item, "a baker", digit=True) == mfq30.prompt(item, "a baker") + suffix
    assert mfq30.prompt(item, digit=True).endswith(suffix)


def test_the_questionnaire_of_the_how_to_can_be_used(tmp_path):
    """docs/questionnaire.md, copied out as a reader would."""
    text = (ROOT / "docs" / "questionnaire.md").read_text(encoding="utf-8")
    path = tmp_path / "warmth.yaml"
    path.write_text(text.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    found = load_instrument(path)
    assert found.foundations == ("Warmth", "Order") and list(found.categories) == [1, 2, 3, 4, 5, 6, 7]
    assert [item.number for item in found.items if item.reversed] == [2, 4]
    assert found.prompt(found.items[0], "a nurse").startswith("You are a nurse.\n\nHow much do you agree")
