"""Fine-tunes of the same data: a sentence and a table for reading, computed from finetunes.csv."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.exhibits.data_sentences import family_name
from persona_collapse.study.study import Study
from persona_collapse.tables.finetunes import NOT_SAID, RECIPE, SEED, groups
from persona_collapse.text import safe

#: Up to so many fine-tunes, a page says that their spread is hardly known.
_FEW = 4
#: Metrics that are said; R is noise turned over.
_SAID = {"susceptibility": "S", "within_rms": "noise"}
_DIFFER = {
    SEED: "which differ in their seed",
    NOT_SAID: "of which the study file does not say what they differ in",
}


@exhibit.finding("finetunes")
def said(finetunes: pd.DataFrame | None, study: Study) -> str:
    """What another fine-tune of the same data would change, and how far those there are differ; from finetunes.csv."""
    if finetunes is None:
        return "No family of this study has two fine-tunes of the same dataset, so nothing is known of another one."
    lines, few = [], False
    for _, rows in _groups(finetunes):
        row = rows.iloc[0]
        few |= row["recipes" if row["differ"] == RECIPE else "finetunes"] <= _FEW
        metrics = [f"{_SAID[own.metric]} {_change(own)}" for own in rows.itertuples() if own.metric in _SAID]
        lines.append(f"- **{_name(row, study)}** ({row['finetunes']} fine-tunes, {_differ(row)}): {'; '.join(metrics)}.")
    mixed = (finetunes["differ"] == RECIPE).any()
    return "\n".join(lines) + "\n\n" + " ".join(filter(None, [
        "Mean change against the base, and in brackets the 95 % prediction interval for one more fine-tune of the same data, on "
        "other personas like these. No other interval on this page counts fine-tunes as draws.",
        f"With {_FEW} or fewer the spread between fine-tunes is hardly known, and such an interval is very wide." if few else "",
        "Recipes are not draws of one kind: an interval over them is for a recipe like these, of which each counts once, however "
        "many fine-tunes are by it." if mixed else "",
    ]))  # fmt: skip


@exhibit.table(
    "finetunes",
    "Fine-tunes of the same data: the mean change of each metric against the base, how far the fine-tunes differ in it (SD, of "
    "which ratings and personas alone bring about a part), and the 95 % prediction interval for one more fine-tune of the same "
    "data, on other personas like these. In percent of the base.",
)
def table(finetunes: pd.DataFrame | None, study: Study) -> pd.DataFrame | None:
    """One row a metric of a group of fine-tunes; None without any group."""
    if finetunes is None:
        return None
    rows = [
        {
            "fine-tunes": f"{_plain_name(row, study)} ({row['finetunes']})",
            "differ in": row["differ"],
            "metric": {"susceptibility": "S", "robustness": "R", "within_rms": "noise"}[row["metric"]],
            "mean change (%)": _number(row["value"], "+"),
            "SD seen": _number(row["sd_seen"]),
            "of ratings and personas": _number(row["sd_sampling"]),
            "between fine-tunes": _number(row["sd_between"]),
            "another one (%)": f"[{_number(row['lo'])}, {_number(row['hi'])}]" if np.isfinite(row["lo"]) else "-",
        }
        for _, row in finetunes.iterrows()
    ]
    return pd.DataFrame(rows).set_index("fine-tunes")


def _differ(row: Any) -> str:
    """What the fine-tunes of a row differ in, in words."""
    return f"by {row['recipes']} recipes" if row["differ"] == RECIPE else _DIFFER[row["differ"]]


def _groups(finetunes: pd.DataFrame) -> Any:
    return finetunes.groupby(["family", "dataset", "recipe"], sort=False)


def _name(row: Any, study: Study) -> str:
    recipe = f", recipe {safe(row['recipe'])}" if row["recipe"] else ""
    return f"{family_name(study, row['family'])} on {safe(row['dataset'])}{recipe}"


def _plain_name(row: Any, study: Study) -> str:
    family = next(one.name for one in study.file.families if one.key == row["family"])
    return f"{family} on {row['dataset']}" + (f", recipe {row['recipe']}" if row["recipe"] else "")


def _change(row: Any) -> str:
    """The mean change with its interval, and what fine-tunes differ in beyond ratings and personas."""
    if not np.isfinite(row.value):
        return "has no interval under one of them"
    between = (
        f"differ by {_number(row.sd_between)} % (SD)" if row.sd_between > 0 else "differ no more than ratings and personas do"
    )
    who = "recipes" if row.differ == RECIPE else "fine-tunes"
    return f"{whole(row.value, '+')} % [{whole(row.lo)}, {whole(row.hi)}], {who} {between}"


def _number(value: float, sign: str = "") -> str:
    return whole(value, sign) if np.isfinite(value) else "-"


def methods(study: Study) -> str:
    """How the interval for another fine-tune is made, for a page's methods; empty where no family has two of the same data."""
    return _METHODS if any(True for _ in groups(study)) else ""


_METHODS = r"""

### Another fine-tune of the same data

Of $K$ fine-tunes of one family on the same data, with $y_k$ the logarithm of a metric over that of the base and $s^2$ their
variance, $U$ is what ratings and personas alone bring about: half the mean over pairs of the jackknife variance of
$y_j - y_k$, in which the base cancels. Between fine-tunes is $\max(0, s^2 - U)$ (`tables/finetunes.csv`). With $V$ the
jackknife variance of $\bar{y}$ over $P$ personas, one more fine-tune on other personas lies within

$$
\bar{y} \mp \sqrt{ t_{0.975,\,K-1}^2\, s^2 \left( 1 + \frac{1}{K} \right)
+ t_{0.975,\,P-1}^2 \max \left( 0, V - \frac{U}{K} \right) }
$$

in 95 % of draws or more: $s^2$ keeps $U$, as with few fine-tunes $s^2 - U$ is near nothing too often. Over recipes a recipe is
the draw: $y_k$ is the mean of the $n_k$ fine-tunes by recipe $k$, and $t_{0.975,\,N-K}^2\, w \left( 1 - \overline{1/n} \right)$
is added below the root, with $w$ the variance within recipes of all $N$ fine-tunes.
"""
