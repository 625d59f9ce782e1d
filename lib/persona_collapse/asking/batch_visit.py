"""A visit to the Batch API of a live study's endpoints: submitted once, awaited, collected, and stopped at any moment."""

import hashlib
import io
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tqdm import tqdm

from persona_collapse.asking import batch_files, spending
from persona_collapse.asking.client import connect_for_batches
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.asking.result_files import result_lines, result_paths
from persona_collapse.paths import shown
from persona_collapse.store.rows import Batch
from persona_collapse.store.store import Store
from persona_collapse.study.study import Run, Study

if TYPE_CHECKING:
    from openai import OpenAI, OpenAIError

#: Times that what batches left missing is put into further ones.
ROUNDS = 3
#: Seconds between two looks at the batches under way, growing from the one to the other while nothing ends.
_SOON, _LATER = 2.0, 60.0
#: Times in a row that an endpoint may fail to answer about one batch, beside the SDK's own attempts.
_PATIENCE = 5
#: Requests below which a batch that the endpoint's limit of tokens keeps out is not cut in half again, but waits.
_FEW = 100
#: Statuses of the Batch API after which nothing changes any more.
_ENDED = ("completed", "failed", "expired", "cancelled")
#: What too many tokens under way are called.
_FULL = "token_limit_exceeded"
#: The key of a batch's metadata that says what it is.
_MARK = "persona_collapse"
#: Seconds by which a batch may seem older than its file, as two clocks differ.
_CLOCKS = 86_400
Say = Callable[[str], None]


class BatchVisit:
    """One visit: construct it with the runs to complete, then `run` or `cancel`. Every step is in the store before the next.

    A file is written before it is submitted; that it is about to be is remembered before it is, so that a batch whose
    submission was cut off is looked for at the endpoint and never submitted twice; results are stored in one transaction.
    """

    def __init__(self, study: Study, runs: Sequence[Run], store: Store, bar: "tqdm[NoReturn]", say: Say) -> None:
        self._study, self._runs, self._store, self._bar, self._say = study, runs, store, bar, say
        self._open: dict[str, tuple[Run, Batch]] = {}
        self._clients: dict[str, OpenAI] = {}
        self._rounds: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        self._stumbles: Counter[str] = Counter()
        self._states: dict[str, Any] = {}
        self._came = 0
        self._cancelling = False

    def run(self) -> int:
        """Submit what is missing, wait, collect, and submit again what is missing still; returns the slots that came."""
        self._resume()
        self._until_ended(self._write_missing)
        if left := sum(len(cell.repetitions) for run in self._runs for cell in _missing(self._study, run, self._store)):
            raise ElicitationError(
                f"{self._study.name}: {left:,} slots are missing after {ROUNDS} rounds of batches; run the same command again, "
                "or `make elicit`, which asks them at once"
            )
        return self._came

    def refuse_by_hand(self) -> None:
        """Refuse what would buy the slots of files that somebody else may be answering."""
        for _, batch in batch_files.under_way(self._store, self._runs):
            if batch.status == "by hand":
                raise ValueError(
                    f"{shown(batch_files.path_of(self._study, batch))}: waits for results by hand; go on with "
                    "BY_HAND=1, or give it up with CANCEL=1"
                )

    def cancel(self) -> int:
        """Cancel what is under way, and collect what was answered by then, which is paid for; returns the slots that came."""
        import openai

        self._cancelling = True
        self._resume()
        for run, batch in batch_files.under_way(self._store, self._runs):
            client = self._client(run)
            try:
                if batch.status == "submitting":
                    batch = self._find(client, run, batch) or batch
                if batch.batch:
                    client.batches.cancel(batch.batch)
            except openai.ConflictError:
                pass  # it has ended, and is collected
            except openai.NotFoundError:
                batch = batch._replace(batch=None)
            except openai.APIError as error:
                raise _explained(error, batch) from None
            if batch.batch is None:
                self._end(run, batch, "cancelled")
                self._say(f"{batch.name}: given up")
        self._until_ended(lambda: None)
        return self._came

    # --- what is under way -------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Take up what an earlier visit left with the endpoint; files that were never sent are written anew."""
        for run in self._runs:
            known = self._store.batches(run.family.key, run.variant.key)
            self._store.drop_batches(batch.name for batch in known if batch.status == "written")
            self._open |= {b.name: (run, b) for b in known if b.status in ("submitting", "submitted")}

    def _write_missing(self) -> None:
        """Write files for every run that has nothing under way and has a round left; refuse what would pass the budget."""
        busy = {run for run, _ in self._open.values()}
        new = []
        for run in self._runs:
            if run not in busy and self._rounds[run.key] < ROUNDS:
                self._rounds[run.key] += 1
                new += [(run, b) for b in batch_files.write(self._study, run, self._store, most=self._most.get(run.key))]
        if new and self._study.file.budget_usd is not None:
            cost = sum(batch_files.cost(self._study, run, batch) for run, batch in [*self._open.values(), *new])
            spent, budget = spending.spent_usd(self._study, self._store), self._study.file.budget_usd
            if spent + cost > budget:
                raise ElicitationError(
                    f"{self._study.name}: its batches would cost about ${cost:.2f} on top of ${spent:.2f} spent, more than "
                    f"budget_usd of {budget:g}; raise the budget and run the same command again, or use `make elicit`"
                )
        self._open |= {batch.name: (run, batch) for run, batch in new}

    def _until_ended(self, refill: Callable[[], None]) -> None:
        """Look at every open batch again and again until all have ended; `refill` may open further ones in between."""
        pause = _SOON
        refill()
        try:
            while self._open:
                before = set(self._open)
                for run, batch in list(self._open.values()):
                    self._try(run, batch)
                refill()
                if self._open:
                    self._show()
                    pause = min(_LATER, pause * 1.2) if before <= set(self._open) else _SOON
                    time.sleep(pause)
        except KeyboardInterrupt:
            going_on = sum(batch.status != "written" for _, batch in self._open.values())
            if not going_on:
                raise
            what = "a batch goes" if going_on == 1 else f"{going_on} batches go"
            raise KeyboardInterrupt(f"{what} on at the endpoint, and the same command collects what comes of it") from None

    def _try(self, run: Run, batch: Batch) -> None:
        """Look at one batch; an endpoint may fail to answer a few times."""
        import openai

        try:
            self._look(run, batch)
            self._stumbles[batch.name] = 0
        except openai.APIError as error:
            self._stumbles[batch.name] += 1
            if not _passing(error) or self._stumbles[batch.name] > _PATIENCE:
                raise _explained(error, batch) from None

    def _look(self, run: Run, batch: Batch) -> None:
        """Bring one batch a step further."""
        client = self._client(run)
        if batch.batch is None:
            batch = self._submit(client, run, batch)
        if batch.batch is None:
            return
        state = _checked(client.batches.retrieve(batch.batch), batch, "status")
        if state.status != self._states.get(batch.name, state).status and self._bar.disable:
            self._say(f"{batch.name}: {state.status}")
        self._states[batch.name] = state
        if state.status == "failed":
            self._refused(run, batch, state)
        elif state.status in _ENDED:
            status = "cancelled" if state.status == "cancelled" else "collected"
            found = batch_files.collect(self._study, run, self._store, batch, _results(client, state), status=status)
            self._open.pop(batch.name)
            self._came += found.slots
            self._bar.update(found.slots)
            self._say(found.line)

    def _refused(self, run: Run, batch: Batch, state: Any) -> None:
        """A batch that was not begun: too many tokens for the endpoint's limit is a matter of time or size, all else is not."""
        errors = (state.errors.data if state.errors else None) or []
        if self._cancelling:
            self._end(run, batch, "cancelled")
            return
        if any(error.code == _FULL for error in errors):
            others = [other for _, other in self._open.values() if other.batch and other.name != batch.name]
            if others or batch.requests < 2 * _FEW:
                self._remember(run, batch._replace(batch=None, status="written"))
                self._say(f"{batch.name}: the endpoint has too many tokens under way; it is submitted again later")
                return
            # The limit may be below one file for ever.
            self._most[run.key] = batch.requests // 2
            self._rounds[run.key] -= 1
            self._end(run, batch, "failed")
            self._say(f"{batch.name}: too many tokens for the endpoint's limit; cut in half")
            return
        self._end(run, batch, "failed")
        what = f"{errors[0].code}, line {errors[0].line}" if errors else "no reason given"
        raise ElicitationError(
            f"{batch.name}: the endpoint refused the batch ({what}); see {shown(batch_files.path_of(self._study, batch))}, or "
            "use `make elicit`"
        )

    # --- submitting --------------------------------------------------------------------------------------------------

    def _submit(self, client: "OpenAI", run: Run, batch: Batch) -> Batch:
        """Submit a file, each step remembered before the next; returns the batch, without an id if it is not there yet."""
        import openai

        path = batch_files.path_of(self._study, batch)
        if batch.status == "submitting" and (found := self._find(client, run, batch)):
            self._say(f"{batch.name}: was submitted before, as {found.batch}")
            return found
        if not path.is_file():
            self._end(run, batch, "failed")  # its slots are written anew
            return batch
        if batch.input_file is None:
            with path.open("rb") as file:
                sent = _checked(client.files.create(file=file, purpose="batch"), batch, "id")
            batch = self._remember(run, batch._replace(input_file=sent.id))
        batch = self._remember(run, batch._replace(status="submitting"))
        # The SDK would send it again where only the answer was lost: it is looked for instead.
        try:
            made = client.with_options(max_retries=0).batches.create(
                input_file_id=batch.input_file or "", endpoint="/v1/chat/completions", completion_window="24h",
                metadata={_MARK: self._mark(batch)},
            )  # fmt: skip
        except openai.APIStatusError as error:
            if error.status_code < 500:
                self._remember(run, batch._replace(status="written"))  # it surely was not made
            raise
        batch = self._remember(run, batch._replace(batch=_checked(made, batch, "id").id, status="submitted"))
        self._say(f"{batch.name}: {batch.requests:,} requests submitted as {made.id}")
        return batch

    def _find(self, client: "OpenAI", run: Run, batch: Batch) -> Batch | None:
        """The batch at the endpoint that a cut-off submission made, if it made one."""
        path = batch_files.path_of(self._study, batch)
        oldest = path.stat().st_mtime - _CLOCKS if path.is_file() else 0.0
        for other in client.batches.list(limit=100):  # newest first
            if other.created_at < oldest:
                break
            ours = other.input_file_id == batch.input_file or (other.metadata or {}).get(_MARK) == self._mark(batch)
            if ours and other.status != "failed":
                return self._remember(run, batch._replace(batch=other.id, status="submitted"))
        return None

    def _mark(self, batch: Batch) -> str:
        path = batch_files.path_of(self._study, batch)
        content = path.read_bytes() if path.is_file() else b""
        return f"{self._study.name}/{batch.name}/{hashlib.sha256(content).hexdigest()[:16]}"

    def _remember(self, run: Run, batch: Batch) -> Batch:
        self._store.set_batches(run.family.key, run.variant.key, [batch])
        self._open[batch.name] = run, batch
        return batch

    def _end(self, run: Run, batch: Batch, status: str) -> None:
        self._remember(run, batch._replace(status=status))
        self._open.pop(batch.name)

    def _client(self, run: Run) -> "OpenAI":
        name = run.variant.endpoint or ""
        endpoint = self._study.file.endpoints[name]
        if name not in self._clients:
            self._clients[name] = connect_for_batches(endpoint)
        return self._clients[name]

    def _show(self) -> None:
        states = [self._states[name] for name in self._open if name in self._states]
        number = Counter(state.status for state in states)
        counts = [state.request_counts for state in states if state.request_counts]
        done, total = sum(c.completed + c.failed for c in counts), sum(c.total for c in counts)
        parts = [f"{count} {status}" for status, count in number.items()] or ["submitting"]
        self._bar.set_postfix_str(f"batches: {', '.join(parts)}" + (f" · {done:,} of {total:,} requests" if total else ""))


def _missing(study: Study, run: Run, store: Store) -> Iterator[Any]:
    for condition in study.conditions(run):
        yield from store.missing_cells(run.family.key, run.variant.key, condition)


def _checked(found: Any, batch: Batch, name: str) -> Any:
    """What an endpoint answered, which the SDK passes on even if it is a page of HTML."""
    if not isinstance(getattr(found, name, None), str):
        raise ElicitationError(
            f"{batch.name}: the endpoint's answer is none of the Batch API (no {name}); check base_url, or use `make elicit`"
        )
    return found


def _results(client: "OpenAI", state: Any) -> Iterator[str]:
    """Lines of the output file and of the error file, whichever there are."""
    for file in filter(None, (state.output_file_id, state.error_file_id)):
        # Not str.splitlines, which also cuts at characters that JSON may hold as they are.
        for line in io.BytesIO(client.files.content(file).content):
            yield line.decode("utf-8", errors="replace")


def _passing(error: "OpenAIError") -> bool:
    """Whether an error may be gone at the next look."""
    import openai

    if isinstance(error, openai.RateLimitError):
        return error.code != "insufficient_quota"
    return isinstance(error, (openai.APIConnectionError, openai.InternalServerError, openai.APIResponseValidationError))


def _explained(error: "OpenAIError", batch: Batch) -> ElicitationError:
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    if status in (401, 403):
        told = f"the endpoint refused the key (status {status}); check the variable named by api_key_env and its rights"
    elif status == 404 and batch.batch:
        told = f"the endpoint knows no {batch.batch} any more (status 404); give it up with CANCEL=1"
    elif status in (404, 405, 501):
        told = f"the endpoint has no batches (status {status}); use `make elicit`, or BY_HAND=1"
    elif status == 402 or code == "insufficient_quota":
        told = "the account's quota is used up; top it up and run the same command again"
    elif status in (400, 413, 422):
        told = f"the endpoint refused the file or the batch (status {status}); use `make elicit`, or BY_HAND=1"
    else:
        told = f"the endpoint did not answer ({f'status {status}' if status else type(error).__name__})"
        told += "; run the same command again, nothing is lost"
    return ElicitationError(f"{batch.name}: {told}")


# --- by hand: vllm run-batch, or a provider's web page ---------------------------------------------------------------


def by_hand(study: Study, store: Store, bar: "tqdm[NoReturn]", say: Say) -> int:
    """Take in the results that lie beside the batch files, then write what is missing still; returns the slots taken in.

    Results of <name>.jsonl are expected in <name>.out.jsonl or under a name like it. Nothing is sent.
    """
    taken = 0
    for run in study.runs:
        for batch in store.batches(run.family.key, run.variant.key):
            paths = result_paths(study, batch)
            if paths and batch.status in ("by hand", "cancelled"):
                found = batch_files.collect(study, run, store, batch, result_lines(paths))
                taken += found.slots
                bar.update(found.slots)
                say(found.line)
    for run in study.runs:
        _offer(study, run, store, say)
    return taken


def _offer(study: Study, run: Run, store: Store, say: Say) -> None:
    """Say what is to be done with the files of a run, which are written if there are none."""
    waiting = [batch for _, batch in batch_files.under_way(store, [run])]
    for batch in [b for b in waiting if b.status == "by hand" and not batch_files.is_current(study, run, store, b)]:
        store.set_batches(run.family.key, run.variant.key, [batch._replace(status="cancelled")])
        waiting.remove(batch)
        say(f"{batch.name}: was written for another design; results that come for it are kept all the same")
    for batch in waiting or batch_files.write(study, run, store, status="by hand"):
        if batch.status != "by hand":
            say(f"{batch.name}: is with the endpoint as {batch.batch}; run `make batch` without BY_HAND to collect it")
            continue
        path = shlex.quote(shown(batch_files.path_of(study, batch)).removesuffix(".jsonl"))
        say(f"{path}.jsonl: {batch.requests:,} requests to {run.variant.model}; results go to {path}.out.jsonl, for example by")
        say(f"  vllm run-batch -i {path}.jsonl -o {path}.out.jsonl --model {shlex.quote(run.variant.model or '')}")
