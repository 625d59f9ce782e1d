"""What a study file says of open weights: how they are read, how an adapter is trained, and what a base learned before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StrictBool

from persona_collapse.input_errors import closest
from persona_collapse.study.endpoint import Checked

if TYPE_CHECKING:
    from persona_collapse.study.study_file import Protocol, Variant

_Text = Annotated[str, Field(min_length=1)]


class Local(Checked):
    """How open weights are read; prompts of a batch are read together."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch: Annotated[int, Field(ge=1)] | None = None  # prompts; by default as many as the device has room for
    remote_code: StrictBool = False  # whether code that comes with the weights is run


class Training(Checked):
    """How `make finetune` trains a variant's adapter: LoRA by AdamW on a file of chat messages, one JSON object a line."""

    data: _Text  # relative to the study file
    steps: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=1)] = 8
    rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    rank: Annotated[int, Field(ge=1, le=512)] = 8
    modules: tuple[_Text, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    every: Annotated[int, Field(ge=1)] | None = None  # steps after which a checkpoint is kept, in <adapter>/step0010
    most_tokens: Annotated[int, Field(ge=8)] = 512  # of an example; a longer one is refused


class Taught(Checked):
    """What a base was fine-tuned on before it was compared, and the variant that is the same model without it."""

    data: _Text  # in words, as in "everyday answers by other personas"
    untaught: _Text


def check_open_weights(where: str, family: "Sequence[Variant]", variant: "Variant", kind: str, weights: str | None) -> None:
    """Raise ValueError, one line, where a variant's weights, adapter or training do not hold together.

    `family` are the variants of its family, `weights` those of the study.
    """
    if variant.taught:
        alternates = [v.key for v in family if v.role == "alternate"]
        if variant.role != "base":
            raise ValueError(f"{where}.taught: is about what a base learned before; {variant.key!r} is none; remove it")
        if variant.taught.untaught not in alternates:
            raise ValueError(
                f"{where}.taught: {variant.taught.untaught!r} does not exist in its family as a variant of role alternate; "
                f"{closest(variant.taught.untaught, alternates)}"
            )
    if kind != "local":
        return
    if variant.training and not variant.adapter:
        raise ValueError(f"{where}.training: trains an adapter, and no folder for it is named; add `adapter: <folder>`")
    if variant.role == "base" and not (variant.weights or weights):
        raise ValueError(f"{where}.weights: is missing; a study of kind local needs weights of a base, there or for the study")
    # What a treatment at inference changes stands in its words, and its weights are those of another variant.
    if variant.role != "base" and not (variant.weights or variant.adapter):
        raise ValueError(f"{where}: has neither an adapter nor weights of its own, and so would be its base; give one of them")


def check_protocol(kind: str, protocol: "Protocol") -> None:
    """Raise ValueError, one line, for what a protocol says that this kind of study cannot do."""
    if kind == "local" and protocol.method != "logprobs":
        raise ValueError(
            "protocol.method: open weights give the probabilities of every answer, which is more than samples; remove it"
        )
    if kind == "simulated" and protocol.prefill:
        raise ValueError("protocol.prefill: simulated respondents read no beginning of a reply; remove it")
    if kind != "local" and "template" in protocol.model_fields_set:
        raise ValueError("protocol.template: belongs to a study of kind local; a server applies its own; remove it")
