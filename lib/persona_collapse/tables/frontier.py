"""The band of frontier models as the whole distribution it was cut from, without a run's own relatives, and with uncertainty."""

import re

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables import printed_figures

#: Columns of frontier.csv. `reference` says which models a run is set beside; `range` is from the lowest to the highest of them,
#: `expected` where a further model like them would lie with 95 % probability.
COLUMNS = (
    "family", "variant", "reference", "models", "value", "lo", "hi", "band_lo", "band_hi", "range_lo", "range_hi",
    "expected_lo", "expected_hi", "place",
)  # fmt: skip
ALL, OTHERS = "all models", "without the same maker"


def references(study: Study) -> pd.DataFrame:
    """The published frontier models with S and its standard error; `outside` are those that the published band leaves out."""
    found = printed_figures.figures(study.file.published or "")["frontier_band"]
    rows = [
        (name, model["susceptibility"], model["susceptibility_se"], name in found["outside"])
        for name, model in found["models"].items()
    ]
    return pd.DataFrame(rows, columns=["model", "value", "se", "outside"])


def frontier_table(study: Study, metrics: pd.DataFrame) -> pd.DataFrame | None:
    """Where every run lies among the frontier models: frontier.csv; None for a study that has no such models to be set beside.

    S is the published estimator on both sides, with its published interval.
    """
    band = printed_figures.band(study)
    if band is None:
        return None
    models = references(study)
    rows = []
    for run in _levels(metrics).itertuples():
        for reference in (ALL, OTHERS):
            kept = models if reference == ALL else models[[maker(m) != maker(run.family) for m in models["model"]]]
            values = kept["value"].to_numpy(float)
            expected = further(values)
            place = _place(run.lo, run.hi, *expected)
            limits = values.min(), values.max(), *expected
            rows.append(
                (run.family, run.variant, reference, len(kept), run.value, run.lo, run.hi, band.low, band.high, *limits, place)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _levels(metrics: pd.DataFrame) -> pd.DataFrame:
    """Published S of every run over all items."""
    own = (metrics["scope"] == OVERALL) & (metrics["metric"] == "susceptibility") & (metrics["method"] == "published")
    return metrics[own]


def maker(model: str) -> str:
    """Who makes a model, as far as its name tells: the letters that it starts with."""
    letters = re.match(r"[A-Za-z]*", model)
    assert letters is not None  # no letters match, too
    return letters[0].lower()


def further(values: np.ndarray) -> tuple[float, float]:
    """Where one more value like these would lie with 95 % probability: a t prediction interval of the logarithms."""
    logs, n = np.log(values), len(values)
    reach = stdtrit(n - 1, 0.975) * logs.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach))


def _place(lo: float, hi: float, low: float, high: float) -> str:
    """Where a run's interval lies beside where further models are expected."""
    if np.isnan(lo):
        return "unknown"
    if lo > high:
        return "above"
    if hi < low:
        return "below"
    return "inside" if low <= lo and hi <= high else "across an end"
