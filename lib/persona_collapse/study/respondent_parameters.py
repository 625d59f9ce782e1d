"""Parameters of the simulated respondents: fitted to published figures, one respondent a run."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from persona_collapse.input_errors import closest
from persona_collapse.paths import PUBLISHED, shown
from persona_collapse.study.instrument import Instrument

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
#: How much of a run's change between base and fine-tune is assumed of other questionnaires, on the log scale; 1 if not named.
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


def load_respondent(figures: str, instrument: Instrument) -> Respondent:
    """The respondent that imitates the published figures of a run, such as "gpt-4o/insecure".

    For an instrument that the parameters were not fitted for, what `assumptions` says. Raises ValueError for an unknown run.
    """
    file = load_parameters()
    if figures not in file["runs"]:
        raise ValueError(f"{shown(PARAMETERS)}: no figures {figures!r}; {closest(figures, known_figures())}")
    fitted = from_parameters(figures, file["runs"][figures])
    if not assumed(instrument):
        return fitted
    family = figures.partition("/")[0]
    return _of_another(fitted, from_parameters(f"{family}/base", file["runs"][f"{family}/base"]), instrument)


def _of_another(fitted: Respondent, base: Respondent, instrument: Instrument) -> Respondent:
    """A respondent to a questionnaire for which no figures are published, under what `assumptions` says."""
    low, high = load_parameters()["instrument"]["scale"]
    width = (instrument.scale[1] - instrument.scale[0]) / (high - low)
    own, share = np.arange(len(instrument.foundations)) % fitted.persona.shape[1], CHANGES.get(instrument.key, 1.0)

    def level(end: np.ndarray, start: np.ndarray) -> np.ndarray:
        return instrument.scale[0] + width * (start + share * (end - start) - low)[own]

    def spread(end: np.ndarray, start: np.ndarray) -> np.ndarray:
        return (width * start * (end / start) ** share)[own]

    def table(end: np.ndarray, start: np.ndarray) -> np.ndarray:
        return np.stack([level(end[0], start[0]), spread(end[1], start[1]), spread(end[2], start[2])])

    return Respondent(
        figures=f"{fitted.figures}, {instrument.key}",
        # What makes somebody progressive does not say whether they like tea.
        characters=tuple((f"{instrument.key}, {source}", weight) for source, weight in fitted.characters),
        gap=width * float(base.gap * (fitted.gap / base.gap) ** share),
        unevenness=fitted.unevenness,
        persona=table(fitted.persona, base.persona),
        alone=table(fitted.alone, base.alone),
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
