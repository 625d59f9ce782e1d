"""Fitting the simulated respondents to published figures: exact expectations, no random numbers, no ratings."""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from math import lgamma
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from persona_collapse.input_errors import listing
from persona_collapse.simulated import response_model
from persona_collapse.simulated.response_model import EVERYONE
from persona_collapse.study import respondent_parameters
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.personas import Persona
from persona_collapse.study.respondent_parameters import KINDS, PARAMETERS, from_parameters, load_parameters
from persona_collapse.study.scopes import scope_matrix

#: Ratings of a cell in the published design; within_sd depends on it.
REPETITIONS = 10
#: Persona effects of a base: what every family shares, and what is the family's own.
_SHARED = 0.8
#: How closely a figure is to be met: S and within_sd in published SE, the figures of the distribution in their own units.
_CLOSE_SE, _CLOSE = 0.15, 0.01
#: Where parameters stay if the figures do not say otherwise, as (value, SD): gap and unevenness on the log scale, noise as
#: log of a share of reach, fidelity on the atanh scale.
_LEVEL_SD = 0.7
_PRIORS = {"reach": (0.0, 0.7), "noise": (-1.5, 1.5), "gap": (0.0, 0.6), "unevenness": (-0.4, 0.5), "fidelity": (1.0, 0.7)}
_MOST_UNEVEN = 0.4
#: Where searches start on the log scale of the gap, and how long they go on.
_STARTS, _STEPS = (0.0, -0.5), 60
_ABOUT = {
    "what": "Parameters of the simulated respondents (lib/persona_collapse/simulated/response_model.py says what each means). "
    "Their ratings look like the published ones by construction and are evidence of nothing.",
    "command": "python -m persona_collapse fit",
    "source": "params/published/arxiv-2605.12850.json and the decks everyday and toxic; no ratings",
    "fitted": "by foundation S, R at 10 repetitions and the self profile, means of the hostile personas (bases); by run "
    "extremity, ICC, endpoint mass and, against the base, fidelity. Item means with a persona are assumed.",
    "off": "Expected minus published, the largest over foundations: S and 1/R in published standard errors, "
    "the others as they are.",
}


class Expected(NamedTuple):
    """What a run's figures are on average over draws; the first two by scope (foundations), the others numbers."""

    susceptibility: np.ndarray
    within_sd: np.ndarray
    extremity: float
    icc: float
    endpoint_mass: float


def expected(probabilities: np.ndarray, categories: range, scope: np.ndarray) -> Expected:
    """Expected published S and within_sd at ten repetitions, and the exact figures of the distribution.

    Parameters
    ----------
    probabilities : (persona, item, category) float array
    categories : range
        Points of the scale.
    scope : (item, scope) array
        Weights that average over the items of a scope.
    """
    points = np.asarray(categories, dtype=float)
    mean = probabilities @ points
    variance = np.maximum(probabilities @ points**2 - mean**2, 0)
    between, within = mean.var(axis=0, ddof=1), variance.mean(axis=0)
    centre = mean.mean(axis=0)
    ceiling = (centre - points[0]) * (points[-1] - centre) + between / len(mean)
    return Expected(
        susceptibility=np.sqrt(between + within / REPETITIONS) @ scope,
        within_sd=expected_sd(probabilities).mean(axis=0) @ scope,
        extremity=(between + within).sum() / ceiling.sum(),
        icc=between.sum() / (between + within).sum(),
        endpoint_mass=probabilities[..., [0, -1]].sum() / mean.size,
    )


def expected_sd(probabilities: np.ndarray, n: int = REPETITIONS) -> np.ndarray:
    """Expected sample SD (ddof = 1) of `n` ratings of every cell, summed over everything that n ratings can be."""
    categories = probabilities.shape[-1]
    flat = probabilities.reshape(-1, categories)
    found = np.zeros(len(flat))
    # Most cells use few neighbouring categories: what falls outside them is too rare to be worth 3003 outcomes.
    left = flat.max(axis=1) < 1 - 1e-7
    for width in range(2, categories + 1):
        for first in range(categories - width + 1):
            window = slice(first, first + width)
            here = np.flatnonzero(left)
            here = here[flat[here, window].sum(axis=1) > 1 - 1e-5]
            if len(here):
                counts, log_ways, sd = _outcomes(n, width)
                logs = np.log(np.maximum(flat[here, window], 1e-30)).astype(np.float32)
                # Not a matrix product: its rounding would depend on the number of threads.
                found[here] = (np.exp(logs @ counts.T + log_ways) * sd).sum(axis=1)
                left[here] = False
    return found.reshape(probabilities.shape[:-1])


@lru_cache
def _outcomes(n: int, categories: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every way in which n ratings fall into so many categories: counts, log of the number of ways, sample SD."""
    bars = np.array(list(combinations_with_replacement(range(n + 1), categories - 1)))
    edges = np.hstack([np.zeros((len(bars), 1), int), bars, np.full((len(bars), 1), n)])
    counts = np.diff(edges, axis=1)
    log_factorial = np.array([lgamma(k + 1) for k in range(n + 1)])
    points = np.arange(categories)
    mean = counts @ points / n
    sd = np.sqrt(np.maximum(counts @ points**2 - n * mean**2, 0) / (n - 1))
    log_ways = log_factorial[n] - log_factorial[counts].sum(axis=1)
    return counts.astype(np.float32), log_ways.astype(np.float32), sd.astype(np.float32)


def fidelity(probabilities: np.ndarray, base: np.ndarray, categories: range) -> float:
    """Correlation of the persona patterns of a run and its base, over items, without rating noise."""
    points = np.asarray(categories, dtype=float)
    one, other = ((p @ points) - (p @ points).mean(axis=0) for p in (probabilities, base))
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


class _Problem(NamedTuple):
    """One run to be fitted in the persona condition; `base` holds its base's probabilities, None for a base itself."""

    name: str
    figures: dict[str, Any]
    anchor: list[float]
    base: np.ndarray | None
    instrument: Instrument
    personas: Sequence[Persona]

    def priors(self) -> np.ndarray:
        """(value, SD) of every free number, in the order of `parameters`."""
        each = [_PRIORS[name] for name in ("reach", "noise") for _ in self.anchor]
        single = ["gap", "unevenness"] + ["fidelity"] * (self.base is not None)
        return np.array([*((level, _LEVEL_SD) for level in self.anchor), *each, *(_PRIORS[name] for name in single)])

    def parameters(self, x: np.ndarray) -> dict[str, Any]:
        """The file's entry from the free numbers: levels, log reach, log of noise over reach, log gap, and so on."""
        level, reach, noise = x[: 3 * len(self.anchor)].reshape(3, -1)
        gap, unevenness, *fidelity = x[3 * len(self.anchor) :]
        near = float(np.tanh(fidelity[0])) if fidelity else 1.0
        characters = {EVERYONE: near * _SHARED, self.name.split("/")[0]: near * np.sqrt(1 - _SHARED**2)}
        if fidelity:
            characters[self.name] = np.sqrt(1 - near**2)
        return {
            "characters": characters,
            "gap": np.exp(gap),
            "unevenness": np.exp(unevenness),
            "persona": {"level": level, "reach": np.exp(reach), "noise": np.exp(reach + noise)},
            "self": {name: np.ones_like(level) for name in ("level", "item_spread", "noise")},
        }

    def probabilities(self, parameters: dict[str, Any]) -> np.ndarray:
        """What these parameters answer, (persona, item, category)."""
        return response_model.cell_probabilities(from_parameters(self.name, parameters), self.instrument, self.personas)

    def off(self, parameters: dict[str, Any]) -> dict[str, np.ndarray]:
        """Expected minus published: S and 1/R in published SE by foundation, the distribution's figures as they are."""
        chances, categories = self.probabilities(parameters), self.instrument.categories
        found = expected(chances, categories, scope_matrix(self.instrument)[:, 1:])
        (s, s_se), (r, r_se) = (
            np.array([list(self.figures[metric][f].values()) for f in self.instrument.foundations]).T
            for metric in ("susceptibility", "robustness")
        )
        published = self.figures["distribution"]
        rest = {name: getattr(found, name) for name in ("extremity", "icc", "endpoint_mass")}
        if self.base is not None:
            rest["fidelity"] = fidelity(chances, self.base, categories)
        levels = {"susceptibility": (found.susceptibility - s) / s_se, "within_sd": (found.within_sd - 1 / r) / (r_se / r**2)}
        return levels | {name: np.array([value - published[name]]) for name, value in rest.items()}

    def solve(self) -> dict[str, Any]:
        """The best of a few searches; a search that starts in the wrong corner does not come back."""
        prior, sd = self.priors().T
        low, high = prior - 8 * sd, prior + 8 * sd
        place = 3 * len(self.anchor)
        high[place + 1] = _MOST_UNEVEN

        def deviations(x: np.ndarray) -> np.ndarray:
            off = self.off(self.parameters(x)).items()
            close = [value / (_CLOSE_SE if name in ("susceptibility", "within_sd") else _CLOSE) for name, value in off]
            return np.concatenate([*close, (x - prior) / sd])

        found = []
        for gap in _STARTS:
            start = prior.copy()
            start[place] = gap
            found.append(least_squares(deviations, start, bounds=(low, high), diff_step=1e-3, max_nfev=_STEPS))
        return self.parameters(min(found, key=lambda f: f.cost).x)


def fit(
    instrument: Instrument,
    personas: Sequence[Persona],
    toxic_personas: Sequence[Persona],
    figures: dict[str, Any],
    progress: Callable[[str], object] = lambda name: None,
) -> dict[str, Any]:
    """Parameters of a simulated respondent for every published run.

    Parameters
    ----------
    personas, toxic_personas : sequence of Persona
        The decks in which the figures are to come out; every published hostile kind must stand in the second.
    figures : dict
        The file of published figures: ``runs`` and ``toxic``.
    progress : callable
        Told the name of each run as its turn comes.

    Returns
    -------
    dict
        What `write` writes and `respondent_parameters.load_respondent` reads. The same input gives the same result.
    """
    runs: dict[str, Any] = {}
    bases: dict[str, np.ndarray] = {}
    for name in sorted(figures["runs"], key=lambda n: (n.split("/")[0], not n.endswith("/base"))):
        progress(name)
        family, published = name.split("/")[0], figures["runs"][name]
        # Item means in the persona condition are not published: they stay near what the model says of itself.
        alone = [figures["runs"][n]["self"] for n in (f"{family}/base", name)]
        anchor = [sum(a[f]["mean"] for a in alone) / 2 for f in instrument.foundations]
        problem = _Problem(name, published, anchor, bases.get(family), instrument, personas)
        run = problem.solve()
        run = _rounded(run | {"self": _alone(published["self"], run["gap"], instrument)})
        if family not in bases:
            bases[family] = problem.probabilities(run)
            run["toxic"] = _toxic(run, figures["toxic"][family]["personas"], instrument, toxic_personas)
        off = {key: value[np.abs(value).argmax()] for key, value in problem.off(run).items()}
        runs[name] = run | {"off": _rounded(off, 2)}
    shape = {"key": instrument.key, **respondent_parameters.shape(instrument)}
    return {"about": _ABOUT, "instrument": shape, "runs": {name: runs[name] for name in figures["runs"]}}


def write(parameters: dict[str, Any], path: Path = PARAMETERS) -> None:
    """Write fitted parameters so that a person can read them: a line for every list and small group."""
    text = json.dumps(parameters, indent=1)
    # Innermost lists and groups on one line each; no text in the file holds a bracket.
    text = re.sub(r"[\[{][^\[\]{}\"]*[\]}]", lambda found: re.sub(r"\s+", " ", found.group()), text)
    path.write_text(text + "\n", encoding="utf-8")
    load_parameters.cache_clear()


def _alone(published: dict[str, Any], gap: float, instrument: Instrument) -> dict[str, list[float]]:
    """Level, spread over items and noise by foundation that give the published self profile: the best on a grid."""
    step, noises, spreads = 0.02, np.geomspace(0.03, 2, 18), np.linspace(0.1, 1.6, 16)
    locations = np.arange(-4, 9, step)
    table = response_model.latent_probabilities(locations[:, None], noises[None], gap, instrument.categories)
    points = np.asarray(instrument.categories, dtype=float)
    means, sds = table @ points, expected_sd(table)
    variances = table @ points**2 - means**2
    levels = np.arange(150, len(locations) - 150)
    found = []
    for foundation in instrument.foundations:
        own = np.array([item.foundation == foundation for item in instrument.items])
        # (spread, level, item): where each item stands in the table.
        shift = np.rint(spreads[:, None] * response_model.item_offsets(instrument)[own] / step).astype(int)
        place = np.clip(levels[None, :, None] + shift[:, None, :], 0, len(locations) - 1)
        mean, sd = means[place].mean(axis=2), sds[place].mean(axis=2)
        target = published[foundation]
        cost = ((mean - target["mean"]) / 0.02) ** 2 + ((sd - target["within_sd"]) / 0.01) ** 2
        # Of equally good ones the one whose draws come nearest, then the plainest: items as far apart as with a persona.
        cost += 4 * variances[place].mean(axis=2) + (spreads[:, None, None] - 0.5) ** 2
        cost += 0.1 * (locations[levels][:, None] - target["mean"]) ** 2
        i, j, k = np.unravel_index(cost.argmin(), cost.shape)
        found.append((locations[levels[j]], spreads[i], noises[k]))
    return dict(zip(("level", "item_spread", "noise"), np.array(found).T, strict=True))


def _toxic(
    run: dict[str, Any], published: list[dict[str, float]], instrument: Instrument, personas: Sequence[Persona]
) -> dict[str, list[float]]:
    """Level of every hostile kind by foundation that gives the published profile means, by bisection."""
    kinds = [p.attributes.get("kind") for p in personas]
    if missing := [kind for kind in KINDS if kind not in kinds]:
        raise ValueError(f"toxic personas: no persona of kind {missing[0]!r}; expected each of {listing(KINDS)}")
    deck = [personas[kinds.index(kind)] for kind in KINDS]
    target = np.array([[row[f] for f in instrument.foundations] for row in published])
    scope = scope_matrix(instrument)[:, 1:]
    low, high = np.full(target.shape, -4.0), np.full(target.shape, 9.0)
    for _ in range(30):
        middle = (low + high) / 2
        respondent = from_parameters("", run | {"toxic": dict(zip(KINDS, middle, strict=True))})
        mean = (
            response_model.cell_probabilities(respondent, instrument, deck, toxic=True)
            @ np.asarray(instrument.categories)
            @ scope
        )
        low, high = np.where(mean < target, middle, low), np.where(mean < target, high, middle)
    return _rounded(dict(zip(KINDS, middle, strict=True)))


def _rounded(value: Any, digits: int = 5) -> Any:
    """Numbers to so many significant digits, arrays as lists."""
    if isinstance(value, dict):
        return {key: _rounded(v, digits) for key, v in value.items()}
    if isinstance(value, np.ndarray):
        return [_rounded(v, digits) for v in value]
    return float(f"{value:.{digits}g}")
