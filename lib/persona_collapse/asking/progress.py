"""The live line of a visit, and how a visit is stopped: by the thread that a person interrupts."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from tqdm import tqdm

from persona_collapse.asking.live_visit import Visit
from persona_collapse.store.store import Store
from persona_collapse.study.study import Run, Study

#: Seconds between two looks at a visit, and between two lines where nobody sees a bar.
_LOOK, _LINE = 0.2, 30.0
#: Seconds before the bar is drawn: a short visit shows nothing.
_SHOW_AFTER = 1.0


def ask(
    study: Study, runs: Sequence[Run], store: Store, bar: "tqdm[NoReturn]", say: Callable[[str], None],
    *, only_probe: bool = False, texts: Sequence[Run] = (), anyway: bool = False,
) -> int:  # fmt: skip
    """Ask every missing slot of `runs` and missing text of `texts`, and show how it goes; returns how many, when all is asked.

    With `only_probe` no more is asked than tells what the endpoints take; with `anyway` a run without a single rating goes on.

    The visit has an event loop in a thread of its own, as a notebook's own loop is running. An interrupt sends nothing new,
    waits for what is under way and keeps it; a second one drops that too. Raises what ended the visit early.
    """
    visit = Visit(study, runs, store, say, texts=texts, anyway=anyway)
    problems: list[BaseException] = []
    # Not `thread.join` with a time-out: interrupted, it takes a running thread for an ended one (Python 3.11, 3.12).
    over = threading.Event()
    thread = threading.Thread(target=_run, args=(visit, only_probe, problems, over), name="visit", daemon=True)
    thread.start()
    interrupted: KeyboardInterrupt | None = None
    said_at = began = time.monotonic()
    try:
        while not over.is_set():
            try:
                over.wait(_LOOK)
                bar.set_postfix_str(status(visit), refresh=False)
                bar.update(visit.ledger.asked - bar.n)
                if time.monotonic() - began > _SHOW_AFTER:
                    bar.refresh()  # a wait changes the line, too
                if bar.disable and time.monotonic() - said_at > _LINE:
                    said_at = time.monotonic()
                    say(f"{visit.ledger.asked:,} of {bar.total:,} asked, {status(visit)}")
            except KeyboardInterrupt as error:
                visit.stop(at_once=interrupted is not None)
                interrupted = error
    finally:
        if not over.is_set():  # an interrupt between two looks
            visit.stop(at_once=True)
            over.wait()
        bar.update(visit.ledger.asked - bar.n)
        bar.clear()  # closing it would leave what was drawn before its delay was over
    if interrupted is not None:
        raise interrupted
    if problems:
        raise problems[0]
    return visit.ledger.asked


def _run(visit: Visit, only_probe: bool, problems: list[BaseException], over: threading.Event) -> None:
    try:
        asyncio.run(visit.run(only_probe=only_probe))
    except BaseException as error:  # raised in the caller's thread
        problems.append(error)
    finally:
        over.set()


def status(visit: Visit) -> str:
    """What a visit is doing, in a few words: requests under way, waits and their reason, dollars."""
    askers = list(visit.askers)
    parts = [f"{sum(asker.in_flight for asker in askers)} in flight" if askers else "first request"]
    if (left := visit.first_until - time.monotonic()) > 0:
        parts.append(f"waiting {left:.0f} s: the endpoint asked to wait or failed")
    if visit.stopping:
        parts.append("stopping, what is in flight is kept; interrupt again to drop it")
    for seconds, why in filter(None, (asker.waiting for asker in askers)):
        parts.append(f"waiting {seconds:.0f} s: {why}")
    if visit.priced:
        budget = visit.study.file.budget_usd
        parts.append(f"${visit.ledger.spent:.2f}" + (f" of ${budget:g}" if budget else ""))
    return " · ".join(parts)
