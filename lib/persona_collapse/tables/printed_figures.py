"""The figures that the paper prints, beside what is computed here from its ratings."""

import json
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.paths import ROOT
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study

#: A printed standard error came out of a bootstrap: agreement is to this share of its full-precision value.
SE_TOLERANCE = 0.10

COLUMNS = ["table", "family", "variant", "scope", "metric", "printed", "computed", "agrees", "known_slip", "note"]


@lru_cache
def figures(file: str) -> dict[str, Any]:
    """The printed figures of a study's `published` file (relative to the checkout)."""
    return json.loads(Path(ROOT / file).read_text(encoding="utf-8"))


def as_printed(value: float, printed: str) -> str:
    """A number rounded, half up, to as many digits as a printed one has."""
    digits = len(printed.partition(".")[2])
    # Through 12 digits, so that 2.675 from sums of binary fractions rounds as 2.675 does.
    return str(Decimal(f"{value:.12f}").quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _off(value: float, printed: str) -> Decimal:
    """How far a number is from a printed one, in units of the last printed digit."""
    digits = len(printed.partition(".")[2])
    return abs(Decimal(as_printed(value, printed)) - Decimal(printed)).scaleb(digits)


class Band(NamedTuple):
    """The published band of S, and how many of the frontier models lie in it."""

    low: float
    high: float
    inside: int
    models: int


def band(study: Study) -> Band | None:
    """The published band of S of frontier models, if the study names printed figures and samples as they did."""
    if study.file.published is None or study.by_logprobs:
        return None
    found = figures(study.file.published)["frontier_band"]
    models = len(found["models"])
    return Band(found["low"], found["high"], models - len(found["outside"]), models)


def beside(metrics: pd.DataFrame, check: pd.DataFrame | None, study: Study) -> pd.DataFrame:
    """Printed figures beside this study's, for reading: those that an imported study does not give, else S and R of each run.

    Simulated values are named so; runs that imitate no published figure are left out. Logprobs answer another prompt than
    the published samples and are never set beside them.
    """
    if check is not None:
        # What a reader looks for; the file has all of them.
        shown = check[~check["agrees"]].drop(columns=["agrees", "known_slip"]).reset_index(drop=True)
        return shown.assign(computed=shown["computed"].round(4))
    columns = ["family", "variant", "metric", "published", "simulated"]
    if not (study.simulated and study.file.published) or study.by_logprobs:
        return pd.DataFrame(columns=columns)
    known = figures(study.file.published)["runs"]
    overall = metrics[(metrics["scope"] == OVERALL) & (metrics["method"] == "published")]
    rows = [
        (r.family, r.variant, r.metric, known[source][r.metric][OVERALL]["value"], r.value)
        for r in overall.itertuples()
        if r.metric in ("susceptibility", "robustness") and (source := study.run(r.family, r.variant).variant.figures) in known
    ]
    return pd.DataFrame(rows, columns=columns).round(4)


def check(file: str, metrics: pd.DataFrame, contrasts: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """Every printed number beside the computed one: published_check.csv.

    A value agrees when it equals the printed one after rounding to the printed digits; a standard error when it lies
    within 10 % of the full-precision one. A known slip of the paper is named in ``note``, and does not agree.
    """
    computed = _computed(metrics, contrasts, profiles)
    rows = []
    for row in figures(file)["printed"]:
        slip = False
        value = computed.get((row["family"], row["variant"], row["scope"], row["metric"]))
        if value is None:
            agrees, note = False, "not computed: this study lacks the run"
        elif not np.isfinite(value):
            agrees, note = False, f"the ratings give {value}"
        elif "full" in row:
            ratio = value / row["full"]
            agrees, note = abs(ratio - 1) <= SE_TOLERANCE, f"bootstrap; {ratio:.3f} of the full-precision {row['full']:.6g}"
        else:
            off = _off(value, row["printed"])
            agrees, note = off == 0, ""
            # Every known slip is one unit of the last digit; a value farther off is a disagreement of its own.
            if slip := off == 1 and "slip" in row:
                note = f"known slip; {row['slip']}; exact {value:.4f}"
        keys = [row[name] for name in ("table", "family", "variant", "scope", "metric", "printed")]
        rows.append((*keys, np.nan if value is None else value, bool(agrees), slip, note))
    return pd.DataFrame(rows, columns=COLUMNS)


def _computed(metrics: pd.DataFrame, contrasts: pd.DataFrame, profiles: pd.DataFrame) -> dict[tuple[str, str, str, str], float]:
    """Computed numbers under the names that the figures file gives the printed ones."""
    found: dict[tuple[str, str, str, str], float] = {}
    metrics = metrics[metrics["method"] == "published"]
    for r in metrics.itertuples():
        found[r.family, r.variant, r.scope, r.metric] = r.value
        found[r.family, r.variant, r.scope, f"{r.metric}_se"] = r.se
    for r in contrasts[contrasts["method"] == "published"].itertuples():
        found[r.family, r.variant, r.scope, f"{r.metric}_{r.quantity}"] = r.value
    for r in profiles[profiles["condition"] == "self"].itertuples():
        found[r.family, r.variant, r.foundation, "mean"] = r.mean
        found[r.family, r.variant, r.foundation, "within_sd"] = r.within_sd
    for (variant, metric), value in evenness(metrics).items():
        found["mean", variant, OVERALL, f"{metric}_evenness"] = value
    return found


def evenness(metrics: pd.DataFrame) -> pd.Series:
    """How evenly a metric lies over foundations: coefficient of variation (ddof = 0) of the levels, mean over families."""
    levels = metrics[metrics["scope"] != OVERALL]
    spread = levels.groupby(["family", "variant", "metric"])["value"].agg(lambda x: x.std(ddof=0) / x.mean())
    return spread.groupby(["variant", "metric"]).mean()
