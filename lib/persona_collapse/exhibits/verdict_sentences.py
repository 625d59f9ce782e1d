"""The verdict on every variant, as sentences and as a table for reading, computed from verdict.csv and presence.csv."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.statistics.presence import TOLD_APART
from persona_collapse.study.study import Study
from persona_collapse.tables import verdict as rules
from persona_collapse.text import safe

#: What each verdict says, in the order in which they are tried.
MEANS = {
    rules.HOMOGENISED: "personas answer more alike than at the base, or no longer differ at all",
    rules.UNCHANGED: "S and noise stay within the smallest change that matters, and the same personas differ in the same way",
    rules.CAST: "S and noise stay, but a recoding of the base's answers no longer tells who differs from whom",
    rules.USE: "a stretch, shift or squeeze of the scale explains what changed as well as it explains an unchanged base",
    rules.DYSREGULATED: "personas differ more and each is held less steadily, both beyond the matched control",
    rules.WITHOUT_CONTROL: "personas differ more and each is held less steadily; no control says what fine-tuning alone does",
    rules.NOT_BEYOND: "personas differ more and each is held less steadily, but not clearly beyond the matched control",
    rules.NOISIER: "each persona is held less steadily; S is not shown to rise by more than the smallest change that matters",
    rules.OTHERWISE: "S or noise changed, but in none of the ways named here",
    rules.UNDECIDED: "the ratings do not decide",
}


def called(verdict: str) -> str:
    """A verdict of verdict.csv as people read it."""
    return verdict.replace(": ", ", ")


def told_apart(presence: str) -> str:
    """A verdict of presence.csv under the heading "personas told apart"."""
    return "yes" if presence == TOLD_APART else presence


def harmful_first(verdict: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rows of verdict.csv with a column `harmful`, those of harmful variants first, each in the study's order."""
    harmful = [study.run(row.family, row.variant).variant.role == "harmful" for row in verdict.itertuples()]
    return verdict.assign(harmful=np.array(harmful, dtype=bool)).sort_values("harmful", ascending=False, kind="stable")


@exhibit.finding("verdict")
def verdict(verdict: pd.DataFrame, study: Study) -> str:
    """Which variants are called what, what that means, and why it is not more; the table beside it has the numbers."""
    if verdict.empty:
        return "This study has no variant to compare with a base."
    lines = []
    for name, means in MEANS.items():
        rows = list(verdict[verdict["verdict"] == name].itertuples())
        if rows:
            runs = [safe(study.run(row.family, row.variant).name) for row in rows]
            whys = [f" {run}: {safe(why)}" for run, row in zip(runs, rows, strict=True) if (why := _why(row))]
            lines.append(f"- **{called(name)}** ({', '.join(runs)}): {means}.{''.join(whys)}")
    return "\n".join(lines)


def _why(row: Any) -> str:
    why = str(row.why or "")
    # Its first sentence is what changed, which the table has.
    return why.partition(". ")[2] if row.verdict == rules.OTHERWISE else why


@exhibit.table(
    "verdict",
    "The verdict on every variant, with the numbers that it stands on: whether personas can be told apart, changes against the "
    "base in percent, the excess over the matched control in points, and the style share beside that of an unchanged base. "
    "Brackets: 95 % interval for other personas like these.",
)
def verdict_table(verdict: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a variant: its verdict and every number that it stands on."""
    rows = {}
    for row in harmful_first(verdict, study).itertuples():
        rows[study.run(row.family, row.variant).name] = {
            "personas told apart": told_apart(row.presence),
            "S (%)": _interval(row, "s") or "-",
            "noise (%)": _interval(row, "noise") or "-",
            "S beyond control (pp)": _interval(row, "excess_s") or "-",
            "noise beyond control (pp)": _interval(row, "excess_noise") or "-",
            "style share (%)": _share(row) if np.isfinite(row.share) else "-",
            "verdict": called(row.verdict),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def methods(study: Study) -> str:
    """The rules of the verdict, for the methods of a page."""
    smallest = f"S {100 * study.file.smallest.S:g} %, R {100 * study.file.smallest.R:g} %"
    listed = "\n".join(f"- *{rule}*: {words}." for rule, words in MEANS.items())
    said = f"""### The verdict

Rules are tried in order, and the first that matches is the verdict (`tables/verdict.csv` has every input with its interval).
The smallest change that matters is {smallest}; *up* and *down* mean that the whole 95 % interval lies beyond it, *equivalent*
that the 90 % interval lies within it (two one-sided tests). Personas are *told apart* where the interval of the persona
variance lies above 0, or a permutation test of answers over personas has p of .05 or less; they are *gone* where neither
holds and the upper limit of pooled S lies below {study.file.half:g} of the base's. The *style share* is what an increasing
recoding of the base's cell means, fitted to other personas, explains of the variant's; it is judged against .9 of what it is
for redraws of the base itself.

1. No rating differs: {rules.UNCHANGED}. One rating a cell, or personas of the base that cannot be told apart: undecided.
2. Personas gone: {rules.HOMOGENISED}. Whether they are cannot be told: undecided.
3. S, pooled S and S relative to its room on the scale all down: {rules.HOMOGENISED}. But where noise is down as well, as by a
   squeeze of the scale: {rules.USE} if the style share lies above its mark, undecided if its interval holds the mark.
4. S and noise equivalent: {rules.CAST} if the style share lies below its mark. Else {rules.UNCHANGED} if the mean rating stays
   within the smallest change, in units of S; where it moved, {rules.USE} if the style share lies above its mark.
5. Style share above its mark, ICC not fallen, and S, noise or the mean rating changed: {rules.USE}.
6. Noise and S up: {rules.DYSREGULATED} if both exceed the matched control's, {rules.NOT_BEYOND} if not; undecided if the style
   share does not tell it from a stretch of the scale and ICC has not fallen. Noise alone up: {rules.NOISIER}.
7. Any other change of S or noise that stands with both counted (Holm): {rules.OTHERWISE}. Else undecided.

Where nothing tells whether choices of one request share noise, another cast is only called so below the style share that a third
of shared noise could bring about.

{listed}

*Persona collapse* is also used for personas that become alike ("The Chameleon's Limit", arXiv 2604.24698), the opposite sign of a
rising S; the verdict names which of the two a variant shows.
"""
    for rule in MEANS:
        said = said.replace(rule, called(rule))
    return said


def _share(row: Any) -> str:
    value, lo, hi, ceiling = (100 * number for number in (row.share, row.share_lo, row.share_hi, row.ceiling))
    return f"{value:.0f} [{whole(lo)}, {whole(hi)}] of {ceiling:.0f}"


def _interval(row: object, what: str) -> str:
    value, lo, hi = (float(getattr(row, f"{what}{end}")) for end in ("", "_lo", "_hi"))
    if not np.isfinite(lo):
        return ""
    if not np.isfinite(hi):
        return f"at least {whole(lo, '+')}"
    return f"{whole(value, '+')} [{whole(lo)}, {whole(hi)}]"
