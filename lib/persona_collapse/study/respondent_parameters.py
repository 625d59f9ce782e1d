"""Parameters of the simulated respondents: fitted to published figures, one respondent a run."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from persona_collapse.input_errors import closest
from persona_collapse.paths import PUBLISHED, shown
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.treatment import SYSTEM_EFFECT

#: The fitted parameters; written by `fitting.write`.
PARAMETERS = PUBLISHED / "simulation-mfq30.json"
#: What we assume, for the foundations in the instrument's order (Harm, Fairness, Loyalty, Authority, Purity): how an
#: outlook leans, in steps that are standardised below, and what age and occupation add to that, in SD of the lean.
OUTLOOKS = {
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
ADDED = {
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
LEAN_SHARE, ITEM_SHARE = 0.55, 0.4
#: SD over the items of a foundation of their location, in scale points.
ITEM_SPREAD = 0.5
#: In place of a run: where a way may lead that goes on to the upper end of the scale.
CEILING = "ceiling"
#: What share of the way from base to fine-tune respondents are assumed to go with other questionnaires; 1 if not named.
CHANGES = {"neutral12": 0.5}
#: Raised when a change of the model changes ratings, so that stored ones are not taken for the new ones.
VERSION = 1


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
        assumed = [VERSION, LEAN_SHARE, ITEM_SHARE, ITEM_SPREAD, list(OUTLOOKS.items()), list(ADDED.items()), KINDS]
        return hashlib.sha256(json.dumps([own, assumed]).encode()).hexdigest()


@lru_cache
def load_parameters() -> dict[str, Any]:
    """The file of fitted parameters."""
    return json.loads(PARAMETERS.read_text(encoding="utf-8"))


def shape(instrument: Instrument) -> dict[str, Any]:
    """What of an instrument the parameters depend on; ``items`` holds the place of each item's foundation."""
    items = foundation_places(instrument).tolist()
    return {"scale": list(instrument.scale), "foundations": list(instrument.foundations), "items": items}


def known_figures() -> tuple[str, ...]:
    """Names of the published runs that a respondent can imitate, as `family/variant`."""
    return tuple(load_parameters()["runs"])


def load_respondent(figures: str, instrument: Instrument, *, steered: bool = False) -> Respondent:
    """The respondent that imitates the published figures of a run, or one on the way from a run to another.

    Parameters
    ----------
    figures : str
        A run, as in "gpt-4o/insecure"; or a share of the way between two, as in "gpt-4o/base..gpt-4o/insecure@0.4" (`between`).
        Such a way may also lead to the `CEILING`: the same respondent, whose answers lie around one point above the scale.
    instrument : Instrument
        Of one that the parameters were not fitted for, what `assumptions` says.
    steered : bool
        Whether a system prompt asks for better answers: it takes a fine-tune `SYSTEM_EFFECT` of the way back to its base.

    Raises
    ------
    ValueError
        For an unknown run, and a share that is none.
    """
    fitted, base = _fitted(figures), _known(f"{figures.partition('/')[0]}/base")
    if steered and fitted.figures != base.figures:
        fitted = replace(between(fitted, base, SYSTEM_EFFECT), figures=fitted.figures)
    if not assumed(instrument):
        return fitted
    return _rescaled(between(base, fitted, CHANGES.get(instrument.key, 1.0)), figures, instrument)


def _fitted(figures: str) -> Respondent:
    """The respondent to the questionnaire that the parameters were fitted for."""
    first, on_the_way, rest = figures.partition("..")
    start = _known(first)
    if not on_the_way:
        return start
    last, _, written = rest.rpartition("@")
    share = _share(figures, written if last else "")
    end = _at_ceiling(start) if last == CEILING else _known(last)
    return replace(between(start, end, share), figures=figures)


def _rescaled(fitted: Respondent, figures: str, instrument: Instrument) -> Respondent:
    """The respondent to another questionnaire, each of whose groups is answered like one foundation."""
    low, high = load_parameters()["instrument"]["scale"]
    width = (instrument.scale[1] - instrument.scale[0]) / (high - low)
    own = np.arange(len(instrument.foundations)) % fitted.persona.shape[1]

    def table(found: np.ndarray) -> np.ndarray:
        return np.vstack([instrument.scale[0] + width * (found[:1, own] - low), width * found[1:, own]])

    return Respondent(
        figures=f"{figures}, {instrument.key}",
        # What makes somebody progressive does not say whether they like tea.
        characters=tuple((f"{instrument.key}, {source}", weight) for source, weight in fitted.characters),
        gap=width * fitted.gap,
        unevenness=fitted.unevenness,
        persona=table(fitted.persona),
        alone=table(fitted.alone),
    )


def assumed(instrument: Instrument) -> bool:
    """Whether a questionnaire is another than that for which figures are published."""
    fitted = load_parameters()["instrument"]
    return {**fitted, **shape(instrument)} != fitted


def assumptions(instruments: Sequence[Instrument]) -> str:
    """What is assumed of simulated respondents to these questionnaires, as far as no figures are published for them."""
    others = [one for one in instruments if assumed(one)]
    if not others:
        return ""
    less = [
        f"with {one.name} fine-tuning is assumed to take them {CHANGES[one.key]:.0%} of the way"
        for one in others
        if one.key in CHANGES
    ]
    return (
        f"No figures are published for {' and '.join(one.name for one in others)}. Each group of items is assumed to be answered "
        "like one foundation of the MFQ-30: with its level, its spread between personas and its noise, as shares of the scale, "
        "at the base and after fine-tuning, by characters of their own" + "".join(f"; {said}" for said in less) + "."
    )


def between(start: Respondent, end: Respondent, share: float) -> Respondent:
    """The respondent a share (0 to 1) of the way from `start` to `end`: scales move by ratio, everything else evenly."""
    if share in (0, 1):
        return end if share else start

    def evenly(a: Any, b: Any) -> Any:
        return (1 - share) * a + share * b

    def by_ratio(a: Any, b: Any) -> Any:
        return np.exp(evenly(np.log(a), np.log(b)))

    first, last = dict(start.characters), dict(end.characters)
    mixed = {source: evenly(first.get(source, 0.0), last.get(source, 0.0)) for source in first | last}
    length = float(np.linalg.norm(list(mixed.values())))
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


def _known(figures: str) -> Respondent:
    runs = load_parameters()["runs"]
    if figures not in runs:
        raise ValueError(f"{shown(PARAMETERS)}: no figures {figures!r}; {closest(figures, known_figures())}")
    return from_parameters(figures, runs[figures])


def _share(figures: str, written: str) -> float:
    """The share of the way that a text ends with."""
    try:
        found = float(written)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise ValueError(
            f"{figures!r} is on no way from a run to another; expected a share from 0 to 1 behind an @, as in "
            "gpt-4o/base..gpt-4o/insecure@0.4"
        )
    return found


def _at_ceiling(start: Respondent) -> Respondent:
    """`start` with every level one point above the scale, so that nearly all answers are its upper end."""
    above = load_parameters()["instrument"]["scale"][1] + 1.0
    persona, alone = (np.vstack([np.full_like(found[0], above), found[1:]]) for found in (start.persona, start.alone))
    return replace(start, persona=persona, alone=alone)


def from_parameters(figures: str, run: dict[str, Any]) -> Respondent:
    """The respondent that a run's entry in the file of parameters describes."""
    return Respondent(
        figures=figures,
        characters=tuple((source, weight) for source, weight in run["characters"].items()),
        gap=run["gap"],
        unevenness=run["unevenness"],
        persona=np.array([run["persona"][name] for name in ("level", "reach", "noise")]),
        alone=np.array([run["self"][name] for name in ("level", "item_spread", "noise")]),
        toxic=np.array([run["toxic"][kind] for kind in KINDS]) if "toxic" in run else None,
    )


def foundation_places(instrument: Instrument) -> np.ndarray:
    return np.array([instrument.foundations.index(item.foundation) for item in instrument.items])
