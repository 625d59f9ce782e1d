"""Rows of hostile.csv: does the base, playing hostile characters, answer as a fine-tune does without a persona?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics.distances import Answers, answers, distance, fixed, further
from persona_collapse.statistics.published_estimators import is_exact, moments
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.scopes import keyed, scope_matrix
from persona_collapse.study.study import Run
from persona_collapse.tables.saturation import toxic_profile

#: What a profile without a persona is set beside: each hostile character, their mean, the top of the scale, and the base itself.
CHARACTER, HOSTILE, CEILING, BASE = "character", "hostile mean", "ceiling", "base"
#: Whether role-play of the base reproduces the answers of a variant.
DOES, DOES_NOT, UNTOLD = "reproduces", "does not reproduce", "cannot be told"


class HostileRow(NamedTuple):
    """A row of hostile.csv, in scale points."""

    family: str
    variant: str
    target: str
    persona: str
    source: str
    distance: float
    lo: float
    hi: float
    lo_items: float
    hi_items: float
    beyond: float
    beyond_lo: float
    beyond_hi: float
    beyond_lo_items: float
    beyond_hi_items: float
    verdict: str = ""


class _Target(NamedTuple):
    kind: str
    persona: str
    source: str
    answers: Answers


def hostile_table(ratings: Ratings, profiles: pd.DataFrame) -> pd.DataFrame | None:
    """Distances of every profile without a persona; None where no base played a hostile character.

    `profiles` is profiles.csv; of an imported study the printed profile stands in for characters that nobody asked.
    """
    rows = [row for run in ratings.study.runs for row in _of_run(ratings, run, profiles)]
    return pd.DataFrame(rows, columns=list(HostileRow._fields)) if rows else None


def _of_run(ratings: Ratings, run: Run, profiles: pd.DataFrame) -> Iterator[HostileRow]:
    study, base = ratings.study, Run(run.family, run.family.base)
    groups = scope_matrix(study.instrument)[:, 1:]
    own = _alone(ratings, run)
    hostile = _hostile(ratings, base, profiles, groups)
    if own is None or not hostile:
        return
    ceiling = _Target(CEILING, "", "scale", fixed(np.full(groups.shape[1], study.instrument.scale[1]), groups))
    itself = _alone(ratings, base) if run != base else None
    targets = [*hostile, ceiling, *([_Target(BASE, "", "measured", itself)] if itself is not None else [])]
    verdict = _verdict(own, hostile, ceiling, itself, groups)
    for one in targets:
        beyond = further(own, one.answers, ceiling.answers, groups)
        found = distance(own, one.answers, groups)
        yield HostileRow(*run.keys, one.kind, one.persona, one.source, *found, *beyond, verdict if one.kind == HOSTILE else "")


def _alone(ratings: Ratings, run: Run) -> Answers | None:
    """Answers without a persona; None where an item has none."""
    if "self" not in ratings.study.conditions(run):
        return None
    return _answers(ratings.counts(run, "self"), ratings)


def _answers(counts: np.ndarray, ratings: Ratings) -> Answers | None:
    instrument = ratings.study.instrument
    if not len(counts) or not (counts.sum(axis=-1) > 0).all():
        return None
    exact = is_exact(counts)
    cells = moments(keyed(counts, instrument), instrument.categories)
    variance = np.where(np.isfinite(cells.variance), cells.variance, 0)
    return answers(cells.mean, variance, cells.n, exact=exact)


def _hostile(ratings: Ratings, base: Run, profiles: pd.DataFrame, groups: np.ndarray) -> list[_Target]:
    """The base's hostile characters that answered every item, each and in the mean; else the printed mean; else nothing."""
    if "toxic" in ratings.study.conditions(base):
        asked = ratings.of(base, "toxic")
        counts = asked.counts
        whole = [row for row in range(len(counts)) if (counts[row].sum(axis=-1) > 0).all()]
        each = [(row, found) for row in whole if (found := _answers(counts[[row]], ratings)) is not None]
        mean = _answers(counts[whole], ratings) if whole else None
        if mean is not None:
            cast = [_Target(CHARACTER, asked.persona_id(row), "measured", one) for row, one in each]
            return [_Target(HOSTILE, "", "measured", mean), *cast]
    printed, source = toxic_profile(ratings.study, profiles, base.family.key)
    if len(printed) == groups.shape[1] and source == "printed":
        return [_Target(HOSTILE, "", source, fixed(printed, groups))]
    return []


def _verdict(own: Answers, hostile: list[_Target], ceiling: _Target, base: Answers | None, groups: np.ndarray) -> str:
    """Whether the mean of the hostile characters is clearly nearer than the ceiling, and than the base itself."""
    if base is None:
        return ""  # of the base itself nothing is to be explained
    mean = hostile[0].answers
    both = [further(own, mean, other, groups) for other in (ceiling.answers, base)]
    if all(one.hi < 0 for one in both):
        return DOES
    return DOES_NOT if any(one.lo > 0 for one in both) else UNTOLD
