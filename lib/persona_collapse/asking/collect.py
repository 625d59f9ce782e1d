"""Completing a study's ratings, whatever their kind: simulated, imported, live or of open weights."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from tqdm import tqdm

from persona_collapse.paths import STUDIES, shown
from persona_collapse.store.held import holds
from persona_collapse.store.ratings import Ratings, read_ratings, reference_of
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.load_study import check_keys, load_study
from persona_collapse.study.study import Run, Study

if TYPE_CHECKING:
    from persona_collapse.asking.import_study import Import
    from persona_collapse.asking.supported_parameters import Supported


def collect(
    study: Study, runs: Sequence[Run] | None = None, *, anyway: bool = False, say: Callable[[str], None] = lambda line: None
) -> int:  # fmt: skip
    """Ask or read whatever the study's store lacks of `runs` (default: all); returns how many slots or files were new.

    A second call finds nothing missing. A progress bar is shown where somebody can see it, and cleared at the end; `say` gets
    what stays worth knowing, a line at a time. With `anyway` a live run without a single rating is asked to its end.
    """
    runs = study.runs if runs is None else runs
    if study.file.kind == "live" and not study.store_path.is_file():
        check_keys(study)  # before anything is made; a finished study needs no key
    if study.file.kind == "imported":
        with importing(study, runs, say) as found:
            return found.new
    from persona_collapse.asking import slots, text_questions  # with all that asks endpoints, which files need not wait for
    from persona_collapse.asking.ledger import JOURNAL

    with open_store(study.store_path, write=True) as store:
        store.claim(study.path, study.instrument.key)
        _take_in_reference(study, say)
        planned = slots.plan
        if study.file.kind == "local":
            from persona_collapse.asking import local_visit

            planned = local_visit.plan
        missing = {run: planned(study, run, store) for run in runs}
        _remember_origins(study, runs, store)
        texts = text_questions.plan(study, store, runs)
        if study.file.kind == "live" and (texts or any(missing.values())):
            check_keys(study)
            _refuse_twice(study, store, [run for run in runs if missing[run]])
        # A visit that was killed at its very end left word of requests that may have been paid for.
        killed = study.file.kind == "live" and (study.outputs / JOURNAL).exists()
        total = sum(missing.values()) + texts
        alone, told = _alone(study, killed or total > 0), _telling(study, runs, store)
        with alone, told, _bar(total, "answer" if texts else "rating", simulated=study.simulated) as bar:
            todo = [run for run in runs if missing[run]]
            if todo and study.file.kind == "local":
                return local_visit.ask(study, todo, store, bar, say, anyway=anyway)
            for line in text_questions.warnings(study) if texts and not study.simulated else ():
                say(f"{study.name}: {line}")
            if killed or (total and not study.simulated):
                from persona_collapse.asking.progress import ask

                return ask(study, todo, store, bar, say, texts=runs if texts else (), anyway=anyway)
            for run in todo:
                bar.set_description(run.key, refresh=False)  # a refresh would not wait for the delay
                slots.simulate(study, run, store, bar)
            if texts:
                from persona_collapse.asking.simulate_texts import simulate_texts

                simulate_texts(study, store, runs)
    return total


@contextmanager
def importing(
    study: Study, runs: Sequence[Run] | None = None, say: Callable[[str], None] = lambda line: None
) -> Iterator["Import"]:  # fmt: skip
    """As `collect` for an imported study; gives how many runs were read, and the ratings of a study that was read whole.

    The store is whole when the block ends, which may take longer than the numbers: nothing is done before.
    """
    from persona_collapse.asking import import_study, task_results, verification_summary

    runs = study.runs if runs is None else runs
    if study.file.reference and study.store_path.is_file():
        with open_store(study.store_path, write=True) as store:
            store.claim(study.path)
    _take_in_reference(study, say)
    texts = {
        verification_summary.SUMMARY: verification_summary.read_summaries(study),
        task_results.TASK_RESULT: task_results.read_results(study),
    }
    with _bar(len(runs), "run") as bar, import_study.importing(study, runs, lambda: bar.update(1)) as found:
        if found.ratings is not None and study.file.reference:
            found = found._replace(ratings=replace(found.ratings, reference=reference_of(study)))
        if found.ratings is not None and any(texts.values()):
            found = found._replace(ratings=replace(found.ratings, texts={purpose: own for purpose, own in texts.items() if own}))
        yield found
    if study.data is not None and study.store_path.is_file():
        verification_summary.keep(study, texts)


def _take_in_reference(study: Study, say: Callable[[str], None]) -> None:
    """Read human respondents first: a wrong file is said before anything is asked."""
    if study.file.reference:
        from persona_collapse.asking.reference import take_in

        take_in(study, say)


def _remember_origins(study: Study, runs: Sequence[Run], store: Store) -> None:
    """Keep how every run of a live study is asked, so that the next visit can say what has changed."""
    if study.file.kind == "live":
        from persona_collapse.asking.kept_answers import remember

        for run in runs:
            remember(study, run, store)


@contextmanager
def _telling(study: Study, runs: Sequence[Run], store: Store) -> Iterator[None]:
    """Let an interrupt say how much is done."""
    from persona_collapse.asking import slots, text_questions

    try:
        yield
    except KeyboardInterrupt:
        total = sum(question.repetitions for run in runs for question in slots.questions(study, run))
        total += text_questions.whole_design(study)
        cells = (store.missing_cells(*run.keys, condition) for run in runs for condition in study.conditions(run))
        left = sum(len(cell.repetitions) for each in cells for cell in each) + text_questions.left(study, store)
        done = total - left
        raise KeyboardInterrupt(f"{done:,} of {total:,} answers are stored; the same command goes on") from None


def unanswered(study: Study) -> int:
    """How many slots and texts of a study's design have no answer: nothing but transport came of them, or of another server."""
    from persona_collapse.asking import text_questions

    with open_store(study.store_path) as store:
        cells = (store.missing_cells(r.family.key, r.variant.key, condition) for r, condition in study.conditions_asked())
        texts = 0 if study.file.kind == "imported" else text_questions.left(study, store)
        return sum(len(cell.repetitions) for each in cells for cell in each) + texts


def collect_by_batch(
    study: Study, *, by_hand: bool = False, cancel: bool = False, say: Callable[[str], None] = lambda line: None
) -> int:  # fmt: skip
    """Complete a live study's ratings by OpenAI batches, which cost half; returns how many slots came.

    Submits what is missing, waits, collects, and goes on with whatever an earlier call left under way. `by_hand` sends nothing:
    it takes in results that lie beside the batch files, and writes files of what is missing for `vllm run-batch` or a web page.
    `cancel` ends what is under way and keeps what was answered. Raises ElicitationError or ValueError, one line.
    """
    if study.file.kind != "live":
        raise ValueError(f"{shown(study.path)}: a study of kind {study.file.kind} asks no endpoint; batch is for kind live")
    if not (by_hand or study.store_path.is_file()):
        check_keys(study)
    from persona_collapse.asking import batch_files, batch_visit, slots, text_questions
    from persona_collapse.asking.progress import ask

    with open_store(study.store_path, write=True) as store:
        store.claim(study.path, study.instrument.key)
        _take_in_reference(study, say)
        total = sum(slots.plan(study, run, store) for run in study.runs)
        _remember_origins(study, study.runs, store)
        under_way = batch_files.under_way(store, study.runs)
        with _alone(study, total > 0 or bool(under_way)), _bar(total, "rating") as bar:
            if by_hand and not cancel:
                return batch_visit.by_hand(study, store, bar, say)
            if any(batch.status != "by hand" for _, batch in under_way) or (total and not cancel):
                check_keys(study)
            visit = batch_visit.BatchVisit(study, study.runs, store, bar, say)
            if cancel:
                return visit.cancel()
            visit.refuse_by_hand()
            todo = [run for run in study.runs if run not in [run for run, _ in under_way]]
            # What the endpoint takes is learned as always: the wrong key or model is found before anything is submitted.
            probed = ask(study, todo, store, bar, say, only_probe=True) if total and todo else 0
            came = probed + visit.run()
            if again := sum(slots.plan(study, run, store) for run in study.runs):
                say(f"{study.name}: {again:,} answers without a rating are asked again by `make elicit`, as protocol.reask says")
            if texts := text_questions.plan(study, store, study.runs):
                say(f"{study.name}: {texts:,} answers in words and judgements are asked by `make elicit`, not in batches")
            return came


def _refuse_twice(study: Study, store: Store, runs: Sequence[Run]) -> None:
    """Refuse to ask slots that a batch may answer any time."""
    from persona_collapse.asking import batch_files

    for _, batch in batch_files.under_way(store, runs):
        where = f"as {batch.batch} " if batch.batch else ""
        by_hand = " BY_HAND=1" if batch.status == "by hand" else ""
        raise ValueError(
            f"{shown(batch_files.path_of(study, batch))}: is under way {where}({batch.status}), and asking now would buy its "
            f"slots twice; collect it with `make batch{by_hand} STUDY={_named(study)}`, or end it with CANCEL=1"
        )


def _named(study: Study) -> str:
    """How a command names a study."""
    return study.name if study.path.parent == STUDIES else shown(study.path)


@contextmanager
def _alone(study: Study, needed: bool) -> Iterator[None]:
    """Refuse a second process that would buy the same slots; a simulated study lets it wait. Death frees the lock."""
    if not needed:
        yield
        return
    with (study.outputs / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if study.simulated else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise ValueError(
                f"{shown(study.outputs)}: process {file.read().strip() or 'unknown'} is asking this study already; "
                "wait for it, or stop it and run the same command again"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def open_study(name: str, *, instrument: str = "", digests: bool = False) -> Ratings:
    """A study's ratings, for a notebook: those that cost nothing are made if they are not there yet.

    Of several instruments all, of which figures and findings show the first; with `instrument`, its key, those of that one alone.

    A live study is never asked from here, 01_elicit and `make elicit` do that; an imported one is read by `make report`.
    `name` is one of params/studies/, or a path to a study file.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> [run.key for run in pc.open_study("mini").runs][:2]
    ['gpt-4o/base', 'gpt-4o/secure']
    """
    study = load_study(name, files=False)
    if study.simulated and not holds(study):
        collect(study)
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store, digests=digests)
    return ratings.of_instrument(instrument) if instrument else ratings


def open_run(name: str, family: str, variant: str) -> tuple[Ratings, Run]:
    """As `open_study`, and one run of it; of a live study that run alone is asked for whatever its store lacks.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> ratings, run = pc.open_run("mini", "gpt-4o", "insecure")
    >>> run.name
    'GPT-4o insecure'
    """
    study = load_study(name, files=False)
    run = study.run(family, variant)
    if study.file.kind != "imported" and not holds(study):
        collect(study, None if study.simulated else [run])  # what costs nothing is made whole, so that pages reproduce
    with open_store(study.store_path) as store:
        return read_ratings(study, store), run


def support_of(ratings: Ratings, run: Run) -> "Supported | None":
    """What the endpoint of a live run is known to take and say of itself; None for other kinds of study."""
    from persona_collapse.asking.supported_parameters import recall

    file = ratings.study.file
    if file.kind != "live":
        return None
    with open_store(ratings.study.store_path) as store:
        return recall(store, file.endpoints[run.variant.endpoint or ""], run.variant.model or "")


def import_report(study: Study) -> list[str]:
    """What the importer found in the files of every run, for people, and which instrument was taken where none is named."""
    from persona_collapse.asking.import_files import describe

    unnamed = [] if "instrument" in study.file.model_fields_set else [_taken(study)]

    with open_store(study.store_path) as store:
        found = {run.key: store.origin(run.family.key, run.variant.key)[1] for run in study.runs}
    return unnamed + [f"{key}: {line}" for key, report in found.items() for line in describe(report)]


def _taken(study: Study) -> str:
    instrument = study.instrument
    return (
        f"{shown(study.path)} names no instrument: its items are taken for the {len(instrument.items)} of {instrument.key}, of "
        f"which the first is {instrument.items[0].text!r}; write `instrument: {instrument.key}` if they are, else a path"
    )


@contextmanager
def _bar(total: int, unit: str, *, simulated: bool = False) -> Iterator["tqdm[NoReturn]"]:
    """A progress bar where somebody can see it: a terminal or a notebook; gone when the work is done."""
    kernel = sys.modules.get("ipykernel.kernelapp")  # which other code may have loaded without being one
    notebook = kernel is not None and kernel.IPKernelApp.initialized()
    # A short wait shows nothing: a bar that comes and goes would only be noise, and in a notebook an output that another run
    # does not have. Simulated answers come in seconds, on a busy machine in a few more.
    delay = 10 if notebook and simulated else 3
    # A terminal that does not know its width would get a bar of none.
    wide = {"dynamic_ncols": True} if _knows_its_width() else {"ncols": 100}
    with tqdm(total=total, unit=unit, delay=delay, leave=False, disable=not (notebook or sys.stderr.isatty()), **wide) as bar:
        yield bar
        drawn = getattr(bar, "last_print_n", 0) > 0  # a disabled bar has no such attribute
    if notebook and drawn:
        # What stays in a cell describes the store, not the visit.
        from IPython.display import clear_output

        clear_output()  # type: ignore[no-untyped-call]


def _knows_its_width() -> bool:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return True  # a notebook, or no terminal at all
