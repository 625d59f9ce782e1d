"""Simulated respondents: an ordinal response model a run, fitted to published figures; evidence of nothing."""

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from scipy.special import ndtr, ndtri

from persona_collapse.paths import shown
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.personas import Persona
from persona_collapse.study.respondent_parameters import (
    ADDED,
    ITEM_SHARE,
    ITEM_SPREAD,
    KINDS,
    LEAN_SHARE,
    OUTLOOKS,
    PARAMETERS,
    Respondent,
    foundation_places,
)
from persona_collapse.study.wording import OWN, WORDING_EFFECTS

#: The source of persona effects that all families share, and the only one that leans on attributes.
EVERYONE = "everyone"
#: Temperature at which the published ratings, and so the figures fitted here, were sampled.
_FITTED_AT = 0.1
#: Probability of tokens off the scale in what a simulated first token offers, and the least logprob it is given.
_CHATTER, _FLOOR = 0.02, -100.0

_Words = TypeVar("_Words", np.ndarray, np.uint64)


def cell_probabilities(
    respondent: Respondent,
    instrument: Instrument,
    personas: Sequence[Persona] | None,
    *,
    toxic: bool = False,
    shift: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Probability of every category in every cell.

    A cell has a location, noise is normal, and the rating is the category in which location plus noise falls.

    Parameters
    ----------
    personas : sequence of Persona, or None
        None asks without a persona. A persona's effects follow from its text and attributes alone.
    toxic : bool
        The personas are hostile ones, placed by their attribute ``kind``.
    shift : (persona, item) array, optional
        What is added to the location of a cell, in scale points: `wording_shift`.

    Returns
    -------
    (persona, item, category) float array
        Sums to 1 over categories; one "persona" if there is none. ValueError if toxic figures are asked of a run that
        has none.
    """
    foundation, offset = foundation_places(instrument), item_offsets(instrument)
    if not personas:
        level, spread, noise = respondent.alone[:, foundation]
        location = np.broadcast_to(level + spread * offset + shift, (1, len(foundation)))
        return latent_probabilities(location, noise, respondent.gap, instrument.categories)
    level, reach, noise = respondent.persona[:, foundation]
    by_foundation, by_item = _effects(respondent, instrument, personas)
    if toxic:
        by_foundation, level = _hostile(personas, respondent, by_foundation)
        level = level[:, foundation]
    effect = np.sqrt(1 - ITEM_SHARE) * by_foundation[:, foundation] + np.sqrt(ITEM_SHARE) * by_item
    # Some cells, and some characters, waver more than others; the same ones in every run.
    wavering = np.sqrt(0.5) * (_normal("noise", personas, [0]) + _normal("noise", personas, _numbers(instrument)))
    return latent_probabilities(
        level + ITEM_SPREAD * offset + reach * effect + shift,
        noise * np.exp(respondent.unevenness * wavering),
        respondent.gap, instrument.categories,
    )  # fmt: skip


def wording_shift(instrument: Instrument, personas: Sequence[Persona] | None, levels: str) -> np.ndarray:
    """What levels of wording add to the location of every cell (persona, item), in scale points; 0 for its own wording.

    Stated, not fitted: shares of the width of the scale in `WORDING_EFFECTS`. Each level other than `a` and `up` moves every
    item by a normal amount that all runs share, and every cell by a smaller one; the reversed scale also draws all ratings to
    the numbers at its end, which mean less.
    """
    by_item, by_cell, drawn = WORDING_EFFECTS
    shift = np.zeros((len(personas or [0]), len(instrument.items)))
    for level in levels.split():
        if level in OWN:
            continue
        shift += by_item * _normal(f"{level}, item", None, _numbers(instrument))
        shift += by_cell * _normal(f"{level}, cell", personas, _numbers(instrument))
        shift -= drawn * (level == "scale=down")
    return shift * (instrument.scale[1] - instrument.scale[0])


def draw(
    probabilities: np.ndarray,
    *,
    seed: int, run: str, condition: str,
    personas: Sequence[Persona] | None, instrument: Instrument, repetitions: int,
) -> np.ndarray:  # fmt: skip
    """Ratings (persona, item, repetition), each a function of the seed and its slot alone.

    Order, size of the deck and number of repetitions change no rating; `probabilities` comes from `cell_probabilities`.
    """
    source = f"{seed}\n{run}\n{condition}"
    uniform = _uniform(source, personas, _numbers(instrument)[:, None], np.arange(1, repetitions + 1))
    edges = np.cumsum(probabilities, axis=-1)[..., :-1]
    return instrument.scale[0] + (uniform[..., None] > edges[:, :, None, :]).sum(axis=-1)


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Cell probabilities (..., category) at another sampling temperature, p^(0.1/T) normalised; all on the mode at T = 0.

    The respondents are fitted to ratings sampled at T = 0.1, so that is the temperature at which nothing changes.
    """
    if temperature == _FITTED_AT:
        return probabilities
    if temperature == 0:
        return np.eye(probabilities.shape[-1])[probabilities.argmax(axis=-1)]
    with np.errstate(divide="ignore"):
        log = np.log(probabilities) * (_FITTED_AT / temperature)
    tempered = np.exp(log - log.max(axis=-1, keepdims=True))
    return tempered / tempered.sum(axis=-1, keepdims=True)


def alternatives(probabilities: np.ndarray, categories: range) -> list[tuple[str, float]]:
    """What an endpoint would return for the first token of one cell: (token, logprob at T = 1), the most probable first.

    `probabilities` (category,) are those of the fitted respondent. Two tokens of chatter take `_CHATTER` of the mass;
    logprobs are floored, as endpoints do, and rounded to six decimals, which no machine computes differently.
    """
    with np.errstate(divide="ignore"):
        said = np.log((1 - _CHATTER) * at_temperature(probabilities, 1.0))
    found = [(str(category), value) for category, value in zip(categories, said.tolist(), strict=True)]
    found += [(token, float(np.log(_CHATTER / 2))) for token in (" I", "As")]
    return sorted([(token, round(max(value, _FLOOR), 6)) for token, value in found], key=lambda pair: (-pair[1], pair[0]))


def latent_probabilities(location: np.ndarray, noise: np.ndarray, gap: float, categories: range) -> np.ndarray:
    """Probability of each category where a normal location is cut at even gaps around the middle of the scale."""
    middle = (categories[0] + categories[-1]) / 2
    cuts = middle + gap * (np.arange(1, len(categories)) - len(categories) / 2)
    below = ndtr((cuts - location[..., None]) / noise[..., None])
    ends = np.zeros_like(below[..., :1])
    return np.diff(below, axis=-1, prepend=ends, append=ends + 1)


def _effects(respondent: Respondent, instrument: Instrument, personas: Sequence[Persona]) -> tuple[np.ndarray, np.ndarray]:
    """Persona effects of unit variance: (persona, foundation) and (persona, item)."""
    foundations, items = np.arange(len(instrument.foundations)), _numbers(instrument)
    by_foundation = np.zeros((len(personas), len(foundations)))
    by_item = np.zeros((len(personas), len(items)))
    for source, weight in respondent.characters:
        alike = _normal(f"{source}, foundation", personas, foundations)
        if source == EVERYONE:
            lean, known = _lean(personas)
            # A persona without attributes keeps the whole variance: it is all its own.
            alike = np.where(known, np.sqrt(LEAN_SHARE) * lean + np.sqrt(1 - LEAN_SHARE) * alike, alike)
        by_foundation += weight * alike
        by_item += weight * _normal(f"{source}, item", personas, items)
    return by_foundation, by_item


def _lean(personas: Sequence[Persona]) -> tuple[np.ndarray, np.ndarray]:
    """What attributes say: (persona, foundation) in SD of the lean, and whether an outlook is known (persona, 1)."""
    table = np.array(list(OUTLOOKS.values()), dtype=float)
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    said = ADDED | {("outlook", outlook): tuple(row) for outlook, row in zip(OUTLOOKS, table, strict=True)}
    nothing = np.zeros(table.shape[1])
    lean = [np.sum([nothing, *(said.get(pair, nothing) for pair in p.attributes.items())], axis=0) for p in personas]
    return np.array(lean), np.array([[p.attributes.get("outlook") in OUTLOOKS] for p in personas])


def _hostile(personas: Sequence[Persona], respondent: Respondent, effects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects and levels (persona, foundation) of hostile personas: a known kind has its own level and no other effect."""
    if respondent.toxic is None:
        raise ValueError(
            f"{shown(PARAMETERS)}, {respondent.figures}: no figures for hostile personas; "
            "expected a base; leave the condition toxic out of this run"
        )
    levels = dict(zip(KINDS, respondent.toxic, strict=True))
    kinds = [persona.attributes.get("kind", "") for persona in personas]
    # One that nobody published figures for is a hostile character of its own around the mean of those.
    level = np.array([levels.get(kind, respondent.toxic.mean(axis=0)) for kind in kinds])
    return np.where([[kind in levels] for kind in kinds], 0.0, effects), level


def _numbers(instrument: Instrument) -> np.ndarray:
    return np.array([item.number for item in instrument.items])


def item_offsets(instrument: Instrument) -> np.ndarray:
    """Location (item,) beside that of the item's foundation: mean 0, SD 1 within a foundation, the same in every run."""
    offset = _normal("item location", None, _numbers(instrument))[0]
    foundation = foundation_places(instrument)
    for own in (foundation == place for place in range(foundation.max() + 1)):
        offset[own] = (offset[own] - offset[own].mean()) / (offset[own].std() or 1)
    return offset


# --- randomness as a function of a slot --------------------------------------------------------------------------------


def _normal(source: str, personas: Sequence[Persona] | None, *parts: Any) -> np.ndarray:
    """Standard normal numbers (persona, *parts), each a function of its source, persona and parts alone."""
    return ndtri(_uniform(source, personas, *parts))


def _uniform(source: str, personas: Sequence[Persona] | None, *parts: Any) -> np.ndarray:
    """Numbers in (0, 1) of shape (persona, *broadcast of parts): a hash of source, persona's text and parts.

    Texts enter by blake2b, so that a persona's numbers follow it wherever it stands in a deck; integers are absorbed
    one after another by `_mix`.
    """
    texts = [persona.text for persona in personas] if personas else [""]
    state = _mix(_mix(_digest(source)) ^ np.array([_digest(text) for text in texts], dtype=np.uint64))
    state = state.reshape(-1, *(1,) * max(np.ndim(part) for part in parts))
    for part in parts:
        state = _mix(state ^ _mix(np.asarray(part, dtype=np.uint64)))
    # The upper 53 bits, moved off 0 and 1.
    return ((state >> np.uint64(11)).astype(float) + 0.5) * 2.0**-53


def _digest(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def _mix(state: _Words) -> _Words:
    """One step of splitmix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the output."""
    with np.errstate(over="ignore"):
        state = state + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
