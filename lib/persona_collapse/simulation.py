"""Simulated respondents: an ordinal response model a run, fitted to published figures; evidence of nothing."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from persona_collapse import checks
from persona_collapse.instrument import Instrument
from persona_collapse.paths import PUBLISHED, shown
from persona_collapse.personas import Persona

#: The fitted parameters; written by `fitting.write`.
PARAMETERS = PUBLISHED / "simulation-mfq30.json"

#: What we assume, for the foundations in the instrument's order (Harm, Fairness, Loyalty, Authority, Purity): how an
#: outlook leans, in steps that are standardised below, and what age and occupation add to that, in SD of the lean.
_OUTLOOKS = {
    "progressive": (3, 3, -2, -3, -3),
    "liberal": (2, 2, -2, -2, -3),
    "pragmatic": (-1, -1, -1, 0, -1),
    "communitarian": (2, 1, 2, 0, 0),
    "traditional": (0, -1, 2, 3, 3),
    "religious": (2, 0, 1, 2, 4),
    "nationalist": (-2, -1, 4, 3, 1),
    "libertarian": (-2, 0, -2, -3, -1),
    "cynical": (-4, -3, -2, 0, 0),
}
_ADDED = {
    ("age", "18-29"): (0.0, 0.1, -0.1, -0.3, -0.3),
    ("age", "60-74"): (0.0, 0.0, 0.1, 0.2, 0.2),
    ("age", "75+"): (0.0, 0.0, 0.2, 0.3, 0.3),
    ("occupation", "security"): (-0.2, 0.0, 0.4, 0.5, 0.0),
    ("occupation", "religion"): (0.2, 0.0, 0.0, 0.2, 0.5),
    ("occupation", "law"): (0.0, 0.4, 0.0, 0.3, 0.0),
    ("occupation", "care"): (0.4, 0.0, 0.0, 0.0, 0.0),
}
#: The published hostile personas, in the order of the rows of `Respondent.toxic`.
KINDS = (
    "cruel gossip", "authoritarian", "xenophobe", "enforcer", "exploiter", "purity zealot", "vengeful guard",
    "cult lieutenant",
)  # fmt: skip
#: Shares of a persona effect's variance: what attributes explain of the effect on a foundation, and how much of the whole
#: belongs to the single item instead of the foundation.
_LEAN, _ITEM = 0.55, 0.4
#: SD over the items of a foundation of their location, in scale points.
_ITEM_SPREAD = 0.5
#: Raised when a change of this file changes ratings, so that stored ones are not taken for the new ones.
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Respondent:
    """Parameters of one simulated run; locations and SDs are in scale points of an evenly cut scale.

    ``characters``: (source, weight) of the persona effects, weights of unit length; runs that share a source play alike.
    ``gap``: width of the inner categories; below 1 pushes ratings to both ends of the scale.
    ``unevenness``: SD over cells of the log of the noise. ``persona``: (level, reach, noise) x foundation, where reach is
    the SD of persona effects. ``alone``: (level, item spread, noise) x foundation without a persona.
    ``toxic``: level (kind, foundation) of the hostile personas, None where no figures are published.
    """

    figures: str
    characters: tuple[tuple[str, float], ...]
    gap: float
    unevenness: float
    persona: np.ndarray
    alone: np.ndarray
    toxic: np.ndarray | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of everything that the probabilities depend on beside persona and item; the name is not part of it."""
        toxic = None if self.toxic is None else self.toxic.tolist()
        own = [self.characters, self.gap, self.unevenness, self.persona.tolist(), self.alone.tolist(), toxic]
        assumed = [_VERSION, _LEAN, _ITEM, _ITEM_SPREAD, list(_OUTLOOKS.items()), list(_ADDED.items()), KINDS]
        return hashlib.sha256(json.dumps([own, assumed]).encode()).hexdigest()


@lru_cache
def _parameters() -> dict[str, Any]:
    return json.loads(PARAMETERS.read_text(encoding="utf-8"))


def known_figures() -> tuple[str, ...]:
    """Names of the published runs that a respondent can imitate, as `family/variant`."""
    return tuple(_parameters()["runs"])


def load_respondent(figures: str, instrument: Instrument) -> Respondent:
    """The respondent that imitates the published figures of a run, such as "gpt-4o/insecure".

    Raises ValueError for an unknown run and for an instrument that the parameters were not fitted for.
    """
    file = _parameters()
    if figures not in file["runs"]:
        raise ValueError(f"{shown(PARAMETERS)}: no figures {figures!r}; {checks.closest(figures, known_figures())}")
    asked = {
        "scale": list(instrument.scale),
        "foundations": list(instrument.foundations),
        "items": [instrument.foundations.index(item.foundation) for item in instrument.items],
    }
    if any(file["instrument"][name] != value for name, value in asked.items()):
        raise ValueError(
            f"{shown(PARAMETERS)}: instrument {instrument.key!r} differs in scale, foundations or items; expected those of "
            f"{file['instrument']['key']!r}, which the figures were published for; use it, or import or elicit ratings"
        )
    run = file["runs"][figures]
    return Respondent(
        figures=figures,
        characters=tuple((source, weight) for source, weight in run["characters"].items()),
        gap=run["gap"],
        unevenness=run["unevenness"],
        persona=np.array([run["persona"][name] for name in ("level", "reach", "noise")]),
        alone=np.array([run["self"][name] for name in ("level", "item_spread", "noise")]),
        toxic=np.array([run["toxic"][kind] for kind in KINDS]) if "toxic" in run else None,
    )


def cell_probabilities(
    respondent: Respondent, instrument: Instrument, personas: Sequence[Persona] | None, *, toxic: bool = False
) -> np.ndarray:
    """Probability of every category in every cell.

    A cell has a location, noise is normal, and the rating is the category in which location plus noise falls.

    Parameters
    ----------
    personas : sequence of Persona, or None
        None asks without a persona. A persona's effects follow from its text and attributes alone.
    toxic : bool
        The personas are hostile ones, placed by their attribute ``kind``.

    Returns
    -------
    (persona, item, category) float array
        Sums to 1 over categories; one "persona" if there is none. ValueError if toxic figures are asked of a run that
        has none.
    """
    foundation = np.array([instrument.foundations.index(item.foundation) for item in instrument.items])
    offset = _offsets(instrument, foundation)
    if not personas:
        level, spread, noise = respondent.alone[:, foundation]
        return _categories(level + spread * offset, noise, respondent.gap, instrument.categories)[None]
    level, reach, noise = respondent.persona[:, foundation]
    by_foundation, by_item = _effects(respondent, instrument, personas)
    if toxic:
        by_foundation, level = _hostile(respondent, personas, by_foundation)
        level = level[:, foundation]
    effect = np.sqrt(1 - _ITEM) * by_foundation[:, foundation] + np.sqrt(_ITEM) * by_item
    # Some cells, and some characters, waver more than others; the same ones in every run.
    wavering = np.sqrt(0.5) * (_normal("noise", personas, [0]) + _normal("noise", personas, _numbers(instrument)))
    return _categories(
        level + _ITEM_SPREAD * offset + reach * effect,
        noise * np.exp(respondent.unevenness * wavering),
        respondent.gap,
        instrument.categories,
    )


def draw(
    probabilities: np.ndarray,
    *,
    seed: int,
    run: str,
    condition: str,
    personas: Sequence[Persona] | None,
    instrument: Instrument,
    repetitions: int,
) -> np.ndarray:
    """Ratings (persona, item, repetition), each a function of the seed and its slot alone.

    Order, size of the deck and number of repetitions change no rating; `probabilities` comes from `cell_probabilities`.
    """
    source = f"{seed}\n{run}\n{condition}"
    uniform = _uniform(source, personas, _numbers(instrument)[:, None], np.arange(1, repetitions + 1))
    edges = np.cumsum(probabilities, axis=-1)[..., :-1]
    return instrument.scale[0] + (uniform[..., None] > edges[:, :, None, :]).sum(axis=-1)


def between(start: Respondent, end: Respondent, share: float) -> Respondent:
    """The respondent a share (0 to 1) of the way from `start` to `end`: scales move by ratio, everything else evenly."""
    if share in (0, 1):
        return end if share else start

    def evenly(a: Any, b: Any) -> Any:
        return (1 - share) * a + share * b

    def by_ratio(a: Any, b: Any) -> Any:
        return np.exp(evenly(np.log(a), np.log(b)))

    weights = [dict(start.characters), dict(end.characters)]
    mixed = {source: evenly(*(w.get(source, 0.0) for w in weights)) for source in weights[0] | weights[1]}
    length = float(np.sqrt(sum(weight**2 for weight in mixed.values())))
    both = start.toxic is not None and end.toxic is not None
    return Respondent(
        figures=f"{start.figures} to {end.figures} at {share:g}",
        characters=tuple((source, weight / length) for source, weight in mixed.items()),
        gap=float(by_ratio(start.gap, end.gap)),
        unevenness=float(evenly(start.unevenness, end.unevenness)),
        persona=np.stack([evenly(start.persona[0], end.persona[0]), *by_ratio(start.persona[1:], end.persona[1:])]),
        alone=np.stack([*evenly(start.alone[:2], end.alone[:2]), by_ratio(start.alone[2], end.alone[2])]),
        toxic=evenly(start.toxic, end.toxic) if both else None,
    )


def _categories(location: np.ndarray, noise: np.ndarray, gap: float, categories: range) -> np.ndarray:
    """Probability of each category where a normal location is cut at even gaps around the middle of the scale."""
    middle = (categories[0] + categories[-1]) / 2
    cuts = middle + gap * (np.arange(1, len(categories)) - len(categories) / 2)
    below = ndtr((cuts - location[..., None]) / noise[..., None])
    ends = np.zeros_like(below[..., :1])
    return np.diff(below, axis=-1, prepend=ends, append=ends + 1)


def _effects(
    respondent: Respondent, instrument: Instrument, personas: Sequence[Persona]
) -> tuple[np.ndarray, np.ndarray]:
    """Persona effects of unit variance: (persona, foundation) and (persona, item)."""
    parts = np.arange(len(instrument.foundations))
    own = [
        (weight, _lean(personas) if source == "everyone" else None, source) for source, weight in respondent.characters
    ]
    by_foundation, by_item = 0.0, 0.0
    for weight, lean, source in own:
        alike = _normal(f"{source}, foundation", personas, parts)
        if lean is not None:
            # A persona without attributes keeps the whole variance: it is all its own.
            leans = (lean != 0).any(axis=1, keepdims=True)
            alike = np.where(leans, np.sqrt(_LEAN) * lean + np.sqrt(1 - _LEAN) * alike, alike)
        by_foundation = by_foundation + weight * alike
        by_item = by_item + weight * _normal(f"{source}, item", personas, _numbers(instrument))
    return by_foundation, by_item
