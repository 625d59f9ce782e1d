"""Requests under way, on disk: what a killed process may have paid for and lost."""

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

#: The name of the journal in the outputs of a study.
UNDER_WAY = ".under-way"
_SENT = re.compile(r"\+ (\d+) (\S+) (\S+) (\S+) (\d+) (\d+)")
_ENDED = re.compile(r"- (\d+)")


class Sent(NamedTuple):
    """A request under way: whose it is, and the tokens it costs at most."""

    family: str
    variant: str
    condition: str
    input_tokens: int
    output_tokens: int


class Journal:
    """A line for every request sent and one for its end; it outlives a kill of the process, which is what it is for.

    `lost` are the requests that the last process sent and never ended; empty after an orderly stop.
    """

    def __init__(self, path: Path) -> None:
        """Read what a dead process left, and go on below it until `forget`."""
        self._path = path
        self.lost = tuple(_open_requests(path)) if path.exists() else ()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._numbers = 0

    def forget(self) -> None:
        """Start anew, once what was lost is in the store."""
        os.ftruncate(self._file, 0)

    def sent(self, request: Sent) -> int:
        """Note a request before it goes out; returns its number."""
        self._numbers += 1
        self._write(f"+ {self._numbers} {' '.join(map(str, request))}\n")
        return self._numbers

    def ended(self, number: int) -> None:
        """Note that a request came to an end, and if it was answered that the answer is in the store."""
        self._write(f"- {number}\n")

    def _write(self, line: str) -> None:
        if os.write(self._file, line.encode()) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))  # a disk filled up within the line

    def close(self, *, keep: bool = False) -> None:
        """End in order: nothing is under way any more, unless what is has to be kept for the next process."""
        os.close(self._file)
        if not keep:
            self._path.unlink(missing_ok=True)


def _open_requests(path: Path) -> list[Sent]:
    found: dict[str, Sent] = {}
    # A line that a kill or a full disk cut short is no request that was sent.
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        if sent := _SENT.fullmatch(line):
            number, *who, tokens_in, tokens_out = sent.groups()
            found[number] = Sent(*who, int(tokens_in), int(tokens_out))
        elif ended := _ENDED.fullmatch(line):
            found.pop(ended[1], None)
    return list(found.values())
