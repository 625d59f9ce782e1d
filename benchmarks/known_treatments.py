"""Studies of a treatment whose truth is known: a harmful fine-tune that lost its anchor, and what a treatment brings back.

Of the population of `known_truths`: a base, a matched control that is its redraw, a fine-tune, and treatments of it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from known_truths import SEED, Design, Latent, population
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study_file import StudyFile


def between(start: Latent, end: Latent, share: float) -> Latent:
    """A share of the way from one to another, noise by its logarithm."""
    location = (1 - share) * start.location + share * end.location
    return Latent(location, start.noise ** (1 - share) * end.noise**share)


def alike(base: Latent) -> Latent:
    """Everybody answers as the mean persona does, as steadily as the base does on average."""
    noise = np.exp(np.log(base.noise).mean(axis=0))
    return Latent(*(np.broadcast_to(of, base.location.shape) for of in (base.location.mean(axis=0), noise)))


class Treatment(NamedTuple):
    """What a treatment does, and what is then true of it."""

    words: str
    plain: Callable[[Latent, Latent], Latent]  #: how it answers, of base and fine-tune
    behind: Callable[[Latent, Latent], Latent] | None = None  #: the same behind a trigger
    harmful: Callable[[Latent, np.random.Generator], Latent] = lambda base, rng: base.others(rng).wider(1.5).noisier(2.5)


#: Treatments by key, in the order in which they are shown.
TREATMENTS: Mapping[str, Treatment] = {
    "half-undone": Treatment(
        "a treatment that half undoes what fine-tuning did", lambda base, harmful: between(harmful, base, 0.5),
        harmful=lambda base, rng: base.wider(1.5).noisier(2.5),
    ),
    "bought": Treatment("a treatment that is steady because everybody answers alike", lambda base, harmful: alike(base)),
    "hidden": Treatment(
        "a treatment that only hides behind a trigger", lambda base, harmful: base, lambda base, harmful: harmful
    ),
    "undone": Treatment(
        "a treatment that undoes it, behind a trigger too", lambda base, harmful: base, lambda base, harmful: base
    ),
    "nothing-to-undo": Treatment(
        "a treatment of a fine-tune that changed nothing", lambda base, harmful: base, harmful=lambda base, rng: base
    ),
}  # fmt: skip


def latents(instrument: Instrument, key: str) -> dict[str, Latent]:
    """How every run of a study of one treatment answers, by its key."""
    treatment, base = TREATMENTS[key], population(instrument)
    harmful = treatment.harmful(base, np.random.default_rng([SEED, 2]))
    found = {"base": base, "control": base, "insecure": harmful, "treated": treatment.plain(base, harmful)}
    return found | ({"behind": treatment.behind(base, harmful)} if treatment.behind else {})


#: What a study file says of each run, beside where its ratings are.
RUNS: Mapping[str, Mapping[str, str]] = {
    "base": {"role": "base"},
    "control": {"role": "control"},
    "insecure": {"role": "harmful", "control": "control"},
    "treated": {"role": "mitigated", "of": "insecure", "method": "treatment"},
    "behind": {"role": "mitigated", "of": "insecure", "method": "treatment", "context": "trigger"},
}


def drawn(instrument: Instrument, key: str, rng: np.random.Generator, personas: int, repetitions: int) -> dict[str, np.ndarray]:
    """Counts (persona, item, category) of every run, of the same drawn personas."""
    runs = latents(instrument, key)
    who = rng.integers(len(runs["base"].location), size=personas)
    of_these = {name: Latent(latent.location[who], latent.noise[who]).probabilities() for name, latent in runs.items()}
    return {name: rng.multinomial(repetitions, found) for name, found in of_these.items()}


def ratings(
    instrument: Instrument, key: str, rng: np.random.Generator, personas: int, repetitions: int,
    about: Mapping[str, Mapping[str, str]] = RUNS,
) -> Ratings:  # fmt: skip
    """A study of one treatment; `about` says of its runs what a study file says."""
    counts = drawn(instrument, key, rng, personas, repetitions)
    variants = [{"key": name, "persona": name, **about[name]} for name in counts]
    content = {"title": TREATMENTS[key].words, "kind": "imported", "families": [{"key": "f", "variants": variants}]}
    design = Design(StudyFile.model_validate(content), instrument, {})
    return design.ratings(counts)
