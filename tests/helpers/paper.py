"""The paper's own ratings, for tests that have them at hand: PUBLISHED_DATA names their folder."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from persona_collapse.study.load_study import load_study

FAMILIES = ("gpt-4o", "gpt-4.1", "deepseek-v3.1", "qwen3-235b")
needs_data = pytest.mark.skipif(
    not os.environ.get("PUBLISHED_DATA"), reason="PUBLISHED_DATA does not name a folder with the paper's ratings"
)


@lru_cache
def paper_counts() -> dict[tuple[str, str], np.ndarray]:
    """Counts (persona, item, category) of every persona run, by family and variant."""
    folder = Path(os.environ["PUBLISHED_DATA"])
    found = {}
    for run in load_study("published", folder).runs:
        table = pd.read_csv(folder / str(run.variant.persona), usecols=["persona_id", "question_id", "rating"])
        persona, question, rating = table[table["rating"] >= 0].to_numpy().T
        place = np.ravel_multi_index((persona, question - 1, rating), (100, 30, 6))
        found[run.family.key, run.variant.key] = np.bincount(place, minlength=18_000).reshape(100, 30, 6)
    return found
