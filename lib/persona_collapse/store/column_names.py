"""What columns of ratings are called: by us, in our exports, and commonly by others."""

import re
from collections.abc import Iterable

#: By what a column is of, its names in groups: one of an earlier group is preferred to any of a later one.
COMMON: dict[str, tuple[tuple[str, ...], ...]] = {
    # An id beside a name or a wording is what rows belong together by.
    "persona": (
        ("persona_id",),
        ("persona",),
        ("subject_id", "participant_id", "respondent_id", "character_id", "person_id"),
        ("subject", "participant", "respondent", "character", "person"),
    ),
    "item": (("question_id",), ("item_id", "item_number", "question_number"), ("item",), ("question", "q")),
    "repetition": (("run_index",), ("repetition",), ("rep", "epoch", "repeat", "replicate", "iteration", "trial")),
    "rating": (("rating",), ("score", "value"), ("response", "answer")),
    "reply": (("response",), ("reply",), ("answer", "completion", "raw_response")),
}  # fmt: skip
#: Names of a rating that may as well be those of the reply's text.
EITHER = COMMON["rating"][-1]
#: Names of columns that may tell several runs in one file apart.
OF_RUNS = ("family", "variant", "model", "model_id", "model_name", "checkpoint", "finetune", "arm", "condition")


def plain(name: str) -> str:
    """A column's name as it is compared: letter case, blanks around it, and dashes for underscores mean nothing."""
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def candidates(of: str, names: Iterable[str]) -> list[str]:
    """The columns among `names` that go by a common name for `of`; more than one if none is to be preferred."""
    names = list(names)
    for group in COMMON[of]:
        if found := [name for name in names if plain(name) in group]:
            return found
    return []
