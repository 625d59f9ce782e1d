"""The tour for a class, and the questions of explore.ipynb.

In: small ratings, published figures, or `Ratings` with their tables. Out: figures, exercises that check themselves, answers.

Examples
--------
>>> import persona_collapse as pc
>>> pc.lesson.blackboard.blackboard().shape
(4, 2)
"""

from importlib import import_module
from types import ModuleType

__all__ = ["blackboard", "exercises", "explore_answers", "explore_figures", "figures", "quoted_figures", "tasks", "three_models"]


def __getattr__(name: str) -> ModuleType:
    """A module of the lesson, imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return import_module(f"{__name__}.{name}")
