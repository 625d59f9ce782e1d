"""What two studies have in common: which runs belong together, and which personas and items are the same on both sides."""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from persona_collapse.input_errors import listing
from persona_collapse.store.ratings import Prompts, Ratings
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.comparability import refusal as unlike

#: Roles of which a family has one, as a rule, so that they tell which runs belong together where keys differ.
_ROLES = ("base", "control", "harmful")
_NONE = np.empty(0, dtype=int)
#: Stands for a persona where two instruments are compared by the words around it.
_SOMEBODY = "\0"


class Match(NamedTuple):
    """A run of the first study and the run of the second that belongs to it; None where there is none."""

    a: Run | None
    b: Run | None
    by: str  #: key, role, or empty for a run that stands alone

    @property
    def either(self) -> Run:
        """The run of the first study, or that of the second where it stands alone."""
        run = self.a or self.b
        assert run is not None  # one of the two is there
        return run

    @property
    def both(self) -> tuple[Run, Run]:
        """The runs of both studies, of a match that has both."""
        assert self.a is not None and self.b is not None
        return self.a, self.b

    @property
    def key(self) -> tuple[str, str, str]:
        """Family, and the variant's key on both sides; empty where there is none."""
        family = self.either.family.key
        return family, self.a.variant.key if self.a else "", self.b.variant.key if self.b else ""


class Shared(NamedTuple):
    """Which personas and items are the same in two studies, as their files say."""

    items: tuple[np.ndarray, np.ndarray]  #: places of the same items, in the first study's order
    deck: tuple[np.ndarray, np.ndarray]  #: places of the same personas in both decks; empty if they are others or not known
    by_number: bool  #: personas have no words and are taken as the same by number
    note: str  #: what is left out on which side, and why personas are taken as others; empty if all is shared
    refusal: str  #: why nothing of the two can be set against each other, or empty

    @property
    def paired(self) -> bool:
        """Whether the same personas answered on both sides."""
        return self.by_number or bool(len(self.deck[0]))

    def personas(self, asked: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Places of the same personas in ratings of so many personas on each side."""
        if self.by_number:
            return (np.arange(min(asked)),) * 2
        there = (self.deck[0] < asked[0]) & (self.deck[1] < asked[1])
        return self.deck[0][there], self.deck[1][there]


def matches(a: Study, b: Study) -> list[Match]:
    """Runs of two studies that belong together, and those that stand alone, in the first study's order, then the second's.

    Families go together by key, variants of a family by key; of those left over, a base with a base, and a control or a harmful
    variant with that of the other side where each side has one such left.
    """
    found: list[Match] = []
    for family in dict.fromkeys(run.family.key for run in (*a.runs, *b.runs)):
        own, other = ([run for run in study.runs if run.family.key == family] for study in (a, b))
        found += _of_family(own, other)
    return found


def _of_family(own: list[Run], other: list[Run]) -> list[Match]:
    at = {run.variant.key: run for run in other}
    partner = {run.variant.key: (at[run.variant.key], "key") for run in own if run.variant.key in at}
    keys = set(partner)
    for role in _ROLES:
        left, right = ([run for run in runs if run.variant.role == role and run.variant.key not in keys] for runs in (own, other))
        if len(left) == len(right) == 1:
            partner[left[0].variant.key] = right[0], "role"
    taken = {run.variant.key for run, _ in partner.values()}
    here = [Match(run, *partner.get(run.variant.key, (None, ""))) for run in own]
    return here + [Match(None, run, "") for run in other if run.variant.key not in taken]


def shared(a: Study, b: Study) -> Shared:
    """The personas and items that two studies share, by their words, whatever their numbers.

    Who the personas of imported files are is not recorded: they are taken as the same, by id, only where both studies name the
    same source.
    """
    items = _same(_item_words(a), _item_words(b))
    refused = _refusal(a, b, len(items[0]))
    if refused:
        return Shared(items, (_NONE, _NONE), False, "", refused)
    decks: list[Sequence[str]] = [[persona.text for persona in study.personas or ()] for study in (a, b)]
    sources = [study.file.source.git if study.file.source else None for study in (a, b)]
    one_source = not any(decks) and sources[0] is not None and sources[0] == sources[1]
    if one_source:
        decks = [a.labels, b.labels]
    deck, by_number = _same(*decks), one_source and not any(decks)
    said = []
    for side, study in enumerate((a, b)):
        numbers = [item.number for place, item in enumerate(study.instrument.items) if place not in items[side]]
        said.append(_left_out("item", study, _ranges(numbers), len(numbers)))
        if len(deck[0]):
            lost = sorted(set(range(len(decks[side]))) - set(deck[side].tolist()))
            # As charts have them: by id, or by number from 1.
            which = listing([study.labels[row] for row in lost]) if study.labels else _ranges([row + 1 for row in lost])
            said.append(_left_out("persona", study, which, len(lost)))
    if one_source:
        how = "number" if by_number else "id"
        said.append(f"The personas are taken as the same by {how}, as both studies name the same source.")
    elif not len(deck[0]):
        said.append(_others(a, b))
    return Shared(items, deck, by_number, " ".join(part for part in said if part), "")


def asked_alike(shared: Shared, runs: tuple[Run, Run], ratings: tuple[Ratings, Ratings]) -> str:
    """Why the recorded prompts of two runs forbid a comparison although their study files allow it, or nothing."""
    if not len(shared.deck[0]):
        return ""
    prompts = (own.asked_as(run) for run, own in zip(runs, ratings, strict=True))
    return unlike(*(_renumbered(one, shared, side) for side, one in enumerate(prompts)))


def _renumbered(prompts: Prompts, shared: Shared, side: int) -> Prompts:
    """Prompts of the condition persona under the numbers that both sides have in common."""
    personas, items = ({int(place): n for n, place in enumerate(found[side])} for found in (shared.deck, shared.items))
    return {
        (condition, personas[persona], items[item - 1]): text
        for (condition, persona, item), text in prompts.items()
        if condition == "persona" and persona in personas and item - 1 in items
    }


def _item_words(study: Study) -> list[tuple[str, str]]:
    """What makes an item: the prompt around a persona, and the foundation that it counts for."""
    ask = study.instrument.prompt
    return [(ask(item, _SOMEBODY, digit=study.by_logprobs), item.foundation) for item in study.instrument.items]


def _same(one: Sequence[Hashable], other: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Places of what stands in both lists, in the order of the first."""
    at = {word: place for place, word in enumerate(other)}
    pairs = [(place, at[word]) for place, word in enumerate(one) if word in at]
    found = np.array(pairs, dtype=int).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _refusal(a: Study, b: Study, items: int) -> str:
    if a.by_logprobs != b.by_logprobs:
        sampled, other = (b, a) if a.by_logprobs else (a, b)
        return (
            f"Not compared: {sampled.name} was sampled and {other.name} asked by logprobs, which is another prompt, and its "
            "temperature is made afterwards; ask both by the same method."
        )
    if a.instrument.scale != b.instrument.scale:
        scales = " and ".join(f"from {s.instrument.scale[0]} to {s.instrument.scale[1]} in {s.name}" for s in (a, b))
        return f"Not compared: the scale runs {scales}; ask both with the same instrument."
    if not items:
        texts = [{item.text for item in study.instrument.items} for study in (a, b)]
        what = "the words around the items are not the same" if texts[0] & texts[1] else "no item is the same"
        return f"Not compared: {what} on both sides; ask both with the same instrument."
    return ""


def _others(a: Study, b: Study) -> str:
    """Why personas are taken as others on both sides."""
    unknown = " and ".join(study.name for study in (a, b) if not study.personas)
    why = f"Who the personas of {unknown} are is not recorded" if unknown else "The decks share no persona"
    return f"{why}: the studies are taken as independent."


def _left_out(what: str, study: Study, which: str, number: int) -> str:
    """Which of a study's items or personas the other does not have; so many of them."""
    if not number:
        return ""
    called, them, verb = (f"{what}s", "them", "are") if number > 1 else (what, "it", "is")
    return f"Of {study.name}, {called} {which} {verb} left out: the other study lacks {them}."


def _ranges(numbers: list[int]) -> str:
    """Numbers in order as a person lists them: 1, 4-6; nothing for none."""
    if not numbers:
        return ""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in _runs(numbers))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
