"""Characters that act on a screen instead of being read: terminal controls and overrides of the direction of writing."""

import re
from typing import Any

#: C0 and C1 controls but tab and newline, line and paragraph separators, bidirectional embeddings, overrides and isolates.
#: The marks U+200E and U+200F and the joiners, which names need in some scripts, stay.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def tamed(text: str) -> str:
    """`text` with every such character as U+FFFD, so that it can be seen and does nothing."""
    return CONTROLS.sub("\ufffd", text)


def tamed_within(value: Any) -> Any:
    """A JSON value with every text in it tamed; keys, which are ours, stay."""
    if isinstance(value, str):
        return tamed(value)
    if isinstance(value, dict):
        return {key: tamed_within(inner) for key, inner in value.items()}
    return [tamed_within(inner) for inner in value] if isinstance(value, list) else value
