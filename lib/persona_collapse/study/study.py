"""Studies: a checked file and everything it names, and what follows from both."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from persona_collapse import paths
from persona_collapse.input_errors import closest, listing
from persona_collapse.paths import shown
from persona_collapse.study import clusters
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.open_questions import OpenQuestion, load_questions, load_rubrics
from persona_collapse.study.personas import Persona, load_personas
from persona_collapse.study.study_file import Family, Protocol, StudyFile, Variant, beside
from persona_collapse.study.tasks import TaskSet, load_items, task_file
from persona_collapse.study.verification import JUDGE


@dataclass(frozen=True)
class Run:
    """One variant of one family: what is asked, measured and shown as a unit."""

    family: Family
    variant: Variant

    def __hash__(self) -> int:  # by name: what a study file says of a run would be hashed whole each time
        return hash(self.key)

    @cached_property
    def key(self) -> str:
        """family/variant, as in file names."""
        return f"{self.family.key}/{self.variant.key}"

    @property
    def keys(self) -> tuple[str, str]:
        """Keys of family and variant, as in tables."""
        return self.family.key, self.variant.key

    @property
    def name(self) -> str:
        """How prose calls it."""
        return f"{self.family.name} {self.variant.name}"


@dataclass(frozen=True)
class Study:
    """A checked study: its file, and everything the file names."""

    path: Path
    file: StudyFile
    data: Path | None
    instrument: Instrument
    personas: tuple[Persona, ...] | None
    toxic: tuple[Persona, ...] | None
    as_read: str = ""  # a prompt as open weights read it, where it is known
    read_with: str = ""  # and the libraries and device that read them
    served_simulated: bool = False  # a live or imported study whose ratings are of simulated respondents
    further: tuple[Instrument, ...] = ()  # instruments beside the first
    labels: tuple[str, ...] = ()  # ids of the personas of imported ratings or of a data frame, by row; a deck has none
    clusters: tuple[str, ...] = ()  # the cluster of each persona, by row; empty where each was drawn by itself

    @property
    def name(self) -> str:
        """The stem of the study file; names the folder of its outputs."""
        return self.path.stem

    @property
    def outputs(self) -> Path:
        """The folder of everything this study leaves."""
        return paths.OUTPUTS / self.name

    @property
    def store_path(self) -> Path:
        """The SQLite file with its ratings."""
        return self.outputs / "ratings.sqlite"

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Every instrument that was asked, in the order in which they are shown."""
        return (self.instrument, *self.further)

    @property
    def finished(self) -> "Study":
        """The study without checkpoints and treatments."""
        families = (f.model_copy(update={"variants": tuple(v for v in f.variants if v.of is None)}) for f in self.file.families)
        return replace(self, file=self.file.model_copy(update={"families": tuple(families)}))

    @property
    def notebooks(self) -> Path:
        """The folder of its executed notebooks; those about another instrument than the first have one of their own."""
        folder = self.outputs / "notebooks"
        return folder if self.of_first else folder / self.instrument.key

    @property
    def page(self) -> str:
        """The name of its page in `outputs`."""
        return f"report{self.suffix}.html"

    @property
    def replies_page(self) -> str:
        """The name of the page with its replies."""
        return f"replies{self.suffix}.html"

    @property
    def suffix(self) -> str:
        """What names of pages end with, where they are of another instrument than the first."""
        return "" if self.of_first else f"-{self.instrument.key}"

    @property
    def of_first(self) -> bool:
        """Whether its instrument is the first of those that the file names, of which headlines speak."""
        return self.instrument.key == Path(self.file.instrument).stem

    @property
    def each(self) -> "tuple[Study, ...]":
        """The study of each instrument alone, in their order."""
        return tuple(self.of_instrument(one.key) for one in self.instruments)

    def of_instrument(self, key: str) -> "Study":
        """The study of one of its instruments alone: of imported files, with the runs that have some of it."""
        found = next((one for one in self.instruments if one.key == key), None)
        if found is None:
            raise ValueError(f"instrument: found {key!r}; expected one of {listing(one.key for one in self.instruments)}")
        alone = replace(self, instrument=found, further=())
        if not self.further:
            return self
        if not alone.of_first:  # what was printed, and what people answered, is of the first
            own = {"published": None, "reference": None, "verification": None, "protocol": self.file.protocol.of_further()}
            alone = replace(alone, file=self.file.model_copy(update=own))
        if self.file.kind != "imported":
            return alone
        families = tuple(cut for family in self.file.families if (cut := family.of_instrument(key)) is not None)
        return replace(alone, file=alone.file.model_copy(update={"families": families}))

    @property
    def simulated(self) -> bool:
        """Whether its ratings were made by the simulated respondents."""
        return self.file.kind == "simulated"

    @property
    def by_logprobs(self) -> bool:
        """Whether a cell is asked once for its distribution over the scale, and not sampled."""
        return self.file.protocol.method == "logprobs"

    @property
    def is_evidence(self) -> bool:
        """Whether its ratings say anything about a model: simulated respondents, served or not, do not."""
        return not (self.simulated or self.served_simulated)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every variant of every family, in the file's order."""
        return tuple(Run(family, variant) for family in self.file.families for variant in family.variants)

    @property
    def has_verification(self) -> bool:
        """Whether its runs are asked open questions, or summaries of such answers were imported."""
        return self.file.verification is not None

    @property
    def has_checkpoints(self) -> bool:
        """Whether some run is a checkpoint of another's training."""
        return any(run.variant.of and run.variant.step is not None for run in self.runs)

    @property
    def has_treatments(self) -> bool:
        """Whether some run is a harmful variant treated."""
        return any(run.variant.role == "mitigated" for run in self.runs)

    @property
    def has_tasks(self) -> bool:
        """Whether its runs were given tasks with a right answer."""
        return self.of_first and bool(self.file.tasks or any(run.variant.tasks for run in self.runs))

    @cached_property
    def tasks(self) -> tuple[TaskSet, ...]:
        """The tasks that its runs are asked, with how they are; none of imported ones, whose files hold the answers."""
        found, protocol = [], self.file.protocol
        for named in self.file.tasks:
            items = load_items(task_file(self.path, named.file))
            read = named.read or ("whole" if items[0].choices else "marker")
            room = 8 if read == "whole" else 512
            temperature = protocol.temperature if named.temperature is None else named.temperature
            of_each = named.repetitions or protocol.repetitions, temperature, named.max_tokens or room
            found.append(TaskSet(named.key, items, read, *of_each))
        return tuple(found)

    @cached_property
    def judges(self) -> tuple[Run, ...]:
        """Who judges answers to open questions, as runs of a family of their own."""
        named = self.file.verification.judges if self.file.verification else ()
        names = ("key", "endpoint", "model", "served_model", "price_per_million")
        variants = tuple(Variant(role="alternate", **{name: getattr(one, name) for name in names}) for one in named)
        family = Family.model_construct(key=JUDGE, label="judge", variants=variants)
        return tuple(Run(family, variant) for variant in variants)

    @cached_property
    def open_questions(self) -> tuple[OpenQuestion, ...]:
        """The questions of its verification; none without, or where it is imported."""
        named = self.file.verification
        return load_questions(self.path, named.questions) if named and named.summary is None else ()

    @cached_property
    def rubrics(self) -> dict[str, str]:
        """What its judges are asked, by what they rate."""
        named = self.file.verification
        return load_rubrics(self.path, named.rubrics) if named and named.summary is None else {}

    def asked_of(self, family: str, variant: str) -> Run:
        """The run of these keys, or the judge."""
        return next((one for one in self.judges if one.keys == (family, variant)), None) or self.run(family, variant)

    def run(self, family: str, variant: str) -> Run:
        """The run of these keys; a KeyError names the nearest there is."""
        key = f"{family}/{variant}"
        for run in self.runs:
            if run.key == key:
                return run
        known = [run.key for run in self.runs]
        raise ValueError(f"{shown(self.path)}: no run {key!r}; {closest(key, known)}")

    def conditions(self, run: Run) -> tuple[str, ...]:
        """Conditions in which a run is asked: toxic characters of bases only, with the first instrument."""
        if self.file.kind == "imported":
            return tuple(run.variant.files(self.instrument.key))
        return tuple(c for c in self.file.conditions if c != "toxic" or (run.variant.role == "base" and self.of_first))

    def persona_name(self, row: int) -> str:
        """How notes and errors call a persona: by its id where it has one, else by its number in the deck, from 1."""
        return self.labels[row] if row < len(self.labels) else str(row + 1)

    @cached_property
    def cluster_names(self) -> tuple[str, ...]:
        """Names of the clusters in the order in which personas name them; none where every persona is a cluster of its own."""
        names = tuple(dict.fromkeys(self.clusters))
        return names if len(names) < len(self.clusters) else ()

    def unit_name(self, number: int) -> str:
        """How notes call what an interval leaves out: a persona by its row, or a cluster by its place in `cluster_names`."""
        names = self.cluster_names
        return f"cluster {names[number]}" if names else f"persona {self.persona_name(number)}"

    def clustered(self, labels: tuple[str, ...]) -> "Study":
        """The study with these ids of its imported personas, and with the clusters that a file names for them."""
        named, own = self.file.cluster, self.clusters
        if labels and named and named.file:
            own = clusters.of_file(f"{shown(self.path)}, cluster", self.path.parent / named.file, named.column, labels)
        return replace(self, labels=labels, clusters=own)

    def persona_line(self, row: int) -> str:
        """How lists and charts call a persona: its number and its words, its id, or its number alone."""
        if self.personas and row < len(self.personas):
            return f"{row + 1}. {self.personas[row].text}"
        return f"persona {self.labels[row] if row < len(self.labels) else row + 1}"

    def deck(self, condition: str) -> tuple[Persona, ...] | None:
        """The personas of a condition, None for self."""
        return {"persona": self.personas, "toxic": self.toxic}.get(condition)

    def whole_deck(self) -> tuple[Persona, ...]:
        """Every persona of the deck, also those that the protocol leaves out; none of an imported study."""
        return () if self.personas is None else load_personas(beside(self.path, self.file.personas or "everyday"))

    def stack(self, run: Run) -> str:
        """Who served the weights: as declared, else the endpoint's name, else the kind."""
        return self.known_stack(run) or self.file.kind

    def protocol_of(self, key: str) -> Protocol:
        """How a cell of one of its instruments is asked, by the key of the instrument."""
        protocol = self.file.protocol
        return protocol if not self.further or key == self.instrument.key else protocol.of_further()

    def known_stack(self, run: Run) -> str:
        """As `stack`, but empty where nobody says who served the weights."""
        return run.variant.stack or run.variant.endpoint or ("" if self.file.kind == "imported" else self.file.kind)

    def conditions_asked(self) -> Iterator[tuple[Run, str]]:
        """Every run with every condition it is asked in."""
        return ((run, condition) for run in self.runs for condition in self.conditions(run))
