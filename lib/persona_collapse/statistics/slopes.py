"""How much every metric moves with the parts it is made of."""

from collections.abc import Sequence

import numpy as np

from persona_collapse.statistics.recommended_estimators import METRICS, Means

#: Parts that move, in the order of the last axis: see `moments.Parts` for the words.
MOVED = ("between", "anchor", "noise", "cell_sd", "ceiling", "ends", "entropy", "cell_entropy", "shared")
AT = {name: place for place, name in enumerate(MOVED)}


#: Means over items of roots, and the part of which each is the root.
_ROOTS = {"susceptibility": "anchor", "susceptibility_published": "between"}


def slopes(means: Means, value: np.ndarray, errors: np.ndarray | None = None, *, only: Sequence[str] = METRICS) -> np.ndarray:
    """How much the logarithm of each metric moves with each moved part of each item.

    Parameters
    ----------
    means : Means
        Of a run.
    value : (metric, scope) array
        Its metrics, `LeaveOneOut.full`.
    errors : (item, moved) array, optional
        Standard errors of the parts. The root of a part moves without limit as it nears 0; where it is smaller than its error
        it is taken to be as large, which gives the root of a clipped normal number its own variance, 0.23 of the error.
    only : sequence of str
        Metrics wanted; the others are 0.

    Returns
    -------
    (metric, item, scope, moved) float array
        In the orders of `METRICS` and `MOVED`. For fidelity only what the run itself moves, not what its base does.
    """
    full = {name: means.part(name)[0] for name in MOVED}
    mean = {name: np.nan_to_num(part) @ means.scope for name, part in full.items()}
    total = np.zeros((len(METRICS), *means.scope.shape, len(MOVED)))
    known = _of_means(mean, dict(zip(METRICS, value, strict=True)))
    if unknown := sorted(set(only) - known.keys() - set(_ROOTS)):
        raise ValueError(f"slopes: none is known for {unknown[0]!r}; add it here, or its interval would have no width")
    for metric, moved in known.items():
        for name, slope in moved.items() if metric in only else ():
            total[METRICS.index(metric), :, :, AT[name]] = means.scope * slope
    for metric, name in _ROOTS.items():
        # The mean of roots; an item without any measurable spread cannot move.
        square = np.maximum(full[name], 0 if errors is None else errors[:, AT[name]])
        root = np.where(square > 0, 0.5 / np.sqrt(np.where(square > 0, square, 1)), 0)
        if metric in only:
            total[METRICS.index(metric), :, :, AT[name]] = means.scope * root[:, None] / value[METRICS.index(metric)]
    return total


def _of_means(mean: dict[str, np.ndarray], value: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """How much the logarithm of each metric moves with the mean over items of each part, (scope,) each."""
    total, ceiling, icc = mean["anchor"] + mean["noise"], mean["ceiling"], value["icc"]
    uninformed = (1 - value["information_share"]) / value["information_share"]
    anchor, noise, cell_sd = 1 / (2 * mean["anchor"]), 1 / (2 * mean["noise"]), 1 / mean["cell_sd"]
    return {
        "susceptibility_pooled": {"anchor": anchor},
        "within_rms": {"noise": noise},
        "robustness": {"noise": -noise},
        "icc": {"anchor": 2 * (1 - icc) * anchor, "noise": -2 * (1 - icc) * noise},
        "extremity": {"anchor": 1 / total, "noise": 1 / total, "ceiling": -1 / ceiling},
        "ceiling": {"ceiling": 1 / ceiling},
        "relative_susceptibility": {"anchor": anchor, "ceiling": -1 / (2 * ceiling)},
        "relative_noise": {"noise": noise, "ceiling": -1 / (2 * ceiling)},
        "fidelity": {"shared": 1 / mean["shared"], "anchor": -anchor},
        "endpoint_mass": {"ends": 1 / mean["ends"]},
        "information_share": {"entropy": uninformed / mean["entropy"], "cell_entropy": -uninformed / mean["cell_entropy"]},
        "within_sd": {"cell_sd": cell_sd},
        "robustness_published": {"cell_sd": -cell_sd},
    }
