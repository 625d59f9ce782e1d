"""Style or content? How much of what distinguishes personas under a variant a monotone recoding of the base's answers explains.

A fine-tune that only stretches, shifts or squeezes the scale raises S and noise and leaves the cast of characters as it is.
Item by item, the variant's cell means are predicted from the base's by isotonic regression, of personas that the fit did not
see.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.isotonic import between, isotonic
from persona_collapse.statistics.moments import Cells, Parts
from persona_collapse.statistics.units import Units

FOLDS = 5
#: Redraws of the base, and the seed they start from: the same ratings give the same ceiling.
REDRAWS, SEED = 20, 17
#: Numbers that one pass may hold in an array: what is fitted together is cut to it.
_AT_ONCE = 2_000_000


class Share(NamedTuple):
    """The style share with its 95 % interval for other personas, -+ t SE about the value; NaN where it does not exist.

    SE is that of interval A on the identity scale. The centre is not: the jackknife would correct the share to that of endlessly
    many personas to learn a recoding from (simulated: such limits hold the mean share of an unchanged model in 40 % of studies,
    these in 95 to 100 %), and what it is judged against, the `ceiling`, is that of as many personas.
    """

    value: float
    lo: float
    hi: float


def folds(ids: Sequence[str]) -> np.ndarray:
    """Fold of each persona (persona,), 0 to 4: rank of its id among the naturally sorted ones ("p2" before "p10"), modulo 5."""
    parts = [[int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)] for text in map(str, ids)]
    order = sorted(range(len(parts)), key=parts.__getitem__)
    found = np.empty(len(order), int)
    found[order] = np.arange(len(order)) % FOLDS
    return found


def style_share(variant: Parts, base: Parts, fold: np.ndarray) -> Share:
    """1 - sum over items of (MSE - mean u) / sum of t2, of held-out personas, with u and t2 of the variant.

    Parameters
    ----------
    variant, base : Parts
        Of the same personas and items.
    fold : (persona,) int array
        See `folds`; a fold stays with its persona when another is left out.

    Returns
    -------
    Share
        None where an item has no cell with two ratings, t2 adds up to nothing, or a fold has fewer than two personas. An
        unchanged base has less than 1 (`ceiling`).
    """
    share = style_shares(variant, base, fold)
    found = persona_jackknife.estimate(share[:, None], carried=False)
    return Share(*(float(number[0]) for number in (share, *persona_jackknife.limits(found._replace(centre=found.value)))))


def style_shares(variant: Parts, base: Parts, fold: np.ndarray) -> np.ndarray:
    """The style share of all personas, then without each unit (1 + unit,); all NaN where there is none."""
    if not predictable(fold) or not np.isfinite(variant.anchor).all():
        return np.full(1 + variant.units.number, np.nan)
    return _share(_squared_errors(base.own.mean, variant.own.mean, fold, variant.units), variant)


def ceiling(base: Parts, n: np.ndarray, fold: np.ndarray, *, exact: bool = False) -> float:
    """Mean style share of redraws of the base: what an unchanged model reaches at these numbers of ratings.

    Both sides are redrawn, each with as many ratings as it has. A rating is drawn from its cell with probability
    sqrt(t2 / V) and else from its item: then the persona variance of what is drawn is t2, its noise W, and neither the noise in
    the cell means nor its lack in single cells makes a redraw too much like the base.

    Parameters
    ----------
    base : Parts
        Of the base, with at least one rating a cell; or probabilities where `exact`, of which a redraw is the same again.
    n : (persona, item) array
        Ratings of the variant in each cell.
    fold : (persona,) int array
        See `folds`.
    """
    if not predictable(fold) or not np.isfinite(base.anchor).all() or (not exact and n.max() < 2):
        return float("nan")
    if exact:
        return float(_share(_squared_errors(base.own.mean, base.own.mean, fold), base)[0])
    rng, shares = np.random.default_rng(SEED), []
    sides = [_Redraw(base, np.asarray(size, int), rng) for size in (n, base.own.n)]
    for _ in range(REDRAWS):
        own, other = (side.draw() for side in sides)
        shares.append(_share(_squared_errors(other.mean, own.mean, fold), Parts(base.counts, own, base.categories))[0])
    return float(np.mean(shares))


def predictable(fold: np.ndarray) -> bool:
    """Whether the personas are enough for a fit without a fold: at least two in each."""
    return bool((np.bincount(fold, minlength=FOLDS) > 1).all())


class _Redraw:
    """Draws `n` (persona, item) ratings from the base, see `ceiling`; categories are counted from 0."""

    def __init__(self, base: Parts, n: np.ndarray, rng: np.random.Generator) -> None:
        self._n, self._rng = n, rng
        self._given = base.counts.sum(axis=-1)
        places = np.arange(int(self._given.max()))[:, None]
        # Place j of a cell holds the category at which the cumulated count passes j: (persona, item, place).
        self._ratings = (places >= np.cumsum(base.counts, axis=-1)[..., None, :]).sum(axis=-1)
        anchor, between = np.maximum(base.anchor[0], 0), base.between[0]
        own = np.divide(anchor, between, out=np.zeros_like(anchor), where=between > 0)
        self._own = np.sqrt(np.minimum(own, 1))[:, None]
        self._used = np.arange(int(n.max())) < n[..., None]

    def draw(self) -> Cells:
        shape = self._used.shape
        personas, items = (np.arange(size) for size in shape[:2])
        stays = self._rng.random(shape) < self._own
        who = np.where(stays, personas[:, None, None], self._rng.integers(len(personas), size=shape))
        item = items[:, None]
        place = (self._rng.random(shape) * self._given[who, item]).astype(int)
        drawn = self._ratings[who, item, place] * self._used
        n, one, two = self._n.astype(float), drawn.sum(axis=-1), (drawn**2).sum(axis=-1)
        return Cells(n, one / n, (n * two - one**2) / np.maximum(n * (n - 1), 1), n > 1)


def _share(squared: np.ndarray, own: Parts) -> np.ndarray:
    """Share of all personas, then without each unit (1 + unit,), or of all alone; `squared` are summed over items."""
    size = own.units.sizes[: len(squared), 0]
    anchor = own.anchor[: len(squared)].sum(axis=1)
    noise = (own.between - own.anchor)[: len(squared)].sum(axis=1)  # mean u
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(anchor > 0, 1 - (squared / size - noise) / anchor, np.nan)


class _Fits(NamedTuple):
    """What is fitted: 0-4 hold out a fold; the others do so without a unit, those of whose personas in other folds they lack."""

    held: np.ndarray  #: the fold held out (fit,)
    unit: np.ndarray  #: the unit that a further fit lacks (further fit,)
    at: np.ndarray  #: for each persona that a fit lacks, the fit
    gone: np.ndarray  #: and the persona
    own: np.ndarray  #: the fit that holds a persona out and lacks the rest of its unit (persona,)
    same: tuple[np.ndarray, np.ndarray]  #: units and folds where all of a unit is held out: the fit of all is theirs


def _fits(fold: np.ndarray, units: Units | None) -> _Fits:
    none = np.empty(0, int)
    if units is None:
        return _Fits(np.arange(FOLDS), none, none, none, fold, (none, none))
    unit = np.searchsorted(units.labels, units.of_personas)
    inside = np.zeros((units.number, FOLDS))
    np.add.at(inside, (unit, fold), 1)
    changed = inside < inside.sum(axis=1, keepdims=True)  # a fit is another where the unit has personas in other folds
    number = np.full(changed.shape, -1)
    number[changed] = FOLDS + np.arange(changed.sum())
    further = np.argwhere(changed)
    gone, other = np.nonzero(fold[:, None] != np.arange(FOLDS))
    at = number[unit[gone], other]
    own = np.where(changed[unit, fold], number[unit, fold], fold)
    same, where = np.nonzero(~changed)
    return _Fits(np.concatenate([np.arange(FOLDS), further[:, 1]]), further[:, 0], at, gone, own, (same, where))


def _squared_errors(x: np.ndarray, y: np.ndarray, fold: np.ndarray, units: Units | None = None) -> np.ndarray:
    """Squared errors of held-out personas summed over personas and items: of all, then without each of `units`.

    Parameters
    ----------
    x, y : (persona, item) arrays
        Cell means of the base and of the variant.
    """
    personas, items = x.shape
    fits = _fits(fold, units)
    total = np.zeros(1 + (units.number if units else 0))
    step = max(1, _AT_ONCE // (len(fits.held) * personas))
    for first in range(0, items, step):
        total += _of_items(x[:, first : first + step], y[:, first : first + step], fold, fits, units)
    return total


def _of_items(x: np.ndarray, y: np.ndarray, fold: np.ndarray, fits: _Fits, units: Units | None) -> np.ndarray:
    """`_squared_errors` of some items."""
    items, held = x.shape[1], fits.held
    ranks = [np.unique(column, return_inverse=True) for column in x.T]
    points = max(len(values) for values, _ in ranks)
    # Ties in x are one point; items with fewer points end in points without responses.
    grid = np.stack([np.pad(values, (0, points - len(values)), mode="edge") for values, _ in ranks])
    at = np.stack([place for _, place in ranks], axis=1)  # (persona, item)
    item = np.broadcast_to(np.arange(items), at.shape)
    number, response, square = (np.zeros((items, FOLDS, points)) for _ in range(3))
    for into, values in ((number, np.ones_like(y)), (response, y), (square, y**2)):
        np.add.at(into, (item, fold[:, None], at), values)

    weight = number.sum(axis=1)[:, None] - number[:, held]
    summed = response.sum(axis=1)[:, None] - response[:, held]
    which = np.arange(items)[:, None], fits.at[None], at[fits.gone].T
    np.subtract.at(weight, which, 1)
    np.subtract.at(summed, which, y[fits.gone].T)
    problems = (items * len(held), points)
    weight, summed = weight.reshape(problems), summed.reshape(problems)
    line = np.repeat(grid, len(held), axis=0)
    mean = np.divide(summed, weight, out=np.zeros(problems), where=weight > 0)
    fit = between(isotonic(mean, weight), weight, line).reshape(items, len(held), points)

    error = (square[:, held] - 2 * fit * response[:, held] + fit**2 * number[:, held]).sum(axis=(0, 2))  # (fit,)
    found = np.array([error[:FOLDS].sum()])
    if units is None:
        return found
    own = ((y - fit[item, fits.own[:, None], at]) ** 2).sum(axis=1)  # (persona,), of the fits that held it out
    others = np.bincount(fits.unit, weights=error[FOLDS:], minlength=units.number)
    rest = np.bincount(fits.same[0], weights=error[fits.same[1]], minlength=units.number)
    return np.concatenate([found, others + rest - units.within(own)])
