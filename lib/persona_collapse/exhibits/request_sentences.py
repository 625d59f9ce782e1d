"""Whether the ratings of a cell are independent draws, as sentences computed from quality.csv."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.study.study import Study
from persona_collapse.text import safe

#: Ratings that nobody can sort by requests.
IMPORTED = "Ratings of a cell are taken as independent draws: which of them came with one request is not known."
UNCHECKED = "Choices of one request are taken as independent; this study cannot check it."


def independence(rows: pd.DataFrame, study: Study) -> str:
    """What is known of noise that choices of one request share, and what that means; `rows` are of quality.csv.

    Empty where ratings are drawn one by one, are single, or are probabilities.
    """
    own = rows[(rows["condition"] == "persona") & (rows["max_repetitions"] > 1)]
    if study.by_logprobs or study.simulated or own.empty:
        return ""
    if study.file.kind == "imported":
        return IMPORTED
    # One rating a request needs no assumption.
    own = own[~(own["requests_a_cell"] >= own["max_repetitions"])]
    found: dict[str, list[Any]] = {}
    for row in own.itertuples():
        found.setdefault(_case(row), []).append(row)
    names = {run.keys: run.name for run in study.runs}
    said = [_SAID[case].format(runs=_runs(found[case], names)) for case in _SAID if case in found]
    if left := found.get(_UNCHECKED):
        which = ", ".join(safe(names[row.family, row.variant]) for row in left)
        said.append(UNCHECKED if len(left) == len(own) else f"{UNCHECKED.removesuffix('.')} in {which}.")
    return "\n\n".join(said)


def _case(row: Any) -> str:
    """Which of `_SAID` holds for a run."""
    if np.isnan(row.rho_lo):
        return _UNCHECKED
    how = "counted" if row.requests_a_cell > _MOSTLY_ONE else "probed"
    return f"{how} {'above' if row.rho_lo > 0 else 'below' if row.rho_hi < 0 else 'unknown'}"


#: Requests a cell above which most cells have several.
_MOSTLY_ONE = 1.5
_UNCHECKED = "unchecked"
_COUNTED = "S, noise and interval B (the same requests again) count it."
_SAID = {
    "probed above": (
        "**Choices of one request are not independent draws**: the share of rating noise that they have in common, rho, is "
        "{runs}. There interval B (the same requests again) is too narrow and noise too small; ask with "
        "`protocol: {{requests: 2}}`."
    ),
    "probed below": (
        "**Choices of one request are not independent draws**: they differ more than such draws do, and the share of rating "
        "noise that they have in common, rho, is {runs}. There noise is too large; ask with `protocol: {{requests: 2}}`."
    ),
    "probed unknown": (
        "Whether choices of one request share rating noise cannot be told: its share, rho, is {runs}. "
        "Interval B (the same requests again) and noise take them as independent; `protocol: {{requests: 2}}` does not."
    ),
    "counted above": "Choices of one request share rating noise: its share, rho, is {runs}. " + _COUNTED,
    "counted below": (
        "Choices of one request differ more than independent draws do: the share of common noise, rho, is {runs}. " + _COUNTED
    ),
    "counted unknown": (
        "Whether choices of one request share rating noise cannot be told: its share, rho, is {runs}. S, noise and interval B "
        "(the same requests again) do not take them as independent."
    ),
}  # fmt: skip


def _runs(rows: Sequence[Any], names: dict[tuple[str, str], str]) -> str:
    """The share of every run with its interval, and from how many cells it comes."""
    return "; ".join(
        f"{row.rho:.2f} [{row.rho_lo:.2f}, {row.rho_hi:.2f}] in {safe(names[row.family, row.variant])} ({int(row.rho_cells):,} "
        f"cells in two requests or more)"
        for row in rows
    )
