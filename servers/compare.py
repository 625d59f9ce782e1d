"""What the store holds against what the server sent, worked out anew from the bytes that it sent."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from servers.asking import Slot
from servers.recorder import Exchange

#: Points of the scale of the MFQ-30, as a reply of one token spells them.
SCALE = "012345"
#: Least probability on the scale of a distribution that is used; the README says it.
_LEAST_MASS = 0.5

Key = tuple[str, int, int, int]


class Compared(NamedTuple):
    """How many choices were sent, how many slots hold what was sent, how many of them as a rating, and what differs."""

    sent: int
    stored: int
    rated: int
    wrong: tuple[str, ...]

    def told(self) -> str:
        """One line for the table."""
        if self.wrong:
            return f"differs: {self.wrong[0]}" + (f", and {len(self.wrong) - 1} more" if len(self.wrong) > 1 else "")
        if not self.sent:
            return "differs: the server sent no answer"
        return f"works: {self.stored} of {self.sent} answers stored as sent, {self.rated} of them ratings"

    @property
    def fine(self) -> bool:
        """Whether something was sent, and is stored as it was sent."""
        return bool(self.sent) and not self.wrong


def sent(exchanges: Iterable[Exchange]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Every choice of every answer of status 200, by the slot that it is for: model, persona, item, repetition."""
    for exchange in exchanges:
        if exchange.status != 200 or not exchange.slot:
            continue
        _, persona, item, first = exchange.slot.split("/")
        for place, choice in enumerate(json.loads(exchange.body)["choices"]):
            index = choice.get("index", place)
            yield (str(exchange.asked["model"]), int(persona), int(item), int(first) + index), choice


def compare(
    exchanges: Iterable[Exchange], slots: Sequence[Slot], *, one_token: bool = True, scale: str = SCALE
) -> Compared:  # fmt: skip
    """Set the slots of a store beside the choices that were sent: each once, with its text, its rating and its logprobs.

    The rating on this `scale` is worked out anew where replies are of `one_token`, or where there are logprobs.
    """
    return compare_choices(list(sent(exchanges)), slots, one_token=one_token, scale=scale)


def compare_choices(
    choices: Sequence[tuple[Key, dict[str, Any]]], slots: Sequence[Slot], *, one_token: bool = True, scale: str = SCALE
) -> Compared:  # fmt: skip
    """As `compare`, of choices by their slot."""
    wrong = [f"{_name(key)}: answered {times} times" for key, times in Counter(key for key, _ in choices).items() if times > 1]
    by_slot = dict(choices)
    held = {(slot.model, slot.persona, slot.item, slot.repetition): slot for slot in slots}
    wrong += [f"{_name(key)}: sent and not stored" for key in by_slot.keys() - held.keys()]
    wrong += [f"{_name(key)}: stored and not sent" for key in held.keys() - by_slot.keys()]
    right = rated = 0
    for key in by_slot.keys() & held.keys():
        found = _difference(by_slot[key], held[key], one_token, scale)
        wrong += [f"{_name(key)}: {found}"] if found else []
        right += not found
        rated += held[key].rating is not None
    return Compared(len(choices), right, rated, tuple(sorted(wrong)))


def _difference(choice: dict[str, Any], slot: Slot, one_token: bool, scale: str) -> str | None:
    text = choice["message"]["content"]
    if slot.reply != text:
        return f"sent {text!r}, stored {slot.reply!r}"
    if (slot.rating is None) == (slot.reason is None):
        return f"stored rating {slot.rating} with reason {slot.reason}"
    if choice.get("logprobs"):
        return _distribution_difference(choice["logprobs"]["content"][0]["top_logprobs"], slot, scale)
    plain = (text or "").strip()
    rating = int(plain) if len(plain) == 1 and plain in scale else None
    if one_token and slot.rating != rating:
        return f"sent {text!r}, stored rating {slot.rating}"
    return None


def _distribution_difference(alternatives: list[dict[str, Any]], slot: Slot, scale: str) -> str | None:
    expected = {(entry["token"], entry["logprob"]) for entry in alternatives}
    stored = {(token, logprob) for token, logprob in slot.logprobs or []}
    if expected != stored:
        return f"sent {len(expected)} alternatives, stored {len(stored)}, {len(expected & stored)} of them alike"
    shares = [sum(math.exp(value) for token, value in expected if token.strip() == point) for point in scale]
    rating = int(scale[shares.index(max(shares))]) if sum(shares) >= _LEAST_MASS else None
    return None if slot.rating == rating else f"sent {shares} on the scale, stored rating {slot.rating}"


def _name(key: Key) -> str:
    return f"{key[0]}, persona {key[1]}, item {key[2]}, repetition {key[3]}"
