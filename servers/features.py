"""One feature of a server: a study asked through the recording proxy, and what the table says of it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from servers.asking import Said, Study
from servers.compare import Compared, compare
from servers.recorder import Exchange, recording

#: Keeps the first of some exchanges as what a server answers to a feature, for the tests that replay it.
Keep = Callable[[str, Sequence[Exchange]], None]


class Feature(NamedTuple):
    """A row of the table without its server; `fine` is false where the project and the server disagree."""

    name: str
    result: str
    fine: bool = True


class Server(NamedTuple):
    """A kind of server: what it is called, its version, the seconds it gets, and what is asked of it in a folder."""

    key: str
    name: str
    version: Callable[[], str]
    seconds: float
    ask: Callable[[Path, Keep], Iterator[Feature]]


class Outcome(NamedTuple):
    """A study after its last visit: how that ended, and everything that the server sent."""

    study: Study
    said: Said
    exchanges: list[Exchange]

    def compared(self, *, one_token: bool = True) -> Compared:
        """The store against what was sent."""
        return compare(self.exchanges, self.study.slots(), one_token=one_token, scale=self.study.scale)

    def answers(self, status: int = 200) -> list[Exchange]:
        """The answers of one status."""
        return [exchange for exchange in self.exchanges if exchange.status == status]


def ask(
    folder: Path, name: str, url: str, models: Sequence[str], protocol: Mapping[str, Any], *,
    visits: Sequence[Mapping[str, Any]] = ({},), **options: Any,
) -> Outcome:  # fmt: skip
    """Ask a study of `models` at the server `url`, once for each of `visits`, which change its protocol; see `Study`."""
    with recording(url) as recorder:
        study = Study(folder, name, recorder.url, models, protocol, **options)
        said = [study.elicit(**changes) for changes in visits][-1]
    return Outcome(study, said, recorder.chats)


def works(name: str, outcome: Outcome, *, one_token: bool = True, also: str = "", unless: str = "") -> Feature:
    """A row that is fine if the command ended well and the store holds what was sent; `also` is said of it then.

    `unless` is what is wrong beside that, if anything is.
    """
    if outcome.said.status:
        return Feature(name, f"refused: {outcome.said.line}", False)
    found = outcome.compared(one_token=one_token)
    if not found.fine or unless:
        return Feature(name, found.told() if not found.fine else f"differs: {unless}", False)
    return Feature(name, found.told() + (f"; {also}" if also else ""))


def refused(name: str, outcome: Outcome, words: str, *, unless: str = "") -> Feature:
    """A row that is fine if the command ended with one line that holds `words`, a regular expression, and nothing is wrong."""
    if unless:
        return Feature(name, f"differs: {unless}", False)
    if outcome.said.status == 1 and re.search(words, outcome.said.line):
        return Feature(name, f"refused: {outcome.said.line}")
    ended = f"status {outcome.said.status}, {outcome.said.line!r}"
    return Feature(name, f"differs: expected a refusal that says {words!r}; the command ended with {ended}", False)
