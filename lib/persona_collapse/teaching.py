"""What the tour shows: a handful of ratings to compute with by hand, and a model carried from base to collapsed."""

import numpy as np
import pandas as pd

from persona_collapse import metrics, saturation, simulation
from persona_collapse.store import Store
from persona_collapse.study import Run, Study


def few_ratings(store: Store, run: Run, personas: list[int], items: list[int]) -> pd.DataFrame:
    """The ratings of a few cells, one column a repetition; personas and items are counted from 1."""
    rows = [
        (persona, item, repetition, rating)
        for persona, item, repetition, rating in store.ratings(run.family.key, run.variant.key, "persona")
        if persona + 1 in personas and item in items
    ]
    table = pd.DataFrame(rows, columns=["persona", "item", "repetition", "rating"]).assign(persona=lambda t: t["persona"] + 1)
    return table.pivot(index=["item", "persona"], columns="repetition", values="rating")


def by_hand(ratings: pd.DataFrame) -> pd.DataFrame:
    """Mean and SD (ddof = 1) over the repetitions of each cell of `few_ratings`."""
    return pd.DataFrame({"mean": ratings.mean(axis=1), "SD": ratings.std(axis=1)}).round(3)


def carry(study: Study, family: str, steps: int = 11) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A simulated model carried from its base to its harmful variant in equal steps.

    Returns
    -------
    steps : DataFrame
        share (0 to 1), S, R of each step, by the published estimators on freshly drawn ratings.
    profiles : DataFrame
        share, foundation, mean: answers without a persona at each step.
    """
    of = next(f for f in study.file.families if f.key == family)
    harmful = next(v for v in of.variants if v.role == "harmful")
    ends = [simulation.load_respondent(v.figures or "", study.instrument) for v in (of.base, harmful)]
    weights = metrics.scope_matrix(study.instrument)
    levels, profiles = [], []
    for share in np.linspace(0, 1, steps).round(3).tolist():
        respondent = simulation.between(*ends, share)
        persona, alone = (_counts(study, respondent, of.key, condition) for condition in ("persona", "self"))
        level = metrics.published(persona, study.instrument.categories, weights)
        levels.append((share, level.susceptibility[0], level.robustness[0]))
        found = saturation.profile(alone, study.instrument)
        profiles += [(share, row.foundation, row.mean) for row in found.itertuples(index=False)]
    return (
        pd.DataFrame(levels, columns=["share", "S", "R"]),
        pd.DataFrame(profiles, columns=["share", "foundation", "mean"]),
    )


def _counts(study: Study, respondent: simulation.Respondent, run: str, condition: str) -> np.ndarray:
    """Freshly drawn ratings of a respondent as counts."""
    deck = study.deck(condition)
    chances = simulation.cell_probabilities(respondent, study.instrument, deck)
    drawn = simulation.draw(
        chances, seed=study.file.seed, run=run, condition=condition, personas=deck, instrument=study.instrument,
        repetitions=10,
    )  # fmt: skip
    return np.stack([(drawn == category).sum(axis=-1) for category in study.instrument.categories], axis=-1)
