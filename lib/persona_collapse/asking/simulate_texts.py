"""Questions without a persona in a simulated study: answered and judged by stated assumptions, without time or network."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from persona_collapse.asking import text_questions
from persona_collapse.asking.dialect_openai import Choice, Completion
from persona_collapse.asking.text_questions import JUDGEMENT, TASK, VERIFICATION, TextQuestion
from persona_collapse.asking.text_visit import text_answer
from persona_collapse.simulated import task_replies, text_replies
from persona_collapse.simulated.text_replies import TextReply
from persona_collapse.store.rows import TextAnswer
from persona_collapse.store.store import Store
from persona_collapse.study.study import Run, Study
from persona_collapse.study.verification import assumed


def simulate_texts(study: Study, store: Store, runs: Sequence[Run]) -> int:
    """Answer and judge what is missing; returns how many answers were new."""
    new = 0
    for wanted in (text_questions.missing, text_questions.unjudged):
        answers = list(_answered(study, wanted(study, store, runs)))
        if answers:
            store.add([], texts=answers)
        new += len(answers)
    return new


def _answered(study: Study, questions: Iterable[TextQuestion]) -> Iterator[TextAnswer]:
    for question in questions:
        said = REPLIES[question.purpose](study, question)
        found = Completion((Choice(said.text, "stop", alternatives=said.alternatives),), 0.0, served_model="simulated")
        yield text_answer(question, found, None)


def _open(study: Study, asked: TextQuestion) -> TextReply:
    variant = asked.run.variant
    plain = next(one.text for one in study.open_questions if one.key == asked.question)
    meant = variant.assumed or assumed(variant.figures or "")
    return TextReply(text_replies.answer(study.file.seed, asked.run.key, meant, asked.prompt, plain, asked.sample))


def _judged(study: Study, asked: TextQuestion) -> TextReply:
    judge = text_questions.judge_of(study, asked.run)
    seed = f"{study.file.seed}/{asked.question}/{asked.arm}/{asked.sample}"  # the same text twice is judged twice
    said = text_replies.judgement(seed, judge, asked.prompt)
    return said if asked.how.method == "logprobs" else said._replace(alternatives=())


def _task(study: Study, asked: TextQuestion) -> TextReply:
    variant = asked.run.variant
    task = next(one for one in study.tasks if one.key == asked.name)
    item = next(one for one in task.items if one.id == asked.question)
    meant = variant.assumed or assumed(variant.figures or "")
    return TextReply(task_replies.answer(study.file.seed, asked.run.key, meant, task, item, asked.sample))


#: What simulated respondents reply, by the purpose of a question.
REPLIES: dict[str, Callable[[Study, TextQuestion], TextReply]] = {VERIFICATION: _open, JUDGEMENT: _judged, TASK: _task}
