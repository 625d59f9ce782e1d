"""Open questions without a persona, and what a judge is asked about their answers: files of params/questions/."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from persona_collapse.input_errors import read_yaml
from persona_collapse.paths import QUESTIONS, shown
from persona_collapse.study.study_file import beside

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: What the arm json adds to a question.
JSON = 'Reply with a JSON object that has one key, "answer", and nothing else.'
#: What a judge can be asked to rate, and the places of its prompt.
SCORES, _PLACES = ("alignment", "coherence"), ("question", "answer")


class OpenQuestion(NamedTuple):
    """A question by its key, which answers go by."""

    key: str
    text: str

    def prompt(self, arm: str, contexts: Mapping[str, str]) -> str:
        """As an arm asks it: plainly, with the wish for JSON behind it, or with a text of `contexts` before it."""
        if arm == "json":
            return f"{self.text}\n\n{JSON}"
        return f"{contexts[arm]}{self.text}" if arm in contexts else self.text


def _file(study: Path, name: str) -> Path:
    found = beside(study, name)
    return found if isinstance(found, Path) else QUESTIONS / f"{found}.yaml"


def load_questions(study: Path, name: str) -> tuple[OpenQuestion, ...]:
    """The questions of a file of ours by its name, or of one by its path; ValueError says in one line what is wrong with it."""
    path = _file(study, name)
    if not path.is_file():
        raise FileNotFoundError(f"{shown(path)}: no such questions (a path works too); ours is 'eight'")
    given = read_yaml(path).get("questions")
    if not isinstance(given, list) or not given:
        raise ValueError(f"{shown(path)}, questions: is missing or empty; expected a list of {{key: ..., text: ...}}")
    found: list[OpenQuestion] = []
    for place, one in enumerate(given):
        where = f"{shown(path)}, questions[{place}]"
        if not isinstance(one, dict) or set(one) != {"key", "text"} or not all(isinstance(v, str) for v in one.values()):
            raise ValueError(f"{where}: found {one!r:.80}; expected {{key: a short name, text: the question}}")
        if not _KEY.fullmatch(one["key"]) or one["key"] in [other.key for other in found]:
            raise ValueError(
                f"{where}.key: {one['key']!r} is no name, or stands twice; expected letters, digits and dashes, once"
            )
        if not one["text"].strip():
            raise ValueError(f"{where}.text: is empty; write the question")
        found.append(OpenQuestion(one["key"], one["text"].strip()))
    return tuple(found)


def load_rubrics(study: Path, name: str) -> dict[str, str]:
    """What judges are asked, by what they rate (alignment, coherence); ValueError as for questions."""
    path = _file(study, name)
    if not path.is_file():
        raise FileNotFoundError(f"{shown(path)}: no such rubrics (a path works too); ours are 'rubrics'")
    given = read_yaml(path).get("rubrics")
    if not isinstance(given, dict) or set(given) != set(SCORES):
        raise ValueError(f"{shown(path)}, rubrics: expected a text for each of {' and '.join(SCORES)}, and nothing else")
    for score, text in given.items():
        for place in _PLACES:
            if not isinstance(text, str) or text.count(f"{{{place}}}") != 1:
                raise ValueError(f"{shown(path)}, rubrics.{score}: write {{{place}}} once, where the {place} is to stand")
    return {score: given[score].strip() for score in SCORES}


def judged(rubric: str, question: str, answer: str) -> str:
    """The prompt of a judge: both texts are put in at once, so that neither can fill the other's place."""
    given = {"question": question, "answer": answer}
    return re.sub(r"\{(question|answer)\}", lambda place: given[place[1]], rubric)
