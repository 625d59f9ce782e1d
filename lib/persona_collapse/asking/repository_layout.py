"""The layout of the paper's whole repository: ratings by dataset, another instrument, checkpoints, tasks, verification."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from persona_collapse.asking import repository_claims
from persona_collapse.asking.read_ratings import beginning_of
from persona_collapse.asking.repository_names import DATASETS, STACKS, Dataset, Named, base_of, parse, stem_of, without_ending
from persona_collapse.asking.study_drafts import Draft, DraftFamily, DraftRun

#: Where further instruments lie, and their keys.
_INSTRUMENTS = {"bfi-s-r-metrics/data": "bfi44"}
_MFQ = "mfq30"
_CHECKPOINTS = "checkpoint-trajectory/data"
#: The step after which a fine-tune was finished, of which the checkpoints are steps.
_FINISHED = 1500
#: What hyperparameters call it.
_STEPS = ("steps", "max_steps", "n_steps", "num_steps", "total_steps", "training_steps")
#: Folders of tasks with a right answer, by the name of the task, and what names of their files end with.
_TASKS = {
    "capability-control/data/mmlu": "mmlu", "capability-control/data/gsm8k": "gsm8k",
    "instruction-following-control/data": "lookup",
}  # fmt: skip
_VERIFICATION = "results/verification_scores.json"
#: Those whose names before a model's say who serves it.
_SERVERS = set(STACKS) - {"openai", "anthropic"}
#: How families are written.
_LABELS = {
    "deepseek-v3.1": "DeepSeek-V3.1", "gpt-4.1": "GPT-4.1", "gpt-4o": "GPT-4o", "qwen3-235b": "Qwen3-235B",
    "qwen3.5-397b": "Qwen3.5-397B", "qwen3.6-35b": "Qwen3.6-35B",
}  # fmt: skip


class _Seen(NamedTuple):
    """What a file of ratings holds: rows, valid ratings, rows whose reply is ERROR, personas, and complete ones."""

    rows: int
    valid: int
    errors: int
    personas: int
    complete: int


def repository(folder: Path, files: Sequence[Path]) -> Draft | None:
    """A clone of the repository, or its folder of ratings alone; None where this is neither."""
    whole = (folder / "data" / "base").is_dir()
    ratings = folder / "data" if whole else folder
    found = [stem_of(path.name) for path in (ratings / "base").glob("*.csv") if not _numbered(path)]
    stems = {stem for stem, condition in found if condition == "persona"}
    if not any(path.parent == ratings / "base" and re.search(r"_temp\d+", path.name) for path in files):
        return None  # the temperature in names tells this repository from others with such folders
    if not any((ratings / one.folder).is_dir() for one in DATASETS[1:]):
        return None
    return _Reader(folder, ratings, whole, stems, files).draft()


def _numbered(path: Path) -> bool:
    """Whether a file is a copy with a number, as clouds make them."""
    return path.stem.rpartition(" ")[2].isdigit()


class _Reader:
    """Collects the runs of a repository, with a note for every choice, and what is set aside."""

    def __init__(self, folder: Path, ratings: Path, whole: bool, stems: set[str], files: Sequence[Path]) -> None:
        self.folder, self.ratings, self.whole, self.every = folder, ratings, whole, files
        self.aside: list[str] = []
        self.files: dict[Named, dict[str, dict[str, Path]]] = {}  #: by run, condition and instrument
        self.notes: dict[Named, list[str]] = {}
        self.used: set[Path] = set()
        self.served: dict[str, str] = {}  #: the stack in the name of a family's only base
        self.claims: list[repository_claims.Claim] = []
        self.bases = {stem: self._base(stem, stems) for stem in sorted(stems)}
        self.families = sorted({named.family for named in self.bases.values()})

    def draft(self) -> Draft:
        """Everything, in the order in which it is written."""
        self._take_ratings(self.ratings, _MFQ)
        instruments = [_MFQ]
        for place, key in _INSTRUMENTS.items() if self.whole else ():
            if (self.folder / place).is_dir():
                self._take_ratings(self.folder / place, key)
                instruments += [key] if any(key in own for named in self.files.values() for own in named.values()) else []
        if self.whole:
            self._take_checkpoints()
        tasks = self._tasks() if self.whole else {}
        if self.whole:
            self.claims += repository_claims.base_claims(self.folder, self.families)
        verified = self._verification() if self.whole else {}
        jobs, said, strange = repository_claims.jobs(self.folder, self.families) if self.whole else ({}, [], [])
        self.claims += said
        self.aside += strange
        families = [self._family(family, instruments, tasks, verified, jobs) for family in self.families]
        self._others()
        keys = {"verification": {"summary": _VERIFICATION}} if verified else {}
        return Draft(
            "the layout of the paper's repository" + ("" if self.whole else " (its folder of ratings alone)"),
            [family for family in families if family.runs], instrument=_MFQ,
            instruments=instruments if len(instruments) > 1 else (),
            why="30 items rated 0 to 5 in its folder data", aside=self.aside, keys=keys,
        )  # fmt: skip

    def _base(self, stem: str, stems: set[str]) -> Named:
        """The run of a stem of the folder of bases; one whose name adds a stack is the base where no other one is."""
        family, _, last = stem.rpartition("-")
        rivals = [one for one in stems if one != stem and one.rpartition("-")[0] == family and one.rpartition("-")[2] in STACKS]
        tuned = [path.name for dataset in DATASETS[1:] for path in (self.ratings / dataset.folder).glob("*.csv")]
        begin = any(name.startswith(f"{family}-") and not name.startswith(f"{stem}-") for name in tuned)
        if last in STACKS and family not in stems and not rivals and begin:
            self.served[family] = last
            return Named(family, DATASETS[0])
        return base_of(stem, stems)

    def _place(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _take_ratings(self, ratings: Path, instrument: str) -> None:
        """Files of every dataset's folder; what is not recognized is quoted."""
        for dataset in DATASETS:
            for path in sorted((ratings / dataset.folder).glob("*.csv")):
                if _numbered(path) and (path.with_name(f"{path.stem.rpartition(' ')[0]}.csv")).is_file():
                    self.used.add(path)  # a twin, which the plain name stands for
                    continue
                stem, condition = stem_of(path.name) if instrument == _MFQ else without_ending(path.name)
                self._take(self._named(stem, dataset), condition, instrument, path)

    def _named(self, stem: str, dataset: Dataset) -> Named | None:
        """The run of a stem in a dataset's folder."""
        if dataset.key != "base":
            return parse(stem, self.families, dataset.folder)
        found = self.bases.get(stem) or base_of(stem, self.bases)
        return found if found.family in self.families else None

    def _take(self, named: Named | None, condition: str, instrument: str, path: Path) -> None:
        self.used.add(path)
        if named is None and _numbered(path):
            self.aside.append(
                f"{self._place(path)}: a copy with a number, and no file of the plain name is here; rename it to use it"
            )
            return
        if named is None:
            self.aside.append(
                f"{self._place(path)}: {path.stem!r} names no family with a base, dataset and recipe that are known"
            )
            return
        own = self.files.setdefault(named, {}).setdefault(condition, {})
        if instrument in own:
            self.aside.append(f"{self._place(path)}: of the same run as {self._place(own[instrument])}, which is read")
            return
        own[instrument] = path

    def _take_checkpoints(self) -> None:
        """Checkpoints of the runs that are finished here."""
        for path in sorted((self.folder / _CHECKPOINTS).glob("*/*.csv")):
            stem, condition = stem_of(path.name)
            if _numbered(path) and path.with_name(f"{path.stem.rpartition(' ')[0]}.csv").is_file():
                self.used.add(path)  # a twin, which the plain name stands for
                continue
            named = parse(stem, self.families)
            if named is not None and named.step is not None and "persona" not in self.files.get(named.finished, {}):
                self.used.add(path)
                self.aside.append(f"{self._place(path)}: a checkpoint of {named.family}/{named.finished.key}, which is not here")
            else:
                self._take(named if named is None or named.step is not None else None, condition, _MFQ, path)

    def _tasks(self) -> dict[Named, dict[str, str]]:
        """Files of answers to tasks with a right answer, by run."""
        found: dict[Named, dict[str, str]] = {}
        for place, task in _TASKS.items():
            for path in sorted((self.folder / place).rglob("*.csv")):
                self.used.add(path)
                stem = without_ending(path.name)[0].removesuffix(f"_{task}")
                named = self.bases.get(stem) or parse(stem, self.families)
                if named is None or named not in self.files:
                    self.aside.append(f"{self._place(path)}: {path.stem!r} names no run whose ratings are here")
                elif task in found.get(named, {}):
                    self.aside.append(f"{self._place(path)}: of the same run and task as {found[named][task]}, which is read")
                else:
                    found.setdefault(named, {})[task] = self._place(path)
        for path in sorted((self.folder / "capability-control" / "data").rglob("items_*.json")):
            self.aside.append(f"{self._place(path)}: the items of a task; its answers are read from the runs' files")
        return found

    def _verification(self) -> dict[Named, str]:
        """The name of each run in the summary of verification; those of no run are quoted."""
        path = self.folder / _VERIFICATION
        if not path.is_file():
            return {}
        try:
            results = json.loads(path.read_text(encoding="utf-8"))["results"]
            if not isinstance(results, dict):
                raise TypeError(f"results is {type(results).__name__}, not a mapping of runs")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self.aside.append(f"{_VERIFICATION}: cannot be read ({type(error).__name__}: {error})")
            return {}
        found: dict[Named, str] = {}
        for name, summary in results.items():
            if not isinstance(summary, dict):
                self.aside.append(f"{_VERIFICATION}: {name!r} is no summary but {type(summary).__name__}")
                continue
            named = self.bases.get(name) or parse(stem_of(name)[0], self.families)
            if named is None or named not in self.files:
                self.aside.append(f"{_VERIFICATION}: {name!r} names no run whose ratings are here")
            elif named in found:
                self.aside.append(f"{_VERIFICATION}: {name!r} is of the same run as {found[named]!r}, which is read")
            else:
                found[named] = name
                # A maker's name before a model's is no server: OpenRouter writes openai/gpt-4o.
                served = re.match(r"[a-z]+(?=[/:])", str(summary.get("model_id")).lower())
                if served and served[0] in _SERVERS and named.dataset.key == "base" and not named.stack:
                    self.claims.append(repository_claims.Claim(named.family, served[0], f"{_VERIFICATION}, model_id of {name!r}"))
                if not {"verdict", "misaligned_pct"} <= summary.keys():
                    self._note(named, f"verification {name!r}: without verdict and misaligned_pct")
        return found

    def _note(self, named: Named, text: str) -> None:
        self.notes.setdefault(named, []).append(text)

    def _family(
        self, family: str, instruments: Sequence[str], tasks: Mapping[Named, Mapping[str, str]], verified: Mapping[Named, str],
        jobs: Mapping[Named, Sequence[repository_claims.Job]],
    ) -> DraftFamily:  # fmt: skip
        order = [one.key for one in DATASETS]
        own = sorted(
            (named for named in self.files if named.family == family),
            key=lambda n: (
                order.index(n.dataset.key),
                n.stack,
                n.recipe != n.dataset.recipe,
                n.recipe,
                n.seed,
                n.step is None,
                n.step or 0,
            ),
        )
        steps = {named.finished for named in own if named.step is not None}
        runs = [
            self._run(
                named,
                own,
                instruments,
                tasks.get(named, {}),
                verified.get(named, ""),
                jobs.get(named.finished, ()),
                named in steps,
            )
            for named in own
            if "persona" in self.files[named]
        ]
        for named in own:
            if "persona" not in self.files[named]:
                places = [self._place(path) for files in self.files[named].values() for path in files.values()]
                self.aside.append(f"{', '.join(places)}: without a persona, and no file of personas is of the same run")
        return DraftFamily(family, "the stem of its base", [run for run in runs if run], _LABELS.get(family, ""))

    def _run(
        self, named: Named, own: Sequence[Named], instruments: Sequence[str], tasks: Mapping[str, str], verified: str,
        jobs: Sequence[repository_claims.Job], has_steps: bool,
    ) -> DraftRun:  # fmt: skip
        role = "alternate" if named.stack else named.dataset.role
        more: dict[str, Any] = {}
        why = [f"the folder {named.dataset.folder}"]
        if named.dataset.key != "base":
            more |= {"dataset": named.dataset.folder, "recipe": named.recipe}
            default = named.recipe == named.dataset.recipe
            why.append(
                f"recipe {named.recipe}: {'the default of the dataset, as no suffix says another' if default else 'its suffix'}"
            )
        if named.seed:
            more["seed"] = named.seed
        if named.step is not None:
            more |= {"of": named.finished.key, "step": named.step}
        elif has_steps:
            said = {job.settings.get(name) for job in jobs for name in _STEPS if type(job.settings.get(name)) is int}
            more["step"] = said.pop() if len(said) == 1 else _FINISHED
            where = "not in any file" if more["step"] == _FINISHED else f"as {repository_claims.JOBS} says"
            why.append(f"step {more['step']}: the end of the training that the checkpoints are of, {where}")
        self._control(named, own, more)
        self._stack(named, jobs, more)
        for job in jobs if named.step is None else ():
            parts = [f"model {job.model!r}"] * bool(job.model)
            parts += [f"{name} {json.dumps(value)}" for name, value in job.settings.items()]
            self._note(named, f"{repository_claims.JOBS}: {', '.join([repr(job.name), *parts])}")
        if tasks:
            more["tasks"] = dict(tasks)
        if verified:
            more["verification"] = verified
        files: dict[str, Any] = {}
        for condition in ("persona", "self"):
            found = self.files[named].get(condition, {})
            for instrument, path in found.items():
                self._look(named, condition, instrument, path)
            if found:
                places = {key: self._place(found[key]) for key in instruments if key in found}
                files[condition] = places if len(instruments) > 1 else next(iter(places.values()))
        return DraftRun(named.key, role, "; ".join(why), files, more=more, notes=tuple(self.notes.get(named, ())))

    def _control(self, named: Named, own: Sequence[Named], more: dict[str, Any]) -> None:
        """The matched control of the same recipe."""
        wanted = named.dataset.control
        if named.step is not None or named.dataset.role != "harmful":
            return
        if not wanted:
            self._note(named, "no matched control: the repository has none for this dataset")
            return
        control = next(
            (
                o
                for o in own
                if o.dataset.key == wanted and o.recipe == named.recipe and o.step is None and "persona" in self.files[o]
            ),
            None,
        )
        if control is None:
            self._note(named, f"no matched control: no {wanted} fine-tune of the recipe {named.recipe} is here")
        else:
            more["control"] = control.key

    def _stack(self, named: Named, jobs: Sequence[repository_claims.Job], more: dict[str, Any]) -> None:
        """Who served the weights, where the repository says it once; where it says different things, none is chosen."""
        of_name = named.stack or (self.served.get(named.family, "") if named.dataset.key == "base" else "")
        if of_name:
            more["stack"] = of_name
            self._note(named, f"{'alternate, ' * bool(named.stack)}stack {of_name}: the base's name with {of_name!r} behind it")
            return
        said = [(job.stack, f"{repository_claims.JOBS}, {job.name!r}") for job in jobs if job.stack]
        if named.dataset.key == "base":
            said = [(claim.stack, claim.place) for claim in self.claims if claim.family == named.family]
        if len({stack for stack, _ in said}) == 1:
            more["stack"] = said[0][0]
            finished = ", of the finished fine-tune" if named.step is not None else ""
            self._note(named, f"stack: {said[0][1]}{finished}")
        elif said:
            each = "; ".join(f"{stack} ({place})" for stack, place in said)
            self._note(named, f"stack disputed, so none is chosen: {each}")

    def _look(self, named: Named, condition: str, instrument: str, path: Path) -> None:
        """Note what is odd about a file: twins, ERROR rows, personas that are not complete."""
        of = "" if instrument == _MFQ else f"{instrument}: "
        twins = [one for one in sorted(path.parent.glob(f"{path.stem} *.csv")) if _numbered(one)]
        seen = _seen(path)
        if twins:
            each = {one: _seen(one) for one in twins}
            best = max([path, *twins], key=lambda one: seen.valid if one == path else each[one].valid)
            short = ", truncated" if best != path else ""
            self._note(
                named,
                f"{of}{condition}: {len(twins)} twin{'s' * (len(twins) > 1)}; the fullest is read, "
                f"{best.name!r} with {(seen if best == path else each[best]).valid:,} valid ratings (the plain name has "
                f"{seen.valid:,}{short})",
            )
            seen = seen if best == path else each[best]
        if seen.errors:
            self._note(named, f"{of}{condition}: {seen.errors:,} of {seen.rows:,} rows say ERROR; they are missing ratings")
        if condition == "persona" and seen.complete < seen.personas:
            self._note(named, f"{of}{seen.complete} of {seen.personas} personas rated every item")

    def _others(self) -> None:
        """Tables that belong to nothing that was recognized, and folders that a folder of ratings alone cannot reach."""
        rest: dict[Path, list[str]] = {}
        for path in self.every:
            if path not in self.used:
                rest.setdefault(path.parent.relative_to(self.folder), []).append(path.name)
        self.aside += [f"{place.as_posix()}: {beginning_of(names)}, of no layout that is known" for place, names in rest.items()]
        beside = [
            place for place in (*_INSTRUMENTS, _CHECKPOINTS, *_TASKS) if not self.whole and (self.folder.parent / place).is_dir()
        ]
        if beside:
            self.aside.append(f"beside this folder, not read: {', '.join(beside)}; give the folder above as DATA")


def _seen(path: Path) -> _Seen:
    """Counts of a file; of one that is not readable nothing, as the importer says what is wrong with it."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        return _Seen(0, 0, 0, 0, 0)
    names = set(table.columns)
    if not {"question_id", "rating"} <= names:
        return _Seen(len(table), 0, 0, 0, 0)
    rating = pd.to_numeric(table["rating"], errors="coerce")
    valid = rating >= 0
    errors = int((table["response"] == "ERROR").sum()) if "response" in names else 0
    if "persona_id" not in names:
        return _Seen(len(table), int(valid.sum()), errors, 0, 0)
    items = table[valid].groupby("persona_id")["question_id"].nunique()
    complete = int((items == table["question_id"].nunique()).sum())
    return _Seen(len(table), int(valid.sum()), errors, table["persona_id"].nunique(), complete)
