"""What goes into a store and comes out of it, as rows whose columns are named."""

from typing import NamedTuple


class Question(NamedTuple):
    """A cell as it is to be asked; `persona` is None in the self condition, `item` is the item's number.

    Where wording varies within a cell, it is several questions: `wording` names the levels of each, and `before` says how many
    repetitions of the cell are asked in others before it.
    """

    condition: str
    persona: int | None
    item: int
    identity: str
    prompt_hash: str | None
    repetitions: int
    instrument: str = ""  #: its key
    wording: str = ""
    before: int = 0


class Answer(NamedTuple):
    """What came back for a slot: a rating, or the reason there is none, and how it came."""

    question: int
    repetition: int
    rating: int | None
    reason: str | None
    reply: str | None = None
    finish_reason: str | None = None
    logprobs: str | None = None
    served_model: str | None = None
    fingerprint: str | None = None
    request_id: str | None = None
    attempts: int | None = 1
    input_tokens: int | None = None
    output_tokens: int | None = None
    time: str | None = None
    latency: float | None = None
    provider: str | None = None
    completion: str | None = None  #: what tells the completion from any other, with the first of its choices


class TextAnswer(NamedTuple):
    """A reply to a question without a persona, or the reason there is none, and how it came; the first eight tell it from any
    other (`schema`)."""

    family: str
    variant: str
    purpose: str
    name: str
    question: str
    arm: str
    sample: int
    identity: str
    prompt_hash: str | None = None
    reply: str | None = None
    reason: str | None = None
    finish_reason: str | None = None
    logprobs: str | None = None
    served_model: str | None = None
    fingerprint: str | None = None
    request_id: str | None = None
    attempts: int | None = 1
    input_tokens: int | None = None
    output_tokens: int | None = None
    time: str | None = None
    latency: float | None = None
    provider: str | None = None
    completion: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str, str, str, int, str]:
        """What tells it from any other."""
        return self[:8]


class MissingCell(NamedTuple):
    """A cell with slots to be asked: the number of its question, and the repetitions that are missing."""

    question: int
    persona: int | None
    item: int
    repetitions: tuple[int, ...]
    instrument: str = ""
    wording: str = ""
    before: int = 0  #: repetitions of the same cell in other wordings that are counted before these


class Batch(NamedTuple):
    """A file of requests in the Batch format.

    `status` is written (not sent yet), submitting (it may be with the endpoint), submitted, `by hand` (results are put beside
    it), collected, cancelled or failed.
    """

    name: str
    requests: int
    input_file: str | None = None
    batch: str | None = None
    status: str = "written"


class Traffic(NamedTuple):
    """Requests of a run in one condition that came to the same, with the tokens they cost."""

    family: str
    variant: str
    condition: str
    outcome: str
    requests: int
    input_tokens: int = 0
    output_tokens: int = 0
