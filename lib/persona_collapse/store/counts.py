"""The one way out of the store: ratings of a run as counts, or as probabilities where it was asked by logprobs."""

from dataclasses import replace

import numpy as np

from persona_collapse.store.store import Store
from persona_collapse.study import first_token
from persona_collapse.study.study import Run, Study
from persona_collapse.wire import SIMULATED_FINGERPRINT


def run_counts(study: Study, store: Store, run: Run, condition: str) -> np.ndarray:
    """Ratings of a run in one condition as counts (persona, item, category).

    Of a study asked by logprobs, probabilities at the temperature of its protocol instead, all 0 in a cell not used: floats
    of the same shape, from which moments are exact.
    """
    instrument = study.instrument
    if study.by_logprobs:
        return first_token.probabilities(run_offered(study, store, run, condition), study.file.protocol.temperature)
    return store.counts(run.family.key, run.variant.key, condition, len(instrument.items), instrument.categories)


def run_offered(study: Study, store: Store, run: Run, condition: str) -> first_token.Offered:
    """What every cell of a run was offered on the scale, of a study asked by logprobs."""
    instrument = study.instrument
    return store.offered(run.family.key, run.variant.key, condition, len(instrument.items), instrument.categories)


def with_mark(study: Study, store: Store) -> Study:
    """The study, marked if any of its ratings came from the simulated endpoint: every page of it then says so."""
    return replace(study, served_simulated=study.file.kind == "live" and store.has_fingerprint(SIMULATED_FINGERPRINT))
