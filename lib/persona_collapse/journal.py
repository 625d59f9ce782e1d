"""Requests under way, on disk: what a killed process may have paid for and lost."""

import os
from pathlib import Path
from typing import NamedTuple


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
        os.write(self._file, f"+ {self._numbers} {' '.join(map(str, request))}\n".encode())
        return self._numbers

    def ended(self, number: int) -> None:
        """Note that a request came to an end, and if it was answered that the answer is in the store."""
        os.write(self._file, f"- {number}\n".encode())

    def close(self, *, keep: bool = False) -> None:
        """End in order: nothing is under way any more, unless what is has to be kept for the next process."""
        os.close(self._file)
        if not keep:
            self._path.unlink(missing_ok=True)


def _open_requests(path: Path) -> list[Sent]:
    found: dict[str, Sent] = {}
    # A last line that the kill cut short is no request that was sent.
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        sign, number, *rest = line.split(" ")
        if sign == "+":
            family, variant, condition, *tokens = rest
            found[number] = Sent(family, variant, condition, *map(int, tokens))
        else:
            found.pop(number, None)
    return list(found.values())
