"""One SQLite file a study: every slot's rating or the reason there is none, neither lost nor counted twice."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from persona_collapse.machine import check_locks
from persona_collapse.paths import shown
from persona_collapse.store import text_answers
from persona_collapse.store.bulk import insert
from persona_collapse.store.reader import Reader
from persona_collapse.store.rows import Answer, Batch, MissingCell, Question, TextAnswer, Traffic
from persona_collapse.store.schema import is_current, make
from persona_collapse.store.text_answers import RETRIED
from persona_collapse.study import first_token
from persona_collapse.text import whole

_INSERT = (
    f"INSERT INTO slots ({', '.join(Answer._fields)}) VALUES ({', '.join('?' * len(Answer._fields))}) "
    # Only a slot that the model never answered may be written again.
    "ON CONFLICT (question, repetition) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in Answer._fields[2:])
    + f" WHERE slots.reason IN ({', '.join(repr(reason) for reason in RETRIED)})"
)


def capability(base_url: str, model: str) -> str:
    """The key under which a store remembers what an endpoint takes for a model."""
    return f"capability {base_url} {model}"


def probe_key(family: str, variant: str, kind: str = "probe") -> str:
    """The key of what a run answered beside its slots: `probe` with more tokens than its protocol gives, `second` once more."""
    return f"{kind} {family}/{variant}"


def local_key(family: str, variant: str) -> str:
    """The key of what is known of a run of open weights: how they were read, and what a prompt looks like to them."""
    return f"local {family}/{variant}"


class Store(Reader):
    """Ratings of one study on disk. Open with `open_store`; every write is one transaction."""

    def __init__(self, path: Path, *, write: bool, part: Path | None = None) -> None:
        """Open the file; one of an earlier version is brought up to date.

        With `write` it is made if need be and held by this process alone while a transaction runs.

        `part` is a new file that is to become it (`bulk.in_one_piece`): what fails there is thrown away, so nothing is undone.
        """
        self.path, self._write = path, write
        self._offered: dict[tuple[str, str, str, str, int, range], first_token.Offered] = {}
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_locks(path.parent)  # SQLite would try for half a minute, and take it for another process
        elif not path.is_file():
            raise FileNotFoundError(f"{shown(path)}: no ratings yet; run `make elicit STUDY={path.parent.name}` first")
        # A reader may have to undo what a killed writer left open, so it is held back by query_only, not by the mode.
        mode = "rwc" if write else "rw"
        # One thread at a time uses it, but while an endpoint is asked that is not the thread that opened it.
        self._db = sqlite3.connect(
            f"{(part or path).as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30, check_same_thread=False
        )
        try:
            self._db.execute(f"PRAGMA synchronous = {'OFF' if part else 'FULL'}")
            if write:
                # The journal is emptied after each transaction and removed at the end: removing it each time takes as long
                # as writing it.
                self._db.execute(f"PRAGMA journal_mode = {'OFF' if part else 'PERSIST'}")
                if not is_current(self._db):
                    with self.transaction():
                        make(self._db)
            elif self._db.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
                # A kill while it was made leaves an empty file.
                raise FileNotFoundError(f"{shown(path)}: no ratings yet; run `make elicit STUDY={path.parent.name}` first")
            elif not is_current(self._db):
                Store(path, write=True).close()  # brings it up to date
            self._db.execute(f"PRAGMA query_only = {not write}")
        except (sqlite3.DatabaseError, FileNotFoundError) as error:
            self._db.close()
            raise (_named(path, error) if isinstance(error, sqlite3.DatabaseError) else error) from None

    def close(self) -> None:
        """Close the file."""
        if self._write:
            with suppress(sqlite3.DatabaseError):  # a full disk or a reader keeps the empty journal, which harms nobody
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; a full disk or a kill inside leaves the store as it was before."""
        self._offered.clear()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError):
                raise _named(self.path, error) from error
            raise

    # --- what the store belongs to ---------------------------------------------------------------------------------

    def claim(self, study_path: Path, instrument: str = "") -> None:
        """Remember the study file these outputs belong to; another file of the same stem is refused.

        What a store of an earlier version holds is of the first `instrument`, of which it does not know.
        """
        owner = shown(study_path)
        with self.transaction():
            self._db.execute("UPDATE questions SET instrument = ? WHERE instrument = ''", (instrument,))
            found = self._db.execute("SELECT value FROM meta WHERE key = 'study'").fetchone()
            if found is None:
                self._db.execute("INSERT INTO meta VALUES ('study', ?)", (owner,))
        if found is not None and found[0] != owner:
            raise ValueError(
                f"{shown(self.path.parent)}: belongs to {found[0]}, not to {owner}; rename one of the two study files, "
                "or move that folder away"
            )

    def remember(self, key: str, value: str) -> None:
        """Keep a fact about the study's endpoints, such as how many choices a request brings."""
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def recall(self, key: str) -> str | None:
        """A fact that `remember` kept, None if there is none."""
        found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def run_id(self, family: str, variant: str) -> int:
        """The number of a run in this store, given one if it is new."""
        self._db.execute("INSERT OR IGNORE INTO runs (family, variant) VALUES (?, ?)", (family, variant))
        return self._db.execute("SELECT id FROM runs WHERE family = ? AND variant = ?", (family, variant)).fetchone()[0]

    # --- what is to be asked ---------------------------------------------------------------------------------------

    def plan(self, family: str, variant: str, questions: Iterable[Question]) -> dict[tuple[str, int | None, int], int]:
        """Make `questions` the present design of a run; returns the number of each by (condition, persona, item).

        Ratings of questions that are no longer asked stay in the file and leave every count.
        """
        questions = list(questions)
        known = {
            row[1:]: row[0]
            for row in self._db.execute(
                "SELECT questions.id, condition, persona, item, identity, asked, instrument, wording, before "
                "FROM questions JOIN runs ON run = runs.id WHERE family = ? AND variant = ? AND asked > 0",
                (family, variant),
            )
        }
        wanted = {(*q[:4], *q[5:]) for q in questions}
        if known.keys() != wanted:
            with self.transaction():
                self._replan(self.run_id(family, variant), questions)
            return self.plan(family, variant, questions)
        return {key[:3]: number for key, number in known.items()}

    def _replan(self, run: int, questions: list[Question]) -> None:
        self._db.execute("UPDATE questions SET asked = 0 WHERE run = ?", (run,))
        self._db.executemany(
            "INSERT INTO questions (run, condition, persona, item, identity, prompt_hash, asked, instrument, wording, before) "
            f"VALUES ({run}, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (run, condition, ifnull(persona, -1), item, identity, instrument) "
            "DO UPDATE SET asked = excluded.asked, wording = excluded.wording, before = excluded.before",
            questions,
        )

    def missing_cells(self, family: str, variant: str, condition: str) -> list[MissingCell]:
        """Cells with slots still to be asked, in the design's order."""
        design = self._db.execute(
            "SELECT questions.id, asked, persona, item, group_concat(repetition), instrument, wording, before "
            "FROM questions JOIN runs ON run = runs.id "
            "LEFT JOIN slots ON question = questions.id AND repetition <= asked "
            f"AND (reason IS NULL OR reason NOT IN {RETRIED}) "
            "WHERE family = ? AND variant = ? AND condition = ? AND asked > 0 "
            "GROUP BY questions.id HAVING count(repetition) < asked ORDER BY persona, item, questions.id",
            (family, variant, condition),
        )
        found = []
        for question, asked, persona, item, settled, *how in design:
            done = set(map(int, settled.split(","))) if settled else ()
            found.append(MissingCell(question, persona, item, tuple(r for r in range(1, asked + 1) if r not in done), *how))
        return found

    def unrated_cells(self, family: str, variant: str, condition: str, times: int) -> list[MissingCell]:
        """Cells with answers that gave no rating and were asked again fewer than so many times, in the design's order."""
        design = self._db.execute(
            "SELECT s.question, persona, item, group_concat(s.repetition), instrument, wording, before FROM slots s "
            "JOIN questions ON s.question = questions.id JOIN runs ON run = runs.id "
            "LEFT JOIN first_answers f ON (f.question, f.repetition) = (s.question, s.repetition) "
            f"WHERE family = ? AND variant = ? AND condition = ? AND s.repetition <= asked AND s.reason NOT IN {RETRIED} "
            "AND ifnull(asked_again, 0) < ? GROUP BY s.question ORDER BY persona, item",
            (family, variant, condition, times),
        )
        return [MissingCell(q, p, item, tuple(sorted(map(int, r.split(",")))), *how) for q, p, item, r, *how in design]

    def plan_texts(self, runs: Sequence[tuple[str, str]], wanted: set[tuple[Any, ...]]) -> None:
        """Make `wanted`, by `TextAnswer.key`, what is asked of `runs` and judges at present; other answers leave every count."""
        if changes := text_answers.plan(self._db, runs, wanted):
            with self.transaction():
                text_answers.set_asked(self._db, changes)

    # --- writing ---------------------------------------------------------------------------------------------------

    def add(
        self,
        answers: Iterable[Answer],
        *,
        again: Iterable[Answer] = (),
        texts: Iterable[TextAnswer] = (),
        traffic: Iterable[Traffic] = (),
        batch: tuple[str, str] | None = None,
        foreign: bool = True,
    ) -> None:
        """Write answers in one transaction; a slot that has its answer keeps it. `foreign` texts may be anything.

        `again` are answers to slots that were asked once more for want of a rating: the first answer is kept beside them.
        `texts` are answers to questions without a persona, `traffic` is what the requests behind the answers came to, and
        `batch` the batch that brought them and its new status.
        """
        with self.transaction():
            self._db.executemany(_INSERT, map(_storable, answers) if foreign else answers)
            text_answers.add(self._db, texts)
            for answer in again:
                if answer[3] in RETRIED:
                    continue  # no second answer came, so the first one stands
                self._db.execute(
                    "INSERT INTO first_answers SELECT question, repetition, 1, reason, reply, time FROM slots "
                    "WHERE question = ? AND repetition = ? ON CONFLICT DO UPDATE SET asked_again = asked_again + 1",
                    answer[:2],
                )
                self._db.execute("DELETE FROM slots WHERE question = ? AND repetition = ?", answer[:2])
                self._db.execute(_INSERT, _storable(answer))
            for row in traffic:
                self._db.execute(
                    "INSERT INTO traffic VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET requests = requests + "
                    "excluded.requests, input_tokens = input_tokens + excluded.input_tokens, "
                    "output_tokens = output_tokens + excluded.output_tokens",
                    (self.run_id(row.family, row.variant), *row[2:]),
                )
            if batch is not None:
                self._db.execute("UPDATE batches SET status = ? WHERE name = ?", batch[::-1])

    def replace_run(
        self,
        family: str,
        variant: str,
        origin: str,
        report: dict[str, Any],
        questions: Sequence[tuple[Any, ...]],
        slots: Mapping[str, Sequence[Any]],
        labels: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Replace an imported run whole, in one transaction, with the ids of its personas by condition and number.

        `questions` are as `Question`; `slots` holds columns of the table of that name, in the order of questions and repetitions,
        with the place in `questions` as `question`.
        """
        with self.transaction():
            run = self.run_id(family, variant)
            self._db.executemany("DELETE FROM personas WHERE condition = ?", ((condition,) for condition in labels or {}))
            self._db.executemany(
                "INSERT INTO personas VALUES (?, ?, ?)",
                ((condition, number, label) for condition, own in (labels or {}).items() for number, label in enumerate(own)),
            )
            self._db.execute("DELETE FROM slots WHERE question IN (SELECT id FROM questions WHERE run = ?)", (run,))
            self._db.execute("DELETE FROM questions WHERE run = ?", (run,))
            first = self._db.execute("SELECT ifnull(max(id), 0) + 1 FROM questions").fetchone()[0]
            names = ("asked" if name == "repetitions" else name for name in Question._fields)
            asked = dict(zip(names, zip(*questions, strict=True), strict=False))
            insert(self._db, "questions", {"id": range(first, first + len(questions)), "run": [run] * len(questions), **asked})
            insert(self._db, "slots", {**slots, "question": [first + place for place in slots["question"]]})
            self._db.execute(
                "UPDATE runs SET origin = ?, report = ? WHERE id = ?", (origin, json.dumps(report, sort_keys=True), run)
            )

    def batches(self, family: str, variant: str) -> list[Batch]:
        """The batches of a run, in the order in which they were written."""
        rows = self._db.execute(
            "SELECT name, requests, input_file, batch, status FROM batches JOIN runs ON run = runs.id "
            "WHERE family = ? AND variant = ? ORDER BY batches.rowid",
            (family, variant),
        )
        return [Batch(*row) for row in rows]

    def set_batches(self, family: str, variant: str, batches: Iterable[Batch]) -> None:
        """Remember new batches of a run, or what has become of known ones."""
        with self.transaction():
            run = self.run_id(family, variant)
            self._db.executemany(
                f"INSERT INTO batches VALUES (?, {run}, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "input_file = excluded.input_file, batch = excluded.batch, status = excluded.status",
                batches,
            )

    def drop_batches(self, names: Iterable[str]) -> None:
        """Forget batches that were written and never sent."""
        with self.transaction():
            self._db.executemany("DELETE FROM batches WHERE name = ?", ((name,) for name in names))

    def identities(self, family: str, variant: str) -> dict[int, tuple[str, str, str, str]]:
        """Condition, identity, instrument and wording of every question that was ever one of a run's, by its number."""
        rows = self._db.execute(
            "SELECT questions.id, condition, identity, instrument, wording FROM questions JOIN runs ON run = runs.id "
            "WHERE family = ? AND variant = ?",
            (family, variant),
        )
        return {row[0]: row[1:] for row in rows}


def _storable(answer: Answer) -> tuple[Any, ...]:
    """An answer as SQLite takes it, which holds no half of a character."""
    return tuple(whole(value) if isinstance(value, str) else value for value in answer)


def _named(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """The same failure with the file's name and a way out."""
    text = str(error)
    if "full" in text:
        return OSError(f"{shown(path)}: the disk is full; free some space and run the same command again, nothing is lost")
    if "locked" in text or "I/O" in text:
        try:
            check_locks(path.parent)
        except OSError as cause:
            if cause.errno is None:  # it says in its own words that there are none
                return cause
    if "locked" in text:
        return OSError(f"{shown(path)}: another process is writing to it; wait for it to finish, or stop it")
    if "readonly" in text or "unable to open" in text:
        return OSError(f"{shown(path)}: cannot be written ({text}); check the rights on {shown(path.parent)}")
    return OSError(f"{shown(path)}: {text}; if the file is damaged, move it away and run the command again")


@contextmanager
def open_store(path: Path, *, write: bool = False) -> Iterator[Store]:
    """A store that is closed again; read only unless `write`."""
    try:
        with closing(Store(path, write=write)) as store:
            yield store
    except sqlite3.DatabaseError as error:
        raise _named(path, error) from error
