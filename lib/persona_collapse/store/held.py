"""Ratings that a process was given, and need not read: those of a report, in its kernels."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persona_collapse.store.ratings import Ratings
    from persona_collapse.study.study import Study

#: By the path of their store; empty but in a kernel of a report.
_HELD: dict[Path, "Ratings"] = {}


def hold(ratings: "Ratings") -> None:
    """Give these ratings to whoever reads their store in this process."""
    _HELD[ratings.study.store_path] = ratings


def holds(study: "Study") -> bool:
    """Whether this process was given the ratings of a study; nothing of them is missing then."""
    return study.store_path in _HELD


def held(store: Path) -> "Ratings | None":
    """What this process was given of a store; None where it was given nothing."""
    return _HELD.get(store)
