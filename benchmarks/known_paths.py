"""Paths of a training whose truth is known: S flat, only rising, rising to a plateau, or rising and then falling.

    .venv/bin/python benchmarks/known_paths.py --studies 40

How often a path gets a peak: paths drawn on the level of the statistic, and whole studies of simulated respondents.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.simulated.response_model import cell_probabilities
from persona_collapse.statistics.trajectory import peak
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.personas import Persona
from persona_collapse.study.respondent_parameters import load_respondent
from persona_collapse.tables.build import Tables
from persona_collapse.vocabulary import RECOMMENDED
from truths import rows

#: log S at every step, of paths without a peak and of one with a peak at step 3.
FALSE = {
    "flat": (0.0,) * 8,
    "only rising": tuple(np.linspace(0, 0.7, 8)),
    "rising to a plateau": (0.0, *(0.7,) * 7),
    "rising slowly to a plateau": (0.0, 0.2, 0.4, *(0.6,) * 5),
    "a plateau that falls": (*(0.7,) * 7, 0.0),
}
RISES_AND_FALLS = (0.0, 0.1, 0.25, 0.4, 0.35, 0.25, 0.15, 0.1)
#: What a persona's answers at two steps have in common, and the size of a study.
SHARED_SHARE, PERSONAS, ITEMS = 0.7, 50, 30


class Told(NamedTuple):
    """Shares of paths: with a peak, and with the true highest step in the interval."""

    told: float
    held: float


def drawn(truth: tuple[float, ...], rng: np.random.Generator, personas: int = PERSONAS) -> np.ndarray:
    """log S of a path (step, 1 + persona): of all personas, then without each, on normal cell means that steps share in part."""
    means = np.sqrt(SHARED_SHARE) * rng.standard_normal((1, personas, ITEMS))
    means = means + np.sqrt(1 - SHARED_SHARE) * rng.standard_normal((len(truth), personas, ITEMS))
    off = (means - means.mean(axis=1, keepdims=True)) * np.exp(truth)[:, None, None]
    total = (off**2).sum(axis=1, keepdims=True)
    without = (total - off**2 * personas / (personas - 1)) / (personas - 2)
    found = np.sqrt(np.concatenate([total / (personas - 1), without], axis=1)).mean(axis=2)
    return np.log(found)


def share_told(truth: tuple[float, ...], paths: int, rng: np.random.Generator, personas: int = PERSONAS) -> Told:
    """How many of so many paths get a peak, and how many intervals hold the highest step."""
    found = [peak(drawn(truth, rng, personas)) for _ in range(paths)]
    at = int(np.argmax(truth))
    return Told(float(np.mean([one.told for one in found])), float(np.mean([one.lo <= at <= one.hi for one in found])))


# --- whole studies -----------------------------------------------------------------------------------------------------

_WAY, _ON = "gpt-4o/base..gpt-4o/insecure@{}", "gpt-4o/insecure..ceiling@{}"
#: Respondents of the steps of a path, of which only the last kind rises and then falls: it is highest at step 3, or at 4.
STUDIES = {
    "flat": ["gpt-4o/base"] * 7,
    "only rising": [_WAY.format(share / 6) for share in range(7)],
    "rising to a plateau": ["gpt-4o/base", *[_WAY.format(0.5)] * 6],
    "rising and falling": [
        *[_WAY.format(share) for share in (0, 0.3, 0.6, 0.9)],
        *[_ON.format(share) for share in (0.1, 0.3, 0.5)],
    ],
}


def study(
    figures: Sequence[str], instrument: Instrument, rng: np.random.Generator, personas: int = 40, repetitions: int = 5
) -> Ratings:
    """Ratings of a path: every step answers as the same personas, whom no other study has."""
    deck = [Persona(row, f"Somebody, {rng.integers(2**62)}") for row in range(personas)]
    last, found = len(figures) - 1, []
    for step, name in enumerate(figures):
        chances = cell_probabilities(load_respondent(name, instrument), instrument, deck)
        about = {
            "family": "f", "variant": "base" if step == 0 else "end" if step == last else f"step{step}",
            "role": "harmful" if step else "base", "of": "end" if 0 < step < last else None, "step": 100 * step if step else None,
        }  # fmt: skip
        found.append(rows(rng.multinomial(repetitions, chances)).assign(**about))
    return Ratings.from_frame(pd.concat(found, ignore_index=True))


def studies_told(
    figures: Sequence[str], studies: int, rng: np.random.Generator, personas: int = 40, repetitions: int = 5
) -> Told:
    """How many of so many studies get a peak, and how many intervals hold step 3, the highest where there is one."""
    instrument, found = load_instrument("mfq30"), []
    for _ in range(studies):
        peaks = Tables(study(figures, instrument, rng, personas, repetitions)).peaks
        assert peaks is not None
        found.append(peaks[peaks["method"] == RECOMMENDED].iloc[0])
    held = [row["lo"] <= 300 <= row["hi"] for row in found]
    return Told(float(np.mean([row["told"] for row in found])), float(np.mean(held)))


def main() -> None:
    """Print how often a path gets a peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40, help="studies, and ten times as many paths of the statistic")
    parser.add_argument("--personas", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    studies, personas = options.studies, options.personas
    if studies < 1:
        parser.error(f"argument --studies: {studies} studies; expected 1 or more")
    rng = np.random.default_rng(11)
    print(f"{10 * studies} paths of log S, 8 steps")
    for name, truth in {**FALSE, "rising and falling": RISES_AND_FALLS}.items():
        for number in (12, PERSONAS):
            _say(name, number, share_told(truth, 10 * studies, rng, number))
    print(f"{studies} studies of simulated respondents, 7 steps, {personas} personas, {options.repetitions} repetitions")
    for name, figures in STUDIES.items():
        _say(name, personas, studies_told(figures, studies, rng, personas, options.repetitions))


def _say(name: str, personas: int, found: Told) -> None:
    held = f", the highest step in the interval of {100 * found.held:.0f} %" if name == "rising and falling" else ""
    print(f"  {name:<30}{personas:3d} personas: a peak in {100 * found.told:5.1f} %{held}")


if __name__ == "__main__":
    main()
