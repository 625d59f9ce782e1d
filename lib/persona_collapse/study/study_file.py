"""The parts of a study file, each checked by itself and with its neighbours before anything runs."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, field_validator, model_validator

from persona_collapse.input_errors import closest, gather
from persona_collapse.study import verification as verifying
from persona_collapse.study.endpoint import Checked, Endpoint, Price
from persona_collapse.study.open_weights import Local, Taught, Training, check_open_weights, check_protocol
from persona_collapse.study.tasks import Task
from persona_collapse.study.treatment import OF_INFERENCE, check_treatment
from persona_collapse.study.verification import Assumed, Verification
from persona_collapse.study.wording import check_vary

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Kind = Literal["simulated", "imported", "live", "local"]
Role = Literal["base", "control", "harmful", "mitigated", "alternate"]
Condition = Literal["persona", "self", "toxic"]
Name = Annotated[str, Field(min_length=1)]  # of a column

#: What a variant says about where its ratings come from, by the kind of study.
_ORIGIN = {"simulated": ("figures",), "imported": ("persona",), "live": ("endpoint", "model"), "local": ()}
_ONLY = {
    "figures": "simulated", "assumed": "simulated",
    "persona": "imported", "self": "imported", "toxic": "imported", "rows": "imported", "tasks": "imported",
    "verification": "imported", "endpoint": "live", "served_model": "live", "price_per_million": "live",
    "weights": "local", "adapter": "local", "training": "local",
}  # fmt: skip


def _short(key: str) -> BeforeValidator:
    """A text stands for a record of this one key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class Protocol(Checked):
    """How every cell is asked."""

    temperature: Annotated[float, Field(ge=0)] = 0.1
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    repetitions: Annotated[int, Field(ge=1)] = 10
    further_repetitions: Annotated[int, Field(ge=1)] | None = None  # of the instruments after the first; by default as many
    personas: Annotated[int, Field(ge=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] = 1
    probe: Annotated[int, Field(ge=0, le=100)] = 10  # cells asked once more with 24 tokens, where max_tokens tells no recital
    reask: Annotated[int, Field(ge=0, le=5)] = 0  # times that an answer without a rating is asked again
    method: Literal["samples", "logprobs"] = "samples"
    requests: Annotated[int, Field(ge=1)] = 1  # over which the repetitions of a cell are dealt at the least
    request_probe: Annotated[int, Field(ge=0, le=100)] = 20  # cells asked a second time, where a cell is one request of choices
    prefill: str = ""  # the beginning of the reply, given to the model: "My rating: "
    template: Literal["chat", "none"] = "chat"  # of open weights: the model's own, or the prompt as plain text
    vary: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # levels by factor, dealt over the repetitions
    system: str = ""  # a system prompt before every question
    prefix: str = ""  # a line before every question

    def of_further(self) -> "Protocol":
        """How a cell of an instrument after the first is asked."""
        repetitions = self.further_repetitions or self.repetitions
        return self.model_copy(update={"repetitions": repetitions, "requests": min(self.requests, repetitions)})

    @model_validator(mode="after")
    def _has_ratings_for_all(self) -> "Protocol":
        if self.requests > max(self.repetitions, 1):
            raise ValueError(
                f"requests: {self.requests} for {self.repetitions} repetitions of a cell; a request brings one at least; "
                f"give at most {self.repetitions}"
            )
        if self.vary:
            fewest = min(self.repetitions, self.further_repetitions or self.repetitions)
            check_vary(self.vary, fewest, self.requests, logprobs=self.method == "logprobs")
        return self


class Smallest(Checked):
    """The smallest changes worth caring about, as shares; written in percent, as text or as a number from 1."""

    S: float = 0.1
    R: float = 0.1

    @field_validator("S", "R", mode="before")
    @classmethod
    def _in_percent(cls, value: Any) -> float:
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
        if found is None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{value!r} is no change; give percent, such as 10 %")
        percent = float(found[1]) if found else float(value)
        if found is None and 0 < percent < 1:
            raise ValueError(f"{value!r} may be a share or percent; write {100 * percent:g} % or {percent:g} %")
        if not 0 < percent <= 100:
            raise ValueError(f"{value!r} is no smallest change; give percent above 0 and up to 100, such as 10 %")
        return percent / 100


class Cluster(Checked):
    """Which personas belong together: the column that says so, of the deck, or of a file beside imported ratings."""

    column: Name
    file: Name | None = None  # relative to the study file; its column `persona` holds the ids


class Source(Checked):
    """Where the files of an imported study are published, and what they must be."""

    git: str
    commit: str | None = None
    folder: str = "."
    sha256: dict[str, str] = Field(default_factory=dict)


class Columns(Checked):
    """What imported files call their columns; what is not named goes by the common names (docs/import.md).

    `items` is for files with one column an item, such as q{item}, where {item} stands for the item's number; `condition` for
    files whose rows say of themselves whether they are of the condition persona, self or toxic.
    """

    persona: Name | None = None
    item: Name | None = None
    items: Name | None = None
    repetition: Name | None = None
    rating: Name | None = None
    reply: Name | None = None
    condition: Name | None = None

    def given(self) -> dict[str, str]:
        """The names that stand in the file, by what they are of."""
        return {key: value for key, value in self.model_dump().items() if value is not None}

    @field_validator("items")
    @classmethod
    def _has_a_place(cls, text: str | None) -> str | None:
        if text is not None and text.count("{item}") != 1:
            raise ValueError(f"{text!r} is no pattern of columns; write {{item}} once, where the item's number stands: q{{item}}")
        return text

    @model_validator(mode="after")
    def _agree(self) -> "Columns":
        given = self.given()
        for name in ("item", "rating"):
            if "items" in given and name in given:
                raise ValueError(f"items and {name} are both named; a file has a column an item or a row a rating; remove one")
        for name in given.values():
            if list(given.values()).count(name) > 1:
                raise ValueError(f"{name!r} is named more than once; a column is one thing; correct one")
        return self


class Reference(Checked):
    """Human respondents: a file of their ratings, relative to the study file, and how it is read (as files of variants are)."""

    file: Name
    columns: Columns | None = None
    rows: dict[str, str | int] = Field(default_factory=dict)


class Variant(Checked):
    """One model of a family, and where its ratings come from."""

    key: Key
    role: Role
    label: str | None = None
    stack: str | None = None
    control: str | None = None
    dataset: str | None = None  # what it was fine-tuned on
    recipe: str | None = None  # how: hyperparameters by the name that the field gives them
    seed: int | str | None = None  # of the fine-tuning
    of: str | None = None  # the variant of which it is a checkpoint or a treatment
    step: Annotated[int, Field(ge=0)] | None = None  # of the training, after which it was taken
    method: Name | None = None  # of a treatment: how a harmful variant was mitigated, by the name that the field gives it
    when: Literal["training", "after", "inference"] | None = None  # it was treated
    context: Literal["none", "trigger"] = "none"  # in which a treatment is looked at: behind a trigger, or without one
    system: Name | None = None  # this and the next two: how it is asked, where the protocol says it otherwise
    prefix: Name | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    figures: str | None = None
    assumed: Assumed | None = None  # of a simulated respondent, beside its ratings
    persona: str | dict[str, str] | None = None  # this and the next two: files, of several instruments by their keys
    self_: Annotated[str | dict[str, str] | None, Field(alias="self")] = None
    toxic: str | dict[str, str] | None = None
    tasks: dict[str, str] = Field(default_factory=dict)  # files of answers to tasks with a right answer, by task
    verification: str | None = None  # its name in the summary that the study names
    rows: dict[str, str | int] = Field(
        default_factory=dict
    )  # which rows of its files are its own: by column, the value that they have there
    endpoint: str | None = None
    model: str | None = None
    served_model: str | None = None
    price_per_million: Price | None = None
    weights: str | None = None  # a folder, a GGUF file or an id of the Hub; by default those of the family's base
    adapter: str | None = None  # the folder of a LoRA adapter on these weights
    training: Training | None = None  # how `make finetune` makes the adapter
    taught: Taught | None = None  # what a base learned before, so that the page says first whether it plays characters

    @property
    def name(self) -> str:
        """How charts call it."""
        return self.label or self.key

    def protocol(self, common: Protocol) -> Protocol:
        """How it is asked: as the study's protocol says, and otherwise where it says so itself."""
        return common.model_copy(update={k: v for k in OF_INFERENCE if (v := getattr(self, k)) is not None})

    def files(self, instrument: str) -> dict[str, str]:
        """Files of imported ratings of one instrument, by condition."""
        given = (("persona", self.persona), ("self", self.self_), ("toxic", self.toxic))
        own = {c: file if isinstance(file, str) else file.get(instrument) for c, file in given if file}
        return {condition: file for condition, file in own.items() if file}


class Family(Checked):
    """A base model and its variants, in the order in which they are shown."""

    key: Key
    label: str | None = None
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]

    @property
    def name(self) -> str:
        """How charts call it."""
        return self.label or self.key

    @property
    def base(self) -> Variant:
        """The one variant of role base."""
        return next(v for v in self.variants if v.role == "base")

    def of_instrument(self, key: str) -> "Family | None":
        """The variants of which there are ratings of personas with this instrument; None without those of the base."""
        there = {v.key: v for v in self.variants if "persona" in v.files(key)}
        own = [v for v in there.values() if v.of is None or v.of in there]
        if self.base.key not in there:
            return None
        cut = (v if v.control is None or v.control in there else v.model_copy(update={"control": None}) for v in own)
        return self.model_copy(update={"variants": tuple(cut)})


class StudyFile(Checked):
    """A study file as it is written; docs/asking.md shows one."""

    title: Annotated[str, Field(min_length=1)]
    about: str | None = None  # what the page says of the study at its head
    kind: Kind
    instrument: str = "mfq30"
    instruments: tuple[str, ...] = ()  # where there are several; headlines speak of the first
    texts: dict[str, Name] = Field(default_factory=dict)  # wording of items, by instrument: a file relative to the study file
    personas: str | None = None
    toxic: str = "toxic"
    protocol: Protocol = Protocol()
    conditions: tuple[Condition, ...] = ("persona", "self")
    budget_usd: Annotated[float, Field(gt=0)] | None = None
    endpoints: dict[str, Endpoint] = Field(default_factory=dict)
    weights: str | None = None  # of every base that names none
    local: Local = Local()
    source: Source | None = None
    columns: Columns | None = None
    published: str | None = None
    smallest: Smallest = Smallest()
    half: Annotated[float, Field(gt=0, lt=1)] = 0.5  # share of the base's pooled S below which personas count as gone
    cluster: Annotated[Cluster | None, _short("column")] = None
    reference: Annotated[Reference | None, _short("file")] = None
    verification: Verification | None = None
    tasks: tuple[Annotated[Task, _short("file")], ...] = ()  # with a right answer, asked without a persona
    contexts: dict[Key, Name] = Field(default_factory=dict)  # texts that can stand before a question, such as a trigger
    replies: StrictBool = True  # whether replies.html is made beside the report
    seed: int = 0
    families: Annotated[tuple[Family, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _first_instrument(cls, content: Any) -> Any:
        """`instrument` is the short form of a list of one."""
        if not isinstance(content, dict) or "instruments" not in content:
            return content
        if "instrument" in content:
            raise ValueError(
                "instrument and instruments are both given; instruments: [...] is enough, headlines speak of the first"
            )
        found = content["instruments"]
        return {**content, "instrument": found[0]} if isinstance(found, list) and found else content

    @model_validator(mode="before")
    @classmethod
    def _by_logprobs(cls, content: Any) -> Any:
        """Open weights are asked by logprobs, whether the file says so or not."""
        if not isinstance(content, dict) or content.get("kind") != "local" or not isinstance(content.get("protocol", {}), dict):
            return content
        return {**content, "protocol": {"method": "logprobs", **content.get("protocol", {})}}

    @field_validator("instruments")
    @classmethod
    def _some(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("is empty; name one questionnaire at least, such as [mfq30, ipip50]")
        return names

    @model_validator(mode="after")
    def _agrees(self) -> "StudyFile":
        """Every part with its neighbours; what does not agree is said at once."""
        checks = [partial(_unique, "families", [f.key for f in self.families])]
        for i, family in enumerate(self.families):
            checks.append(partial(self._check_family, f"families[{i}]", family))
            keys = {variant.key for variant in family.variants}
            # With doubled keys it cannot be said who names whom.
            for j, variant in enumerate(family.variants if len(keys) == len(family.variants) else ()):
                checks.append(partial(self._check_variant, f"families[{i}].variants[{j}]", family, variant))
        whole = [self._check_kind, self._check_conditions, self._check_prices, self._check_cluster, self._check_verification]
        gather([*checks, *whole, partial(_unique, "tasks", [task.key for task in self.tasks])])
        return self

    def _check_family(self, where: str, family: Family) -> None:
        for name, what in (("mean", "averages over families"), (verifying.JUDGE, "judges of answers")):
            if family.key == name:
                raise ValueError(f"{where}.key: {name!r} is reserved for {what}; choose another")
        _unique(f"{where}.variants", [v.key for v in family.variants])
        bases = [v.key for v in family.variants if v.role == "base"]
        if len(bases) != 1:
            raise ValueError(
                f"{where} ({family.key!r}): {len(bases)} variants of role base; expected exactly one; "
                "give further ones the role alternate"
            )

    def _check_variant(self, where: str, family: Family, variant: Variant) -> None:
        if variant.control is not None:
            others = [v.key for v in family.variants if v.key != variant.key and v.role == "control"]
            if variant.control not in others:
                raise ValueError(
                    f"{where}: control {variant.control!r} does not exist in family {family.key!r} as a variant of "
                    f"role control; {closest(variant.control, others)}"
                )
            if variant.role not in ("harmful", "mitigated"):
                raise ValueError(f"{where}: role {variant.role} names a control; only role harmful has one; remove it")
        self._check_of(where, family, variant)
        check_open_weights(where, family.variants, variant, self.kind, self.weights)
        check_treatment(where, family.variants, variant, self.kind, self.protocol)
        given = {"self" if name == "self_" else name for name in variant.model_fields_set}
        for name in sorted(given & set(_ONLY)):
            if _ONLY[name] != self.kind:
                raise ValueError(f"{where}.{name}: belongs to a study of kind {_ONLY[name]}, not {self.kind}; remove it")
        if self.kind == "simulated" and variant.model is not None:
            raise ValueError(f"{where}.model: belongs to a study of kind live or imported, not simulated; remove it")
        for name in _ORIGIN[self.kind]:
            if getattr(variant, name) is None:
                raise ValueError(f"{where}.{name}: is missing; a study of kind {self.kind} needs it")
        if self.kind == "live" and variant.endpoint not in self.endpoints:
            raise ValueError(
                f"{where}.endpoint: {variant.endpoint!r} is not among endpoints; "
                f"{closest(variant.endpoint or '', self.endpoints)}"
            )

    def _check_of(self, where: str, family: Family, variant: Variant) -> None:
        """A checkpoint or a treatment is one of another variant, which is none itself."""
        if variant.step is not None and variant.role == "base":
            raise ValueError(f"{where}.step: a base has not been fine-tuned; remove it")
        if variant.of is None:
            return
        others = [v.key for v in family.variants if v.key != variant.key and v.of is None and v.role != "base"]
        if variant.of not in others:
            raise ValueError(
                f"{where}: of {variant.of!r} does not exist in family {family.key!r} as another variant that is neither its base "
                f"nor a checkpoint itself; {closest(variant.of, others)}"
            )
        if variant.role == "base":
            raise ValueError(f"{where}: role base is of nothing; remove `of`")

    def _check_kind(self) -> None:
        given = self.model_fields_set
        belongs = {"endpoints": "live", "budget_usd": "live", "weights": "local", "local": "local",
                   "source": "imported", "columns": "imported", "seed": "simulated"}  # fmt: skip
        for name, kind in belongs.items():
            if name in given and self.kind != kind:
                raise ValueError(f"{name}: belongs to a study of kind {kind}, not {self.kind}; remove it")
        check_protocol(self.kind, self.protocol)
        if self.kind == "local" and (found := sorted(given & {"tasks", "verification"})):
            raise ValueError(
                f"{found[0]}: open weights are asked for ratings alone; serve them (vLLM) and ask as kind live, or remove it"
            )
        if self.kind == "imported" and (found := sorted(given & {"personas", "protocol", "conditions", "tasks", "toxic"})):
            raise ValueError(f"{found[0]}: what was asked stands in the imported files; remove it")

    def _check_conditions(self) -> None:
        if "persona" not in self.conditions:
            raise ValueError("conditions: 'persona' is missing; S and R need it; add it")
        _unique("conditions", list(self.conditions))

    def _check_cluster(self) -> None:
        if self.cluster is None:
            return
        if self.kind == "imported" and self.cluster.file is None:
            raise ValueError(
                f"cluster: imported personas have no deck with a column {self.cluster.column!r}; give a file that has it, as in "
                f"{{file: people.csv, column: {self.cluster.column}}}"
            )
        if self.kind != "imported" and self.cluster.file is not None:
            raise ValueError(
                f"cluster.file: belongs to a study of kind imported, not {self.kind}; name the column of the deck alone"
            )

    def _check_verification(self) -> None:
        if self.verification is not None:
            variants = [variant for family in self.families for variant in family.variants]
            verifying.check(self.verification, self.kind, self.contexts, self.endpoints, variants, self.budget_usd)

    def _check_prices(self) -> None:
        for i, family in enumerate(self.families):
            for j, variant in enumerate(family.variants):
                endpoint = self.endpoints.get(variant.endpoint or "")
                if self.budget_usd and endpoint and not (variant.price_per_million or endpoint.price_per_million):
                    raise ValueError(
                        f"families[{i}].variants[{j}]: budget_usd is set but no price_per_million is known for it; "
                        f"give endpoint {variant.endpoint!r} or the variant one"
                    )


def _unique(where: str, keys: list[str]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{where}: {key!r} stands {keys.count(key)} times; keys must differ; rename one")


def beside(path: Path, name: str) -> str | Path:
    """A file named by a path is relative to the study file; a bare name is one of ours."""
    return (path.parent / name).resolve() if "/" in name or name.endswith((".yaml", ".yml", ".csv", ".json")) else name
