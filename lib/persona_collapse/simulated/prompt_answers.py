"""What the simulated respondents answer to a prompt: the cell it asks about, its ratings, its words and its logprobs."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from persona_collapse.simulated import response_model
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.personas import Persona, load_personas
from persona_collapse.study.respondent_parameters import known_figures, load_respondent
from persona_collapse.study.treatment import cuts
from persona_collapse.study.wording import combinations, is_own

#: The shipped decks, whose personas bring their attributes; any other text is answered as a persona without.
DECKS = ("everyday", "toxic")
CONDITIONS = ("persona", "self", "toxic")
#: Repetitions that can be named; a sane client stays far below, and a draw of this length takes a tenth of a second.
MOST_REPETITIONS = 1_000_000
#: First tokens that are no digit, and their shares of the mass that digits leave.
CHATTER = {" I": 0.5, "As": 0.3, "Sure": 0.15, "**": 0.05}
#: Floor of a logprob: finite, and lower than any that a caller could mistake for an answer.
LOWEST = -100.0
#: Said to a prompt that is no question of the questionnaire.
ELSEWHERE = (
    "This is a simulated endpoint: it answers only the questions of the MFQ-30, the IPIP-50 and the everyday preferences, worded "
    "as persona-collapse asks them, and there is no language model behind it."
)
#: What stands after the digit where a reply may be longer than that; no number in it.
_REASONS = (
    "that is how I see it.",
    "it follows from the life I have led.",
    "I have thought so for as long as I remember.",
    "others may well see it otherwise.",
)
_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])")
#: Repetitions drawn at first for every item of a persona, and cells remembered before all are forgotten.
_FIRST_DRAWN, _REMEMBERED = 16, 300_000
#: Lines of a prefix, and paragraphs of a system prompt, that are looked behind.
_LINES = 20


class Slot(NamedTuple):
    """The first slot that a request names: the cell as its client counts it, such as "persona/3/12", and a repetition."""

    condition: str
    cell: str
    repetition: int


class Cell(NamedTuple):
    """What a prompt asks about: the persona's text or None, the item's number, and whether a lone digit is wanted.

    `wording` names the levels in which it asks; empty for the instrument's own.
    """

    persona: str | None
    item: int
    digit: bool
    wording: str = ""
    treatment: str = ""  #: what stands around the question, as `treatment.named` tells it apart
    steered: bool = False  #: whether that is a system prompt, which has an effect


class Understood(NamedTuple):
    """A request taken apart: the question with its persona, and the system prompt and prefix around it."""

    prompt: str
    system: str
    prefix: str


class Reply(NamedTuple):
    """One reply: its tokens as they come, and the rating in it if it has one."""

    tokens: tuple[str, ...]
    rating: int | None


def read_slot(text: str) -> Slot:
    """The slot that "condition/persona/item/repetition" names, persona "-" standing for none.

    More parts may stand before these four, as in a custom_id. ValueError otherwise.
    """
    parts = text.split("/")[-4:]
    if len(parts) == 4:
        condition, persona, item, repetition = parts
        numbers = [item, repetition] if persona == "-" else [persona, item, repetition]
        if condition in CONDITIONS and all(n.isascii() and n.isdigit() for n in numbers):
            if 1 <= int(repetition) <= MOST_REPETITIONS:
                return Slot(condition, f"{condition}/{persona}/{item}", int(repetition))
    raise ValueError(f"{text[:80]!r} names no slot; expected condition/persona/item/repetition, such as persona/3/12/1")


def tokens_of(text: str) -> tuple[str, ...]:
    """The tokens of a text, words and marks with the space before them: near enough to a tokenizer for a simulation."""
    return tuple(_TOKEN.findall(text))


class Respondents:
    """The simulated respondents of one questionnaire, asked by prompt.

    Ratings are those of `response_model.draw` for the seed, the model's name as run, the condition, the persona's text, the
    item and the repetition, so a named slot has the same rating whenever it is asked. `digit_mass` is the probability of a
    first token that is a digit, as logprobs tell it; replies begin with one all the same.
    """

    def __init__(
        self, seed: int, decks: Sequence[str] = DECKS, *, digit_mass: float = 0.98, instrument: str = "mfq30",
        also: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """`also`: further questionnaires, whose prompts `answering` knows."""
        self._others = [Respondents(seed, decks, digit_mass=digit_mass, instrument=one) for one in also]
        self.seed, self._digit_mass = seed, digit_mass
        self.instrument: Instrument = load_instrument(instrument)
        self.names = known_figures()
        self._known = {persona.text: persona for deck in decks for persona in load_personas(deck)}
        self._hostile = {text for text, persona in self._known.items() if "kind" in persona.attributes}
        self._respondents = {
            (name, steered): load_respondent(name, self.instrument, steered=steered)
            for name in self.names
            for steered in (False, True)
        }
        named = combinations({"wording": ["a", *self.instrument.wordings], "scale": ["up", "down"]})
        #: As the questionnaire can be worded; its own is called by the empty text.
        self._worded = {"" if is_own(levels) else levels: self.instrument.worded_as(levels) for levels in named}
        self._items = {
            (levels, one.prompt(item).strip()): item.number for levels, one in self._worded.items() for item in one.items
        }
        self._asked = {levels: _pattern(one.persona_template) for levels, one in self._worded.items()}
        self._drawn: dict[tuple[str, str, float, Cell], list[int]] = {}
        self._answered: Counter[tuple[str, str]] = Counter()
        self.cell = lru_cache(maxsize=65536)(self._cell)
        self._chances = lru_cache(maxsize=4096)(self._cell_probabilities)
        self.first_tokens = lru_cache(maxsize=65536)(self._first_tokens)

    def _cell(self, prompt: str) -> Cell | None:
        """The cell that a prompt asks about, None if it is no question of the questionnaire."""
        prompt = prompt.strip()
        suffix = (self.instrument.digit_suffix or "").strip()
        digit = bool(suffix) and prompt.endswith(suffix)
        if digit:
            prompt = prompt.removesuffix(suffix).rstrip()
        for levels, asked in self._asked.items():
            if item := self._items.get((levels, prompt)):
                return Cell(None, item, digit, levels)
            found = asked.fullmatch(prompt)
            if found and (item := self._items.get((levels, found["item"].strip()))):
                return Cell(found["persona"], item, digit, levels)
        return None

    def answering(self, prompt: str) -> "Respondents":
        """Those of the questionnaire that a prompt is a question of; these for a prompt that is none."""
        return next((one for one in (self, *self._others) if one.cell(prompt) is not None), self)

    def understood(self, prompt: str, system: str) -> Understood:
        """What of a user and a system message is the question, and what stands around it; all is prompt where nothing is one.

        The persona may stand in the system message, behind a system prompt; a prefix is whole lines before the question.
        """
        for question in cuts(prompt, "\n")[:_LINES]:
            for said in (*cuts(system, "\n\n")[:_LINES], "") if system else ("",):
                whole = f"{said}\n\n{question}" if said else question
                if self.answering(whole).cell(whole) is not None:
                    prefix = prompt.removesuffix(question).removesuffix("\n")
                    return Understood(whole, system.removesuffix(said).removesuffix("\n\n"), prefix)
        return Understood(prompt, "", "")

    def condition(self, cell: Cell) -> str:
        """The condition of a cell that nobody named one for."""
        if cell.persona is None:
            return "self"
        return "toxic" if cell.persona in self._hostile else "persona"

    def next(self, model: str, prompt: str, choices: int) -> int:
        """The repetition that a client which names no slot gets next: 1 for the first draw of a model and prompt."""
        first = self._answered[model, prompt] + 1
        self._answered[model, prompt] += choices
        return first

    def say(
        self, model: str, cell: Cell | None, condition: str, first: int, choices: int, temperature: float, shared: float = 0.0
    ) -> list[Reply]:
        """The replies of repetitions first, first + 1, ...: a digit, then a short sentence unless a digit was asked for.

        Ratings of two choices have the correlation `shared` beyond what their cell explains.
        """
        if cell is None:
            return [Reply(tokens_of(ELSEWHERE), None)] * choices
        ratings = self.ratings(model, cell, condition, first, choices, temperature)
        if shared:
            ratings = self._with_common(ratings, model, cell, condition, first, temperature, shared)
        shown = self._worded[cell.wording].on_scale  # turning is its own inverse
        return [_said(shown(rating), cell, (cell.item + first + i) % len(_REASONS)) for i, rating in enumerate(ratings)]

    def ratings(self, model: str, cell: Cell, condition: str, first: int, choices: int, temperature: float) -> list[int]:
        """Ratings of repetitions first, first + 1, ... of a cell, at a sampling temperature."""
        drawn = self._drawn.get((model, condition, temperature, cell), [])
        last = first + choices - 1
        if len(drawn) < last:
            drawn = self._draw(model, condition, temperature, cell, repetitions=last)
        return drawn[first - 1 : last]

    def _with_common(
        self, ratings: list[int], model: str, cell: Cell, condition: str, first: int, temperature: float, shared: float
    ) -> list[int]:
        """Ratings of one request, each with probability sqrt(shared) replaced by one draw that all of them share.

        The distribution of each is that of its cell, as before, and the same request is answered alike.
        """
        named = f"{self.seed}/{model}/{condition}/{cell.persona}/{cell.item}/{first}"
        rng = np.random.default_rng(list(hashlib.sha256(named.encode()).digest()[:16]))
        own = self._chances(model, condition == "toxic", cell.persona, cell.wording, cell.steered)
        chances = response_model.at_temperature(own, temperature)
        common = int(rng.choice(list(self.instrument.categories), p=chances[0, cell.item - 1]))
        return [
            common if copied else rating for rating, copied in zip(ratings, rng.random(len(ratings)) < shared**0.5, strict=True)
        ]

    def _draw(self, model: str, condition: str, temperature: float, cell: Cell, *, repetitions: int) -> list[int]:
        """Draw ahead: a few repetitions of all items at once, as they are asked next, or twice as many of one item."""
        if len(self._drawn) > _REMEMBERED:
            self._drawn.clear()
        persona, item = cell.persona, cell.item
        own = self._chances(model, condition == "toxic", persona, cell.wording, cell.steered)
        chances = response_model.at_temperature(own, temperature)
        asked, source = self.instrument, model + cell.treatment
        if repetitions > _FIRST_DRAWN:
            asked, chances = replace(asked, items=(asked.items[item - 1],)), chances[:, item - 1 : item]
        drawn = response_model.draw(
            chances, seed=self.seed, run=f"{source}\n{cell.wording}" if cell.wording else source, condition=condition,
            personas=self._personas(persona), instrument=asked,
            repetitions=max(_FIRST_DRAWN, 2 ** (repetitions - 1).bit_length()),
        )[0].tolist()  # fmt: skip
        for each, ratings in zip(asked.items, drawn, strict=True):
            self._drawn[model, condition, temperature, cell._replace(item=each.number)] = ratings
        return self._drawn[model, condition, temperature, cell]

    def _personas(self, persona: str | None) -> list[Persona] | None:
        return None if persona is None else [self._known.get(persona, Persona(0, persona))]

    def _cell_probabilities(
        self, model: str, toxic: bool, persona: str | None, wording: str = "", steered: bool = False
    ) -> np.ndarray:
        """(1, item, category), at the temperature the respondents are fitted at."""
        respondent = self._respondents[model, steered]
        # No figures are published for hostile personas of a fine-tune: it plays them as it plays anybody.
        toxic = toxic and respondent.toxic is not None
        deck = self._personas(persona)
        shift = response_model.wording_shift(self.instrument, deck, wording)
        return response_model.cell_probabilities(respondent, self.instrument, deck, toxic=toxic, shift=shift)

    def _first_tokens(self, model: str, cell: Cell, condition: str) -> tuple[tuple[str, float], ...]:
        """(token, logprob) of a reply's first token, likeliest first, at T = 1 whatever was asked, as vLLM gives them."""
        chances = self._chances(model, condition == "toxic", cell.persona, cell.wording, cell.steered)[0, cell.item - 1]
        digits = (response_model.at_temperature(chances, 1.0) * self._digit_mass).tolist()
        points = map(self._worded[cell.wording].on_scale, self.instrument.categories)
        mass = dict(zip(map(str, points), digits, strict=True))
        mass |= {token: share * (1 - self._digit_mass) for token, share in CHATTER.items()}
        logs = {token: max(LOWEST, math.log(p)) if p > 0 else LOWEST for token, p in mass.items()}
        return tuple(sorted(logs.items(), key=lambda pair: -pair[1]))


def _pattern(template: str) -> "re.Pattern[str]":
    """What a prompt as a persona looks like, its persona and its question as groups."""
    text = re.escape(template.strip()).replace(r"\{persona\}", r"(?P<persona>.*)").replace(r"\{item\}", r"(?P<item>.*)")
    return re.compile(text, flags=re.DOTALL)


@lru_cache
def _reply(rating: int, played: bool, digit: bool, reason: int) -> tuple[str, ...]:
    if digit:
        return (str(rating),)
    return tokens_of(f"{rating}. {'As this person' if played else 'As for me'}, {_REASONS[reason]}")


def _said(rating: int, cell: Cell, reason: int) -> Reply:
    return Reply(_reply(rating, cell.persona is not None, cell.digit, reason), rating)
