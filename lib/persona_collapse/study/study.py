"""Studies: a checked file and everything it names, loaded whole before anything runs."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from persona_collapse import paths
from persona_collapse.input_errors import checked, closest, read_yaml
from persona_collapse.paths import PUBLISHED, ROOT, STUDIES, shown
from persona_collapse.study import clusters
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.personas import Persona, load_personas
from persona_collapse.study.study_file import Family, StudyFile, Variant

#: Letters of a key from which on a text that holds it is taken for one that holds a key.
_SHORTEST_KEY = 8


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
    def has_checkpoints(self) -> bool:
        """Whether some run is a checkpoint of another's training."""
        return any(run.variant.of and run.variant.step is not None for run in self.runs)

    def run(self, family: str, variant: str) -> Run:
        """The run of these keys; a KeyError names the nearest there is."""
        key = f"{family}/{variant}"
        for run in self.runs:
            if run.key == key:
                return run
        known = [run.key for run in self.runs]
        raise ValueError(f"{shown(self.path)}: no run {key!r}; {closest(key, known)}")

    def conditions(self, run: Run) -> tuple[str, ...]:
        """Conditions in which a run is asked: toxic characters are asked of bases only."""
        if self.file.kind == "imported":
            return tuple(run.variant.files(self.instrument.key))
        return tuple(c for c in self.file.conditions if c != "toxic" or run.variant.role == "base")

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
        return () if self.personas is None else load_personas(_beside(self.path, self.file.personas or "everyday"))

    def stack(self, run: Run) -> str:
        """Who served the weights: as declared, else the endpoint's name, else the kind."""
        return run.variant.stack or run.variant.endpoint or self.file.kind

    def conditions_asked(self) -> Iterator[tuple[Run, str]]:
        """Every run with every condition it is asked in."""
        return ((run, condition) for run in self.runs for condition in self.conditions(run))


def study_path(name: str | Path) -> Path:
    """The file of a study given by a path, by its name in params/studies/, or by that of the folder it has in outputs/."""
    text = str(name)
    if text.endswith((".yaml", ".yml")) or "/" in text:
        return Path(text).resolve()
    path = STUDIES / f"{text}.yaml"
    return path if path.is_file() else _owner(text) or path


def _owner(name: str) -> Path | None:
    """The study file that the ratings in outputs/<name>/ belong to, as their store says; None where there are none."""
    store = paths.OUTPUTS / name / "ratings.sqlite"
    if not store.is_file():
        return None
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=rw", uri=True)) as db:  # a killed writer may have left it open
        try:
            found = db.execute("SELECT value FROM meta WHERE key = 'study'").fetchone()
        except sqlite3.DatabaseError:
            return None  # what is wrong with it is said where it is opened
    return ROOT / found[0] if found else None


def _unknown(name: str | Path, path: Path) -> FileNotFoundError:
    """No such study: the nearest there is, by name, beside the path, or in the present folder."""
    if (paths.OUTPUTS / str(name) / "ratings.sqlite").is_file() and "/" not in str(name):
        return FileNotFoundError(
            f"{shown(path)}: is gone, and {shown(paths.OUTPUTS / str(name))} holds the ratings of that study file; put it back"
        )
    known = {p.stem for p in STUDIES.glob("*.yaml")} | {p.parent.name for p in paths.OUTPUTS.glob("*/ratings.sqlite")}
    # A file of the name with the other ending, or with one at all, is what was meant.
    bare = re.sub(r"\.ya?ml$", "", str(name))
    beside = [Path(f"{bare}{ending}") for ending in (".yaml", ".yml")]
    near = next((f"did you mean {str(other)!r}?" for other in beside if other.is_file()), closest(path.stem, sorted(known)))
    return FileNotFoundError(f"{shown(path)}: no such study (a path works too); {near}")


def load_study(name: str | Path, data: str | Path | None = None, *, files: bool = True) -> Study:
    """Load a study and check everything it names before anything runs.

    `name` is a name in params/studies/ or a path to a YAML file; `data` is the folder that an imported study's files are
    relative to (default: what `make published` fetched); without `files` they are not looked for, which is enough to read
    a store that is already filled. Raises FileNotFoundError or ValueError: one line that names the
    file, the place, what was found, what was expected and what to do.
    """
    path = study_path(name)
    if not path.is_file():
        raise _unknown(name, path)
    if not path.stem.strip(".") or not path.stem.isprintable():
        # Its outputs go to a folder of this name.
        raise ValueError(f"{shown(path)!a}: its name cannot name a folder; expected letters, digits and dashes; rename it")
    file = checked(path, StudyFile, read_yaml(path))
    instrument = load_instrument(_beside(path, file.instrument))
    if file.protocol.method == "logprobs":
        _check_digits(path, instrument)
    if file.kind == "live" and instrument.scale[0] < 0:
        raise ValueError(
            f"{shown(path)}, instrument: the scale of {instrument.key!r} begins at {instrument.scale[0]}, and a reply's "
            f"sign is not "
            "read; renumber its points from 0 or 1"
        )
    if file.published is not None and not (ROOT / file.published).is_file():
        raise FileNotFoundError(
            f"{shown(path)}, published: {file.published} does not exist; expected a file in {shown(PUBLISHED)}"
        )
    if files and file.reference and not (path.parent / file.reference.file).is_file():
        raise FileNotFoundError(
            f"{shown(path)}, reference: {file.reference.file} does not exist in {shown(path.parent)}; expected a file of "
            "ratings, relative to the study file; correct the name"
        )
    personas = toxic = None
    folder = None
    if file.kind == "imported":
        folder = _data_folder(path, file, data) if files else None
    else:
        personas = load_personas(_beside(path, file.personas or "everyday"), file.protocol.personas)
        toxic = load_personas(_beside(path, file.toxic)) if "toxic" in file.conditions else None
    if file.kind == "simulated":
        # Costs nothing and finds a misspelt run before half a study has been made.
        from persona_collapse.study.respondent_parameters import load_respondent

        for i, family in enumerate(file.families):
            for j, variant in enumerate(family.variants):
                where = f"{shown(path)}, families[{i}].variants[{j}].figures"
                try:
                    respondent = load_respondent(variant.figures or "", instrument)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
                if "toxic" in file.conditions and variant.role == "base" and respondent.toxic is None:
                    raise ValueError(
                        f"{where}: {variant.figures!r} has none for the condition toxic; "
                        "name those of a base, or leave toxic out of conditions"
                    )
    return Study(path, file, folder, instrument, personas, toxic, clusters=_clusters(path, file, personas))


def _clusters(path: Path, file: StudyFile, personas: tuple[Persona, ...] | None) -> tuple[str, ...]:
    """The clusters of a deck; none yet of imported personas, whose file is looked at and read when their ids are known."""
    where, named = f"{shown(path)}, cluster", file.cluster
    if named and named.file:
        clusters.in_file(where, path.parent / named.file, named.column)
    return clusters.of_deck(where, named.column, personas) if named and personas else ()


def check_keys(study: Study) -> None:
    """Refuse a live study whose key variables are not set; the keys themselves are not looked at."""
    for name, endpoint in study.file.endpoints.items():
        used = any(run.variant.endpoint == name for run in study.runs)
        if used and endpoint.api_key_env and not endpoint.key():
            raise ValueError(
                f"{shown(study.path)}, endpoints.{name}: {endpoint.api_key_env} is not set; "
                "export it, or use the demo study, which needs no key"
            )


def _beside(path: Path, name: str) -> str | Path:
    """A file named by a path is relative to the study file; a bare name is one of ours."""
    return (path.parent / name).resolve() if "/" in name or name.endswith((".yaml", ".yml", ".csv", ".json")) else name


def keys(study: Study) -> dict[str, str]:
    """Keys of a study's endpoints as the environment holds them now, by the names of their variables.

    Without those that are so short, such as x for an endpoint that wants none, that they may be a word of any text.
    """
    found = {e.api_key_env: e.key().strip() for e in study.file.endpoints.values() if e.api_key_env}
    return {name: key for name, key in found.items() if len(key) >= _SHORTEST_KEY}


def _check_digits(path: Path, instrument: Instrument) -> None:
    """Method logprobs reads one token: the instrument must ask for a digit, and its scale must fit into one."""
    where = f"{shown(path)}, protocol.method: logprobs"
    if instrument.digit_suffix is None:
        raise ValueError(
            f"{where} needs an instrument with a digit_suffix, which {instrument.key!r} lacks; add one to it, or use samples"
        )
    if instrument.scale[1] > 9:
        raise ValueError(
            f"{where} reads one digit, but the scale of {instrument.key!r} goes up to {instrument.scale[1]}; use samples"
        )


def _data_folder(path: Path, file: StudyFile, data: str | Path | None) -> Path:
    if data is not None:
        folder = Path(data).expanduser().resolve()
    elif file.source is not None:
        folder = paths.FETCHED / path.stem / file.source.folder
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{shown(path)}: its ratings are not here yet; run `make published` to fetch them, or give DATA=<folder>"
            )
    else:
        folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; DATA is the folder that the files of {shown(path)} are relative to")
    for i, family in enumerate(file.families):
        for j, variant in enumerate(family.variants):
            for condition, given in (("persona", variant.persona), ("self", variant.self_), ("toxic", variant.toxic)):
                for name in given.values() if isinstance(given, dict) else (given,):
                    if name is not None and not (folder / name).is_file():
                        raise FileNotFoundError(
                            f"{shown(path)}, families[{i}].variants[{j}].{condition}: {name} does not exist in {shown(folder)}; "
                            "correct the name or DATA"
                        )
    return folder
