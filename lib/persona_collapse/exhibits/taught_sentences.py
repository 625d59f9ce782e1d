"""Whether a base that was taught to play characters does: its S against that of the same model without."""

from typing import Any, NamedTuple

import numpy as np

from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study_file import Family
from persona_collapse.tables.build import Tables
from persona_collapse.text import safe
from persona_collapse.vocabulary import RECOMMENDED


class _Interval(NamedTuple):
    value: float
    lo: float
    hi: float


def taught(tables: Tables) -> str:
    """One sentence a family whose base was taught something first; empty where none was."""
    return " ".join(_of(tables, family) for family in tables.study.file.families if family.base.taught)


def _of(tables: Tables, family: Family) -> str:
    own = family.base.taught
    assert own is not None
    head = f"**Can {safe(family.name)} play characters at all?** The base was taught to with {safe(own.data)}."
    levels = {name: _level(tables, family.key, name) for name in (family.base.key, own.untaught)}
    change = _change(tables, family.key, own.untaught)
    if any(found is None for found in levels.values()) or change is None:
        return f"{head} Whether that worked is not known: S of it, or of {safe(own.untaught)}, has no interval."
    after, before = (_said(levels[name]) for name in (family.base.key, own.untaught))
    by = f"{whole(change.value, '+')} % [{whole(change.lo)}, {whole(change.hi)}]"
    answer = "S rises" if change.lo > 0 else "S falls, so it did not work" if change.hi < 0 else "that S rises cannot be told"
    return f"{head} Against the model without ({safe(own.untaught)}) {answer}: {after} after {before}, {by}."


def _said(level: Any) -> str:
    return f"{level.value:.2g} [{level.lo:.2g}, {level.hi:.2g}]"


def _level(tables: Tables, family: str, variant: str) -> _Interval | None:
    rows = tables.metrics
    rows = rows[(rows["family"] == family) & (rows["variant"] == variant) & (rows["scope"] == OVERALL)]
    rows = rows[(rows["metric"] == "susceptibility") & (rows["method"] == RECOMMENDED)]
    return None if rows.empty or not np.isfinite(rows.iloc[0]["lo"]) else _Interval(*rows.iloc[0][["value", "lo", "hi"]])


def _change(tables: Tables, family: str, untaught: str) -> _Interval | None:
    """The base against the model without, in percent of the latter; contrasts hold the reverse."""
    rows = tables.contrasts
    rows = rows[(rows["family"] == family) & (rows["variant"] == untaught) & (rows["scope"] == OVERALL)]
    rows = rows[(rows["metric"] == "susceptibility") & (rows["method"] == RECOMMENDED) & (rows["quantity"] == "change_pct")]
    if rows.empty or not np.isfinite(rows.iloc[0]["lo"]) or rows.iloc[0]["lo"] <= -100:
        return None
    value, hi, lo = (100 * (100 / (100 + float(rows.iloc[0][name])) - 1) for name in ("value", "lo", "hi"))
    return _Interval(value, lo, hi)
