"""What a number can be about: every item, or the items of one foundation."""

import numpy as np

from persona_collapse.study.instrument import Instrument

#: The name of the scope that holds every item; the others are the foundations.
OVERALL = "overall"


def scope_matrix(instrument: Instrument) -> np.ndarray:
    """Weights (item, scope) that average over the items of a scope: overall first, then each foundation."""
    belongs = np.array(
        [[True, *(item.foundation == foundation for foundation in instrument.foundations)] for item in instrument.items]
    )
    return belongs / belongs.sum(axis=0)


def keyed(counts: np.ndarray, instrument: Instrument) -> np.ndarray:
    """Counts (persona, item, category) with reversed items scored the other way round, so that their means can be averaged."""
    turned = [place for place, item in enumerate(instrument.items) if item.reversed]
    if not turned:
        return counts
    found = counts.copy()
    found[:, turned] = counts[:, turned, ::-1]
    return found


def scopes(instrument: Instrument) -> tuple[str, ...]:
    """Names of the columns of `scope_matrix`."""
    return (OVERALL, *instrument.foundations)
