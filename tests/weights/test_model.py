"""A random model of four layers: batches, beginnings that are read once, adapters, and how a point of the scale follows."""

import math
import shutil

import pytest

pytest.importorskip("torch", reason="open weights are not installed: make .venv/local")

import tiny_model
from persona_collapse.study.personas import load_personas
from persona_collapse.weights import model as weights_model
from persona_collapse.weights.model import LocalModel

SCALE = range(6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.save(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def model(folder):
    return LocalModel(folder)


@pytest.fixture(scope="module")
def asked(model, mfq30):
    """Prompts of four personas and eight items as tokens, and their frame."""
    personas = load_personas("everyday")[:4]
    texts = [
        model.render(mfq30.prompt(item, persona.text, digit=True), template=True, prefill="My rating: ")
        for persona in personas
        for item in mfq30.items[:8]
    ]
    frame = model.frame(texts[0], SCALE, template=True)
    return [model.tokens(text, frame, template=True) for text in texts], frame


def answers(model, prompts, frame, most):
    found = {}
    for batch in model.batches(prompts, most):
        for place, own in zip(batch, model.alternatives([prompts[place] for place in batch], frame), strict=True):
            found[place] = {token: lp for token, lp in own if token in "012345"}
    return [found[place] for place in range(len(prompts))]


def furthest(one, other):
    return max(abs(math.exp(a[token]) - math.exp(b[token])) for a, b in zip(one, other, strict=True) for token in a)


def test_one_prompt_at_a_time_says_what_eight_at_a_time_say(model, asked):
    prompts, frame = asked
    one, eight, whole = (answers(model, prompts, frame, most) for most in (1, 8, None))
    assert furthest(one, eight) < 1e-5
    assert furthest(one, whole) < 1e-5
    assert model._alike is True  # so beginnings were read once, and that was compared


def test_a_model_that_cannot_go_on_from_a_beginning_is_read_prompt_by_prompt(folder, asked, monkeypatch):
    own = LocalModel(folder)
    prompts, frame = asked
    passed = own._passed
    # As a model does that loses what it read before: the beginning is not taken up.
    monkeypatch.setattr(own, "_passed", lambda prompts, places, beginning=(): passed(prompts, places))
    found = answers(own, prompts, frame, None)
    assert own._alike is False
    assert furthest(found, answers(own, prompts, frame, 1)) < 1e-5


def test_probabilities_of_a_first_token_are_those_of_the_model(model, asked):
    """The whole vocabulary, from logits without a mask, a batch or anything else of ours: softmax of the last row."""
    import torch

    prompts, frame = asked
    with torch.inference_mode():
        logs = torch.log_softmax(model.model(torch.tensor([prompts[3]])).logits[0, -1].double(), -1)
    (found,) = model.alternatives([prompts[3]], frame)
    kept = dict(found)
    for token, point in frame.points.items():
        assert kept[str(point)] == pytest.approx(float(logs[token]), abs=1e-5)
    assert sum(math.exp(lp) for _, lp in found) <= 1 + 1e-6


def test_every_prompt_is_in_one_batch_and_none_is_larger_than_asked_for(model, asked):
    prompts, _ = asked
    batches = list(model.batches(prompts, 5))
    assert sorted(place for batch in batches for place in batch) == list(range(len(prompts)))
    assert max(map(len, batches)) <= 5


def test_a_batch_ends_where_the_next_prompt_begins_otherwise():
    """Two personas of three prompts that share 40 tokens: one of another beginning would have all read again."""
    first, second = [1] * 40, [2] * 40
    prompts = [[*first, 5, n] for n in range(3)] + [[*second, 5, n] for n in range(3)]
    own = LocalModel.__new__(LocalModel)
    own.device = "cpu"
    assert list(own.batches(prompts, None)) == [[0, 1, 2], [3, 4, 5]]


# --- adapters ----------------------------------------------------------------------------------------------------------


def test_an_adapter_taken_off_leaves_the_base_bit_for_bit(model, folder, asked, tmp_path):
    prompts, frame = asked
    adapter = tiny_model.adapter(folder, tmp_path / "adapter")
    before = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    plain = answers(model, prompts[:4], frame, 1)
    with model.adapted(adapter):
        assert furthest(answers(model, prompts[:4], frame, 1), plain) > 0.01
    after = model.model.state_dict()
    assert before.keys() == after.keys()
    assert all((after[name] == weight).all() for name, weight in before.items())
    assert answers(model, prompts[:4], frame, 1) == plain


def test_an_adapter_of_size_nothing_differs_by_nothing(model, folder, asked, tmp_path):
    prompts, frame = asked
    assert model.differs(tiny_model.adapter(folder, tmp_path / "none", size=0), prompts[:3], frame) < 1e-6
    assert model.differs(tiny_model.adapter(folder, tmp_path / "some"), prompts[:3], frame) > weights_model.NOTHING["float32"]


def test_keys_that_match_no_module_are_refused_by_name(model, folder, tmp_path):
    adapter = tiny_model.renamed(tiny_model.adapter(folder, tmp_path / "other"), self_attn="attention")
    with pytest.raises(
        ValueError, match=r"16 of 16 keys match no module of tiny, such as 'base_model\.model\.model\.layers\.0\.att"
    ):
        with model.adapted(adapter):
            raise AssertionError


def test_an_adapter_of_another_base_is_refused_by_its_shapes(model, tmp_path):
    other = tiny_model.save(tmp_path / "wide", width=96)
    adapter = tiny_model.adapter(other, tmp_path / "adapter")
    with pytest.raises(
        ValueError,
        match=r"is an adapter of another base than tiny: 16 of 16 shapes do not fit, such as .*\(4, 96\) for \(64, 64\)",
    ):
        with model.adapted(adapter):
            raise AssertionError


# --- tokenizers --------------------------------------------------------------------------------------------------------


def framed(tmp_path, digits, prefill, template=True):
    own = LocalModel(tiny_model.save(tmp_path / digits, digits=digits))
    text = own.render("How is it?", template=template, prefill=prefill)
    return own, text, own.frame(text, SCALE, template=template)


@pytest.mark.parametrize(
    ("digits", "prefill"), [("alone", "My rating: "), ("alone", ""), ("blank", "My rating: "), ("blank", "It is:")]
)
def test_a_point_of_the_scale_is_the_token_that_the_tokenizer_would_write(tmp_path, digits, prefill):
    """The tokens of the text with the digit at its end are those of the prompt, and the point's."""
    own, text, frame = framed(tmp_path, digits, prefill)
    for token, point in frame.points.items():
        whole = own._ids(f"{text}{point}", True)
        if whole[-1] == token:
            assert own.tokens(text, frame, template=True) == whole[:-1]
    assert set(frame.points.values()) == set(SCALE)
    assert frame.trimmed == (digits == "blank" and prefill.endswith(" "))


def test_a_blank_that_a_tokenizer_sets_before_a_digit_is_read_before_it(tmp_path):
    """Behind a special token this one writes a blank and the digit: the digit's probability is that of both."""
    template = tiny_model.CHAT.replace("assistant: {% endif %}", "{% endif %}")
    own = LocalModel(tiny_model.save(tmp_path / "behind", digits="behind", template=template))
    text = own.render("How is it?", template=True)
    frame = own.frame(text, SCALE, template=True)
    assert len(frame.extension) == 1 and not frame.trimmed
    prompt = own.tokens(text, frame, template=True)
    assert own._ids(f"{text}3", True)[:-1] == prompt
    # P(blank) P(3 | blank), from two passes of one prompt each
    blank = dict(own.alternatives([prompt[:-1]], frame._replace(extension=(), points={frame.extension[0]: 0}))[0])["0"]
    digit = dict(own.alternatives([prompt], frame._replace(extension=()))[0])["3"]
    assert dict(own.alternatives([prompt], frame)[0])["3"] == pytest.approx(blank + digit, abs=1e-5)


def test_a_point_that_is_several_tokens_is_refused_with_the_way_out(tmp_path):
    own = LocalModel(tiny_model.save(tmp_path / "several", digits="several"))
    text = own.render("How is it?", template=True, prefill="My rating: ")
    with pytest.raises(
        ValueError,
        match=r"does not write every point of the scale as one token in one place \(\d as .*\); ask this model through a server",
    ):
        own.frame(text, SCALE, template=True)


def test_a_model_without_a_chat_template_addresses_nobody_unless_told_so(tmp_path):
    own = LocalModel(tiny_model.save(tmp_path / "bare", template=None))
    with pytest.raises(
        ValueError, match=r"has no chat template, so nobody can be addressed; with `protocol: \{template: none\}`"
    ):
        own.render("How is it?", template=True)
    assert own.render("How is it?", template=False, prefill="Rating: ", system="Be kind.") == "Be kind.\n\nHow is it?\n\nRating: "


def test_a_template_that_refuses_a_message_is_quoted(tmp_path):
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + tiny_model.CHAT
    )
    own = LocalModel(tiny_model.save(tmp_path / "strict", template=template))
    with pytest.raises(ValueError, match=r"strict: its chat template refuses these messages \(System role not supported\)"):
        own.render("How is it?", template=True, system="Be kind.")


def test_what_is_no_model_is_refused_in_one_line(folder, tmp_path):
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match=r"broken: cannot be read as a causal language model \(") as raised:
        LocalModel(broken)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=r"local\.device: cuda is not there; expected one of 'cpu', or auto|.*"):
        LocalModel(folder, device="cuda")
