"""What a visit has sent, what came of it and what it cost, on its way to the store; a journal on disk outlives a kill."""

import asyncio
import errno
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from persona_collapse.asking import spending
from persona_collapse.asking.dialect_openai import Completion, Failure
from persona_collapse.store.rows import Answer, TextAnswer, Traffic
from persona_collapse.store.store import Store
from persona_collapse.study.study import Study

#: The name of the journal in the outputs of a study.
JOURNAL = ".under-way"
_SENT = re.compile(r"\+ (\d+) (\S+) (\S+) (\S+) (\d+) (\d+)")
_ENDED = re.compile(r"- (\d+)")
#: Failures that are answers, of another server or of a cache.
_ANSWERED = ("wrong_server", "cached")


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
            number, family, variant, condition, tokens_in, tokens_out = sent.groups()
            found[number] = Sent(family, variant, condition, int(tokens_in), int(tokens_out))
        elif ended := _ENDED.fullmatch(line):
            found.pop(ended[1], None)
    return list(found.values())


class _Settled(NamedTuple):
    """A request that is over once its answers are on disk: its number, its slots, and who is told."""

    number: int
    slots: int
    stored: Callable[[], None] | None


class Ledger:
    """Requests of one visit, from the moment before they go out until what they brought is on disk.

    `asked` slots are on disk; `spent` is in dollars, over all visits of the study. `fail` hears of a spent budget and of what
    cannot be written. Everything is written in the thread of the event loop: a commit takes less time than handing it to
    another thread under one interpreter lock.
    """

    def __init__(self, study: Study, store: Store, fail: Callable[[Exception], None]) -> None:
        self.asked = 0
        self.spent = spending.spent_usd(study, store)
        self._study, self._store, self._fail = study, store, fail
        self._journal: Journal  # from `open` on
        self._open: dict[int, Sent] = {}
        self._traffic: Counter[tuple[str, str, str, str, str]] = Counter()
        self._answers: list[Answer] = []
        self._again: list[Answer] = []
        self._texts: list[TextAnswer] = []
        self._settled: list[_Settled] = []
        self._due = False

    def open(self) -> int:
        """Begin; returns how many requests a killed visit had under way: they may have been paid for, and are counted."""
        self._journal = Journal(self._study.outputs / JOURNAL)
        if lost := self._journal.lost:
            self._store.add([], traffic=[Traffic(*sent[:3], "lost", 1, *sent[3:]) for sent in lost])
            self.spent = spending.spent_usd(self._study, self._store)
        self._journal.forget()
        return len(lost)

    def sent(self, request: Sent) -> int:
        """A request is about to go out; returns its number."""
        number = self._journal.sent(request)
        self._open[number] = request
        return number

    def answered(self, number: int, found: Completion, outcome: str = "answered") -> None:
        """Count what an answer cost, as reported or at most."""
        sent = self._open[number]
        tokens_in = sent.input_tokens if found.input_tokens is None else found.input_tokens
        tokens_out = sent.output_tokens if found.output_tokens is None else found.output_tokens
        self._add(sent, outcome, tokens_in, tokens_out)

    def failed(self, number: int, found: Failure) -> None:
        """Count an attempt without an answer; it is over, once what it cost is in the store."""
        sent, paid = self._open[number], found.paid or found.kind in _ANSWERED
        if found.kind not in _ANSWERED:  # those were answered, and are counted with what they cost
            self._add(sent, found.kind, *(sent[3:] if paid else (0, 0)))
        if paid:
            self._settled.append(_Settled(number, 0, None))
            self._write_soon()
        else:
            self._end(number)

    def settle_text(self, number: int, answer: TextAnswer, stored: Callable[[], None] | None) -> None:
        """As `settle`, of a question without a persona."""
        self._texts.append(answer)
        self._settled.append(_Settled(number, 1, stored))
        self._write_soon()

    def settle(self, number: int, answers: list[Answer], *, again: bool, stored: Callable[[], None] | None) -> None:
        """A request is over; `stored` is called when its answers are on disk."""
        (self._again if again else self._answers).extend(answers)
        self._settled.append(_Settled(number, len(answers), stored))
        self._write_soon()

    def write(self) -> None:
        """Everything that came so far is on disk, and counted as asked; `fail` hears of what hinders it."""
        self._due = False
        if not (self._settled or self._traffic):
            return
        answers, again, texts, settled = self._answers, self._again, self._texts, self._settled
        self._answers, self._again, self._texts, self._settled = [], [], [], []
        try:
            self._store.add(answers, again=again, texts=texts, traffic=self._take_traffic())
        except Exception as error:  # whatever it is, nothing more can be kept, so nothing more is asked
            self._fail(error)
            return
        for request in settled:
            self._end(request.number)
            self.asked += request.slots
            if request.stored is not None:
                request.stored()

    def close(self, *, orderly: bool) -> None:
        """Write what is left; if that cannot be done, the journal tells the next visit what was under way."""
        self.write()
        if orderly:
            for sent in self._open.values():  # dropped on the way out, and perhaps paid for
                self._add(sent, "lost", *sent[3:])
            self.write()
        self._journal.close(keep=not orderly)

    def _end(self, number: int) -> None:
        self._journal.ended(number)
        self._open.pop(number, None)

    def _add(self, sent: Sent, outcome: str, tokens_in: int, tokens_out: int) -> None:
        for what, number in (("requests", 1), ("in", tokens_in), ("out", tokens_out)):
            self._traffic[*sent[:3], outcome, what] += number
        run = self._study.asked_of(sent.family, sent.variant)
        self.spent += spending.dollars(self._study, run, tokens_in, tokens_out)
        self.check_budget()

    def check_budget(self) -> None:
        """Tell `fail` if the budget is used up."""
        if (error := spending.used_up(self._study, self.spent)) is not None:
            self._fail(error)

    def _take_traffic(self) -> list[Traffic]:
        taken, self._traffic = self._traffic, Counter()
        keys = dict.fromkeys(key[:4] for key in taken)
        return [Traffic(*key, *(taken[*key, what] for what in ("requests", "in", "out"))) for key in keys]

    def _write_soon(self) -> None:
        """Write after what has arrived at the same time has been read: answers of one moment share a transaction."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self.write)
