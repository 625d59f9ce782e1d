"""Asking open weights: one pass a cell, from the folder of a model to the alternatives of its first token."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from tqdm import tqdm

from persona_collapse.asking import local_weights, slots
from persona_collapse.asking.dialect_openai import Choice, Completion
from persona_collapse.asking.extra_requests import spread_cells
from persona_collapse.store.store import Store, local_key
from persona_collapse.study.first_token import LEAST_MASS
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run, Study

if TYPE_CHECKING:
    from persona_collapse.weights.model import Frame, LocalModel

#: Answers of a run after which one must be a rating.
_FIRST = 100
#: Cells on which an adapter must change something.
_CELLS = 30


class _Prompt(NamedTuple):
    question: int
    instrument: Instrument
    frame: "Frame"
    tokens: list[int]


def plan(study: Study, run: Run, store: Store) -> int:
    """As `slots.plan`; a run whose weights are gone stays as it was asked, if it was asked whole."""
    try:
        return slots.plan(study, run, store)
    except FileNotFoundError:
        cells = [cell for condition in study.conditions(run) for cell in store.missing_cells(*run.keys, condition)]
        if cells or not store.recall(local_key(*run.keys)):
            raise
        return 0


def ask(
    study: Study, runs: Sequence[Run], store: Store, bar: "tqdm[NoReturn]", say: Callable[[str], None],
    *, anyway: bool = False,
) -> int:  # fmt: skip
    """Ask these runs whatever they lack; returns how many cells were answered. Every batch is on disk before the next.

    A base is read once for all adapters on it. Raises ValueError or RuntimeError, one line, for weights that cannot be read, an
    adapter that does not fit or changes nothing, and a tokenizer that writes a point of the scale as several tokens.
    """
    from persona_collapse.weights.model import LocalModel

    _refuse_twins(study, runs)
    by_weights: dict[Path, list[Run]] = {}
    for run in runs:
        by_weights.setdefault(local_weights.weights_of(study, run), []).append(run)
    local, done = study.file.local, 0
    for weights, own in by_weights.items():
        bar.set_description(f"reading {weights.name}", refresh=True)
        model = LocalModel(weights, device=local.device, dtype=local.dtype, remote_code=local.remote_code)
        for run in own:
            done += _Visit(study, run, store, model, bar, say, anyway).ask()
        del model  # before the next is read: two may have no room
    return done


def _refuse_twins(study: Study, runs: Sequence[Run]) -> None:
    """Refuse a run that has the weights of its base, before anything is asked."""
    for run in runs:
        base = next(one for one in study.runs if one.family == run.family and one.variant.role == "base")
        if run.keys != base.keys and local_weights.marks(study, run) == local_weights.marks(study, base):
            raise ValueError(f"{run.key}: has the same weights as {base.key}; correct `weights` or `adapter`")


class _Visit:
    """One run, asked."""

    def __init__(
        self, study: Study, run: Run, store: Store, model: "LocalModel", bar: "tqdm[NoReturn]", say: Callable[[str], None],
        anyway: bool,
    ) -> None:  # fmt: skip
        self.study, self.run, self.store, self.model, self.bar, self.say = study, run, store, model, bar, say
        self.anyway = anyway
        self.template = study.file.protocol.template == "chat"
        self.rated = self.asked = 0
        self.adapter = local_weights.adapter_of(study, run)
        self.marks = local_weights.marks(study, run)

    def ask(self) -> int:
        self.bar.set_description(self.run.key, refresh=False)
        first = self._read(self.study.instrument.prompt(self.study.instrument.items[0], self._somebody(), digit=True))
        frames = {one.key: self.model.frame(first, one.categories, template=self.template) for one in self.study.instruments}
        self._check(frames[self.study.instrument.key], new=not self.store.recall(local_key(*self.run.keys)))
        self._remember(first)
        prompts = list(self._prompts(frames))
        began, tokens = time.monotonic(), 0
        with self.model.adapted(self.adapter):
            for batch in self.model.batches([one.tokens for one in prompts], self.study.file.local.batch):
                own = [prompts[place] for place in batch]
                self._answer(own)
                tokens += sum(len(one.tokens) for one in own)
                self.bar.set_postfix_str(f"{tokens / (time.monotonic() - began):,.0f} tokens/s", refresh=False)
                self.bar.update(len(own))
        took = time.monotonic() - began
        if prompts:
            how = f"{self.model.device}, {self.study.file.local.dtype}"
            self.say(f"{self.run.key}: {len(prompts):,} prompts in {took:.0f} s, {tokens / took:,.0f} tokens a second ({how})")
        return len(prompts)

    def _somebody(self) -> str | None:
        deck = self.study.deck("persona")
        return deck[0].text if deck else None

    def _read(self, prompt: str, system: str = "") -> str:
        prefill = self.study.file.protocol.prefill
        return self.model.render(prompt, template=self.template, prefill=prefill, system=system)

    def _prompts(self, frames: "dict[str, Frame]") -> Iterator[_Prompt]:
        """Every cell that is missing, as tokens."""
        asked = {(q.condition, q.persona, q.item, q.instrument.key): q for q in slots.questions(self.study, self.run)}
        for condition in self.study.conditions(self.run):
            for cell in self.store.missing_cells(*self.run.keys, condition):
                own = asked[condition, cell.persona, cell.item, cell.instrument]
                frame = frames[own.instrument.key]
                tokens = self.model.tokens(self._read(own.prompt, own.system), frame, template=self.template)
                yield _Prompt(cell.question, own.instrument, frame, tokens)

    def _answer(self, prompts: Sequence[_Prompt]) -> None:
        """Read a batch and store what it says."""
        began, answers = time.monotonic(), []
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        # Instruments of different scales have different frames, and so different places to look at.
        for frame in {id(one.frame): one.frame for one in prompts}.values():
            own = [one for one in prompts if one.frame is frame]
            found = self.model.alternatives([one.tokens for one in own], frame)
            for one, alternatives in zip(own, found, strict=True):
                choice = Choice(alternatives[0][0], "length", alternatives=alternatives)
                name = (self.adapter or self.model.weights).name
                served = Completion(
                    (choice,), (time.monotonic() - began) / len(prompts), name, self.marks[1] or self.marks[0],
                    input_tokens=len(one.tokens), output_tokens=1,
                )  # fmt: skip
                answers.append(slots.answer_of(self.study, one.question, 1, choice, now, served, instrument=one.instrument))
        self.store.add(answers)
        self.rated += sum(answer.rating is not None for answer in answers)
        self.asked += len(answers)
        if self.asked >= _FIRST and not self.rated and not self.anyway:
            raise ValueError(
                f"{self.run.key}: none of the first {self.asked} answers is a rating: the first token puts less than "
                f'{LEAST_MASS:g} of its probability on the scale; begin the reply by `protocol: {{prefill: "My rating: "}}`, ask '
                "a model that follows the prompt, or go on with `make elicit ANYWAY=1`"
            )

    def _check(self, frame: "Frame", *, new: bool) -> None:
        """Refuse an adapter that changes nothing: its run would be the base under another name."""
        if self.adapter is None or not new:
            return
        cells = spread_cells(self.study, _CELLS)
        prompts = [self.model.tokens(self._read(cell.prompt), frame, template=self.template) for cell in cells]
        most = self.model.differs(self.adapter, prompts, frame)
        from persona_collapse.weights.model import NOTHING

        if most <= NOTHING[self.study.file.local.dtype]:
            raise ValueError(
                f"{self.run.key}: its adapter changes nothing: on {_CELLS} cells no probability of a first token moves by more "
                f"than {most:.0e}; train it, or correct `adapter`"
            )

    def _remember(self, first: str) -> None:
        """Keep what a prompt looks like to the model, for the page; say where earlier answers were of other weights."""
        known = self.store.recall(local_key(*self.run.keys))
        found: dict[str, Any] = {"rendered": first, "marks": self.marks, "read_with": self.model.read_with}
        if known and json.loads(known)["marks"] != list(self.marks):
            self.say(
                f"{self.run.key}: these are not the weights that were asked before; all is asked anew, earlier answers are kept"
            )
        self.store.remember(local_key(*self.run.keys), json.dumps(found))
