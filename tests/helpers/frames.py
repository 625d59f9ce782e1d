"""Studies that are data frames: variants of one family from counts, or from how each is to answer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from persona_collapse.store.ratings import Ratings

ROLES = {"base": "base", "ok": "control", "bad": "harmful"}


def ratings_of(variants: Mapping[str, np.ndarray], *, control: bool = True) -> Ratings:
    """Ratings of the family `f` from counts (persona, item, category) by key of the variant, items of the MFQ from 1.

    `base`, `ok` and `bad` have the roles that these names stand for, any other is harmful; where there is an `ok`, harmful ones
    name it as their control unless told not to.
    """
    rows = []
    for key, counts in variants.items():
        role = ROLES.get(key, "harmful")
        named = "ok" if control and role == "harmful" and "ok" in variants else None
        for persona, item, category in np.argwhere(counts):
            for number in range(counts[persona, item, category]):
                rows.append(("f", key, role, named, f"p{persona}", item + 1, f"{category}.{number}", category))
    columns = ["family", "variant", "role", "control", "persona", "item", "repetition", "rating"]
    return Ratings.from_frame(pd.DataFrame(rows, columns=columns))


def answered(rng: np.random.Generator, means: np.ndarray, *, noise: float = 0.5, repetitions: int = 4) -> np.ndarray:
    """Counts (persona, item, category) of answers about these means (persona, item) on a scale from 0 to 5."""
    ratings = np.clip(means[..., None] + rng.normal(0, noise, (*means.shape, repetitions)), 0, 5).round()
    return np.stack([(ratings == k).sum(axis=-1) for k in range(6)], axis=-1)
