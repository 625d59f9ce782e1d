"""What the answers of a visit give away while it runs: a cache in place of repetitions, and replies that are no ratings."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from persona_collapse.asking.dialect_openai import Completion, ElicitationError
from persona_collapse.asking.slots import hash_of
from persona_collapse.store.rows import Answer
from persona_collapse.study.study import Run, Study

#: Cached answers after which a visit ends.
_CACHED = 3
#: Answers of a run after which one warns of too few ratings, and answers without any rating after which the visit ends.
_FEW_AFTER, _NONE_AFTER = 30, 100
#: Cells of a run that are looked at for whether repetitions ever differ.
_CELLS = 50
#: Characters of a reply that a message quotes.
_QUOTED = 60


class Watch:
    """Looks at every answer of one visit; `say` gets what a person should know, `fail` what ends the visit.

    `held` are the completions that the store holds already, each with the hash of the prompt that it answered. `anyway` goes on
    without a single rating.
    """

    def __init__(
        self, study: Study, held: Iterable[tuple[str, str]], say: Callable[[str], None], fail: Callable[[Exception], None],
        *, anyway: bool = False,
    ) -> None:  # fmt: skip
        self._study, self._say, self._fail, self._anyway = study, say, fail, anyway
        self._prompts: dict[str, str] = {}  # by completion
        self._no_ids = False  # one id answered two prompts: it is a server's constant, and no id
        self._cached = 0
        for completion, prompt in held:
            self._knows(completion, prompt)
        self._answers: Counter[Run] = Counter()
        self._ratings: Counter[Run] = Counter()
        self._unread: defaultdict[Run, Counter[str]] = defaultdict(Counter)
        self._cells: defaultdict[Run, dict[int, list[int]]] = defaultdict(dict)
        self._steady: Counter[Run] = Counter()
        self._varied: set[Run] = set()

    def cached(self, run: Run, prompt: str, found: Completion) -> bool:
        """Whether an answer is one that was given before: its completion id and its prompt are those of another one.

        The first few end the visit, as soon as a second id shows that ids of this server are not a constant.
        """
        if not found.completion or self._no_ids:
            return False
        again = self._knows(found.completion, hash_of(prompt))
        if self._no_ids:
            return False
        self._cached += again
        if self._cached >= _CACHED and len(self._prompts) > 1:
            self._fail(
                ElicitationError(
                    f"{run.key}: {self._cached} answers came from a cache: each repeats the completion id of an earlier answer "
                    "to the same prompt, so it is no repetition; switch the cache off, at LiteLLM by extra_body: {cache: "
                    '{"no-cache": true}} in the endpoint, elsewhere by its header, and run the same command again; '
                    "none of them was stored"
                )
            )
        return again

    def _knows(self, completion: str, prompt: str) -> bool:
        """Whether this id was seen with this prompt before; one that was seen with another prompt shows that ids are none."""
        before = self._prompts.get(completion)
        self._prompts[completion] = prompt
        self._no_ids = self._no_ids or before not in (None, prompt)
        return before == prompt

    def saw(self, run: Run, answers: Sequence[Answer]) -> None:
        """Count the answers of one request of a run."""
        for answer in answers:
            if answer.reason in ("transport", "wrong_server"):
                continue
            self._answers[run] += 1
            if answer.rating is None:
                self._unread[run][answer.reply or f"[{answer.reason}]"] += 1
            else:
                self._ratings[run] += 1
                self._saw_cell(run, answer.question, answer.rating)
        asked, rated = self._answers[run], self._ratings[run]
        if asked - len(answers) < _FEW_AFTER <= asked and 2 * rated < asked:
            self._say(f"{self._study.name}: {run.key}: {rated} of the first {asked} answers are ratings; {self._what_else(run)}")
        if asked >= _NONE_AFTER and not rated and not self._anyway:
            self._fail(
                ElicitationError(
                    f"{run.key}: none of the first {asked} answers is a rating; {self._what_else(run)}; "
                    "or go on with `make elicit ANYWAY=1`"
                )
            )

    def _what_else(self, run: Run) -> str:
        said = ", ".join(f"{_shortened(reply)} ({times} times)" for reply, times in self._unread[run].most_common(3))
        return (
            f"commonest otherwise: {said}; try protocol.max_tokens: 2 if the first token is a blank, switch thinking off by the "
            "endpoint's extra_body, or ask a model that follows the prompt"
        )

    def _saw_cell(self, run: Run, question: int, rating: int) -> None:
        """Say once if no cell of many ever varies, which a cache without ids or an ignored temperature does."""
        protocol = run.variant.protocol(self._study.file.protocol)
        if run in self._varied or protocol.temperature == 0 or protocol.method == "logprobs" or protocol.repetitions < 2:
            return
        first, count = self._cells[run].setdefault(question, [rating, 0])
        if first != rating:
            self._varied.add(run)
            return
        self._cells[run][question][1] = count + 1
        self._steady[run] += count + 1 == protocol.repetitions
        if self._steady[run] == _CELLS:
            self._varied.add(run)
            self._say(
                f"{self._study.name}: {run.key}: none of the first {_CELLS} cells varied over its repetitions at temperature "
                f"{protocol.temperature:g}; a cache, or a server that ignores the temperature, does that"
            )


def _shortened(reply: str) -> str:
    return repr(reply if len(reply) <= _QUOTED else reply[: _QUOTED - 1] + "…")
