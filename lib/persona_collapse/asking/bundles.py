"""Which repetitions of a cell one request asks for; nothing of this is part of a slot's identity."""

import math
from collections.abc import Sequence

from persona_collapse.study.study_file import Protocol


def requests_of(missing: int, together: int, protocol: Protocol) -> int:
    """How many requests so many missing repetitions of a cell take, where one brings up to `together`."""
    if protocol.requests == 1:
        return math.ceil(missing / together)
    return math.ceil(missing * _of_a_cell(together, protocol) / protocol.repetitions)


def bundles(repetitions: Sequence[int], together: int, protocol: Protocol) -> list[tuple[int, ...]]:
    """Repetitions that one request asks for each: consecutive numbers, at most `together` of them.

    Where a cell is to be asked in several requests, the repetitions of the design are dealt to them evenly, and those that are
    missing stay with the request that they were dealt to.
    """
    if protocol.requests == 1:
        return consecutive(repetitions, together)
    requests, found = _of_a_cell(together, protocol), []
    of_request: dict[int, list[int]] = {}
    for repetition in repetitions:
        of_request.setdefault((repetition - 1) * requests // protocol.repetitions, []).append(repetition)
    for own in of_request.values():
        found += consecutive(own, together)
    return found


def consecutive(repetitions: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """Repetitions in blocks of consecutive numbers, each of at most so many."""
    blocks: list[tuple[int, ...]] = []
    for repetition in repetitions:
        if blocks and blocks[-1][-1] == repetition - 1 and len(blocks[-1]) < most:
            blocks[-1] += (repetition,)
        else:
            blocks.append((repetition,))
    return blocks


def _of_a_cell(together: int, protocol: Protocol) -> int:
    """Requests of a whole cell; a plan may have fewer repetitions than the study file has requests."""
    return max(min(protocol.requests, protocol.repetitions), math.ceil(protocol.repetitions / together))
