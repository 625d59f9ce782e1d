"""Rows of presence.csv: whether the personas are still there, run by run."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import permutation
from persona_collapse.statistics.presence import Presence, change, presence, verdict
from persona_collapse.study.study import Run
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.run_statistics import Analysis


class PresenceRow(NamedTuple):
    """A row of presence.csv; `value` is the persona variance."""

    family: str
    variant: str
    scope: str
    value: float
    lo: float
    hi: float
    s_pool: float
    s_lo: float
    s_hi: float
    icc: float
    icc_lo: float
    icc_hi: float
    p: float
    null_95: float
    verdict: str
    change_pct: float = np.nan
    change_lo: float = np.nan
    change_hi: float = np.nan
    note: str = ""


def presence_table(analysis: Analysis, guard: Guard, half: float | None = None) -> pd.DataFrame:
    """Persona variance of every run, with the permutation test and what both say; overall.

    `half` is the share of the base's pooled S below which a run's must lie for its personas to be gone; that of the study file
    if it is not given.
    """
    half = analysis.study.file.half if half is None else half
    tested = _tested(analysis)
    found = {run: presence(analysis.alone(run).loo[0], tested[run].null_95) for run in analysis.study.runs}
    rows = [_row(analysis, guard, run, found, tested[run], half) for run in analysis.study.runs]
    return pd.DataFrame(rows, columns=list(PresenceRow._fields))


def _tested(analysis: Analysis) -> dict[Run, permutation.Permuted]:
    """The permutation test of every run that has one; runs of one shape share their draws."""
    found = {run: permutation.Permuted(np.nan, np.nan) for run in analysis.study.runs}
    alike: dict[tuple[int, ...], list[Run]] = {}
    for run in [] if analysis.study.by_logprobs else analysis.study.runs:
        counts = analysis.alone(run).sides[0].counts
        if len(counts) > 1 and analysis.alone(run).loo[0].repetitions[1] > 1:
            alike.setdefault(counts.shape, []).append(run)
    for (personas, items, _), runs in alike.items():
        moved = [_moved(analysis, run) for run in runs]
        found.update(zip(runs, permutation.permutations(moved, personas, items), strict=True))
    return found


def _moved(analysis: Analysis, run: Run) -> permutation.Requests:
    """What the test of a run moves: whole requests where most cells have two or more, else single ratings."""
    alone, answers = analysis.alone(run), analysis.ratings.of(run)
    if len(answers.requests) and (answers.requests_a_cell > 1).mean() > 0.5:
        persona, item = (np.full(size, -1) for size in answers.shape[:2])  # numbers among those that stayed
        persona[alone.common.personas], item[alone.common.items] = (
            np.arange(len(alone.common.personas)), np.arange(len(alone.common.items)),
        )  # fmt: skip
        slots = np.stack([persona[answers.slots[:, 0]], item[answers.slots[:, 1]], answers.slots[:, 3]], axis=1)
        used = (slots >= 0).all(axis=1)
        return permutation.whole_requests(slots[used], answers.requests[used])
    return permutation.single_ratings(alone.sides[0].counts)


def _row(
    analysis: Analysis, guard: Guard, run: Run, found: dict[Run, Presence], tested: permutation.Permuted, half: float
) -> PresenceRow:
    own, base = found[run], analysis.base(run)
    refused = "" if run == base else guard.refusal(run, base)
    called = verdict(own, tested.p, np.nan if refused else found[base].pooled.value, half)
    row = PresenceRow(
        *run.keys, analysis.scopes[0], *own.variance, *own.pooled, *own.icc, tested.p, tested.null_95, called,
        note=_note(analysis, run, own, refused),
    )  # fmt: skip
    if run == base or refused or not own.variance.lo <= 0:
        return row
    # Near zero the logarithm of contrasts.csv does not exist.
    variant, against = analysis.together(run, base).loo
    changed = change(variant, against)
    near = "" if found[base].variance.lo > 0 else "No change in percent: the interval of the base holds zero, too."
    return row._replace(
        change_pct=changed.value, change_lo=changed.lo, change_hi=changed.hi, note=" ".join(filter(None, (row.note, near)))
    )


def _note(analysis: Analysis, run: Run, own: Presence, refused: str) -> str:
    alone = analysis.alone(run)
    said = [alone.common.note, refused and f"Not set beside its base: {refused}"]
    if analysis.study.by_logprobs:
        said.append("No permutation test: probabilities have no rating noise to exchange.")
    elif not len(alone.common.personas):
        said.append("No persona has a rating for every item.")
    elif alone.loo[0].repetitions[1] == 1:
        said.append("One rating a cell: what is the persona's cannot be told from noise.")
    elif np.isfinite(own.variance.value):
        said.append(unchecked_requests(analysis, run))
    return " ".join(part for part in said if part)


def unchecked_requests(analysis: Analysis, run: Run) -> str:
    """What p takes for granted about ratings that came with one request; nothing where none did."""
    answers, kind = analysis.ratings.of(run), analysis.study.file.kind
    if kind == "simulated":
        return ""
    if not len(answers.requests):
        return "p takes the ratings of a cell as independent: which of them came with one request is not known."
    each = answers.requests_a_cell
    if (each > 1).mean() > 0.5:
        return ""
    return "p takes the choices of one request as independent: most cells have a single request, so it cannot be checked."
