"""What several test files build: counts from ratings written out, and small study files."""

from pathlib import Path

import numpy as np
import yaml

from persona_collapse.study.load_study import load_study
from persona_collapse.study.study import Study

SCALE = range(6)


def counts_of(ratings: list[list[list[int]]]) -> np.ndarray:
    """Counts (persona, item, category) on a scale 0-5 from nested lists: persona, item, the ratings of the cell."""
    found = np.zeros((len(ratings), len(ratings[0]), 6), dtype=int)
    for p, row in enumerate(ratings):
        for q, cell in enumerate(row):
            for rating in cell:
                found[p, q, rating] += 1
    return found


def random_counts(rng: np.random.Generator, personas: int = 20, items: int = 6, repetitions: int = 5) -> np.ndarray:
    """Counts of personas that differ and waver."""
    ratings = np.clip(rng.normal(2.5, 1.2, (personas, items, 1)) + rng.normal(0, 0.8, (personas, items, repetitions)), 0, 5)
    return np.stack([(ratings.round() == k).sum(axis=-1) for k in SCALE], axis=-1)


def write_study(folder: Path, families: dict[str, list[tuple[str, str, str | None]]], name: str = "small") -> Study:
    """An imported study whose files need not exist; `families` maps a key to (variant, role, control) triples."""
    content = {
        "title": "Small",
        "kind": "imported",
        "families": [
            {
                "key": family,
                "variants": [
                    {"key": key, "role": role, "persona": f"{family}-{key}.csv"} | ({"control": control} if control else {})
                    for key, role, control in variants
                ],
            }
            for family, variants in families.items()
        ],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_study(path, files=False)
