"""What the questionnaire measures in every run: variance components, and Cronbach's alpha of each group of its items."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from persona_collapse.statistics import components as statistics
from persona_collapse.statistics.level_variance import level_variance
from persona_collapse.statistics.moments import Parts
from persona_collapse.statistics.recommended_estimators import at_n
from persona_collapse.study.study import Run
from persona_collapse.tables.run_statistics import Analysis

#: Columns of components.csv and of reliability.csv.
COMPONENTS = ("family", "variant", "component", "value", "lo", "hi", "note")
RELIABILITY = ("family", "variant", "group", "items", "value", "lo", "hi", "note")
#: The component of what varies in the design.
WORDING = "wording"
_NOBODY = "No persona answered every item."
_SINGLE = "{single} of {items} items have one rating a cell, from which noise cannot be told."
_ONE_ITEM_EACH = "One item in each group: groups cannot be told from items."
_Found = TypeVar("_Found")


class _Asked(NamedTuple):
    """A run as `statistics.components` takes it."""

    parts: Parts
    groups: tuple[str, ...]  #: of each item
    turned: tuple[bool, ...]
    at: str  #: the number of ratings a cell, in words


def components_table(analysis: Analysis) -> pd.DataFrame:
    """Variance components of every run, in squared scale points: components.csv.

    One row a component: persona, persona_group (left out of an instrument of one group), persona_item, repetition, which is the
    noise within a wording, and wording, what the wordings of a cell differ by, where the design varies it; value, lo
    and hi are empty where it does not exist, and the note says why.
    """
    rows: list[tuple[Any, ...]] = []
    for run, found, asked in _of_runs(analysis, statistics.components):
        several = len(set(analysis.study.instrument.foundations)) > 1
        for place, name in enumerate(statistics.COMPONENTS):
            if name == "persona_group" and not several:
                continue
            numbers = tuple(field[place] for field in found) if found else (np.nan,) * 3
            rows.append((*run.keys, name, *numbers, _why_no_component(name, numbers[0], asked)))
        if (by_level := analysis.ratings.of(run).by_level) is not None:
            found_between = level_variance(by_level, analysis.categories)
            why = "" if np.isfinite(found_between[0]) else "No cell has two ratings in one wording."
            rows.append((*run.keys, WORDING, *found_between, why))
    return pd.DataFrame(rows, columns=list(COMPONENTS))


def reliability_table(analysis: Analysis) -> pd.DataFrame:
    """Cronbach's alpha of every group of items in every run: reliability.csv; the note says of how many ratings a cell."""
    rows: list[tuple[Any, ...]] = []
    for run, found, asked in _of_runs(analysis, statistics.alpha):
        stayed = list(dict.fromkeys(asked.groups)) if asked else []
        for group in analysis.study.instrument.foundations:
            if asked is None or found is None or group not in stayed:
                rows.append((*run.keys, group, 0, np.nan, np.nan, np.nan, "No item has ratings." if asked else _NOBODY))
                continue
            value, lo, hi, items = (field[stayed.index(group)] for field in found)
            rows.append((*run.keys, group, int(items), value, lo, hi, _beside_alpha(value, int(items), asked)))
    return pd.DataFrame(rows, columns=list(RELIABILITY))


def _of_runs(analysis: Analysis, make: Callable[..., _Found]) -> list[tuple[Run, _Found, _Asked] | tuple[Run, None, None]]:
    """What `make` finds in each run, on the personas that answered every item of it; None without such personas."""
    made: list[tuple[Run, _Found, _Asked] | tuple[Run, None, None]] = []
    for run in analysis.study.runs:
        alone = analysis.alone(run)
        if not len(alone.common.personas):
            made.append((run, None, None))
            continue
        items = [analysis.study.instrument.items[i] for i in alone.common.items]
        groups, turned = tuple(item.foundation for item in items), tuple(item.reversed for item in items)
        asked = _Asked(alone.loo[0].parts, groups, turned, at_n(alone.loo[0]))
        made.append((run, make(asked.parts, groups, turned), asked))
    return made


def _why_no_component(name: str, value: float, asked: _Asked | None) -> str:
    if asked is None:
        return _NOBODY
    if not np.isnan(value):
        return ""
    if len(asked.parts.own.mean) < 2:
        return "One persona has no variance."
    single = int((~asked.parts.own.repeated.any(axis=0)).sum())
    if name in ("persona_item", "repetition") and single:
        return _SINGLE.format(single=single, items=len(asked.groups))
    return _ONE_ITEM_EACH


def _beside_alpha(value: float, items: int, asked: _Asked) -> str:
    if not np.isnan(value):
        return asked.at
    return "One item has no alpha." if items == 1 else "All personas have the same mean: no alpha."
