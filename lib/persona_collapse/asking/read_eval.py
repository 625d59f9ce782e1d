"""Logs of inspect_ai, read by its own data frames: a sample is a rating, with persona and item in its metadata or its id."""

import re
from pathlib import Path

import pandas as pd

from persona_collapse.paths import shown
from persona_collapse.store.column_names import candidates

#: An id that ends in an item's number, behind the persona: nurse-q12, nurse/12, nurse_item_12.
_ID = re.compile(r"(.*\S)[ _/:|-]+((?:item|question|q)?[ _]?\d+)", re.IGNORECASE)


def read_eval(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One row a sample and epoch: model, epoch, score, what its metadata hold, reason; and what is said of it.

    A sample that ended in an error and has no score has the reason `transport`. Raises ValueError, one line.
    """
    where = shown(path)
    try:
        from inspect_ai.analysis import EvalModel, SampleSummary, samples_df
    except ImportError:
        raise ValueError(
            f"{where}: logs of inspect_ai are read by inspect_ai, which is not installed here; run "
            "`.venv/bin/python -m pip install inspect_ai`, or save the frame of its samples_df as CSV"
        ) from None
    try:
        frame = samples_df([str(path)], columns=[*EvalModel, *SampleSummary], quiet=True)
    except Exception as error:  # of whatever class its reader or the zip file raises
        raise ValueError(f"{where}: inspect_ai cannot read it ({' '.join(str(error).split())[:120]}); fetch it again") from None
    if frame.empty:
        raise ValueError(f"{where}: a log without samples; expected ratings")
    kept = frame[[name for name in frame if name in ("model", "id", "epoch") or name.startswith(("metadata_", "score_"))]].copy()
    kept = kept.rename(columns=_without_prefix(list(kept)))
    scores = [name for name in kept if name.startswith("score_")]
    notes = ["a log of inspect_ai"]
    if len(scores) == 1:
        kept, notes = kept.rename(columns={scores[0]: "score"}), [f"{notes[0]}, rated by its {scores[0].removeprefix('score_')}"]
    if not candidates("persona", kept) and not candidates("item", kept):
        parts = [_ID.fullmatch(str(one)) for one in kept["id"]]
        if all(parts):
            kept["persona"], kept["item"] = ([part[place] for part in parts if part] for place in (1, 2))
            notes.append("persona and item from the id of a sample")
    if "error" in frame and "reason" not in kept:  # which counts where there is no rating
        kept["reason"] = ["transport" if error else "" for error in frame["error"].fillna("")]
    return kept.drop(columns="id"), tuple(notes)


def _without_prefix(names: list[str]) -> dict[str, str]:
    """Names of metadata without what inspect_ai puts before them, where nothing else has that name."""
    short = {name: name.removeprefix("metadata_") for name in names if name.startswith("metadata_")}
    return {name: own for name, own in short.items() if own not in names}
