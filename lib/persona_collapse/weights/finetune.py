"""Training a LoRA adapter on chat messages: a plain loop, the same on every run, that goes on where it was stopped."""

import hashlib
import json
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from persona_collapse.files import atomic_text
from persona_collapse.paths import shown
from persona_collapse.weights.files import fingerprint
from persona_collapse.weights.model import LocalModel

if TYPE_CHECKING:
    import torch
    from tqdm import tqdm

#: Steps after which a stopped training can go on, at the most, and the file that says where.
_SAVED_EVERY, _STATE = 10, "training.json"
#: AdamW's weight decay, and the share of steps over which its rate rises; then it falls to nothing in a straight line. Of a short
#: training the first steps have the largest gradients, and with 0.999 the second moment would remember them to the end.
_DECAY, _WARM, _BETAS = 0.0, 0.1, (0.9, 0.99)
#: What no loss is computed on.
_IGNORED = -100


class Recipe(NamedTuple):
    """How an adapter is trained; `alpha` is twice the rank, as is usual.

    A reply that begins with `prefill` is learned from there on, as that is given when the model is asked.
    """

    steps: int
    batch: int
    rate: float
    rank: int
    modules: tuple[str, ...]
    seed: int
    every: int | None = None
    most_tokens: int = 512
    prefill: str = ""


class Trained(NamedTuple):
    """What came of a training: the mean loss of its first and last tenth of steps, tokens read, and the seconds it took now."""

    first: float
    last: float
    tokens: int
    seconds: float

    def __str__(self) -> str:
        speed = self.tokens / max(self.seconds, 1e-9)
        return f"loss {self.first:.2f} to {self.last:.2f}; {self.seconds:.0f} s, {speed:,.0f} tokens a second"


def train(
    model: LocalModel, examples: Sequence[Sequence[dict[str, str]]], recipe: Recipe, folder: Path,
    *, bar: "tqdm[Any] | None" = None,
) -> Trained | None:  # fmt: skip
    """Train an adapter of `model` on chat messages, each ending with the reply that is learned, and save it in `folder`.

    Loss is that of the reply alone. Batches are drawn without putting back by the seed, and begin anew when all were seen. A
    stopped training goes on from its last saved step; a finished one returns None. Raises ValueError for an example that is too
    long, and for a folder that holds an adapter of another training.
    """
    encoded = [_encoded(model, messages, recipe, number) for number, messages in enumerate(examples, start=1)]
    wanted = _wanted(model.weights, examples, recipe)
    known = _known(folder, wanted)
    if known.get("finished"):
        return None
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    torch.manual_seed(recipe.seed)
    saved = folder / "unfinished"
    done = int(known.get("step", 0))
    if done:
        wrapped: Any = PeftModel.from_pretrained(model.model, str(saved), is_trainable=True)
    else:
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=2 * recipe.rank,
            lora_dropout=0.0,
            target_modules=list(recipe.modules),
            task_type="CAUSAL_LM",
        )
        try:
            wrapped = get_peft_model(model.model, config)
        except ValueError as error:
            raise ValueError(f"{shown(folder)}: {' '.join(str(error).split())[:200]}; correct training.modules") from None
    own = [weight for weight in wrapped.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(own, lr=recipe.rate, betas=_BETAS, weight_decay=_DECAY)
    if done:
        optimizer.load_state_dict(torch.load(saved / "optimizer.pt", weights_only=True))
    losses, tokens, began = list(known.get("losses", [])), 0, time.monotonic()
    wrapped.train()
    try:
        for step in range(done, recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * _share(step, recipe.steps)
            batch = [encoded[place] for place in _drawn(len(encoded), recipe, step)]
            loss = _loss(wrapped, batch, model)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(own, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(round(float(loss.detach()), 4))
            tokens += sum(len(ids) for ids, _ in batch)
            if bar is not None:
                bar.set_postfix_str(f"loss {losses[-1]:.2f}", refresh=False)
                bar.update(1)
            last = step + 1 == recipe.steps
            if recipe.every and (step + 1) % recipe.every == 0:
                _save(wrapped, folder / f"step{step + 1:04d}")
            if not last and (step + 1) % _SAVED_EVERY == 0:
                _save(wrapped, saved)
                torch.save(optimizer.state_dict(), saved / "optimizer.pt")
                _say(folder, wanted | {"step": step + 1, "losses": losses})
        wrapped.eval()
        _save(wrapped, folder)
    finally:
        model.model = wrapped.unload()
        model.model.eval()
    _say(folder, wanted | {"finished": True, "losses": losses})
    shutil.rmtree(saved, ignore_errors=True)
    tenth = max(1, len(losses) // 10)
    first, last = (sum(part) / len(part) for part in (losses[:tenth], losses[-tenth:]))
    return Trained(first, last, tokens, time.monotonic() - began)


def is_finished(weights: Path, examples: Sequence[Sequence[dict[str, str]]], recipe: Recipe, folder: Path) -> bool:
    """Whether `folder` holds the adapter of this very training; ValueError where it holds another."""
    return bool(_known(folder, _wanted(weights, examples, recipe)).get("finished"))


def merge(model: LocalModel, adapter: Path, folder: Path) -> None:
    """Save `model` with an adapter merged into it as full weights in `folder`; `model` itself keeps them."""
    from peft import PeftModel

    merged = PeftModel.from_pretrained(model.model, str(adapter)).merge_and_unload()
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if hasattr(merged.config, "quantization_config"):
        del merged.config.quantization_config  # it was unpacked
    merged.hf_quantizer = None
    merged.is_quantized = False
    merged.save_pretrained(str(part))
    model.tokenizer.save_pretrained(str(part))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    model.model = merged


def _encoded(model: LocalModel, messages: Sequence[dict[str, str]], recipe: Recipe, number: int) -> tuple[list[int], list[int]]:
    """Tokens of an example, and those that are learned: the last reply behind what is given of it, and the token that ends it."""
    apply, reply = model.tokenizer.apply_chat_template, messages[-1]["content"]
    if not model.tokenizer.chat_template:
        raise ValueError(f"{model.weights}: has no chat template to train on; give an instruction-tuned model")
    before = str(apply(list(messages[:-1]), tokenize=False, add_generation_prompt=True))
    whole = str(apply(list(messages), tokenize=False))
    if not whole.startswith(before + reply):
        raise ValueError(f"{model.weights}: its chat template does not put a reply behind its prompt; it cannot be trained here")
    ids = model.tokenizer(whole, add_special_tokens=False)["input_ids"]
    given = before + recipe.prefill * reply.startswith(recipe.prefill)
    asked = len(model.tokenizer(given, add_special_tokens=False)["input_ids"])
    end = len(model.tokenizer(before + reply, add_special_tokens=False)["input_ids"]) + 1
    ids = list(ids[:end])
    if len(ids) > recipe.most_tokens:
        raise ValueError(f"example {number}: has {len(ids)} tokens, and training.most_tokens is {recipe.most_tokens}; shorten it")
    return ids, [*([_IGNORED] * asked), *ids[asked:]]


def _loss(wrapped: Any, batch: Sequence[tuple[list[int], list[int]]], model: LocalModel) -> "torch.Tensor":
    """Mean loss of the replies' tokens; logits are made where a reply stands and nowhere else, at the end of every row."""
    import torch

    longest, pad = max(len(ids) for ids, _ in batch), model.tokenizer.pad_token_id or model.tokenizer.eos_token_id or 0
    kept = 1 + max(sum(one != _IGNORED for one in learned) for _, learned in batch)

    def rows(numbers: Sequence[Sequence[int]], blank: int) -> "torch.Tensor":
        return torch.tensor([[blank] * (longest - len(own)) + list(own) for own in numbers], device=model.device)

    mask = rows([[1] * len(ids) for ids, _ in batch], 0)
    out = wrapped(
        input_ids=rows([ids for ids, _ in batch], pad), attention_mask=mask, use_cache=False,
        position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0), **model.keep(kept),
    )  # fmt: skip
    learned = rows([own for _, own in batch], _IGNORED)[:, 1 - kept :]
    logits = out.logits[:, -kept:-1].float()
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), learned.reshape(-1), ignore_index=_IGNORED)


def _drawn(number: int, recipe: Recipe, step: int) -> list[int]:
    """The examples of a step: a function of the seed and the step alone, so that a stopped training draws alike."""
    found = []
    for place in range(step * recipe.batch, (step + 1) * recipe.batch):
        order = list(range(number))
        random.Random(f"{recipe.seed}/{place // number}").shuffle(order)
        found.append(order[place % number])
    return found


def _share(step: int, steps: int) -> float:
    warm = max(1, round(_WARM * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def _save(wrapped: Any, folder: Path) -> None:
    """An adapter in its folder, whole or not at all."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    wrapped.save_pretrained(str(part))
    folder.mkdir(parents=True, exist_ok=True)
    for file in part.iterdir():
        file.replace(folder / file.name)
    shutil.rmtree(part)


def _wanted(weights: Path, examples: Sequence[Sequence[dict[str, str]]], recipe: Recipe) -> dict[str, Any]:
    """What makes a training the same one."""
    return {"recipe": json.loads(json.dumps(recipe)), "data": _hash(examples), "base": fingerprint(weights)}


def _known(folder: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """How far a training came; ValueError where the folder holds something else."""
    try:
        known = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / "adapter_config.json").exists():
            raise ValueError(
                f"{shown(folder)}: holds an adapter that was not trained here, and is not written over; name another folder"
            ) from None
        return {}
    except (OSError, ValueError):
        known = {}
    for name, what in (("recipe", "another recipe"), ("data", "other data"), ("base", "another base")):
        if known.get(name) != wanted[name]:
            raise ValueError(
                f"{shown(folder)}: holds an adapter that was trained with {what}; name another folder, or remove this one to "
                "train it again"
            )
    return known


def _say(folder: Path, content: dict[str, Any]) -> None:
    atomic_text(folder / _STATE, json.dumps(content) + "\n")


def _hash(examples: Sequence[Sequence[dict[str, str]]]) -> str:
    return hashlib.sha256(json.dumps(list(examples), ensure_ascii=False).encode()).hexdigest()[:24]
