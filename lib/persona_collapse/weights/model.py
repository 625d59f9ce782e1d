"""A causal language model in memory, its adapters, and the first token of its replies."""

import inspect
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from persona_collapse.input_errors import listing
from persona_collapse.study.first_token import Alternatives, bare
from persona_collapse.weights.files import check_installed

if TYPE_CHECKING:
    import torch

#: Tokens beside those of the scale that are kept of a cell, the most probable ones.
KEPT = 20
#: Largest difference between probabilities of a first token that an adapter which changes nothing makes, as sums of floats come
#: out a little otherwise from pass to pass, by the type of number.
NOTHING = {"float32": 1e-5, "bfloat16": 5e-3, "float16": 1e-3}
#: Prompt tokens of a batch, blanks included, by device.
_TOKENS = {"cpu": 4096, "cuda": 65536, "mps": 8192}
#: Tokens that prompts must begin with alike for the beginning to be read once, and how far a probability may then be off.
_WORTH, _ALIKE = 16, 1e-3


class Frame(NamedTuple):
    """How a prompt becomes tokens whose next one is a point of the scale.

    `extension` are tokens behind the prompt that every point shares, mostly none, such as a blank that a tokenizer sets before
    digits; `trimmed` whether the prompt's own last blank is one token with the digit; `points` maps tokens to points.
    """

    extension: tuple[int, ...]
    trimmed: bool
    points: dict[int, int]


class LocalModel:
    """A model and its tokenizer, read once; adapters are put on and taken off."""

    def __init__(self, weights: Path, *, device: str = "auto", dtype: str = "float32", remote_code: bool = False) -> None:
        """Read `weights`, a folder of safetensors or a GGUF file, which is unpacked.

        Raises ValueError or RuntimeError, one line, where that does not work.
        """
        check_installed()
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        # Of their own future, and of a file that GGUF weights do not have: nothing that whoever asks a model can act on.
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(peft|torch|transformers)\.")
        warnings.filterwarnings("ignore", message="Could not find a config file", category=UserWarning)
        self.weights, self.device = weights, _device(device)
        folder, more = (weights, {}) if weights.is_dir() else (weights.parent, {"gguf_file": weights.name})
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=remote_code, **more)
            if more:
                more |= {"quantization_config": transformers.GgufConfig(dequantize=True)}
            self.model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=getattr(torch, dtype), trust_remote_code=remote_code, use_safetensors=True, **more
            )
        except Exception as error:  # whatever transformers finds wrong with a file
            said = " ".join(str(error).split())
            if "trust_remote_code" in said:
                raise ValueError(
                    f"{weights}: brings code of its own, which is not run; add `remote_code: true` under `local:` if you trust it"
                ) from None
            raise ValueError(f"{weights}: cannot be read as a causal language model ({said[:200]})") from None
        self.model.to(self.device).eval()
        self._alike: bool | None = None
        takes = inspect.signature(self.model.forward).parameters
        self._keeps = "logits_to_keep" in takes
        self._cache = "cache" if "cache" in takes else "past_key_values"

    @property
    def read_with(self) -> str:
        """The libraries, device and type of number that it is read with, in words."""
        used = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
        return f"{used}; {self.device}, {str(self.model.dtype).removeprefix('torch.')}"

    # --- adapters --------------------------------------------------------------------------------------------------

    @contextmanager
    def adapted(self, adapter: Path | None) -> Iterator[None]:
        """With an adapter put on; afterwards the base is what it was, bit for bit. ValueError for one that does not fit."""
        if adapter is None:
            yield
            return
        from peft import PeftModel

        self._check_adapter(adapter)
        base = self.model
        wrapped = PeftModel.from_pretrained(base, str(adapter), is_trainable=False).to(self.device).eval()
        self.model = wrapped
        try:
            yield
        finally:
            self.model = wrapped.unload()

    def _check_adapter(self, adapter: Path) -> None:
        """Refuse keys that match no module, and shapes that are another base's, by their names."""
        from safetensors import safe_open

        modules = dict(self.model.named_modules())
        lost, other = [], []
        with safe_open(str(adapter / "adapter_model.safetensors"), "pt") as file:
            keys = list(file.keys())
            for key in keys:
                name, part = _module(key)
                module = modules.get(name)
                weight = getattr(module, "weight", None)
                if module is None or part not in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"):
                    lost.append(key)
                elif weight is not None and part in ("lora_A", "lora_B"):
                    there, wanted = file.get_slice(key).get_shape(), weight.shape
                    if (there[1] if part == "lora_A" else there[0]) != (wanted[1] if part == "lora_A" else wanted[0]):
                        other.append(f"{key} {tuple(there)} for {tuple(wanted)}")
        where = f"{adapter}"
        if not keys:
            raise ValueError(f"{where}: holds no weights; train it again")
        if lost:
            raise ValueError(
                f"{where}: {len(lost)} of {len(keys)} keys match no module of {self.weights.name}, such as {lost[0]!r}; it "
                "belongs to another model, or was saved under other names; correct `adapter` or `weights`"
            )
        if other:
            raise ValueError(
                f"{where}: is an adapter of another base than {self.weights.name}: {len(other)} of {len(keys)} shapes do not "
                f"fit, such as {other[0]}; correct `adapter` or `weights`"
            )
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        if config.get("modules_to_save"):
            raise ValueError(
                f"{where}: replaces whole modules ({listing(config['modules_to_save'])}); merge it into full weights"
            )

    # --- prompts ---------------------------------------------------------------------------------------------------

    def render(self, prompt: str, *, template: bool, prefill: str = "", system: str = "") -> str:
        """What the model reads: the prompt in its chat template, or as plain text, and the beginning of its reply.

        Raises ValueError for a model without a template.
        """
        if not template:
            return "\n\n".join(text for text in (system, prompt, prefill) if text)
        if not self.tokenizer.chat_template:
            raise ValueError(
                f"{self.weights}: has no chat template, so nobody can be addressed; with `protocol: {{template: none}}` it gets "
                "the prompt as plain text, which the page then says"
            )
        messages = [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": prompt}]
        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)) + prefill
        except Exception as error:  # whatever a template raises, such as that it takes no system message
            said = " ".join(str(error).split())[:200]
            raise ValueError(f"{self.weights}: its chat template refuses these messages ({said})") from None

    def frame(self, text: str, categories: range, *, template: bool) -> Frame:
        """How points of the scale follow a rendered prompt; ValueError where one is no single token, or two share one."""
        alone = self._ids(text, template)
        each = [self._ids(f"{text}{point}", template) for point in categories]
        shared = min(_shared(one, other) for one in each for other in each[:1])
        shared = min(shared, *(len(one) - 1 for one in each))
        left = [one[shared:] for one in each]
        head = each[0][:shared]
        trimmed = head[: len(alone)] != alone
        if trimmed and text == text.rstrip(" "):
            raise self._undigital(categories, left)
        if trimmed:
            text = text.rstrip(" ")
            alone = self._ids(text, template)
            each = [self._ids(f"{text} {point}", template) for point in categories]
            shared = min(min(_shared(one, each[-1]) for one in each[:-1]), *(len(one) - 1 for one in each))
            left, head = [one[shared:] for one in each], each[0][:shared]
        if any(len(one) != 1 for one in left) or len({one[0] for one in left}) < len(left) or head[: len(alone)] != alone:
            raise self._undigital(categories, left)
        words = {str(point): point for point in categories}
        spelled = {token: words[word] for token, word in self._words().items() if word in words}
        return Frame(tuple(head[len(alone) :]), trimmed, spelled | {one[0]: p for one, p in zip(left, categories, strict=True)})

    def _undigital(self, categories: range, left: Sequence[Sequence[int]]) -> ValueError:
        point, tokens = max(zip(categories, left, strict=True), key=lambda pair: len(pair[1]))
        spelled = listing(str(self.tokenizer.convert_ids_to_tokens(token)) for token in tokens)
        return ValueError(
            f"{self.weights}: its tokenizer does not write every point of the scale as one token in one place ({point} as "
            f"{spelled}); ask this model through a server with method samples"
        )

    def _words(self) -> dict[int, str]:
        """Every token that may be a number, without its blanks."""
        if not hasattr(self, "_spelled"):
            found = self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))
            self._spelled = {number: bare(token) for number, token in enumerate(found) if token and len(token) < 8}
        return self._spelled

    def _ids(self, text: str, template: bool) -> list[int]:
        # A template writes the special tokens itself.
        return list(self.tokenizer(text, add_special_tokens=not template)["input_ids"])

    def tokens(self, text: str, frame: Frame, *, template: bool) -> list[int]:
        """The tokens whose next one is a point of the scale."""
        return self._ids(text.rstrip(" ") if frame.trimmed else text, template) + list(frame.extension)

    # --- answers ---------------------------------------------------------------------------------------------------

    def batches(self, prompts: Sequence[Sequence[int]], most: int | None) -> Iterator[list[int]]:
        """Places of prompts that are read together, `most` at once: such that begin alike, as their beginning is read once."""
        order, batch, shared = sorted(range(len(prompts)), key=lambda place: tuple(prompts[place])), list[int](), 0
        room = _TOKENS.get(self.device, 4096)
        for place in order:
            own = prompts[place]
            alike = _shared(prompts[batch[-1]], own) if batch else 0
            kept = min(shared, alike) if len(batch) > 1 else alike
            longest = max([len(own), *(len(prompts[other]) for other in batch)])
            # One more of another beginning would have all that began alike read anew.
            apart = (len(batch) - 1) * (shared - kept) > kept if len(batch) > 1 else False
            if batch and (apart or (len(batch) >= most if most else (len(batch) + 1) * longest > room)):
                yield batch
                batch, kept = [], 0
            batch.append(place)
            shared = kept
        if batch:
            yield batch

    def alternatives(self, prompts: Sequence[Sequence[int]], frame: Frame) -> list[Alternatives]:
        """(token, logprob) at T = 1 of the token after each prompt: every spelling of a point, and the likeliest others.

        Where points share tokens before them, a point's logprob is that of all these tokens together, and alternatives to the
        shared ones count beside.
        """
        places = len(frame.extension) + 1
        logs = self._log_probabilities(prompts, places)  # (prompt, place, token)
        found: list[Alternatives] = []
        for own in logs:
            rows: dict[str, list[float]] = {}
            along = 0.0
            for place in range(places):
                last = place == places - 1
                shared = None if last else frame.extension[place]
                for token, log in self._listed(own[place], frame, without=shared):
                    rows.setdefault(token, []).append(along + log)
                if shared is not None:
                    along += float(own[place, shared])
            found.append(tuple(sorted(((t, lp) for t, lps in rows.items() for lp in lps), key=lambda pair: -pair[1])))
        return found

    def _listed(self, logs: "torch.Tensor", frame: Frame, without: int | None) -> Iterator[tuple[str, float]]:
        import torch

        points = list(frame.points)
        # None is quite impossible, and a logarithm of 0 is no number that a store can keep.
        yield from ((str(frame.points[t]), max(float(logs[t]), -1e4)) for t in points if t != without)
        values, tokens = torch.topk(logs, min(KEPT + len(points), len(logs)))
        others = [
            (t, lp) for t, lp in zip(tokens.tolist(), values.tolist(), strict=True) if t not in frame.points and t != without
        ]
        for token, log in others[:KEPT]:
            if math.isfinite(log):
                yield str(self.tokenizer.convert_ids_to_tokens(token)), log

    def _log_probabilities(self, prompts: Sequence[Sequence[int]], places: int) -> "torch.Tensor":
        """Logprobs (prompt, place, token) of the last places, in float32 whatever the dtype of the weights."""
        shared = min([*(_shared(prompts[0], other) for other in prompts[1:]), *(len(one) - places for one in prompts)])
        if len(prompts) == 1 or shared < _WORTH or not self._goes_on(prompts[0], shared, places):
            return self._passed(prompts, places)
        return self._passed([one[shared:] for one in prompts], places, prompts[0][:shared])

    def _passed(self, prompts: Sequence[Sequence[int]], places: int, beginning: Sequence[int] = ()) -> "torch.Tensor":
        """One pass over prompts, behind a beginning that all of them have and that is read once."""
        import torch

        longest, before = max(map(len, prompts)), len(beginning)
        pad = self.tokenizer.pad_token_id or self.tokenizer.eos_token_id or 0
        # Blanks stand on the left, where nothing attends to them, so that all prompts end in the same place.
        ids = torch.tensor([[pad] * (longest - len(one)) + list(one) for one in prompts], device=self.device)
        mask = torch.tensor([[1] * before + [0] * (longest - len(one)) + [1] * len(one) for one in prompts], device=self.device)
        with torch.inference_mode():
            more: dict[str, Any] = {"use_cache": False}
            if before:
                once = self.model(input_ids=torch.tensor([list(beginning)], device=self.device), use_cache=True, **self.keep(1))
                kept = once[self._cache]
                kept.batch_repeat_interleave(len(prompts))
                more = {self._cache: kept, "use_cache": True}
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, before:]
            out = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, **more, **self.keep(places))
            return torch.log_softmax(out.logits[:, -places:].float(), dim=-1).cpu()

    def _goes_on(self, prompt: Sequence[int], shared: int, places: int) -> bool:
        """Whether this model says the same when it goes on from a beginning that it read before; tried once."""
        if self._alike is None:
            halves = self._passed([prompt[shared:]] * 2, places, prompt[:shared])[0]
            self._alike = float((halves.exp() - self._passed([prompt], places)[0].exp()).abs().max()) < _ALIKE
        return self._alike

    def keep(self, places: int) -> dict[str, int]:
        """What makes a pass return logits of its last `places` alone, where the model can."""
        return {"logits_to_keep": places} if self._keeps else {}

    def differs(self, adapter: Path, prompts: Sequence[Sequence[int]], frame: Frame) -> float:
        """The largest change of a first token's probability that an adapter makes on these prompts."""
        before = self._log_probabilities(prompts, 1).exp()
        with self.adapted(adapter):
            return float((self._log_probabilities(prompts, 1).exp() - before).abs().max())


def _module(key: str) -> tuple[str, str]:
    """The module and the part of it that a key of an adapter names: base_model.model.<module>.lora_A.weight."""
    name = key.removeprefix("base_model.model.")
    for part in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"):
        if f".{part}" in name:
            return name.partition(f".{part}")[0], part
    return name, ""


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _device(name: str) -> str:
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next((device for device in ("cuda", "mps") if there[device]), "cpu")
    if not there.get(name):
        raise ValueError(
            f"local.device: {name} is not there; expected one of {listing(d for d, ok in there.items() if ok)}, or auto"
        )
    return name
