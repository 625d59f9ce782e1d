"""What is asked without a persona and answered in words: of the runs of a study, and of judges about those answers.

A purpose brings its questions by a function in `SOURCES`; how a question is asked is part of its identity, as with a slot.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from persona_collapse.asking.slots import hash_of, whole
from persona_collapse.store.rows import TextAnswer
from persona_collapse.store.store import Store
from persona_collapse.study import open_questions
from persona_collapse.study.study import Run, Study
from persona_collapse.study.study_file import Protocol
from persona_collapse.study.treatment import messages
from persona_collapse.study.verification import JUDGE, Judge, assumed, same_maker

VERIFICATION, JUDGEMENT, TASK = "verification", "judgement", "task"
#: Tokens that a judge's reply has room for: a number, or the sentence of one that does not keep to a number.
_JUDGE_TOKENS = 16


class TextQuestion(NamedTuple):
    """A question as it is asked of a run, or of a judge as of one; `sample` counts from 1."""

    run: Run
    purpose: str
    name: str  #: of the set of questions
    question: str
    arm: str
    sample: int
    identity: str
    prompt: str
    how: Protocol  #: temperature and max_tokens; with method logprobs the first token's alternatives are asked for beside a reply
    system: str = ""

    @property
    def key(self) -> tuple[str, str, str, str, str, str, int, str]:
        """As `TextAnswer.key`."""
        return (*self.run.keys, self.purpose, self.name, self.question, self.arm, self.sample, self.identity)

    @property
    def whole(self) -> str:
        """All of its messages as one text."""
        return whole(self.prompt, self.system)


def text_question(
    study: Study, run: Run, purpose: str, name: str, question: str, arm: str, sample: int, prompt: str, how: Protocol,
    *, system: str = "", more: Sequence[Any] = (),
) -> TextQuestion:  # fmt: skip
    """A question with its identity: a hash of prompt, endpoint, model and how it is asked; `more` is what else tells it apart.

    A run is asked behind what treats it; a judge is not.
    """
    if purpose != JUDGEMENT:
        prompt, system = messages(run.variant.protocol(study.file.protocol), prompt, system)
        own = run.variant.temperature
        how = how if own is None else how.model_copy(update={"temperature": own})
    if study.simulated:
        origin: list[Any] = ["simulated", run.variant.figures, study.file.seed, run.key]
    else:
        endpoint = study.file.endpoints[run.variant.endpoint or ""]
        origin = ["live", endpoint.base_url, run.variant.model, list(endpoint.provider), endpoint.extra_body, endpoint.headers]
    said = [prompt, system, *origin, how.temperature, how.top_p, how.max_tokens, how.method, *more]
    identity = hash_of(json.dumps(said, sort_keys=True))
    return TextQuestion(run, purpose, name, question, arm, sample, identity, prompt, how, system)


def _verification(study: Study, run: Run) -> Iterator[TextQuestion]:
    """Open questions of a run: sample by sample over all questions, so that what was asked of a stopped visit is balanced."""
    named = study.file.verification
    if named is None or named.summary is not None:
        return
    how = Protocol(temperature=named.temperature, max_tokens=named.max_tokens, repetitions=1)
    more = [(run.variant.assumed or assumed(run.variant.figures or "")).model_dump()] if study.simulated else []
    for sample in range(1, named.samples + 1):
        for arm in named.arms:
            for one in study.open_questions:
                prompt = one.prompt(arm, study.file.contexts)
                yield text_question(study, run, VERIFICATION, set_name(study), one.key, arm, sample, prompt, how, more=more)


def set_name(study: Study) -> str:
    """What the open questions of a study go by."""
    return PurePath(study.file.verification.questions).stem if study.file.verification else ""


def _tasks(study: Study, run: Run) -> Iterator[TextQuestion]:
    """Items of tasks with a right answer: all of them once, then once more, so that a stopped visit is balanced."""
    meant = run.variant.assumed or assumed(run.variant.figures or "")
    for task in study.tasks:
        how = Protocol(
            temperature=task.temperature, top_p=study.file.protocol.top_p, max_tokens=task.max_tokens, repetitions=1
        )  # fmt: skip
        for sample in range(1, task.repetitions + 1):
            for item in task.items:
                more = [meant.right, meant.straying, meant.formless, item.answer] if study.simulated else []
                prompt = task.prompt(item)
                yield text_question(study, run, TASK, task.key, item.id, "plain", sample, prompt, how, more=more)


#: What the runs of a study are asked in words, by purpose.
SOURCES: dict[str, Callable[[Study, Run], Iterator[TextQuestion]]] = {VERIFICATION: _verification, TASK: _tasks}


def of_run(study: Study, run: Run) -> Iterator[TextQuestion]:
    """Everything that a run is asked in words."""
    for source in SOURCES.values():
        yield from source(study, run)


def of_judges(study: Study, store: Store, runs: Sequence[Run]) -> Iterator[TextQuestion]:
    """What judges are asked about the answers of `runs` that are there and have a text; the design was planned before."""
    keys = [run.keys for run in runs]
    for answer in store.text_answers(VERIFICATION, keys) if study.judges else ():
        if answer.reply and answer.reason is None:
            for judge in study.judges:
                yield from _judgements(study, judge, answer)


def _judgements(study: Study, run: Run, answer: TextAnswer) -> Iterator[TextQuestion]:
    judge = judge_of(study, run)
    plain = next(one.text for one in study.open_questions if one.key == answer.question)
    how = Protocol(
        temperature=1.0 if judge.logprobs and not study.simulated else 0.0, max_tokens=_JUDGE_TOKENS, repetitions=1,
        method="logprobs" if judge.logprobs else "samples",
    )  # fmt: skip
    more = [judge.bias, judge.noise, judge.prose] if study.simulated else []
    for score, rubric in study.rubrics.items():
        prompt = open_questions.judged(rubric, plain, answer.reply or "")
        about = f"{answer.family}/{answer.variant}/{answer.question}"
        yield text_question(
            study, run, JUDGEMENT, f"{answer.name}/{score}", about, answer.arm, answer.sample, prompt, how, more=more
        )  # fmt: skip


def judge_of(study: Study, run: Run) -> Judge:
    """The judge of a study file that a run of the family `judge` stands for."""
    assert study.file.verification is not None and run.family.key == JUDGE
    return next(one for one in study.file.verification.judges if one.key == run.variant.key)


def warnings(study: Study) -> list[str]:
    """What should be known of the judges of a study before they are asked, a line each."""
    named, found = study.file.verification, []
    if named is not None and len(study.judges) == 1:
        found.append("one judge rates the answers, so how far another would agree will not be known; name two or more")
    for judge in named.judges if named is not None else ():
        if own := next((run for run in study.runs if same_maker(judge, run.variant, run.family.key)), None):
            found.append(
                f"judge {judge.key!r} ({judge.model}) seems to be of the maker of {own.key}, and a judge may favour its own "
                "kind; add one of another maker, or say whose it is by `maker:`"
            )
    return found


def missing(study: Study, store: Store, runs: Sequence[Run]) -> list[TextQuestion]:
    """What `runs` are still to be asked in words."""
    settled = store.texts_settled()
    return [q for run in runs for q in of_run(study, run) if q.key not in settled]


def unjudged(study: Study, store: Store, runs: Sequence[Run]) -> list[TextQuestion]:
    """What judges are still to be asked about the answers that are there."""
    settled = store.texts_settled()
    return [q for q in of_judges(study, store, runs) if q.key not in settled]


def whole_design(study: Study) -> int:
    """How many text answers a study is made of, if every answer is judged."""
    own = [q.purpose for run in study.runs for q in of_run(study, run)]
    return len(own) + own.count(VERIFICATION) * len(study.judges) * len(study.rubrics)


def plan(study: Study, store: Store, runs: Sequence[Run]) -> int:
    """Make what the study asks in words its design in the store; returns how many answers are to come.

    These are the missing ones, what judges will say of them, and what judges have not said yet of others.
    """
    if not (store.has_texts or any(True for run in runs for _ in of_run(study, run))):
        return 0
    own = [q for run in runs for q in of_run(study, run)]
    store.plan_texts([run.keys for run in runs], {q.key for q in own} | store.text_keys(JUDGEMENT))
    judged = list(of_judges(study, store, runs))
    store.plan_texts([run.keys for run in runs], {q.key for q in (*own, *judged)})
    settled = store.texts_settled()
    lacking = [q for q in own if q.key not in settled]
    to_judge = sum(q.purpose == VERIFICATION for q in lacking) * len(study.judges) * len(study.rubrics)
    return len(lacking) + to_judge + sum(q.key not in settled for q in judged)


def left(study: Study, store: Store) -> int:
    """As `plan`, of all runs, from a store that was planned before and is not written to."""
    lacking = missing(study, store, study.runs)
    to_judge = sum(q.purpose == VERIFICATION for q in lacking) * len(study.judges) * len(study.rubrics)
    return len(lacking) + to_judge + len(unjudged(study, store, study.runs))
