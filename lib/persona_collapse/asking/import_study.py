"""Importing a study: what its store lacks is read and written, a new store in one piece beside the way to the numbers."""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import NamedTuple

from persona_collapse.asking import source_files
from persona_collapse.asking.source_files import RunFiles
from persona_collapse.machine import check_locks
from persona_collapse.store import bulk
from persona_collapse.store.ratings import Prompts, Ratings
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.study import Run, Study

#: Runs that may wait to be written, whose rows are all in memory.
_WAITING = 32


class Import(NamedTuple):
    """What an import came to: how many runs were read, and the ratings of all, where all were."""

    new: int
    ratings: Ratings | None = None


@contextmanager
def importing(study: Study, runs: Sequence[Run], counted: Callable[[], object] = lambda: None) -> Iterator[Import]:
    """Read the files of every run of which the store has others, or none; `counted` is called after each run.

    A new store is written while the block runs and is there, whole, when the block ends; nothing may be said to be done before.
    Of a store that is there only the runs are replaced whose files are new. Raises ValueError that names file and row; runs
    that were read before stay, and of the run itself nothing is replaced.
    """
    files = {run: source_files.run_files(study, run) for run in runs}
    with ExitStack() as stack:
        if not study.store_path.is_file():
            stack.enter_context(_alone(study))
        if study.store_path.is_file():
            yield Import(_replaced(study, files, counted))
        else:
            ratings = stack.enter_context(_new_store(study, files, counted))
            yield Import(len(files), ratings)


@contextmanager
def _alone(study: Study) -> Iterator[None]:
    """Wait for another process that makes the same store; death frees the lock."""
    study.outputs.mkdir(parents=True, exist_ok=True)
    check_locks(study.outputs)
    with (study.outputs / ".lock").open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _replaced(study: Study, files: Mapping[Run, RunFiles], counted: Callable[[], object]) -> int:
    """Replace the runs in a store whose files it was not filled from; returns how many."""
    with open_store(study.store_path, write=True) as store:
        store.claim(study.path, study.instrument.key)
        if len(files) == len(study.runs) and source_files.unchanged(study, store, files):
            return 0
        from persona_collapse.asking.import_files import all_ids, check

        labels, new = all_ids(study), 0
        known = {condition: list(store.labels(condition)) for condition in labels}
        if any(own and own != labels[condition] for condition, own in known.items()):
            # Personas have one number in all runs, which are then all read anew; one that is refused must not leave others so.
            check(study, {run: files.get(run) or source_files.run_files(study, run) for run in study.runs})
        for run, own in files.items():
            new += import_run(study, run, own, labels, store)
            counted()
        if len(files) == len(study.runs):
            source_files.remember(study, store, files)
        return new


def import_run(study: Study, run: Run, files: RunFiles, labels: Mapping[str, Sequence[str]], store: Store) -> bool:
    """Replace a run in the store if its files are new or changed; returns whether it was. Raises as `read_run`."""
    from persona_collapse.asking.import_files import labels_of, read_run

    own = labels_of(files, labels)
    if store.origin(*run.keys)[0] == source_files.origin(study, run, files, own):
        return False
    read_run(study, run, files, labels).put(run, store)
    return True


@contextmanager
def _new_store(study: Study, files: Mapping[Run, RunFiles], counted: Callable[[], object]) -> Iterator[Ratings | None]:
    """Read every run and write them into a new store, one after another in a thread; gives the ratings of all meanwhile."""
    from persona_collapse.asking.import_files import all_ids, read_run
    from persona_collapse.asking.read_table import forget

    written: list[Future[None]] = []
    answers, simulated, stopped = {}, False, None
    # SQLite works without the interpreter's lock, so that a thread is enough to have it write beside the numbers.
    with (
        bulk.in_one_piece(study.store_path) as part,
        closing(Store(study.store_path, write=True, part=part)) as store,
        # Inside, so that it has ended before the store is closed: SQLite does not survive that in the middle of a write.
        ThreadPoolExecutor(1) as writer,
    ):
        store.claim(study.path, study.instrument.key)
        try:
            labels = all_ids(study)
            for run, own in files.items():
                found = read_run(study, run, own, labels)
                written.append(writer.submit(found.put, run, store))
                for one in found.conditions.values():
                    asked = study.of_instrument(one.instrument)
                    answers[run.key, one.condition, one.instrument] = one.answers(asked, labels.get(one.condition, ()))
                    simulated |= bool(one.report.get("simulated"))
                if len(written) > _WAITING:
                    written[-_WAITING].result()
                counted()
            forget()
            marked = replace(study.clustered(tuple(labels.get("persona", ()))), served_simulated=simulated)
            whole = len(files) == len(study.runs) and not study.by_logprobs
            prompts: dict[tuple[str, str], Prompts] = {(run, key): {} for run, _, key in answers}
            yield Ratings(marked, answers, prompts) if whole else None
        except BaseException as error:
            if not written:
                raise
            stopped = error  # of a file, or of who takes the ratings: the runs that were read stay
        for run_written in written:
            run_written.result()
        if len(written) == len(study.runs):
            source_files.remember(study, store, files)
    if stopped is not None:
        raise stopped
