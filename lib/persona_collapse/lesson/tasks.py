"""Answers of a student: understood, checked, counted, and what stays hidden until an answer is given or asked for."""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from persona_collapse.input_errors import closest
from persona_collapse.lesson.exercises import Answer, Exercise, find, number
from persona_collapse.text import safe

if TYPE_CHECKING:
    from IPython.display import Markdown

#: Wrong answers after which a check says what is right.
TRIES = 3
#: How near a wrong number is to the right one, as a share of it, that was probably rounded on the way.
_NEAR = 0.06
_MODES = ["hidden", "shown"]
_A_NUMBER = re.compile(r"[-+−–]?\s*\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?|[-+−–]?\s*[.,]\d+")
#: Words that may stand beside a number.
_BESIDE = re.compile(
    r"(?:R|S|SD|answer|noise|about|approx(?:imately)?|is|scale|points?|units?|percent|per cent|pct|pp|[=~≈:%.])\s*", re.IGNORECASE
)


class Tasks:
    """The exercises as one class does them: what was answered, how often, and whether answers are shown.

    Parameters
    ----------
    answers : str
        "hidden", until an exercise is answered; or "shown", for a teacher: every result and solution at once.

    Raises
    ------
    ValueError
        Another word, or, from every method, a name that is none of an exercise.
    """

    def __init__(self, answers: str = "hidden") -> None:
        if answers not in _MODES:
            raise ValueError(f"answers: found {answers!r}; {closest(str(answers), _MODES)}; set it in the first code cell")
        self.shown = answers == "shown"
        self._wrong: dict[str, list[Answer]] = {}
        self._done: set[str] = set()

    def commit(self, name: str, answer: object) -> "Markdown":
        """Take an answer that is checked later; says only whether it was understood."""
        exercise = find(name)
        given = understood(answer, exercise)
        if given is None:
            return _markdown(_your_turn(exercise) if answer is None else _other_form(answer, exercise))
        self._done.add(name)
        return _markdown(f"**Noted: {_words(given, exercise)}.** It is checked later.")

    def check(self, name: str, answer: object) -> "Markdown":
        """What to say about an answer, for a notebook."""
        return _markdown(self.message(name, answer))

    def message(self, name: str, answer: object) -> str:
        """`check` as plain Markdown. It starts with **Right**, **Not yet**, or, for None, **Your turn.**

        The right answer is in it only once the answer is right, after `TRIES` different wrong ones, or where answers are shown.
        """
        exercise = find(name)
        told = f"**The answer is {exercise.answer}.** {exercise.why} *Solution* below has the steps."
        if answer is None:
            return told if self.shown else _your_turn(exercise)
        given = understood(answer, exercise)
        if given is None:
            return _other_form(answer, exercise)
        right, says = judged(given, exercise)
        if right:
            self._done.add(name)
            return f"**Right{says}** {exercise.why}{_read_as(answer, given)}"
        wrong = self._wrong.setdefault(name, [])
        if given not in wrong:
            wrong.append(given)
        shown = _shown(answer) if isinstance(given, float) else _words(given, exercise)
        said = f"**Not yet, {shown}:** {says}{_read_as(answer, given)}"
        if len(wrong) >= TRIES:
            self._done.add(name)
        return f"{said}\n\n{told}" if self.shown or len(wrong) >= TRIES else said

    def reveal(self, name: str, result: Any) -> Any:
        """A result that gives an exercise away: itself once that one is done, before that a line that says so.

        An exercise is done when an answer was taken by `commit`, is right, or after `TRIES` different wrong ones.
        """
        find(name)
        if self.shown or name in self._done:
            return result
        return _markdown(f"**Hidden until Exercise {number(name)} is done.** Answer it, run its cells, then run this one again.")

    def fold(self, text: str, title: str = "What we would say") -> "Markdown":
        """Markdown that is folded until it is clicked, or open where answers are shown."""
        return _markdown(_folded(title, text, opened=self.shown))


def understood(answer: object, exercise: Exercise) -> Answer | None:
    """An answer in the form of the right one: a number, or the words of the exercise; None for anything else."""
    if isinstance(exercise.right, float):
        return _number(answer)
    if isinstance(answer, Mapping):
        answer = [answer.get(place) for place in exercise.places]
    if isinstance(answer, str):
        answer = [answer] if len(exercise.right) == 1 else re.split(r"\s*[,;/&]\s*|\s+and\s+|\s*\n\s*", answer.strip(" ()[]"))
        if len(answer) == 1 < len(exercise.right):
            answer = answer[0].split()
    if not isinstance(answer, tuple | list) or len(answer) != len(exercise.right):
        return None
    found = [_word(one, place, exercise) for one, place in zip(answer, exercise.places, strict=True)]
    return tuple(one for one in found if one) if all(found) else None


def judged(given: Answer, exercise: Exercise) -> tuple[bool, str]:
    """Whether an answer is right, and what is to be said of it."""
    if isinstance(given, tuple) or isinstance(exercise.right, tuple):
        return _judged_words(given, exercise)
    if abs(given - exercise.right) <= exercise.tolerance:
        return True, "."
    # At one decimal a mistake may look like the right answer; the nearer one is meant.
    off = [(abs(given - m.answer) if given != m.answer else 0.0, m) for m in exercise.mistakes]
    known = [(by, m) for by, m in off if by <= min(exercise.tolerance, 0.02 * abs(m.answer)) or given == m.answer]
    if known:
        return False, min(known, key=lambda pair: pair[0])[1].says
    if given == round(exercise.right, 1):
        return True, "; give two decimals."
    rounded = [m for _, m in off if math.isfinite(m.answer) and given == round(m.answer, 1)]
    if rounded:
        return False, rounded[0].says
    if abs(given - exercise.right) <= _NEAR * abs(exercise.right):
        return False, "nearly. Keep three decimals on the way, and round only at the end."
    return False, f"this is no mistake that we know. *Hint:* {exercise.hint}"


def _judged_words(given: Any, exercise: Exercise) -> tuple[bool, str]:
    assert isinstance(exercise.right, tuple)
    wrong = [(p, said) for p, said, right in zip(exercise.places, given, exercise.right, strict=True) if said != right]
    if not wrong:
        return True, "."
    fine = len(given) - len(wrong)
    hints = " ".join(f"{f'*{place}:* ' if place else ''}{exercise.hints[place, said]}" for place, said in wrong)
    return False, f"{f'{fine} of {len(given)} right. ' if len(given) > 1 else ''}{hints}"


def _number(answer: object) -> float | None:
    """A number, also one in a text with a unit or a decimal comma, or 1,59, which Python reads as a pair."""
    if isinstance(answer, bool):
        return None
    if isinstance(answer, str):
        text = answer.strip(" '\"`()[]")
        found = _A_NUMBER.findall(text)
        if len(found) != 1 or _BESIDE.sub("", text.replace(found[0], " ", 1)).strip():
            return None
        return float(re.sub(r"\s", "", found[0]).replace(",", ".").translate({ord("−"): "-", ord("–"): "-"}))
    if isinstance(answer, tuple | list) and len(answer) == 1:
        return _number(answer[0])
    if isinstance(answer, tuple) and len(answer) == 2 and all(type(a) is int for a in answer) and answer[1] >= 0:
        return float(f"{answer[0]}.{answer[1]}")
    try:
        number = float(answer)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def _word(said: object, place: str, exercise: Exercise) -> str | None:
    """The word of an exercise that somebody means."""
    if not isinstance(said, str):
        return None
    text = " ".join(said.strip(" .!'\"`()[]").lower().split())
    text = re.sub(rf"^{place.lower()}\b\s*[:=]?\s*", "", text) if place else text
    for word, others in exercise.words.items():
        if text == word or text in others:
            return word
    within = [word for word in exercise.words if re.search(rf"\b{re.escape(word)}\b", text)]
    return within[0] if len(within) == 1 and " not " not in f" {text} " else None


def _words(given: Any, exercise: Exercise) -> str:
    return ", ".join(f"{place} {word}".strip() for place, word in zip(exercise.places, given, strict=True))


def _your_turn(exercise: Exercise) -> str:
    return f"**Your turn.** Replace `None` in the cell of the exercise by {exercise.form}.\n\n{_folded('Hint', exercise.hint)}"


def _folded(title: str, text: str, *, opened: bool = False) -> str:
    return f"<details{' open' if opened else ''}><summary>{title}</summary>\n\n{text}\n\n</details>"


def _other_form(answer: object, exercise: Exercise) -> str:
    return f"**Not yet: {_shown(answer)} is not an answer of the form asked for.** Expected {exercise.form}."


def _read_as(answer: object, given: Answer) -> str:
    """How a number was read that Python would not have read so."""
    if isinstance(given, float) and (isinstance(answer, tuple) or (isinstance(answer, str) and "," in answer)):
        return f" (Read as {given:g}: Python writes a point.)"
    return ""


def _shown(answer: object) -> str:
    """An answer as a message repeats it: short, and no markup."""
    number = _number(answer) if not isinstance(answer, str | tuple | list) else None
    text = f"{number:.4g}" if number is not None else repr(answer)
    return safe(text if len(text) <= 40 else text[:39] + "…")


def _markdown(text: str) -> "Markdown":
    from IPython.display import Markdown

    return Markdown(text)  # type: ignore[no-untyped-call]
