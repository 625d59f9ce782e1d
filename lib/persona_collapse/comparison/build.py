"""Two studies side by side: which runs were matched, both studies' own numbers beside each other, and what differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.comparison.differences import EXCESS, averaged, differences_table, mean_key
from persona_collapse.comparison.pair import Pair
from persona_collapse.files import as_csv, atomic_text
from persona_collapse.statistics import recommended_estimators
from persona_collapse.tables.contrast import Contrast
from persona_collapse.tables.recommended_rows import averaged as averaged_contrasts
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.vocabulary import OF_RECOMMENDED, PUBLISHED, RECOMMENDED


class MatchRow(NamedTuple):
    """A row of matches.csv."""

    family: str
    variant: str
    variant_b: str
    matched_by: str
    role: str
    role_b: str
    paired: bool = False
    personas_a: int = 0
    personas_b: int = 0
    items: int = 0
    same_ratings: bool = False
    differs: str = ""
    note: str = ""


#: What levels.csv and changes.csv have of each study, in columns that end in _a and _b.
_NUMBERS = ("value", "se", "lo", "hi", "lo_repeat", "hi_repeat", "note")


@dataclass(frozen=True)
class StudyTables:
    """What two studies amount to side by side; each field is written as tables/<field>.csv."""

    matches: pd.DataFrame
    levels: pd.DataFrame
    changes: pd.DataFrame
    differences: pd.DataFrame


@lru_cache(maxsize=2)
def build_comparison(pair: Pair) -> StudyTables:
    """Every table of a comparison."""
    return StudyTables(_matches(pair), _levels(pair), _changes(pair), differences_table(pair))


def write_comparison(pair: Pair, tables: StudyTables) -> list[Path]:
    """Write each table as CSV at full precision; returns the files."""
    folder = pair.folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in vars(tables).items():
        atomic_text(folder / f"{name}.csv", as_csv(table))
    return [folder / f"{name}.csv" for name in vars(tables)]


def _matches(pair: Pair) -> pd.DataFrame:
    """What was matched with what, on which personas and items, and what else differs: matches.csv."""
    rows = []
    for match in pair.matches:
        role, role_b = (run.variant.role if run else "" for run in (match.a, match.b))
        row = MatchRow(*match.key, match.by, role, role_b)
        if match.a and match.b:
            refused = pair.refusal(match)
            about = {} if refused else pair.on_common([match]).about
            row = row._replace(**about, differs=pair.differs(match), note=refused)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(MatchRow._fields))


def _levels(pair: Pair) -> pd.DataFrame:
    """Every metric of every run in both studies, as in each study's own metrics.csv: levels.csv."""
    return _beside(pair, [tables.metrics for tables in pair.tables], ["family", "variant", "variant_b"], ["personas", "ratings"])


def _changes(pair: Pair) -> pd.DataFrame:
    """Every change and excess in both studies, as in its own contrasts.csv, means over matched families: changes.csv."""
    own = [pd.concat([t.contrasts[t.contrasts["family"] != "mean"], _means(pair, side)], ignore_index=True)
           for side, t in enumerate(pair.tables)]  # fmt: skip
    return _beside(pair, own, ["family", "variant", "variant_b", "control", "quantity"], ["families"])


def _means(pair: Pair, side: int) -> pd.DataFrame:
    """Means of one study's changes and excesses over the families whose runs are matched; published ones are plain averages."""
    parts = []
    for (quantity, _), families in averaged(pair).items():
        sides = [[match.both[side] for match in matches] for matches in families]
        own = [Contrast(runs[0], runs[-1], runs[1] if quantity == EXCESS else None) for runs in sides]
        found = pd.concat([_recommended_mean(pair.analyses[side], own), _published_mean(pair, side, own)])
        keys = zip(("family", "variant", "variant_b", "control"), mean_key(quantity, families), strict=True)
        parts.append(found.assign(**dict(keys), quantity=own[0].quantity, families=len(families)))
    names = ["family", "variant", "variant_b", "control", "quantity", "families", "method", "scope", "metric", *_NUMBERS]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def _recommended_mean(analysis: Analysis, contrasts: list[Contrast]) -> pd.DataFrame:
    together = analysis.together(*dict.fromkeys(run for contrast in contrasts for run in contrast.runs))
    found = averaged_contrasts(analysis, contrasts, [])
    rows = []
    for metric in OF_RECOMMENDED:
        place = recommended_estimators.METRICS.index(metric)
        for column, scope in enumerate(analysis.scopes):
            again = found.repeat.lo[place, column], found.repeat.hi[place, column]
            numbers = *(field[place, column] for field in found.interval[:4]), *again
            rows.append((RECOMMENDED, scope, metric, *numbers, together.common.note))
    return pd.DataFrame(rows, columns=["method", "scope", "metric", *_NUMBERS])


def _published_mean(pair: Pair, side: int, contrasts: list[Contrast]) -> pd.DataFrame:
    table, chosen = pair.tables[side].contrasts, {contrast.variant.keys for contrast in contrasts}
    table = table[(table["method"] == PUBLISHED) & (table["quantity"] == contrasts[0].quantity)]
    table = table[[key in chosen for key in zip(table["family"], table["variant"], strict=True)]]
    mean = table.groupby(["method", "scope", "metric"], sort=False)["value"].agg(lambda values: values.mean(skipna=False))
    return mean.reset_index().reindex(columns=["method", "scope", "metric", *_NUMBERS]).assign(note="")


def _beside(pair: Pair, tables: Sequence[pd.DataFrame], keys: list[str], also: list[str]) -> pd.DataFrame:
    """Rows of both studies in one row each where they belong together, under the keys of the first study."""
    keys, sides = [*keys, "scope", "metric", "method"], []
    for table, names, suffix in zip(tables, _names(pair), "ab", strict=True):
        own = [names.get(key) for key in zip(table["family"], table["variant"], strict=True)]
        named = table.reindex(columns=list(dict.fromkeys([*table, "variant_b"])))
        for place, name in ((1, "variant"), (2, "variant_b")):  # a mean bears its keys already
            named[name] = [key[place] if key else known for key, known in zip(own, named[name], strict=True)]
        if "control" in keys:
            pairs = zip(table["family"], table["control"], strict=True)
            named["control"] = [names[f, c][1] or c if (f, c) in names else c for f, c in pairs]
        numbers = [*_NUMBERS, *also]
        sides.append(named[[*keys, *numbers]].rename(columns={name: f"{name}_{suffix}" for name in numbers}))
    found = sides[0].merge(sides[1], on=keys, how="outer", sort=False)
    order = {key: place for place, key in enumerate(dict.fromkeys(map(tuple, pd.concat(sides)[keys].to_numpy())))}
    places = [order[key] for key in map(tuple, found[keys].to_numpy())]
    return found.iloc[np.argsort(places, kind="stable")].reset_index(drop=True)


def _names(pair: Pair) -> tuple[dict[tuple[str, str], tuple[str, str, str]], ...]:
    """For each study the key of the match that a run of it, by family and variant, belongs to."""
    return tuple({(m.key[0], run.variant.key): m.key for m in pair.matches if (run := (m.a, m.b)[side])} for side in (0, 1))
