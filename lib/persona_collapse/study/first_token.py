"""From the alternatives of a reply's first token to a cell's distribution over the scale, at any temperature."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

#: Least probability mass on the scale (at T = 1) of a cell that is used. Below one half the model would sooner say something
#: else than a rating: what it answers if it does is the exception, and a sampled reply would more often than not have none.
LEAST_MASS = 0.5
#: Total probability beyond which alternatives are no distribution, such as a gateway's placeholders that are all 0.0; the
#: hundredth above 1 is room for logprobs rounded to two decimals.
MOST_TOTAL = 1.01

Alternatives = Sequence[tuple[str, float]]


class Reading(NamedTuple):
    """What the alternatives of one first token say about the scale.

    ``rating`` is the most probable category, the lower one of two alike, or None; ``mass`` the probability of all categories
    together at T = 1 (NaN without usable logprobs); ``reason`` why there is no rating: `low_mass` or `unparseable`.
    """

    rating: int | None
    mass: float
    reason: str | None


def read(alternatives: Alternatives, categories: range) -> Reading:
    """The rating of a reply from its first token's alternatives (token, logprob) at T = 1, or the reason there is none.

    A token that is a category when stripped of white space counts; several of one category add their probability. Fewer
    than two alternatives, and numbers that are no probabilities, are `unparseable`; less than `LEAST_MASS` is `low_mass`.
    """
    if not usable(alternatives):
        return Reading(None, math.nan, "unparseable")
    place = _places(categories)
    probability = [0.0] * len(categories)
    for token, logprob in alternatives:
        if (category := place.get(bare(token))) is not None:
            probability[category] += math.exp(logprob)
    mass = min(sum(probability), 1.0)
    if mass < LEAST_MASS:
        return Reading(None, mass, "low_mass")
    return Reading(categories[probability.index(max(probability))], mass, None)


def bare(token: str) -> str:
    """A token without white space, however its tokenizer spells a blank: itself, `▁` of SentencePiece, `Ġ` and `Ċ` of bytes."""
    return token.strip().strip("▁ĠĊ").strip()


def usable(alternatives: Alternatives) -> bool:
    """Whether alternatives can be a part of one distribution: two or more, each a number, together not above 1."""
    if len(alternatives) < 2:
        return False
    try:
        total = math.fsum(math.exp(logprob) for _, logprob in alternatives)
    except (TypeError, ValueError, OverflowError):
        return False
    return total <= MOST_TOTAL  # false for NaN


def as_text(alternatives: Alternatives) -> str:
    """Alternatives as the store keeps them: JSON of [token, logprob] pairs, the most probable first."""
    return json.dumps(sorted(alternatives, key=lambda pair: -pair[1]), ensure_ascii=False)


class Offered(NamedTuple):
    """What every cell of a run was offered on the scale, as returned at T = 1.

    ``logprobs`` (persona, item, category, spelling) is -inf where nothing was returned; ``smallest`` (persona, item) is the
    smallest logprob returned at all, of whatever token; ``used`` (persona, item) tells which cells hold a rating, and
    ``seen`` which hold usable logprobs, those with too little mass on the scale included.
    """

    logprobs: np.ndarray
    smallest: np.ndarray
    used: np.ndarray
    seen: np.ndarray

    @property
    def mass(self) -> np.ndarray:
        """Probability (persona, item) of the whole scale at T = 1; NaN where nothing was seen."""
        return np.where(self.seen, np.minimum(np.exp(self.logprobs).sum(axis=(-2, -1)), 1.0), np.nan)

    @property
    def missing(self) -> np.ndarray:
        """Which categories (persona, item, category) of a used cell are outside what was returned."""
        return np.isneginf(self.logprobs).all(axis=-1) & self.used[..., None]


def gather(rows: Iterable[tuple[int, int, bool, str]], personas: int, items: int, categories: range) -> Offered:
    """Cells as arrays; `rows` hold persona, item (both from 0), whether the cell is used, and the text of `as_text`."""
    place = _places(categories)
    found: dict[tuple[int, int, int], list[float]] = {}
    smallest = np.full((personas, items), np.nan)
    used = np.zeros((personas, items), dtype=bool)
    for persona, item, is_used, text in rows:
        alternatives = json.loads(text)
        smallest[persona, item] = min(logprob for _, logprob in alternatives)
        used[persona, item] = is_used
        for token, logprob in alternatives:
            if (category := place.get(bare(token))) is not None:
                found.setdefault((persona, item, category), []).append(logprob)
    spellings = max(map(len, found.values()), default=1)
    logprobs = np.full((personas, items, len(categories), spellings), -np.inf)
    for cell, values in found.items():
        logprobs[cell][: len(values)] = values
    return Offered(logprobs, smallest, used, ~np.isnan(smallest))


def probabilities(offered: Offered, temperature: float) -> np.ndarray:
    """Probability (persona, item, category) of each category among all, sampled at `temperature`; 0 in a cell not used.

    p_k(T) is proportional to the sum of exp(lp / T) over the tokens of k: sampling at T tempers tokens, not categories, so
    each is tempered by itself before they are added. A category that was not returned gets the smallest returned logprob.
    At T = 0 everything is on the most probable token; tokens that are alike share evenly.

    References
    ----------
    arXiv:2605.12850 and its code: p_k(T) proportional to exp(lp_k / T), missing digits at the smallest returned logprob.
    """
    known, absent = _weights(offered, temperature)
    weight = np.where(offered.missing, absent[..., None], known)
    with np.errstate(invalid="ignore"):
        return np.where(offered.used[..., None], weight / weight.sum(axis=-1, keepdims=True), 0.0)


class Bounds(NamedTuple):
    """Limits of cell means and SDs, each (persona, item) in scale points; NaN in a cell that is not used."""

    mean_lo: np.ndarray
    mean_hi: np.ndarray
    sd_lo: np.ndarray
    sd_hi: np.ndarray


def bounds(offered: Offered, temperature: float, categories: range) -> Bounds:
    """Limits that hold wherever the logprob of a category that was not returned lies, from -inf to the smallest returned.

    With mu and V the mean and variance of what was returned, M the missing categories and t their largest possible share,
    the mean moves by a share of at most t towards some k in M, and the variance is at least (1 - t) V and at most
    max(V, (1 - t) V + t D), D = max over M of (k - mu)^2: its second moment around mu is linear in the share. Each missing
    category is taken as one token; further spellings of one that was returned are neglected.
    """
    points = np.asarray(categories, dtype=float)
    known, absent = _weights(offered, temperature)
    missing = offered.missing
    with np.errstate(invalid="ignore"):
        total = known.sum(axis=-1)
        share = known / total[..., None]
        mean = share @ points
        variance = (share * (points - mean[..., None]) ** 2).sum(axis=-1)
        weight = missing.sum(axis=-1) * absent
        t = weight / (total + weight)
        distance = np.where(missing, points - mean[..., None], 0.0)
        least, most = (1 - t) * variance, (1 - t) * variance + t * (distance**2).max(axis=-1)
        found = Bounds(
            mean + t * np.minimum(distance.min(axis=-1), 0), mean + t * np.maximum(distance.max(axis=-1), 0),
            np.sqrt(least), np.sqrt(np.maximum(variance, most)),
        )  # fmt: skip
    return Bounds(*(np.where(offered.used, limit, np.nan) for limit in found))


def _weights(offered: Offered, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """exp(lp / T) of the returned categories (persona, item, category) and of a missing one (persona, item).

    Relative to the best token of each cell, so that nothing overflows and the largest weight is 1 at every temperature.
    """
    best = np.where(offered.used, offered.logprobs.max(axis=(-2, -1)), 0.0)
    known = _tempered(offered.logprobs - best[..., None, None], temperature).sum(axis=-1)
    return known, np.where(offered.used, _tempered(offered.smallest - best, temperature), 0.0)


def _tempered(gap: np.ndarray, temperature: float) -> np.ndarray:
    """exp(gap / T) of logprobs below the best one; at T = 0 only the best are left."""
    if temperature == 0:
        return (gap == 0).astype(float)
    with np.errstate(over="ignore"):
        return np.exp(gap / temperature)


def _places(categories: range) -> dict[str, int]:
    return {str(category): place for place, category in enumerate(categories)}
