"""Training an adapter: stopped and gone on it is the same, seeds differ, and what is there is not written over."""

import json

import pytest

pytest.importorskip("torch", reason="open weights are not installed: make .venv/local")

import tiny_model
from persona_collapse.weights import finetune
from persona_collapse.weights.files import fingerprint
from persona_collapse.weights.finetune import Recipe
from persona_collapse.weights.model import LocalModel

EXAMPLES = [
    [{"role": "user", "content": f"How is {what}?"}, {"role": "assistant", "content": f"My rating: {n % 6}"}]
    for n, what in enumerate(["tea", "rain", "snow", "bread", "salt", "night", "noon"])
]
RECIPE = Recipe(steps=12, batch=3, rate=1e-2, rank=4, modules=("q_proj", "v_proj"), seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.save(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A training without a stop."""
    target = tmp_path_factory.mktemp("trained") / "whole"
    return finetune.train(LocalModel(folder), EXAMPLES, RECIPE, target), target


def losses(folder):
    return json.loads((folder / "training.json").read_text())["losses"]


def test_the_loss_falls_and_the_base_stays_what_it_was(folder, whole):
    trained, target = whole
    assert trained.last < trained.first
    assert finetune.is_finished(folder, EXAMPLES, RECIPE, target)
    assert finetune.train(LocalModel(folder), EXAMPLES, RECIPE, target) is None


class Stop(BaseException):
    pass


class Bar:
    """Stops a training behind a step, as Ctrl-C does."""

    def __init__(self, after):
        self.left = after

    def set_postfix_str(self, text, refresh=True):
        pass

    def update(self, steps):
        self.left -= steps
        if not self.left:
            raise Stop


def test_a_training_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(folder, whole, tmp_path):
    own = LocalModel(folder)
    before = {name: weight.clone() for name, weight in own.model.state_dict().items()}
    with pytest.raises(Stop):
        finetune.train(own, EXAMPLES, RECIPE, tmp_path / "a", bar=Bar(11))
    assert all((own.model.state_dict()[name] == weight).all() for name, weight in before.items())
    assert not finetune.is_finished(folder, EXAMPLES, RECIPE, tmp_path / "a")
    again = finetune.train(own, EXAMPLES, RECIPE, tmp_path / "a")
    assert again is not None and losses(tmp_path / "a") == losses(whole[1])
    assert fingerprint(tmp_path / "a") == fingerprint(whole[1])
    assert not (tmp_path / "a" / "unfinished").exists()


def test_another_seed_is_another_adapter(folder, whole, tmp_path):
    finetune.train(LocalModel(folder), EXAMPLES, RECIPE._replace(seed=2), tmp_path / "b")
    assert fingerprint(tmp_path / "b") != fingerprint(whole[1])


def test_checkpoints_are_adapters_of_their_own(folder, tmp_path):
    finetune.train(LocalModel(folder), EXAMPLES, RECIPE._replace(steps=4, every=2), tmp_path / "c")
    marks = {fingerprint(tmp_path / "c" / name) for name in ("step0002", "step0004")} | {fingerprint(tmp_path / "c")}
    assert len(marks) == 2  # the last checkpoint is the end


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(recipe=RECIPE._replace(rate=1e-3)), "was trained with another recipe"),
        (dict(examples=EXAMPLES[:3]), "was trained with other data"),
    ],
)
def test_an_adapter_of_another_training_is_not_written_over(folder, whole, change, said):
    before = fingerprint(whole[1])
    with pytest.raises(ValueError, match=f"{said}; name another folder, or remove this one to train it again"):
        finetune.train(LocalModel(folder), change.get("examples", EXAMPLES), change.get("recipe", RECIPE), whole[1])
    assert fingerprint(whole[1]) == before


def test_an_adapter_from_elsewhere_is_not_written_over(folder, tmp_path):
    own = tiny_model.adapter(folder, tmp_path / "mine")
    with pytest.raises(ValueError, match="holds an adapter that was not trained here, and is not written over"):
        finetune.train(LocalModel(folder), EXAMPLES, RECIPE, own)


def test_an_example_that_is_too_long_and_modules_that_are_not_there_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"example 1: has \d+ tokens, and training\.most_tokens is 8; shorten it"):
        finetune.train(LocalModel(folder), EXAMPLES, RECIPE._replace(most_tokens=8), tmp_path / "d")
    with pytest.raises(ValueError, match=r"Target modules .*correct training\.modules"):
        finetune.train(LocalModel(folder), EXAMPLES, RECIPE._replace(modules=("c_attn",)), tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_only_the_reply_is_learned(folder):
    """The loss is the mean over the reply's tokens of -log p, computed here from a plain pass over each example alone."""
    import torch

    own = LocalModel(folder)
    encoded = [finetune._encoded(own, messages, RECIPE, 1) for messages in EXAMPLES[:3]]
    found = float(finetune._loss(own.model, encoded, own).detach())
    logs = []
    for ids, learned in encoded:
        rows = torch.log_softmax(own.model(torch.tensor([ids])).logits[0].detach(), -1)
        logs += [-float(rows[place - 1, token]) for place, token in enumerate(learned) if token != finetune._IGNORED]
    assert found == pytest.approx(sum(logs) / len(logs), rel=1e-5)


def test_a_merged_model_says_what_its_adapter_says(folder, whole, tmp_path):
    own = LocalModel(folder)
    text = own.render("How is tea?", template=True, prefill="My rating: ")
    frame = own.frame(text, range(6), template=True)
    prompt = own.tokens(text, frame, template=True)
    with own.adapted(whole[1]):
        adapted = dict(own.alternatives([prompt], frame)[0])
    finetune.merge(own, whole[1], tmp_path / "merged")
    merged = dict(LocalModel(tmp_path / "merged").alternatives([prompt], frame)[0])
    assert all(merged[str(point)] == pytest.approx(adapted[str(point)], abs=1e-4) for point in range(6))
