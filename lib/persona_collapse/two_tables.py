"""Tables of two studies side by side, for reading."""

import numpy as np
import pandas as pd

from persona_collapse.comparing import whole
from persona_collapse.drawing import short
from persona_collapse.findings import TWINS
from persona_collapse.metrics import OVERALL
from persona_collapse.study_differences import EFFECT, EXCESS, LEVEL, RECOMMENDED
from persona_collapse.study_pair import Pair
from persona_collapse.two_studies import StudyTables

_KEYS = ["family", "variant", "variant_b"]
#: The difference between studies that belongs to a change or an excess, and its unit.
_OF = {"change_pct": (EFFECT, " %"), "excess_pp": (EXCESS, " pp")}


def levels(tables: StudyTables, pair: Pair, metric: str) -> pd.DataFrame:
    """A metric of every run in both studies, the difference, and the published values; over all items."""
    rows = tables.levels[tables.levels["scope"] == OVERALL]
    own, printed = (
        rows[(rows["metric"] == name) & (rows["method"] == method)].set_index(_KEYS)
        for name, method in ((metric, RECOMMENDED), (TWINS.get(metric, metric), "published"))
    )
    found = _studies(own, pair, "", ".2f", "")
    found["difference"] = _differences(tables, LEVEL, metric, " %").reindex(own.index).fillna("")
    if len(printed):
        found = found.join(_studies(printed, pair, "published ", ".2f", None))
    return _named(found, pair)


def changes(tables: StudyTables, pair: Pair, metric: str, quantity: str = "change_pct") -> pd.DataFrame:
    """A change against the base (or, as `excess_pp`, beyond the control) in both studies, and how the two differ."""
    rows = tables.changes[(tables.changes["scope"] == OVERALL) & (tables.changes["metric"] == metric)]
    own = rows[(rows["quantity"] == quantity) & (rows["method"] == RECOMMENDED)].set_index(_KEYS)
    between, unit = _OF[quantity]
    found = _studies(own, pair, "", "whole", unit)
    found["difference"] = _differences(tables, between, metric, unit).reindex(own.index).fillna("")
    return _named(found, pair)


def foundations(tables: StudyTables, pair: Pair, metric: str) -> pd.DataFrame:
    """The difference of a metric in every foundation, one column each."""
    rows = tables.differences[(tables.differences["quantity"] == LEVEL) & (tables.differences["method"] == RECOMMENDED)]
    rows = rows[rows["metric"] == metric]
    texts = [_text(row.value, row.lo, row.hi, "whole", " %") for row in rows.itertuples()]
    named = rows.assign(text=texts, scope=rows["scope"].map(short))
    wide = named.pivot_table(index=_KEYS, columns="scope", values="text", aggfunc="first", sort=False)
    return _named(wide.rename_axis(columns=None), pair)


def runs(tables: StudyTables, pair: Pair) -> pd.DataFrame:
    """Which runs were matched, on how many personas and items, and what else differs."""
    own = tables.runs.set_index(_KEYS)
    found = pd.DataFrame(index=own.index)
    found["stands in"] = [
        "both" if a and b else pair.names[0] if a else pair.names[1] for _, a, b in own.index
    ]  # fmt: skip
    found["matched by"], found["role"] = own["matched_by"], own["role"].where(own["role"] != "", own["role_b"])
    found["personas"] = [
        f"{r.personas_a} the same" if r.paired else f"{r.personas_a} and {r.personas_b}" if r.items else "" for r in own.itertuples()
    ]  # fmt: skip
    found["items"] = [str(number) if number else "" for number in own["items"]]
    found["also differs in"] = own["differs"]
    found["note"] = own["note"]
    return _named(found.loc[:, (found != "").any()], pair)


def _studies(rows: pd.DataFrame, pair: Pair, prefix: str, form: str, unit: str | None) -> pd.DataFrame:
    """One column a study: value with interval, or with `unit` None the value alone."""
    found = pd.DataFrame(index=rows.index)
    for name, side in zip(pair.names, "ab", strict=True):
        limits = [rows[f"{number}_{side}"].astype(float) for number in ("value", "lo", "hi")]
        if unit is None:
            limits[1:] = [limits[0] * np.nan] * 2
        found[prefix + name] = [_text(*one, form, unit or "") for one in zip(*limits, strict=True)]
    return found


def _differences(tables: StudyTables, quantity: str, metric: str, unit: str) -> pd.Series:
    rows = tables.differences[(tables.differences["quantity"] == quantity) & (tables.differences["metric"] == metric)]
    rows = rows[(rows["scope"] == OVERALL) & (rows["method"] == RECOMMENDED)].set_index(_KEYS)
    texts = [_text(r.value, r.lo, r.hi, "whole", unit) if np.isfinite(r.value) else "not compared" for r in rows.itertuples()]
    return pd.Series(texts, index=rows.index, dtype=object)


def _text(value: float, lo: float, hi: float, form: str, unit: str) -> str:
    """A number with its interval; `form` is a format, or `whole` for signed percentages and points."""
    if np.isnan(value):
        return ""
    first = f"{whole(value, '+')}{unit}" if form == "whole" else f"{value:{form}}{unit}"
    if np.isnan(lo):
        return first
    return f"{first} [{', '.join(whole(limit) if form == 'whole' else f'{limit:{form}}' for limit in (lo, hi))}]"


def _named(found: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """With runs named for readers in place of keys."""
    return found.set_axis(pd.Index([pair.name_of(*key) for key in found.index], name="run"))
