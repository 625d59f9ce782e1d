"""Did fine-tuning break a model's ability to play characters? Susceptibility S and robustness R of language models.

    import persona_collapse as pc

    ratings = pc.Ratings.from_frame(df)     # ratings of your own: persona, item, repetition, rating
    ratings = pc.open_study("demo")         # or those of a study that was asked, imported or simulated
    pc.levels(ratings)                      # S, R and their companions of every run, with intervals
    pc.contrasts(ratings)                   # what fine-tuning changed, beyond the matched control too
    pc.susceptibility(counts)               # from a plain array of counts (persona, item, category)
    pc.robustness(counts)

Nothing here is imported before it is used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persona_collapse.asking.collect import open_study as open_study
    from persona_collapse.statistics.estimates import Estimate as Estimate
    from persona_collapse.statistics.estimates import robustness as robustness
    from persona_collapse.statistics.estimates import susceptibility as susceptibility
    from persona_collapse.store.ratings import Ratings as Ratings
    from persona_collapse.tables.build import contrasts as contrasts
    from persona_collapse.tables.build import levels as levels

__version__ = "0.1.0"
__all__ = ["Estimate", "Ratings", "contrasts", "levels", "open_study", "robustness", "susceptibility"]
_ROOMS = {
    "Estimate": "statistics.estimates",
    "Ratings": "store.ratings",
    "contrasts": "tables.build",
    "levels": "tables.build",
    "open_study": "asking.collect",
    "robustness": "statistics.estimates",
    "susceptibility": "statistics.estimates",
}

# Small products, several kernels side by side: threads of the linear algebra would only wait for one another. One thread also
# adds up in the same order whatever the number of cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'persona_collapse' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"persona_collapse.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
