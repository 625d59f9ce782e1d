"""Weights of a random model of four layers, its tokenizer and adapters, made in a second and saved as transformers saves them."""

import json

from persona_collapse.study.instrument import load_instrument

CHAT = (
    "{% for m in messages %}<|start|>{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant: {% endif %}"
)


def tokenizer(digits="alone", template=CHAT):
    """A byte-level tokenizer that writes every digit as one token; `digits` names what is unusual about that.

    blank: a blank before a digit belongs to its token. several: 5 is two tokens. behind: every text begins with a blank of its
    own, so that the digit behind a special token is the second one.
    """
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    items = load_instrument("mfq30").items
    found = tokenizers.Tokenizer(models.BPE())
    byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    apart = pre_tokenizers.Digits(individual_digits=True)
    found.pre_tokenizer = pre_tokenizers.Sequence([apart, byte])
    found.decoder = decoders.ByteLevel()
    special = ["<|start|>", "<|end|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    texts = [item.text for item in items] * 3
    if digits == "blank":
        found.pre_tokenizer = byte
        texts += [f"rating: {digit}" for digit in range(10)] * 50
    if digits == "several":
        found.normalizer = normalizers.Replace("5", "vv")
    if digits == "behind":
        found.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False), apart]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=special,
            initial_alphabet=[chr(n) for n in range(32, 127)] + ["▁", "\n"],
            show_progress=False,
        )
    found.train_from_iterator(texts, trainer)
    whole = PreTrainedTokenizerFast(tokenizer_object=found, eos_token="<|end|>", pad_token="<|pad|>")
    whole.chat_template = template
    return whole


def save(folder, *, seed=0, digits="alone", template=CHAT, width=64, answers=True):
    """Weights and tokenizer in `folder`, which is returned."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    own = tokenizer(digits, template)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(own), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096, initializer_range=0.2, pad_token_id=own.pad_token_id,
        eos_token_id=own.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    if answers:  # digits are made likely where a reply begins, as random weights put next to nothing on a scale
        digits = own.convert_tokens_to_ids([str(digit) for digit in range(6)])
        items = load_instrument("mfq30").items[::6]
        with torch.no_grad():
            ends = [
                model.model(own(f"{item.text} assistant: My rating: ", return_tensors="pt")["input_ids"]).last_hidden_state[0, -1]
                for item in items
            ]
            toward = torch.stack(ends).mean(dim=0)
            model.lm_head.weight *= 0.5
            model.lm_head.weight[digits] += 12 * toward / toward.square().sum()
    model.save_pretrained(str(folder))
    own.save_pretrained(str(folder))
    return folder


def adapter(weights, folder, *, seed=1, size=0.1):
    """A LoRA adapter on these weights in `folder`, with B of this size: at 0 it changes nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(str(weights))
    own = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    for name, weight in own.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=size) if size else torch.nn.init.zeros_(weight)
    own.save_pretrained(str(folder))
    return folder


def renamed(folder, **changes):
    """An adapter whose keys are changed: old part of a name to new one."""
    from safetensors.torch import load_file, save_file

    path = folder / "adapter_model.safetensors"
    weights = load_file(str(path))
    for old, new in changes.items():
        weights = {key.replace(old, new): value for key, value in weights.items()}
    save_file(weights, str(path))
    return folder


def examples(path, replies=("My rating: 5", "My rating: 0")):
    """A small training file."""
    lines = [{"messages": [{"role": "user", "content": f"How is {n}?"}, {"role": "assistant", "content": reply}]}
             for n, reply in enumerate(replies)]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
