"""Which items and personas a comparison can use when ratings are missing on one side, and whether missing ratings mislead."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics.moments import cells
from persona_collapse.statistics.published_estimators import ratings

#: Share of personas without a rating above which an item leaves every side.
ITEM_LEAVES = 0.5
#: Share of lost personas above which a contrast comes with a warning.
MANY_PERSONAS = 0.1
#: Size of the rank correlation of ratings with noise, and share of missing slots, above which a run comes with a warning.
STRONG_CORRELATION, MANY_MISSING = 0.2, 0.05


class Common(NamedTuple):
    """Counts of several runs on the items and personas that all of them can use."""

    counts: tuple[np.ndarray, ...]  #: (persona, item, category), same personas in each; no cell is empty
    scope: np.ndarray  #: weights (item, scope) of the items that stayed; a scope that lost all of them is zero
    personas: np.ndarray  #: which personas stayed
    items: np.ndarray  #: which items stayed
    note: str  #: what left and why; empty if nothing did

    def same(self, other: "Common") -> bool:
        """Whether the same personas and items stayed."""
        return np.array_equal(self.personas, other.personas) and np.array_equal(self.items, other.items)


class Missing(NamedTuple):
    """Whether a run's ratings are missing where answers are noisy."""

    correlation: float  #: rank correlation over cells of the number of ratings with their SD; NaN if either is constant
    share: float  #: share of slots without a rating
    note: str  #: a warning, or empty


def common(counts: Sequence[np.ndarray], scope: np.ndarray, here: Sequence[np.ndarray] | None = None) -> Common:
    """Restrict runs to what they can be compared on: personas that not all of them have, then items, then further personas.

    An item that more than half of the personas did not answer in some run leaves all of them; then a persona with an empty
    cell in some run does.

    Parameters
    ----------
    counts : sequence of (persona, item, category) int arrays
        Of the same personas and items.
    scope : (item, scope) array
        Weights from `scopes.scope_matrix`.
    here : sequence of (persona,) bool arrays, optional
        Which personas each run has at all; all of them without it. It may go on behind those that were counted for all runs.

    Raises
    ------
    ValueError
        If the arrays differ in shape.
    """
    if len({one.shape for one in counts}) > 1:
        shapes = ", ".join(str(one.shape) for one in counts)
        raise ValueError(f"pairing: counts of shapes {shapes}; expected the same personas, items and categories in each")
    empty = np.array([ratings(one) == 0 for one in counts])  # (run, persona, item)
    have = list(np.full(empty.shape[:2], True)) if here is None else list(here)
    shared = np.logical_and.reduce([own[: empty.shape[1]] for own in have])
    asked = empty[:, shared]
    items = ~(asked.mean(axis=1) > ITEM_LEAVES).any(axis=0) if asked.size else np.full(empty.shape[2], True)
    # A run that never gave a rating has nothing in common with any other.
    personas = shared & ~np.any(empty[:, :, items], axis=(0, 2)) & items.any()
    kept = (scope > 0) & items[:, None]
    weights = (kept / np.maximum(kept.sum(axis=0), 1))[items]
    restricted = tuple(one[personas][:, items] for one in counts)
    return Common(restricted, weights, np.flatnonzero(personas), np.flatnonzero(items), _note(items, personas, shared, have))


def in_part(have: Sequence[np.ndarray]) -> str:
    """On how many personas runs are compared that have different ones, in words; nothing where all have the same.

    `have` says which personas each run has, (persona,) bool each, behind the last of which it has none. Nothing, too, where
    they share none.
    """
    sizes, fewest = [int(own.sum()) for own in have], min(map(len, have), default=0)
    shared = int(np.logical_and.reduce([own[:fewest] for own in have]).sum())
    if not shared or sizes == [shared] * len(sizes):
        return ""
    return f"compared on the {shared} personas that all sides have, of {' and '.join(map(str, sizes))}"


def _note(items: np.ndarray, personas: np.ndarray, shared: np.ndarray, have: Sequence[np.ndarray]) -> str:
    lost_items, lost, asked = np.flatnonzero(~items) + 1, int((shared & ~personas).sum()), int(shared.sum())
    said = []
    if not asked and all(own.any() for own in have):
        return "Nothing is common: no persona is on all sides."
    if partly := in_part(have):
        said.append(f"{partly[0].upper()}{partly[1:]}.")
    if not items.any():
        return "Nothing is common: there is a run without a rating for more than half of the personas on every item."
    if len(lost_items):
        which = ", ".join(map(str, lost_items))
        said.append(
            f"Item{'s' * (len(lost_items) > 1)} {which} left on all sides: more than half of the personas have no rating there."
        )
    if lost:
        said.append(f"For the {int(personas.sum())} common personas: {lost} of {asked} left, without a rating somewhere.")
    if lost > MANY_PERSONAS * asked:
        said.append(
            f"That is more than {100 * MANY_PERSONAS:.0f} %: if those who are missing are unlike the others, the change is "
            "too small."
        )
    return " ".join(said)


def base_note(on_common: float, personas: int, on_all: float) -> str:
    """A sentence that sets the base's S on so many common personas beside that on all of its own."""
    return f"The base's S is {on_common:.3f} for the {personas} common personas and {on_all:.3f} for all of its own."


def missing(counts: np.ndarray, categories: range, slots: int | None = None) -> Missing:
    """Whether noisy cells are the ones with few ratings, which no estimator can repair.

    Parameters
    ----------
    counts : (persona, item, category) int array
        Ratings of a run; only cells with two or more are looked at.
    categories : range
        Points of the scale.
    slots : int, optional
        How many ratings a cell were asked for; the largest number found in a cell without it.
    """
    n = ratings(counts)
    asked = slots if slots is not None else int(n.max(initial=0))
    share = float(np.maximum(asked - n, 0).mean() / asked) if asked and n.size else 0.0
    own = cells(counts[n > 1][None], categories)
    correlation = rank_correlation(own.n[0], np.sqrt(own.variance[0]))
    said = []
    if abs(correlation) > STRONG_CORRELATION:
        which = "fewer" if correlation < 0 else "more"
        said.append(
            f"Noisy cells have {which} ratings than steady ones (rank correlation {correlation:.2f}): the noise of this run is "
            f"{'understated' if correlation < 0 else 'overstated'}, and no estimator can repair that."
        )
    if share > MANY_MISSING:
        said.append(f"{100 * share:.0f} % of the slots have no rating.")
    return Missing(correlation, share, " ".join(said))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation; NaN if either side is constant or empty."""
    if any(side.size == 0 or (side == side[0]).all() or np.isnan(side).any() for side in (one, other)):
        return float("nan")
    return float(np.corrcoef([_ranks(one), _ranks(other)])[1, 0])  # scipy.stats takes a second to import, for this alone


def _ranks(values: np.ndarray) -> np.ndarray:
    """Place of each value in their order, from 1; equal ones have the mean of their places."""
    _, place, number = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(number) - (number - 1) / 2)[place]
