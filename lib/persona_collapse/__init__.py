"""Did fine-tuning break a model's ability to play characters? Susceptibility S and robustness R of language models.

    import persona_collapse as pc

    ratings = pc.Ratings.from_frame(df)            # ratings of your own: persona, item, repetition, rating
    ratings = pc.open_study("demo")                # or those of a study that was asked, imported or simulated
    pc.levels(ratings)                             # S, R and their companions of every run, with intervals
    pc.contrasts(ratings)                          # what fine-tuning changed, beyond the matched control too
    pc.figures.collapse_map(ratings)               # every figure of the report, as an Altair chart
    pc.say.changes(ratings, "susceptibility")      # what the numbers say, computed
    pc.tabulate.headlines(ratings)                 # tables for reading
    pc.susceptibility(counts), pc.robustness(counts)    # from a plain array of counts (persona, item, category)

Nothing here is imported before it is used.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from persona_collapse import lesson as lesson
    from persona_collapse.asking.collect import open_run as open_run
    from persona_collapse.asking.collect import open_study as open_study
    from persona_collapse.comparison.pair import open_pair as open_pair
    from persona_collapse.door import explore as explore
    from persona_collapse.door import write_tables as write_tables
    from persona_collapse.statistics.estimates import Estimate as Estimate
    from persona_collapse.statistics.estimates import robustness as robustness
    from persona_collapse.statistics.estimates import susceptibility as susceptibility
    from persona_collapse.store.ratings import Ratings as Ratings
    from persona_collapse.tables.build import contrasts as contrasts
    from persona_collapse.tables.build import levels as levels

    figures: ModuleType
    say: ModuleType
    tabulate: ModuleType

__version__ = "0.1.0"
#: Where each name of the door comes from.
_ROOMS = {
    "Estimate": "statistics.estimates",
    "Ratings": "store.ratings",
    "contrasts": "tables.build",
    "explore": "door",
    "figures": "door",
    "lesson": "lesson",
    "levels": "tables.build",
    "open_pair": "comparison.pair",
    "open_run": "asking.collect",
    "open_study": "asking.collect",
    "robustness": "statistics.estimates",
    "say": "door",
    "susceptibility": "statistics.estimates",
    "tabulate": "door",
    "write_tables": "door",
}
__all__ = [
    "Estimate", "Ratings", "contrasts", "explore", "figures", "lesson", "levels", "open_pair", "open_run", "open_study",
    "robustness", "say", "susceptibility", "tabulate", "write_tables",
]  # fmt: skip

# Small products, several kernels side by side: threads of the linear algebra would only wait for one another. One thread also
# adds up in the same order whatever the number of cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


if os.environ.get("PERSONA_COLLAPSE_HEADLESS"):
    # A process of our own, such as a kernel of `make report`: jsonschema's check of IRIs, which nothing here asks for, takes
    # seven times as long to import as all the rest of altair.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'persona_collapse' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = import_module(f"persona_collapse.{_ROOMS[name]}")
    return module if name == _ROOMS[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
