"""How often the interval of recovery holds the truth, and how often it is refused, in studies whose truth is known.

A harmful fine-tune loses its anchor; treatments bring it back in part, wholly or too far. Every study draws its own personas
from one population, and ratings of them; the truth is recovery in the whole population. `make coverage` prints the table.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from known_treatments import alike, between
from known_truths import POPULATION, Design, Latent, population
from persona_collapse.statistics import persona_jackknife, recommended_estimators
from persona_collapse.statistics.recovery import share_of
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.study.study_file import StudyFile

PERSONAS, REPETITIONS, STUDIES = 60, 5, 2000
METRICS = ("susceptibility", "within_rms")


#: What a treatment leaves of a fine-tune, of base and fine-tune.
TREATMENTS: Mapping[str, Callable[[Latent, Latent], Latent]] = {
    "nothing": lambda base, harmful: harmful,
    "half": lambda base, harmful: between(harmful, base, 0.5),
    "all": lambda base, harmful: base,
    "too much": lambda base, harmful: between(harmful, base, 1.2),
    "alike": lambda base, harmful: alike(base),
}
#: Fine-tunes: one that loses its anchor, one that loses a little of it, and one that changes nothing, of which nothing can be
#: recovered.
FINE_TUNES: Mapping[str, Callable[[Latent], Latent]] = {
    "lost": lambda base: base.wider(1.5).noisier(2),
    "a little": lambda base: base.wider(1.12).noisier(1.2),
    "unchanged": lambda base: base,
}


class Counted(NamedTuple):
    """Of how many studies the interval of a metric held the truth, and of how many it was refused."""

    fine_tune: str
    treatment: str
    metric: str
    truth: float
    held: int
    given: int
    refused: int

    @property
    def coverage(self) -> float:
        """Of the intervals that were given."""
        return self.held / self.given if self.given else float("nan")


def runs_of(instrument: Instrument, fine_tune: str) -> dict[str, Latent]:
    """A base, a harmful fine-tune and every treatment of it."""
    base = population(instrument)
    harmful = FINE_TUNES[fine_tune](base)
    return {"base": base, "harmful": harmful} | {key: made(base, harmful) for key, made in TREATMENTS.items()}


def truths(instrument: Instrument, probabilities: Mapping[str, np.ndarray]) -> dict[tuple[str, str], float]:
    """Recovery in the whole population, by treatment and metric; NaN where there is nothing to recover."""
    points = np.array(list(instrument.categories))
    log = {}
    for key, chances in probabilities.items():
        mean = chances @ points
        noise = (chances @ points**2 - mean**2).mean()
        log[key, "susceptibility"] = np.log(mean.std(axis=0, ddof=1).mean())
        log[key, "within_rms"] = np.log(noise) / 2
    found = {}
    for key in TREATMENTS:
        for metric in METRICS:
            gap = log["base", metric] - log["harmful", metric]
            moved = log[key, metric] - log["harmful", metric]
            found[key, metric] = moved / gap if abs(gap) > 1e-9 else float("nan")
    return found


def simulate(
    instrument: Instrument, fine_tune: str, rng: np.random.Generator, studies: int = STUDIES, personas: int = PERSONAS,
    repetitions: int = REPETITIONS,
) -> list[Counted]:  # fmt: skip
    """Coverage and refusals of every treatment of a fine-tune, over so many studies."""
    probabilities = {key: latent.probabilities() for key, latent in runs_of(instrument, fine_tune).items()}
    known = truths(instrument, probabilities)
    file = StudyFile.model_validate(
        {
            "title": "Drawn",
            "kind": "imported",
            "families": [{"key": "f", "variants": [{"key": "base", "role": "base", "persona": "-"}]}],
        }
    )
    design = Design(file, instrument, probabilities)
    held, given = (dict.fromkeys(known, 0) for _ in range(2))
    for _ in range(studies):
        for key, (lo, hi) in _intervals(design, rng, personas, repetitions).items():
            given[key] += np.isfinite(lo)
            held[key] += lo <= known[key] <= hi
    return [Counted(fine_tune, *key, known[key], held[key], given[key], studies - given[key]) for key in known]


def _intervals(
    design: Design, rng: np.random.Generator, personas: int, repetitions: int
) -> dict[tuple[str, str], tuple[float, float]]:
    scope = scope_matrix(design.instrument)[:, :1]
    counts = design.drawn(rng, personas, repetitions)
    loo = {key: recommended_estimators.leave_one_out(found, design.instrument.categories, scope) for key, found in counts.items()}
    found = {}
    near = {key: bool(persona_jackknife.near_zero(one)[0]) for key, one in loo.items()}
    for metric in METRICS:
        with np.errstate(divide="ignore"):
            log = {key: np.log(one.of(metric)[:, 0]) for key, one in loo.items()}
        gap = log["base"] - log["harmful"]
        for key in TREATMENTS:
            share = share_of(log[key] - log["harmful"], gap).share
            # As on a page: where personas cannot be told apart S has no logarithm.
            gone = metric == "susceptibility" and near[key]
            found[key, metric] = (np.nan, np.nan) if gone else (share.lo, share.hi)
    return found


def lines(found: list[Counted]) -> list[str]:
    """The table for people."""
    head = f"{'fine-tune':<12}{'treatment':<12}{'metric':<18}{'truth':>8}{'coverage':>10}{'refused':>9}"
    body = [
        f"{one.fine_tune:<12}{one.treatment:<12}{one.metric:<18}{one.truth:>8.3f}"
        + (f"{100 * one.coverage:>8.1f} %" if one.given else f"{'-':>10}")
        + f"{100 * one.refused / (one.given + one.refused):>7.1f} %"
        for one in found
    ]
    return [head, *body]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--personas", type=int, default=PERSONAS)
    options = parser.parse_args()
    generator, mfq30 = np.random.default_rng(1712), load_instrument("mfq30")
    print(f"Recovery: {options.studies} studies of {options.personas} personas (of {POPULATION}), {REPETITIONS} ratings a cell.")
    for name in FINE_TUNES:
        print("\n".join(lines(simulate(mfq30, name, generator, options.studies, options.personas))))
