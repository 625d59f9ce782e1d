"""Ratings that a process was given, and need not read: those of a report, in its kernels."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from persona_collapse.store.ratings import Ratings
    from persona_collapse.study.study import Run, Study

#: By the path of their store; empty but in a kernel of a report.
_HELD: dict[Path, "Ratings"] = {}


def hold(ratings: "Ratings") -> None:
    """Give these ratings to whoever reads their store in this process."""
    _HELD[ratings.study.store_path] = ratings


def holds(study: "Study") -> bool:
    """Whether this process was given the ratings of a study; nothing of them is missing then."""
    return study.store_path in _HELD


def held(store: Path, runs: Iterable["Run"] | None) -> "Ratings | None":
    """What this process was given of a store, as if these runs (default: all) had been read; None where it was given nothing."""
    given = _HELD.get(store)
    if given is None or runs is None:
        return given
    keys = {run.key for run in runs}
    return replace(
        given, answers={key: found for key, found in given.answers.items() if key[0] in keys},
        prompts={key: found for key, found in given.prompts.items() if key in keys},
        again={key: found for key, found in given.again.items() if key in keys}, digests={},
    )  # fmt: skip
