"""Where on the scale the answers lie: profiles over foundations, shares of categories, distance to the ceiling."""

import numpy as np
import pandas as pd

from persona_collapse.instrument import Instrument
from persona_collapse.metrics import moments


def profile(counts: np.ndarray, instrument: Instrument) -> pd.DataFrame:
    """Mean and steadiness of the answers by foundation, for each persona row of `counts`.

    ``mean`` is the mean of the item means of a foundation, ``within_sd`` the mean of its item SDs over repetitions
    (ddof = 1; the figure that the paper prints after the sign ± of a self profile), both over the items that have one.

    Parameters
    ----------
    counts : (persona, item, category) int array
    instrument : Instrument

    Returns
    -------
    DataFrame
        persona (row of `counts`), foundation, mean and within_sd in scale points (NaN without ratings), ratings.
    """
    cells = moments(counts, instrument.categories)
    sd = np.sqrt(cells.variance)
    rows = []
    for foundation in instrument.foundations:
        own = [i for i, item in enumerate(instrument.items) if item.foundation == foundation]
        for persona in range(len(counts)):
            rows.append(
                (
                    persona,
                    foundation,
                    _mean(cells.mean[persona, own]),
                    _mean(sd[persona, own]),
                    int(cells.n[persona, own].sum()),
                )
            )
    return pd.DataFrame(rows, columns=["persona", "foundation", "mean", "within_sd", "ratings"])


def profiles(counts: np.ndarray, instrument: Instrument, *, each: bool) -> pd.DataFrame:
    """Rows of profiles.csv for one run and condition: the mean over personas, after `each` persona if asked for.

    ``persona`` is empty in mean rows; ``between_sd`` is the SD (ddof = 1) over personas of their means, empty elsewhere.
    """
    single = profile(counts, instrument)
    over = single.groupby("foundation", sort=False, as_index=False).agg(
        mean=("mean", "mean"), within_sd=("within_sd", "mean"), ratings=("ratings", "sum"), between_sd=("mean", "std")
    )
    over["persona"] = np.nan
    parts = [single, over] if each else [over]
    return pd.concat(parts, ignore_index=True)[["persona", "foundation", "mean", "within_sd", "ratings", "between_sd"]]


def shares(counts: np.ndarray) -> np.ndarray:
    """Share of all ratings that each category has (category,); NaN without ratings."""
    total = counts.sum(axis=(0, 1))
    with np.errstate(invalid="ignore"):
        return total / total.sum()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Root mean square difference over foundations of two profiles, in scale points."""
    return float(np.sqrt(np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)))


def _mean(values: np.ndarray) -> float:
    found = values[~np.isnan(values)]
    return float(found.mean()) if len(found) else np.nan
