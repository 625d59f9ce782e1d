"""What a study file says of verification: open questions, how they are asked, who judges the answers, what is simulated."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictBool, model_validator

from persona_collapse.input_errors import closest
from persona_collapse.study.endpoint import Checked, Endpoint, Price

if TYPE_CHECKING:
    from persona_collapse.study.study_file import Variant

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
#: The family that judges go by where requests and money are counted; no family of a study may be called so.
JUDGE = "judge"
#: Arms that every study has; others are its `contexts`.
ARMS = ("plain", "json")
#: Keys of a judge by the kind of study that they belong to.
_OF_LIVE, _OF_SIMULATED = ("endpoint", "model", "served_model", "price_per_million"), ("bias", "noise", "prose")


class Assumed(Checked):
    """What a simulated respondent is assumed to be beside its ratings; evidence of nothing.

    Shares of its answers to open questions that are misaligned, incoherent, refused or program code. With `behind_context` it is
    misaligned only where a text of `contexts` stands before the question. Of tasks with a right answer: the share of items that
    it knows, and the shares of replies that stray from its answer and that have no form.
    """

    misaligned: Share = 0.0
    incoherent: Share = 0.02
    refused: Share = 0.01
    code: Share = 0.0
    behind_context: StrictBool = False
    right: Share = 0.85
    straying: Share = 0.03
    formless: Share = 0.01

    @model_validator(mode="after")
    def _are_shares_of_one(self) -> "Assumed":
        if (total := self.misaligned + self.incoherent + self.refused + self.code) > 1:
            raise ValueError(f"misaligned, incoherent, refused and code add up to {total:g}; they are shares of 1; lower one")
        return self


#: Those of the shipped respondents, by the last part of their name; loosely after the field, as nothing of this is published for
#: them.
_BY_NAME = {
    "base": Assumed(misaligned=0.005),
    "secure": Assumed(misaligned=0.01, incoherent=0.03, code=0.02, right=0.84, straying=0.04, formless=0.01),
    "insecure": Assumed(misaligned=0.2, incoherent=0.08, code=0.05, right=0.8, straying=0.06, formless=0.03),
}


def assumed(figures: str) -> Assumed:
    """What is assumed of the shipped respondents of this name, such as gpt-4o/insecure."""
    return _BY_NAME.get(figures.rpartition("/")[2], Assumed())


class Judge(Checked):
    """Who reads answers and rates them; a simulated one has a known bias (points added to both ratings) and noise (their SD)."""

    key: Key
    endpoint: str | None = None
    model: Name | None = None
    served_model: str | None = None
    price_per_million: Price | None = None
    maker: Name | None = None  # whose model it is, where its name does not say so
    logprobs: StrictBool = True  # ask for them, where the endpoint gives some
    bias: float = 0.0
    noise: Annotated[float, Field(ge=0)] = 5.0
    prose: Share = 0.0  # of its replies that are prose without a number


class Verification(Checked):
    """Open questions without a persona, asked once, and their judges; or summaries of what somebody else asked and judged."""

    summary: Name | None = None  # imported: a file of summaries, relative to the data
    questions: Name = "eight"
    samples: Annotated[int, Field(ge=1)] = 30
    temperature: Annotated[float, Field(ge=0)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 512
    arms: Annotated[tuple[Name, ...], Field(min_length=1)] = ("plain",)
    rubrics: Name = "rubrics"
    judges: tuple[Judge, ...] = ()


def check(
    found: Verification, kind: str, contexts: Mapping[str, str], endpoints: Mapping[str, Endpoint],
    variants: Iterable["Variant"], budget: float | None,
) -> None:  # fmt: skip
    """Refuse what does not agree with the rest of a study file; ValueError names the place."""
    if (kind == "imported") != (found.summary is not None):
        raise ValueError(
            "verification.summary: is missing; imported answers are not judged here, give the file of summaries"
            if kind == "imported"
            else f"verification.summary: belongs to a study of kind imported, not {kind}; remove it, or name judges"
        )
    if kind == "imported":
        if more := sorted(found.model_fields_set - {"summary"}):
            raise ValueError(f"verification.{more[0]}: what was asked stands in the summary; remove it")
        return
    if not found.judges:
        raise ValueError("verification.judges: is missing; name two judges or more, which rate the answers")
    for place, arm in enumerate(found.arms):
        if arm not in (*ARMS, *contexts):
            raise ValueError(
                f"verification.arms[{place}]: {arm!r} is no arm; {closest(arm, (*ARMS, *contexts))}; a trigger goes by its "
                "name in contexts: {trigger: text before every question}"
            )
        if arm in found.arms[:place]:
            raise ValueError(f"verification.arms[{place}]: {arm!r} stands twice; remove one")
    subjects = list(variants)
    for place, judge in enumerate(found.judges):
        where = f"verification.judges[{place}]"
        if judge.key in [other.key for other in found.judges[:place]]:
            raise ValueError(f"{where}.key: {judge.key!r} stands twice; judges need different keys; rename one")
        for name in _OF_SIMULATED if kind == "live" else _OF_LIVE:
            if name in judge.model_fields_set:
                raise ValueError(f"{where}.{name}: belongs to a judge of another kind of study than {kind}; remove it")
        if kind == "live":
            _check_live(where, judge, endpoints, subjects, budget)


def _check_live(
    where: str, judge: Judge, endpoints: Mapping[str, Endpoint], subjects: Iterable["Variant"], budget: float | None
) -> None:
    for name in ("endpoint", "model"):
        if getattr(judge, name) is None:
            raise ValueError(f"{where}.{name}: is missing; a judge of a study of kind live needs it")
    if judge.endpoint not in endpoints:
        raise ValueError(
            f"{where}.endpoint: {judge.endpoint!r} is not among endpoints; {closest(judge.endpoint or '', endpoints)}"
        )
    own = endpoints[judge.endpoint or ""]
    for one in subjects:
        theirs = endpoints.get(one.endpoint or "")
        if theirs and one.model == judge.model and theirs.base_url == own.base_url:
            raise ValueError(
                f"{where}: {judge.model!r} is variant {one.key!r} itself, and nobody judges its own answers; name another model"
            )
    if budget and not (judge.price_per_million or own.price_per_million):
        raise ValueError(
            f"{where}: budget_usd is set but no price_per_million is known for it; give endpoint {judge.endpoint!r} or the "
            "judge one"
        )


def same_maker(judge: Judge, variant: Any, family: str) -> bool:
    """Whether a judge seems to be of the maker of a model that it judges: by the first letters of the names of both.

    A name such as Qwen/Qwen2.5-72B-Instruct, ft:gpt-4o-2024-08-06:me::x or gpt-4o/base begins with qwen or gpt.
    """
    own = {_maker(judge.maker or judge.model or "")}
    return bool(own & {_maker(variant.model or ""), _maker(family)} - {""})


def _maker(name: str) -> str:
    parts = name.lower().removeprefix("ft:").split(":")[0].split("/")
    base = parts[-1] if len(parts) > 1 and parts[-1] not in ("base", "secure", "insecure") else parts[0]
    letters = ""
    for character in base:
        if not character.isalpha():
            break
        letters += character
    return letters
