"""Five questions to a study's ratings, for explore.ipynb: what is asked of each as a table, and answered in a sentence."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.statistics import published_estimators, sample_size
from persona_collapse.statistics.common_cells import rank_correlation
from persona_collapse.statistics.moments import Parts
from persona_collapse.statistics.rarefaction import rarefied
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run
from persona_collapse.tables.build import Tables
from persona_collapse.tables.cell_replies import replies_of_cells
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.plan import CHANGED, spreads
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.tables.saturation import persona_means
from persona_collapse.text import safe, tamed
from persona_collapse.vocabulary import METRICS

#: Repetitions that a smaller study might have had.
#: Rank correlation from which noise is said to go with room.
CLEARLY = 0.2
FEWER = (2, 3, 5, 10)
#: Share of the personas that question 3 leaves out, those that carry most.
TAKEN_OUT = 0.1
#: A mean within this many scale points of an end of the scale lies near it.
NEAR = 0.5
#: Letters of a persona or an item in a table or a sentence.
_BRIEF = 70
NO_VARIANT = "This study has no variant that can be set beside its base."


class Explored:
    """What the questions are asked of: every run's ratings, and the variants that can be set beside their base."""

    def __init__(self, ratings: Ratings, tables: Tables) -> None:
        self.ratings, self.study = ratings, ratings.study
        self.analysis = Analysis(ratings)
        self._guard = Guard(ratings, tables.quality)

    @cached_property
    def counts(self) -> dict[Run, np.ndarray]:
        """Ratings as personas (persona, item, category) of every run that has any."""
        found = {run: self.analysis.counts(run) for run in self.study.runs}
        return {run: one for run, one in found.items() if len(one)}

    @cached_property
    def compared(self) -> list[Run]:
        """Harmful variants that can be set beside their base; without any, variants of other roles."""
        usable = [run for run in self.counts if run.variant.role != "base" and self._usable(run)]
        return [run for run in usable if run.variant.role == "harmful"] or usable

    def _usable(self, run: Run) -> bool:
        base = self.analysis.base(run)
        if base not in self.counts or self._guard.refusal(run, base):
            return False
        return len(self.analysis.together(run, base).common.personas) > 1

    @cached_property
    def noisiest(self) -> Run:
        """The run, harmful if there is one, whose cells vary most (mean variance)."""
        if not self.counts:
            raise ValueError(f"{self.study.name}: no run has a rating yet; run `make elicit STUDY={self.study.name}` first")
        return max(self.counts, key=lambda run: (run.variant.role == "harmful", np.nan_to_num(self.variance(run)).mean()))

    def variance(self, run: Run) -> np.ndarray:
        """Variance of every cell (persona, item); NaN where there is none, 0 where only rounding is left."""
        found = published_estimators.moments(self.counts[run], self.study.instrument.categories).variance
        return np.where(found < 1e-12, 0.0, found)

    def persona(self, place: int) -> str:
        """Who a persona is, on one short line; `place` is 0-based."""
        return _brief(self.study.persona_line(place))

    def item(self, place: int) -> str:
        """What an item asks, on one short line; `place` is 0-based."""
        item = self.study.instrument.items[place]
        return _brief(f"{item.number}. {item.text}")


def _brief(text: str) -> str:
    text = " ".join(tamed(text).split())
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1].rstrip() + "…"


# --- 1. which cells make a model unsteady ----------------------------------------------------------------------------


@exhibit.finding("unsteady")
def unsteady(explored: Explored, run: Run | None = None) -> str:
    """The liveliest cell of a run with what was said there, and how few cells hold half of the run's variance."""
    run = run or explored.noisiest
    variance = np.nan_to_num(explored.variance(run))
    if not variance.any():
        return f"No cell of **{safe(run.name)}** varies."
    persona, item = np.unravel_index(int(variance.argmax()), variance.shape)
    falling = np.sort(variance, axis=None)[::-1]
    half = int(np.searchsorted(np.cumsum(falling), falling.sum() / 2)) + 1
    replies = replies_of_cells(explored.ratings, run).cells[persona][item].split("\n")
    counts = explored.counts[run]
    both = int(((counts[..., 0] > 0) & (counts[..., -1] > 0)).sum())
    low, high = explored.study.instrument.scale
    ends = "" if published_estimators.is_exact(counts) else f" {both:,} cells were given both {low} and {high}."
    return (
        f"**{safe(run.name)}**: half of the variance within cells lies in {half:,} of {variance.size:,} cells "
        f"({100 * half / variance.size:.0f} %). The liveliest is *{safe(explored.persona(int(persona)))}* on item "
        f"*{safe(explored.item(int(item)))}*: {safe('; '.join(replies))}.{ends}"
    )


# --- 2. who moved ----------------------------------------------------------------------------------------------------


class Move(NamedTuple):
    """How far one persona's mean of one foundation moved from base to variant, in scale points."""

    run: Run
    persona: int
    foundation: int
    base: float
    variant: float

    @property
    def change(self) -> float:
        """Variant less base."""
        return self.variant - self.base


def moves(found: Explored) -> list[Move]:
    """Every persona's move in every foundation from its base to each compared variant, furthest first."""
    every = []
    for run in found.compared:
        own, base = (persona_means(found.counts[one], found.study.instrument)[:, 1:] for one in (run, found.analysis.base(run)))
        for persona in range(min(len(own), len(base))):
            for foundation in range(own.shape[1]):
                ends = [round(float(one[persona, foundation]), 9) for one in (base, own)]
                if np.isfinite(ends).all():
                    every.append(Move(run, persona, foundation, *ends))
    return sorted(every, key=lambda move: (-abs(move.change), move.run.key, move.persona, move.foundation))


@exhibit.table(
    "movers",
    "The personas that moved most between the base and a variant, by group of items: mean ratings in scale points.",
)
def movers_table(explored: Explored, first: int = 8) -> pd.DataFrame:
    """The personas that moved furthest in one foundation, each once a variant."""
    names, seen = explored.study.instrument.foundations, set()
    rows: list[tuple[str, str, str, float, float, float]] = []
    for move in moves(explored):
        if (move.run, move.persona) not in seen and len(rows) < first:
            seen.add((move.run, move.persona))
            where = explored.study.instrument.short(names[move.foundation])
            rows.append((move.run.name, explored.persona(move.persona), where, move.base, move.variant, move.change))
    return pd.DataFrame(rows, columns=["run", "persona", "foundation", "base", "variant", "change"]).round(2)


@exhibit.finding("moved")
def moved(explored: Explored) -> str:
    """In which foundation personas moved most, and how many moved up at all."""
    every, names = moves(explored), explored.study.instrument.foundations
    if not every:
        return NO_VARIANT
    by = pd.DataFrame(
        {"foundation": [explored.study.instrument.short(names[m.foundation]) for m in every], "change": [m.change for m in every]}
    )
    size = by["change"].abs().groupby(by["foundation"], sort=False).mean()
    furthest = every[0]
    return (
        f"Personas moved most in **{safe(size.idxmax())}** ({size.max():.2f} scale points on average over "
        f"{len(explored.compared)} runs) and least in {safe(size.idxmin())} ({size.min():.2f}); "
        f"{100 * (by['change'] > 0).mean():.0f} % of all moves lead up the scale. Furthest: "
        f"*{safe(explored.persona(furthest.persona))}* under {safe(furthest.run.name)}, "
        f"{safe(explored.study.instrument.short(names[furthest.foundation]))} {furthest.base:.2f} to {furthest.variant:.2f}."
    )


# --- 3. what carries the rise of S -----------------------------------------------------------------------------------


class Carried(NamedTuple):
    """The change of S from base to a variant, by item, and what is left of it without the personas that carry most."""

    run: Run
    items: np.ndarray  #: which items (place in the instrument)
    parts: np.ndarray  #: what each adds to the change of S, (item,) in scale points; their sum is the change
    out: int  #: personas that were left out
    without: float  #: the change of S without them

    @property
    def change(self) -> float:
        """Change of S in scale points, recommended estimator."""
        return float(self.parts.sum())

    @property
    def half(self) -> int:
        """How many items it takes to make half of all rises (or falls, if S falls), largest first."""
        along = np.sort(np.maximum(self.parts * np.sign(self.change), 0))[::-1]
        return int(np.searchsorted(np.cumsum(along), along.sum() / 2)) + 1


def carried(found: Explored, run: Run) -> Carried:
    """What the change of S against the base stands on: S is a mean over items, so each item's part of it is exact.

    The personas that carry most are those without which, one at a time, the change is furthest from what it is with all.
    """
    analysis = found.analysis
    together = analysis.together(run, analysis.base(run))
    own, base = (side.loo.means for side in together.sides)
    assert own is not None and base is not None  # compared runs have personas in common
    weight = together.common.scope[:, 0]
    parts = weight * (_spread(own.parts) - _spread(base.parts))
    each = own.metric("susceptibility")[1:, 0] - base.metric("susceptibility")[1:, 0]
    order = np.argsort((each - parts.sum()) * np.sign(parts.sum()), kind="stable")  # least change first
    out = max(1, round(TAKEN_OUT * len(each)))
    kept = np.sort(order[out:])
    left = np.nan
    if len(kept) > 1:
        left = float(weight @ (_spread(own.parts.of(kept)) - _spread(base.parts.of(kept))))
    return Carried(run, together.common.items, parts, out, left)


def _spread(parts: Parts) -> np.ndarray:
    """S of each item: the root of the variance over personas that is not rating noise."""
    return np.sqrt(np.maximum(parts.anchor[0], 0))


@exhibit.finding("carriers")
def carriers(explored: Explored) -> str:
    """For every compared variant: how many items make half of the change of S, and what is left without some personas."""
    lines = []
    for run in explored.compared:
        one = carried(explored, run)
        if not np.isfinite(one.change) or one.change == 0:
            continue
        along = int((one.parts * np.sign(one.change) > 0).sum())
        lines.append(
            f"- **{safe(run.name)}**: S {_way(one.change)} by {abs(one.change):.2f} scale points; {along} of {len(one.parts)} "
            f"items go that way, and {one.half} of them make half of it{_without(one)}."
        )
    return "\n".join(lines) or NO_VARIANT


def _way(change: float) -> str:
    return "rises" if change > 0 else "falls"


def _without(one: Carried) -> str:
    if not np.isfinite(one.without):
        return ""
    share = one.without / one.change
    left = f"{100 * share:.0f} % of the change is left" if share >= 0 else f"S {_way(one.without)} by {abs(one.without):.2f}"
    who = "persona that carries" if one.out == 1 else f"{one.out} personas that carry"
    return f"; without the {who} most, {left}"


# --- 4. noise and the ends of the scale ------------------------------------------------------------------------------


@exhibit.table(
    "ends",
    "How many cells lie near the ends of the scale, by run, and how much they vary.",
)
def ends_table(explored: Explored) -> pd.DataFrame:
    """Where the noise of every run lies: cells near an end of the scale, their noise and that of the others, in scale points."""
    low, high = explored.study.instrument.scale
    rows = {}
    for run, counts in explored.counts.items():
        mean = published_estimators.moments(counts, explored.study.instrument.categories).mean
        variance = explored.variance(run)
        known = np.isfinite(variance)
        room = np.minimum(mean - low, high - mean)[known]
        variance = variance[known]
        near = room <= NEAR
        total = variance.sum()
        rows[run.name] = {
            "cells near an end": near.mean() if near.size else np.nan,
            "noise near an end": np.sqrt(variance[near].mean()) if near.any() else np.nan,
            "noise elsewhere": np.sqrt(variance[~near].mean()) if (~near).any() else np.nan,
            "variance near an end": variance[near].sum() / total if total else np.nan,
            "rank correlation of room and noise": rank_correlation(np.round(room, 9), np.round(variance, 9)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").round(3).rename_axis(index=None)


@exhibit.finding("at_the_ends")
def at_the_ends(explored: Explored) -> str:
    """Whether noise goes with room to vary, and whether a noisier variant has more room than its base."""
    table = ends_table(explored)
    rank = table["rank correlation of room and noise"].dropna()
    if rank.empty:
        return "No run varies within its cells."
    lines = [
        f"Noise goes with room, by a rank correlation above {CLEARLY:g}, in {int((rank > CLEARLY).sum())} of {len(rank)} runs "
        f"({rank.min():.2f} to {rank.max():.2f}): a mean near an end of the scale leaves little to vary."
    ]
    for run in explored.compared:
        own, base = (table.loc[one.name] for one in (run, explored.analysis.base(run)))
        lines.append(
            f"- **{safe(run.name)}**: {100 * own['cells near an end']:.0f} % of cells lie within {NEAR:g} of an end, against "
            f"{100 * base['cells near an end']:.0f} % of its base; noise elsewhere {own['noise elsewhere']:.2f} against "
            f"{base['noise elsewhere']:.2f}."
        )
    return "\n".join(lines[:1]) + ("\n\n" + "\n".join(lines[1:]) if lines[1:] else "")


# --- 5. what fewer repetitions would have cost -----------------------------------------------------------------------


@exhibit.table(
    "fewer",
    "What fewer repetitions would have done to a run's numbers and their standard errors.",
)
def fewer_table(explored: Explored, run: Run | None = None) -> pd.DataFrame:
    """One row a number of repetitions up to those there are: requests, published R and S as expected from so many, and the
    standard error of the changes of S and noise against the base, in percent. Empty for logprobs, or below two repetitions.
    """
    run = run or explored.noisiest
    rows, together = [], explored.analysis.alone(run)
    personas = len(together.common.personas)
    for n in _numbers(explored, run):
        level = rarefied(together.sides[0].loo.parts, together.common.scope, n)
        row = {
            "repetitions": n, "requests": n * personas * together.items,
            _R: level.robustness[0, 0], "S by the paper's formula": level.susceptibility[0, 0],
        }  # fmt: skip
        for metric, spread in zip(CHANGED, _spreads(explored, run), strict=False):
            row[f"{_PLAIN[metric]}: standard error (%)"] = 100 * sample_size.expected_se(spread, personas, n)
        rows.append(row)
    return pd.DataFrame(rows).round(2)


_PLAIN = {metric: METRICS[metric].heading.split()[-1] for metric in CHANGED}


def _spreads(found: Explored, run: Run) -> Sequence[sample_size.Spread]:
    return spreads(found.analysis, run, found.analysis.base(run)) if run in found.compared else []


def _numbers(found: Explored, run: Run) -> list[int]:
    if found.study.by_logprobs or not found.analysis.alone(run).loo[0].repetitions[1] >= sample_size.FEWEST:
        return []
    most = int(np.median(published_estimators.ratings(found.counts[run])))
    return sorted({n for n in FEWER if n < most} | {most})


_R = "R by the paper's formula"


@exhibit.finding("fewer")
def fewer(explored: Explored, run: Run | None = None) -> str:
    """What the fewest repetitions would have saved, what they would have cost in precision, and what R would have read."""
    run = run or explored.noisiest
    table = fewer_table(explored, run)
    if len(table) < 2:
        return "These ratings have no repetitions to do without."
    few, all_ = table.iloc[0], table.iloc[-1]
    errors = [name for name in table if name.endswith("(%)")]
    told = [
        f"{name.partition(':')[0]} {few[name]:.1f} % instead of {all_[name]:.1f} %" for name in errors if np.isfinite(few[name])
    ]
    precision = f"The standard errors of the changes against the base would be {' and '.join(told)}. " if told else ""
    return (
        f"**{safe(run.name)}**: {int(few['repetitions'])} repetitions instead of {int(all_['repetitions'])} would have saved "
        f"{100 * (1 - few['requests'] / all_['requests']):.0f} % of the requests. {precision}"
        f"R by the paper's formula would read {whole(few[_R])} instead of {whole(all_[_R])} from the same model; the "
        "recommended R means the same at any number."
    )
