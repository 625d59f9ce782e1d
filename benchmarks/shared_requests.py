"""How often interval B holds where the choices of one request share rating noise, with one request a cell and with two."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from persona_collapse.statistics import repeat_interval
from persona_collapse.statistics.recommended_estimators import METRICS, leave_one_out
from persona_collapse.statistics.request_correlation import rho

#: Share of rating noise that the choices of a request have in common, and ratings a cell.
SHARED, REPETITIONS = 0.1, 10
#: Metrics that are looked at, over all items.
LOOKED_AT = ("susceptibility", "susceptibility_pooled", "within_rms", "icc")


class Held(NamedTuple):
    """Share of drawn runs in which interval B held the true value, by metric; how wide it is; and what was found of rho."""

    share: dict[str, float]
    width: dict[str, float]  #: mean, in shares of the true value
    rho: np.ndarray  #: (run,), NaN where one request a cell tells nothing


def drawn(
    probabilities: np.ndarray, choices: tuple[int, ...], shared: float, rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
    """Ratings by request (persona, item, request, category), so many `choices` in each, of which two have correlation `shared`.

    Each choice is one and the same draw of its request with probability sqrt(shared), else a draw of its own: the distribution
    of a rating is that of its cell whatever they share.
    """
    points = np.arange(probabilities.shape[-1])
    found = []
    for c in choices:
        copies = rng.binomial(c, np.sqrt(shared), size=probabilities.shape[:-1])
        common = rng.multinomial(1, probabilities) @ points
        found.append(rng.multinomial(c - copies, probabilities) + copies[..., None] * (common[..., None] == points))
    return np.stack(found, axis=2)


def held(
    probabilities: np.ndarray, categories: range, *, requests: int, runs: int, rng: np.random.Generator, shared: float = SHARED
) -> Held:
    """Draw runs of the same personas and count how often interval B holds; by request from two requests a cell on."""
    scope = np.full((probabilities.shape[1], 1), 1 / probabilities.shape[1])
    at = [METRICS.index(metric) for metric in LOOKED_AT]
    truth = leave_one_out(probabilities, categories, scope, exact=True).full[at, 0]
    choices = tuple(len(part) for part in np.array_split(np.arange(REPETITIONS), requests))
    inside, width, told = [], [], []
    for _ in range(runs):
        by_request = drawn(probabilities, choices, shared, rng)
        known = by_request if requests > 1 else None
        run = leave_one_out(by_request.sum(axis=2), categories, scope, by_request=known)
        found = repeat_interval.level(repeat_interval.redrawn(run))
        inside.append((found.lo[at, 0] <= truth) & (truth <= found.hi[at, 0]))
        width.append((found.hi[at, 0] - found.lo[at, 0]) / truth)
        told.append(rho(by_request, categories).value)
    share, mean = np.mean(inside, axis=0), np.mean(width, axis=0)
    return Held(dict(zip(LOOKED_AT, share, strict=True)), dict(zip(LOOKED_AT, mean, strict=True)), np.array(told))


def lines(populations: Mapping[str, np.ndarray], categories: range, runs: int) -> Iterator[str]:
    """What `make coverage` prints of it: mean over populations, worst and best."""
    yield f"  interval B, the same personas, {REPETITIONS} repetitions, choices of one request share noise (rho {SHARED:g})"
    for requests in (1, 2):
        each = [
            held(p, categories, requests=requests, runs=runs, rng=np.random.default_rng([number, requests]))
            for number, p in enumerate(populations.values())
        ]
        found = f", rho found {np.nanmean([one.rho.mean() for one in each]):.3f}" if requests > 1 else ""
        yield f"    {requests} request{'s' * (requests > 1)} a cell{found}"
        for metric in LOOKED_AT:
            shares = 100 * np.array([one.share[metric] for one in each])
            width = 100 * np.mean([one.width[metric] for one in each])
            yield f"    {metric:<24} {shares.mean():5.1f}  [{shares.min():.0f}-{shares.max():.0f}]   width {width:.1f} %"
