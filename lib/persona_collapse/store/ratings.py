"""`Ratings`: what was asked of a study's runs and what was answered; immutable, and nothing of SQLite."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persona_collapse.input_errors import listing
from persona_collapse.store.answers import Answers, Asked
from persona_collapse.store.held import held
from persona_collapse.store.rows import TextAnswer
from persona_collapse.store.store import Store, capability, local_key, open_store, probe_key
from persona_collapse.study import first_token
from persona_collapse.study.rating_parser import published_rule
from persona_collapse.study.reference import people_of, people_path
from persona_collapse.study.study import Run, Study
from persona_collapse.wire import SIMULATED_FINGERPRINT

if TYPE_CHECKING:
    import pandas as pd

#: How an item was asked: condition, persona and item number, and the hash of the words.
Prompts = Mapping[tuple[str, int | None, int], str]
#: Under which a store of human respondents remembers the file that the study named.
REFERENCE_FILE = "file"


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """The ratings of a study's runs, as everything behind the store takes them: by run, condition and instrument.

    A checkpoint of the training is a run with a step (`steps`). What works on counts works on one instrument (`of_instrument`).
    Made once: by `read_ratings` from a store, or by `from_frame` from a data frame; `only`, `without` and `first` give cut
    copies. Runs and conditions that nobody asked have no ratings and are no error.
    """

    study: Study
    answers: Mapping[tuple[str, str, str], Answers]  #: by key of the run, condition, and key of the instrument
    prompts: Mapping[tuple[str, str], Prompts] = field(default_factory=dict)  #: by key of the run, and of the instrument
    again: Mapping[tuple[str, str], "pd.DataFrame"] = field(default_factory=dict)  #: slots that were asked again, likewise
    digests: Mapping[str, str] = field(default_factory=dict)  #: hash of all that a run's pages depend on, by key of the run
    reference: "Ratings | None" = None  #: those of human respondents, which are no run: the one run of `study.reference`
    texts: Mapping[str, tuple[TextAnswer, ...]] = field(default_factory=dict)  #: answers in words, by purpose; of the study whole
    whole: "Ratings | None" = None  #: of several instruments, where these are of one of them

    def __repr__(self) -> str:
        sizes = ", ".join(f"{run.key} {self.of(run).shape[0]} personas" for run in self.runs)
        return f"<Ratings of {self.study.file.title!r}, {self.study.instrument.key}: {sizes}>"

    @classmethod
    def from_frame(
        cls, frame: "pd.DataFrame", *, instrument: str | Path | Sequence[str | Path] = "mfq30", title: str = "A data frame"
    ) -> "Ratings":
        """Ratings that are in a data frame: nothing is written to disk, and there is no store.

        Parameters
        ----------
        frame : DataFrame
            One row a rating: columns `persona` (any label), `item` (its number in the instrument), `repetition` (any label)
            and `rating` (missing where there is none). Where there are several runs also `family`, `variant`, `role` (base,
            control, harmful, mitigated or alternate) and, for a harmful variant, `control`, its matched control; for a
            checkpoint `of`, its variant, and `step`; for a treatment `of`, what was treated, `method`, `seed` and `context`;
            where personas belong together `cluster`, such as their household; where there are several instruments
            `instrument`, the key of one. Common other names of the first four are read as well, such as
            `persona_id`, `subject`, `question_id`, `run_index`, `epoch` and `score`, and items named q1, q2, ... by their
            numbers. Order and gaps of labels mean nothing.
        instrument : str or path, or several
            A name in params/instruments/, or a YAML file such as those there.
        title : str
            What figures call it.

        Raises
        ------
        ValueError
            One line that names row (its place, from 0), column, what was found, what was expected and what to do.
        TypeError
            `frame` is no data frame.

        Examples
        --------
        >>> import pandas as pd, persona_collapse as pc
        >>> cells = [(p, i, n) for p in ("nurse", "colonel") for i in range(1, 31) for n in (1, 2)]
        >>> frame = pd.DataFrame(cells, columns=["persona", "item", "repetition"])
        >>> frame["rating"] = [3 * (p == "nurse") + n for p, i, n in cells]
        >>> ratings = pc.Ratings.from_frame(frame)
        >>> ratings.counts(ratings.runs[0]).shape
        (2, 30, 6)
        """
        from persona_collapse.store.frames import of_frame

        several = isinstance(instrument, Sequence) and not isinstance(instrument, str)
        return of_frame(frame, list(instrument) if several else [instrument], title)  # type: ignore[list-item, arg-type]

    @property
    def personas(self) -> tuple[str, ...]:
        """Ids of the personas of a data frame or of imported files, by row; empty where rows are those of a deck."""
        return self.study.labels

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the study, in its order."""
        return self.study.runs

    @property
    def instruments(self) -> tuple[str, ...]:
        """Keys of the instruments that were asked."""
        return tuple(instrument.key for instrument in self.study.instruments)

    def of_instrument(self, key: str) -> "Ratings":
        """The ratings of one instrument alone; the same ones each time."""
        if key not in self._cuts:
            self._cuts[key] = self._cut(key)
        return self._cuts[key]

    @cached_property
    def _cuts(self) -> dict[str, "Ratings"]:
        return {self.instruments[0]: self} if len(self.instruments) == 1 else {}

    def _cut(self, key: str) -> "Ratings":
        study = self.study.of_instrument(key)
        first = key == self.study.instrument.key  # which human respondents answered, alone
        answers = {at: found for at, found in self.answers.items() if at[2] == key}
        return replace(self, study=study, answers=answers, reference=self.reference if first else None, whole=self)

    def steps(self, run: Run) -> tuple[Run, ...]:
        """The checkpoints of a run by their step of the training, and the run itself at the end."""
        own = [one for one in self.runs if one.family.key == run.family.key and one.variant.of == run.variant.key]
        taken = [one for one in own if one.variant.step is not None]
        return (*sorted(taken, key=lambda one: one.variant.step or 0), run)

    def run(self, run: Run | str) -> Run:
        """A run by itself or by its key, as in "gpt-4o/base"."""
        key = run if isinstance(run, str) else run.key
        for one in self.runs:
            if one.key == key:
                return one
        raise ValueError(f"run: found {key!r}; expected one of {', '.join(one.key for one in self.runs)}")

    def of(self, run: Run | str, condition: str = "persona") -> Answers:
        """A run, by itself or by its key, in one condition, of the study's instrument (the first of several)."""
        run = self.run(run) if isinstance(run, str) else run
        instrument = self.study.instrument
        found = self.answers.get((run.key, condition, instrument.key))
        nothing = (0, len(instrument.items), len(instrument.categories))
        return Answers(np.empty((0, 4), int), nothing, Asked(0, 0, 0)) if found is None else found

    def counts(self, run: Run | str, condition: str = "persona") -> np.ndarray:
        """Ratings of a run as counts (persona, item, category).

        Of a study asked by logprobs, probabilities at the temperature of its protocol instead, all 0 in a cell not used:
        floats of the same shape, from which moments are exact.
        """
        return self.of(run, condition).counts

    def asked_as(self, run: Run) -> Prompts:
        """How the items were asked of a run; empty where nobody was asked."""
        return self.prompts.get((run.key, self.study.instrument.key), {})

    def asked_again(self, run: Run) -> "pd.DataFrame | None":
        """Slots of a live run that were asked again for want of a rating; None of other runs."""
        return self.again.get((run.key, self.study.instrument.key))

    def imported(self, run: Run) -> dict[str, Mapping[str, Any]]:
        """What the importer found in a run's files, by condition; empty for a run that was asked."""
        found = {c: self.of(run, c).asked.imported for c in self.study.conditions(run)}
        return {condition: report for condition, report in found.items() if report}

    def only(self, runs: Iterable[Run | str]) -> "Ratings":
        """These runs alone, by themselves or by their keys; a family that loses all of its variants is gone."""
        kept = {self.run(run).key for run in runs}
        families = [
            family.model_copy(update={"variants": tuple(v for v in family.variants if f"{family.key}/{v.key}" in kept)})
            for family in self.study.file.families
        ]
        file = self.study.file.model_copy(update={"families": tuple(family for family in families if family.variants)})
        return replace(self, study=replace(self.study, file=file), whole=None)

    def without(self, personas: Iterable[int | str]) -> "Ratings":
        """Without these personas, by id (text) or by row (a number from 0), in every run; those that stay keep their order."""
        gone = {self._row(persona) for persona in personas}
        answers = {
            key: _kept(found, np.array([p not in gone for p in range(found.shape[0])])) if key[1] == "persona" else found
            for key, found in self.answers.items()
        }
        deck = self.study.personas
        left = None if deck is None else tuple(persona for place, persona in enumerate(deck) if place not in gone)
        labels = tuple(label for place, label in enumerate(self.study.labels) if place not in gone)
        clusters = tuple(one for place, one in enumerate(self.study.clusters) if place not in gone)
        study = replace(self.study, personas=left, labels=labels, clusters=clusters)
        return replace(self, study=study, answers=answers, whole=None)

    def _row(self, persona: int | str) -> int:
        if isinstance(persona, str):
            if persona not in self.personas:
                raise ValueError(f"personas: no persona {persona!r}; expected one of {listing(self.personas[:10])}, ...")
            return self.personas.index(persona)
        return int(persona)

    def at_level(self, factor: str, level: str) -> "Ratings":
        """The ratings that were asked for at one level of a factor that varies, such as wording b.

        Those of a condition in which the factor does not vary stay.
        """

        def cut(found: Answers) -> Answers:
            if not any(f"{factor}=" in name for name in found.wordings):
                return found
            there = np.array([f"{factor}={level}" in name.split() for name in found.wordings], bool)
            return _of_slots(found, there[found.levels] if len(found.levels) else np.full(len(found.slots), False))

        return replace(self, answers={key: cut(found) for key, found in self.answers.items()}, whole=None)

    def first(self, repetitions: int) -> "Ratings":
        """The first so many repetitions of every cell; probabilities, which have none, stay."""
        answers = {key: _of_slots(found, found.slots[:, 2] < repetitions) for key, found in self.answers.items()}
        return replace(self, answers=answers, whole=None)


def _of_slots(found: Answers, stays: np.ndarray) -> Answers:
    """Answers of some slots alone."""
    requests = found.requests[stays] if len(found.requests) else found.requests
    levels = found.levels[stays] if len(found.levels) else found.levels
    return replace(found, slots=found.slots[stays], requests=requests, levels=levels)


def _kept(found: Answers, stays: np.ndarray) -> Answers:
    """Answers of some personas alone, numbered anew."""
    number = np.cumsum(stays) - 1
    found = _of_slots(found, stays[found.slots[:, 0]])
    slots = found.slots.copy()
    slots[:, 0] = number[slots[:, 0]]
    second = found.second[stays[found.second[:, 0]]]
    second = np.column_stack([number[second[:, 0]], second[:, 1:]])
    offered = None if found.offered is None else first_token.Offered(*(part[stays] for part in found.offered))
    ids = tuple(label for label, stay in zip(found.ids, stays, strict=False) if stay)
    present = None if found.present is None else found.present[stays]
    return replace(
        found, slots=slots, second=second, offered=offered, shape=(int(stays.sum()), *found.shape[1:]), ids=ids, present=present
    )


def read_ratings(study: Study, store: Store, *, digests: bool = False) -> Ratings:
    """Everything that a store holds of a study's runs, but for the texts of replies.

    With `digests` also the hash of each run, which takes as long as all the rest.
    """
    if (given := held(store.path)) is not None:
        return given
    marked = with_mark(study, store)
    asked = [(one, run, condition) for one in marked.each for run in one.runs for condition in one.conditions(run)]
    each = [(run, one.instrument.key) for one in marked.each for run in one.runs]
    return Ratings(
        study=marked,
        answers={(run.key, c, one.instrument.key): _answers(one, store, run, c) for one, run, c in asked},
        prompts={(run.key, key): store.prompts(*run.keys, key) for run, key in each},
        again={(run.key, key): store.reasked(*run.keys, key) for run, key in each} if study.file.kind == "live" else {},
        digests=_digests(study, store) if digests else {},
        reference=reference_of(study),
        texts={purpose: tuple(store.text_answers(purpose)) for purpose in store.purposes},
    )


def _digests(study: Study, store: Store) -> dict[str, str]:
    return {"/".join(keys): found for keys, found in store.digests(run.keys for run in study.runs).items()}


def reference_of(study: Study) -> Ratings | None:
    """The ratings of the respondents of the file that the study names; None where it names none, or nobody has read that yet."""
    people, path = people_of(study), people_path(study)
    if people is None or not path.is_file():
        return None
    with open_store(path) as store:
        read = store.recall(REFERENCE_FILE) == people.runs[0].variant.persona
        return read_ratings(people, store) if read else None


def with_mark(study: Study, store: Store) -> Study:
    """The study as its store knows it: with the ids of imported personas, and marked if any of its ratings came from the
    simulated endpoint or from files of simulated ratings, as every page of it then says."""
    labels = store.labels("persona") if study.file.kind == "imported" and study.personas is None else ()
    served = study.file.kind == "live" and store.has_fingerprint(SIMULATED_FINGERPRINT)
    if study.file.kind == "imported":
        served = any(found.get("simulated") for run in study.runs for found in store.origin(*run.keys)[1].values())
    return replace(study.clustered(labels), served_simulated=served, **_as_read(study, store))  # type: ignore[arg-type]


def _as_read(study: Study, store: Store) -> dict[str, str]:
    """How open weights were read: of the first run of which it is known, as all runs of a study are read alike."""
    known = (store.recall(local_key(*run.keys)) for run in study.runs) if study.file.kind == "local" else ()
    found = next((json.loads(text) for text in known if text), None)
    return {"as_read": str(found["rendered"]), "read_with": str(found["read_with"])} if found else {}


def _sampling(study: Study, store: Store, run: Run) -> str:
    """What an endpoint was told of sampling, as its capability record says; empty where nobody asked one."""
    if study.file.kind != "live":
        return ""
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    known = store.recall(capability(endpoint.base_url, run.variant.model or ""))
    return str(json.loads(known).get("told", "")) if known else ""


def _probe(store: Store, run: Run) -> tuple[tuple[str, str | None], ...]:
    known = store.recall(probe_key(*run.keys))
    return tuple((text, end) for text, end in json.loads(known)["replies"]) if known else ()


def _answers(study: Study, store: Store, run: Run, condition: str) -> Answers:
    instrument = study.instrument
    at = *run.keys, condition, instrument.key
    personas, items, categories = store.personas(*at), len(instrument.items), instrument.categories
    slots = np.array(store.ratings(*at), dtype=float).reshape(-1, 4)
    slots = np.nan_to_num(slots).astype(int) - [0, 1, 1, categories[0]]  # without a persona there is none, which is row 0
    offered = store.offered(*at, items, categories) if study.by_logprobs else None
    found, live = store.quality(*at), study.file.kind == "live"
    reports = store.origin(*run.keys)[1]
    imported = reports.get(report_key(condition, instrument.key)) or reports.get(condition)
    unread = [] if study.by_logprobs else store.unread(*at)
    alone = sum(n * (published_rule(reply, *instrument.scale) is not None) for reply, n in unread)
    worded = store.wordings(*at) if study.file.protocol.vary else []
    few, main = 2 * found["valid"] < found["recorded"], condition == "persona" and study.of_first
    return Answers(
        slots, (personas, items, len(categories)),
        Asked(
            slots=found["asked"], recorded=found["recorded"], valid=found["valid"], missing=found["reasons"],
            first=found["first"], last=found["last"], models=found["models"], providers=found["providers"],
            sampling=_sampling(study, store, run), probe=_probe(store, run) if main else (), imported=imported,
            published_alone=imported.get("published_rule_alone", 0) if imported else alone,
            commonest=tuple(sorted(unread, key=lambda pair: (-pair[1], pair[0]))[:3]) if few else (),
            outcomes=store.traffic(*at[:3]) if live else {}, seconds=store.latencies(*at[:3]) if live else np.empty(0),
        ),
        offered, study.file.protocol.temperature, () if study.deck(condition) else store.labels(condition),
        _requests(store.requests(*at)) if live and not study.by_logprobs else np.empty(0, int),
        _second(store, run, categories) if live and main else np.empty((0, 3), int),
        np.isin(np.arange(personas), store.rows(*at)),
        _requests(worded) if worded else np.empty(0, int), tuple(sorted(set(worded))),
    )  # fmt: skip


def report_key(condition: str, instrument: str, *, first: bool = False) -> str:
    """Under which the store keeps what the importer found in a file: of the first instrument by its condition alone."""
    return condition if first else f"{condition} {instrument}"


def _second(store: Store, run: Run, categories: range) -> np.ndarray:
    """What cells that were asked a second time were rated, as `Answers.second`."""
    known = store.recall(probe_key(*run.keys, "second"))
    cells = json.loads(known)["cells"] if known else []
    found = [(p, item - 1, rating - categories[0]) for p, item, given in cells for rating in given if rating is not None]
    return np.array(found, int).reshape(-1, 3)


def _requests(named: Sequence[str | None]) -> np.ndarray:
    """Requests by number instead of by name, in the same order; empty where any has none."""
    if None in named:
        return np.empty(0, int)
    return np.unique(np.array(named, dtype=str), return_inverse=True)[1].reshape(-1)
