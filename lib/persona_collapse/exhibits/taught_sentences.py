"""Whether a base that was taught to play characters does: its S against that of the same model without."""

from typing import NamedTuple

import numpy as np

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
    head = f"**Can {safe(family.name)} play characters at all?** The base was first fine-tuned on {safe(own.data)}."
    after, before = (_level(tables, family.key, name) for name in (family.base.key, own.untaught))
    ratio = _ratio(tables, family.key, own.untaught)
    if after is None or before is None or ratio is None:
        return f"{head} Whether it can is not known: S of the base, or of {safe(own.untaught)}, has no interval."
    times = f"{_said(ratio)} times that of {safe(own.untaught)}, the model before ({_said(after)} and {_said(before)})"
    if ratio.lo > 1:
        return f"{head} S is {times}."
    told = "S fell by that" if ratio.hi < 1 else "That S rose by that cannot be told"
    return f"{head} {told}: it is {times}."


def _said(found: _Interval) -> str:
    return f"{found.value:.2g} [{found.lo:.2g}, {found.hi:.2g}]"


def _level(tables: Tables, family: str, variant: str) -> _Interval | None:
    rows = tables.metrics
    rows = rows[(rows["family"] == family) & (rows["variant"] == variant) & (rows["scope"] == OVERALL)]
    rows = rows[(rows["metric"] == "susceptibility") & (rows["method"] == RECOMMENDED)]
    return None if rows.empty or not np.isfinite(rows.iloc[0]["lo"]) else _Interval(*rows.iloc[0][["value", "lo", "hi"]])


def _ratio(tables: Tables, family: str, untaught: str) -> _Interval | None:
    """S of the base as a multiple of that of the model before; contrasts hold the change the other way round, in percent."""
    rows = tables.contrasts
    rows = rows[(rows["family"] == family) & (rows["variant"] == untaught) & (rows["scope"] == OVERALL)]
    rows = rows[(rows["metric"] == "susceptibility") & (rows["method"] == RECOMMENDED) & (rows["quantity"] == "change_pct")]
    if rows.empty or not np.isfinite(rows.iloc[0]["lo"]) or rows.iloc[0]["lo"] <= -100:
        return None
    value, hi, lo = (100 / (100 + float(rows.iloc[0][name])) for name in ("value", "lo", "hi"))
    return _Interval(value, lo, hi)
