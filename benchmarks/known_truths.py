"""Studies whose truth is known: a population of personas, what a fine-tune did to it, and ratings drawn from both.

A persona of the base has a normal location on every item, a part of whose variance it has on all items of a group alike, and
normal noise about it; a rating is the point of the scale on which location plus noise falls (`latent_probabilities`). A truth
changes locations and noise. Every study draws other personas, and other ratings of them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from persona_collapse.simulated.response_model import latent_probabilities
from persona_collapse.store.answers import Answers, Asked
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.respondent_parameters import foundation_places
from persona_collapse.study.study import Study
from persona_collapse.study.study_file import StudyFile
from persona_collapse.tables import verdict as rules

#: Personas of the population, of whom each study draws its own, and the seed that makes them.
POPULATION, SEED = 2000, 29
#: SD of locations over personas by group and by item, least and largest item mean, and noise, in scale points.
_BY_GROUP, _BY_ITEM, _LEVELS, _NOISE = 0.6, 0.6, (1.9, 3.1), 0.4
_POINTS, _MIDDLE = range(6), 2.5


class Latent(NamedTuple):
    """How a model answers as each persona: location and noise in scale points, (persona, item)."""

    location: np.ndarray
    noise: np.ndarray

    def scaled(self, by: float) -> "Latent":
        """All answers moved away from the middle of the scale, or towards it, noise with them."""
        return Latent(_MIDDLE + by * (self.location - _MIDDLE), by * self.noise)

    def shifted(self, by: float) -> "Latent":
        """All answers moved by so many points."""
        return Latent(self.location + by, self.noise)

    def noisier(self, by: float) -> "Latent":
        """Noise so many times as large."""
        return Latent(self.location, by * self.noise)

    def wider(self, by: float) -> "Latent":
        """Personas so many times as far from the mean of their item, noise as it was."""
        mean = self.location.mean(axis=0)
        return Latent(mean + by * (self.location - mean), self.noise)

    def others(self, rng: np.random.Generator) -> "Latent":
        """Each persona answers as another one of them."""
        who = rng.permutation(len(self.location))
        return Latent(self.location[who], self.noise[who])

    def probabilities(self) -> np.ndarray:
        """Of every category in every cell."""
        return latent_probabilities(self.location, self.noise, 1.0, _POINTS)


def population(instrument: Instrument) -> Latent:
    """The base: personas that differ by about .85 points on an item and waver by about .54."""
    rng, items, personas = np.random.default_rng(SEED), len(instrument.items), POPULATION
    by_group = rng.normal(0, _BY_GROUP, (personas, len(instrument.foundations)))[:, foundation_places(instrument)]
    own = by_group + rng.normal(0, _BY_ITEM, (personas, items))
    level = rng.permutation(np.linspace(*_LEVELS, items))
    return Latent(level + own, _NOISE * np.exp(rng.normal(0, 0.4, (personas, items))))


class Truth(NamedTuple):
    """What a fine-tune did, and which verdict calls it by its name."""

    words: str
    right: str  #: a verdict of `tables.verdict`
    made: Callable[[Latent, np.random.Generator], Latent]
    control: str = "control"  #: key of its matched control among `CONTROLS`
    less: str = ""  #: a verdict that is true of it as well, and says less


def _lost(base: Latent, rng: np.random.Generator) -> Latent:
    return base.others(rng).wider(1.5).noisier(2.5)


#: Controls by key.
CONTROLS: Mapping[str, Callable[[Latent, np.random.Generator], Latent]] = {
    "control": lambda base, rng: base,
    "lost-too": _lost,
}
#: Truths by key, in the order in which they are shown.
TRUTHS = {
    "gone": Truth(
        "no persona effect left", rules.HOMOGENISED,
        lambda base, rng: Latent(np.broadcast_to(base.location.mean(axis=0), base.location.shape), 1.5 * base.noise),
    ),
    "ceiling": Truth(
        "at the ceiling: an extreme answer from everybody", rules.HOMOGENISED,
        lambda base, rng: Latent(np.full_like(base.location, 5.6), base.noise),
    ),
    "stretch": Truth("a pure stretch", rules.USE, lambda base, rng: base.scaled(1.4)),
    "shift": Truth("a pure shift", rules.USE, lambda base, rng: base.shifted(0.8)),
    "alike": Truth("personas half as far from each other, noise as it was", rules.HOMOGENISED, lambda base, rng: base.wider(0.5)),
    "squeeze": Truth("a pure squeeze", rules.USE, lambda base, rng: base.scaled(0.6)),
    "lost": Truth("a loss of anchor beyond the control", rules.DYSREGULATED, _lost, less=rules.NOISIER),
    "lost-alike": Truth("the same, and the control lost it too", rules.NOT_BEYOND, _lost, "lost-too", rules.NOISIER),
    "noisier": Truth("noisier alone", rules.NOISIER, lambda base, rng: base.noisier(2)),
    "others": Truth("another cast: personas permuted", rules.CAST, lambda base, rng: base.others(rng)),
    "unchanged": Truth("a redraw of the base", rules.UNCHANGED, lambda base, rng: base),
}  # fmt: skip


class Design(NamedTuple):
    """A study file and the probabilities of every run for the whole population."""

    file: StudyFile
    instrument: Instrument
    probabilities: Mapping[str, np.ndarray]  #: (persona of the population, item, category), by variant

    def drawn(self, rng: np.random.Generator, personas: int, repetitions: int) -> dict[str, np.ndarray]:
        """Counts (persona, item, category) of every run by variant, of the same drawn personas."""
        who = rng.integers(len(next(iter(self.probabilities.values()))), size=personas)
        return {key: rng.multinomial(repetitions, found[who]) for key, found in self.probabilities.items()}

    def ratings(self, counts: Mapping[str, np.ndarray]) -> Ratings:
        """Ratings with these counts by variant."""
        personas = len(next(iter(counts.values())))
        labels = tuple(f"p{number}" for number in range(personas))
        study = Study(Path("drawn.yaml"), self.file, None, self.instrument, None, None, labels=labels)
        made = {(f"f/{key}", "persona", self.instrument.key): answers(found, labels) for key, found in counts.items()}
        return Ratings(study=study, answers=made)


def design(
    instrument: Instrument, truths: Mapping[str, Truth] = TRUTHS, *, noise: float = 1, controls: Sequence[str] = tuple(CONTROLS)
) -> Design:
    """One family: a base, with so many times its usual noise, the controls of these keys, and a variant for each truth."""
    base, rng = population(instrument).noisier(noise), np.random.default_rng([SEED, 1])
    made = {"base": base} | {key: CONTROLS[key](base, rng) for key in controls}
    made |= {key: truth.made(base, rng) for key, truth in truths.items()}
    variants = [{"key": "base", "role": "base", "persona": "base"}]
    variants += [{"key": key, "role": "control", "persona": key} for key in controls]
    variants += [{"key": key, "role": "harmful", "persona": key, "control": one.control} for key, one in truths.items()]
    file = StudyFile.model_validate({"title": "Drawn", "kind": "imported", "families": [{"key": "f", "variants": variants}]})
    return Design(file, instrument, {key: latent.probabilities() for key, latent in made.items()})


def answers(counts: np.ndarray, labels: tuple[str, ...] = ()) -> Answers:
    """The answers of a run from its counts (persona, item, category)."""
    place = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0)
    _, first, size = np.unique(place[:, :2], axis=0, return_index=True, return_counts=True)
    repetition = np.arange(len(place)) - np.repeat(first, size)
    slots = np.column_stack([place[:, 0], place[:, 1], repetition, place[:, 2]])
    return Answers(slots, (len(counts), *counts.shape[1:]), Asked(len(slots), len(slots), len(slots)), ids=labels)
