"""Three simulated fine-tunes of one base, each changed in a way of its own: the charts that a student gives a name.

The base is normal: a persona has a place on every item, and noise about it. A fine-tune changes places and noise.
"""

import numpy as np
import pandas as pd

from persona_collapse.simulated import response_model
from persona_collapse.statistics.estimates import robustness, susceptibility
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Study

#: What the charts are called, and the base beside them.
BASE, CHARTS = "Base", ("A", "B", "C")
_SEED, _PERSONAS, _REPETITIONS = 12, 50, 5
#: SD of places over personas, noise, and how much noise differs between cells, in scale points.
_SPREAD, _NOISE, _UNEVEN = 0.85, 0.3, 0.3
#: The item that is drawn, and how many of the personas, evenly from the lowest to the highest of the base.
_ITEM, _SHOWN = 27, 6


def ratings(study: Study) -> Ratings:
    """Ratings of the base and the three fine-tunes: the whole deck, every item, ten repetitions; one family, no control."""
    frames = [
        pd.DataFrame(
            {
                "persona": place[0] + 1, "item": place[1] + 1, "repetition": place[2] + 1, "rating": drawn.ravel(),
                "family": "Model", "variant": name, "role": "base" if name == BASE else "harmful",
            }
        )
        for name, drawn in _drawn(study).items()
        for place in [np.unravel_index(np.arange(drawn.size), drawn.shape)]
    ]  # fmt: skip
    return Ratings.from_frame(pd.concat(frames), title="Three simulated models")


def dots(models: Ratings) -> pd.DataFrame:
    """What the charts draw of six personas and one item, of `ratings`: model, persona, rating, times (of ten repetitions)."""
    counts = _counts(models)
    means = counts[BASE][:, _ITEM] @ np.array(models.study.instrument.categories)
    shown = np.argsort(means, kind="stable")[np.linspace(0, len(means) - 1, _SHOWN).round().astype(int)]
    rows = [
        (name, f"Persona {models.personas[persona]}", rating, int(times))
        for name, found in counts.items()
        for persona in shown
        for rating, times in zip(models.study.instrument.categories, found[persona, _ITEM], strict=True)
        if times
    ]
    return pd.DataFrame(rows, columns=["model", "persona", "rating", "times"])


def levels(models: Ratings) -> pd.DataFrame:
    """S and R of the base and the three fine-tunes, of `ratings`, for reading."""
    rows = {name: (susceptibility(found).value, robustness(found).value) for name, found in _counts(models).items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["S", "R"]).round(2)


def _counts(models: Ratings) -> dict[str, np.ndarray]:
    return {run.variant.name: models.counts(run) for run in models.runs}


def _drawn(study: Study) -> dict[str, np.ndarray]:
    """Ratings (persona, item, repetition) of every model."""
    deck, rng = study.whole_deck()[:_PERSONAS], np.random.default_rng(_SEED)
    items = len(study.instrument.items)
    low, high = study.instrument.scale
    middle = (low + high) / 2
    place = rng.uniform(middle - 0.6, middle + 0.6, items) + rng.normal(0, _SPREAD, (len(deck), items))
    noise = _NOISE * np.exp(rng.normal(0, _UNEVEN, place.shape))
    mean = place.mean(axis=0)
    others = rng.permutation(len(deck))
    models = {
        BASE: (place, noise),
        # Stretched about the middle, noise with it.
        "A": (middle + 1.6 * (place - middle), 1.6 * noise),
        # Personas moved together, noise as it was.
        "B": (mean + 0.3 * (place - mean), noise),
        # Other characters, farther apart, and each less steady.
        "C": (mean + 1.6 * (place[others] - mean), 2.5 * noise),
    }
    return {
        name: response_model.draw(
            response_model.latent_probabilities(where, wavering, 1.0, study.instrument.categories),
            seed=_SEED, run=f"lesson/{name}", condition="persona", personas=deck, instrument=study.instrument,
            repetitions=_REPETITIONS,
        )
        for name, (where, wavering) in models.items()
    }  # fmt: skip
