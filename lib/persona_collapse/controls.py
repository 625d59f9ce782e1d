"""Characters that act on a screen instead of being read: terminal controls and overrides of the direction of writing."""

import re

#: C0 and C1 controls but tab and newline, line and paragraph separators, bidirectional embeddings, overrides and isolates.
#: The marks U+200E and U+200F and the joiners, which names need in some scripts, stay.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def tamed(text: str) -> str:
    """`text` with every such character as U+FFFD, so that it can be seen and does nothing."""
    return CONTROLS.sub("\ufffd", text)
