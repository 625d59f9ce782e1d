"""Loading a study: its file and everything the file names, checked whole before anything runs."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from persona_collapse import paths
from persona_collapse.input_errors import checked, closest, listing, read_yaml
from persona_collapse.paths import PUBLISHED, ROOT, STUDIES, shown
from persona_collapse.study import clusters
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.personas import Persona, load_personas
from persona_collapse.study.study import Study
from persona_collapse.study.study_file import StudyFile, beside
from persona_collapse.study.wording import combinations

#: Letters of a key from which on a text that holds it is taken for one that holds a key.
_SHORTEST_KEY = 8


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
    instrument, *further = _instruments(path, file)
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
        personas = load_personas(beside(path, file.personas or "everyday"), file.protocol.personas)
        toxic = load_personas(beside(path, file.toxic)) if "toxic" in file.conditions else None
    if file.kind == "simulated":
        _check_figures(path, file, instrument)
    found = Study(
        path, file, folder, instrument, personas, toxic, further=tuple(further), clusters=_clusters(path, file, personas)
    )
    _check_files(found)
    # Read now: what is wrong with them is said first.
    assert found.open_questions is not None and found.rubrics is not None and found.tasks is not None
    return found


def _instruments(path: Path, file: StudyFile) -> list[Instrument]:
    """The instruments of a study, each fit for what the study does with it, with the wording that the study names."""
    found: list[Instrument] = []
    for name in file.instruments or (file.instrument,):
        one = load_instrument(beside(path, name))
        where = f"{shown(path)}, instrument{'s' * bool(file.instruments)}"
        if one.key in [other.key for other in found]:
            raise ValueError(
                f"{where}: {one.key!r} stands twice; an instrument goes by the name of its file; remove or rename one"
            )
        if one.key in file.texts:
            one = one.with_texts((path.parent / file.texts[one.key]).resolve())
        if file.kind != "imported" and not one.worded:
            raise ValueError(
                f"{where}: {one.key!r} comes without the wording of its items, so nobody can be asked; give the wording, as in "
                f"texts: {{{one.key}: items.csv}} (columns item and text), or import ratings"
            )
        for levels in combinations(file.protocol.vary):
            try:
                one.worded_as(levels)
            except ValueError as error:
                raise ValueError(f"{shown(path)}, protocol.vary, {error}") from None
        if file.protocol.method == "logprobs":
            _check_digits(path, one)
        if file.kind == "live" and one.scale[0] < 0:
            raise ValueError(
                f"{where}: the scale of {one.key!r} begins at {one.scale[0]}, and a reply's sign is not read; renumber its "
                "points from 0 or 1"
            )
        found.append(one)
    for name in file.texts:
        if name not in [one.key for one in found]:
            raise ValueError(
                f"{shown(path)}, texts.{name}: is no instrument of the study; {closest(name, [one.key for one in found])}"
            )
    return found


def named_instruments(study: Study) -> list[Instrument]:
    """Every instrument that a study's file names, also where the study at hand is that of one of them."""
    if study.further or not study.file.instruments:
        return list(study.instruments)
    return _instruments(study.path, study.file)


def _check_figures(path: Path, file: StudyFile, instrument: Instrument) -> None:
    """Refuse figures that no simulated respondent imitates: costs nothing, and finds them before half a study has been made."""
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


def _check_files(study: Study) -> None:
    """Files of several instruments go by their keys, and every variant has one of personas of the first."""
    if study.file.kind != "imported":
        return
    keys, first = [one.key for one in study.instruments], study.instrument.key
    for i, family in enumerate(study.file.families):
        for j, variant in enumerate(family.variants):
            where = f"{shown(study.path)}, families[{i}].variants[{j}]"
            for name, given in (("persona", variant.persona), ("self", variant.self_), ("toxic", variant.toxic)):
                if isinstance(given, str) and len(keys) > 1:
                    raise ValueError(
                        f"{where}.{name}: {given!r} does not say of which instrument it is; "
                        f"write {name}: {{{first}: {given}}}, with a file for each of {listing(keys)} that there is"
                    )
                for key in given if isinstance(given, dict) else ():
                    if key not in keys:
                        raise ValueError(f"{where}.{name}: {key!r} is no instrument of the study; {closest(key, keys)}")


def _clusters(path: Path, file: StudyFile, personas: tuple[Persona, ...] | None) -> tuple[str, ...]:
    """The clusters of a deck; none yet of imported personas, whose file is looked at and read when their ids are known."""
    where, named = f"{shown(path)}, cluster", file.cluster
    if named and named.file:
        clusters.in_file(where, path.parent / named.file, named.column)
    return clusters.of_deck(where, named.column, personas) if named and personas else ()


def check_keys(study: Study) -> None:
    """Refuse a live study whose key variables are not set; the keys themselves are not looked at."""
    for name, endpoint in study.file.endpoints.items():
        used = any(run.variant.endpoint == name for run in (*study.runs, *study.judges))
        if used and endpoint.api_key_env and not endpoint.key():
            raise ValueError(
                f"{shown(study.path)}, endpoints.{name}: {endpoint.api_key_env} is not set; "
                "export it, or use the demo study, which needs no key"
            )


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
            ratings = (("persona", variant.persona), ("self", variant.self_), ("toxic", variant.toxic), ("tasks", variant.tasks))
            for condition, given in ratings:
                for name in given.values() if isinstance(given, dict) else (given,):
                    if name is not None and not (folder / name).is_file():
                        raise FileNotFoundError(
                            f"{shown(path)}, families[{i}].variants[{j}].{condition}: {name} does not exist in {shown(folder)}; "
                            "correct the name or DATA"
                        )
    return folder
