"""One SQLite file a study: every slot's rating or the reason there is none, neither lost nor counted twice."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from persona_collapse import logprobs
from persona_collapse.paths import shown

if TYPE_CHECKING:
    import pandas as pd

#: Reasons after which a slot is asked again: the model never answered.
RETRIED = ("transport", "wrong_server")

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, family TEXT NOT NULL, variant TEXT NOT NULL,
    origin TEXT, report TEXT, UNIQUE (family, variant));
-- A question is a cell as it was asked: another prompt, model or protocol is another question. `asked` is the number of
-- repetitions that the present design wants, 0 if the question is no longer part of it.
CREATE TABLE questions (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, condition TEXT NOT NULL,
    persona INTEGER, item INTEGER NOT NULL, identity TEXT NOT NULL, prompt_hash TEXT,
    asked INTEGER NOT NULL);
CREATE UNIQUE INDEX one_question ON questions (run, condition, ifnull(persona, -1), item, identity);
CREATE TABLE slots (
    question INTEGER NOT NULL REFERENCES questions, repetition INTEGER NOT NULL,
    rating INTEGER, reason TEXT, reply TEXT, finish_reason TEXT, logprobs TEXT, served_model TEXT,
    fingerprint TEXT, request_id TEXT, attempts INTEGER, input_tokens INTEGER, output_tokens INTEGER, time TEXT,
    latency REAL, provider TEXT,
    PRIMARY KEY (question, repetition), CHECK ((rating IS NULL) <> (reason IS NULL))) WITHOUT ROWID;
CREATE VIEW ratings AS
    SELECT family, variant, condition, persona, item, repetition, rating, reason, reply, finish_reason, logprobs,
        served_model, fingerprint, request_id, attempts, input_tokens, output_tokens, time, latency, provider, prompt_hash,
        identity
    FROM slots JOIN questions ON question = questions.id JOIN runs ON run = runs.id WHERE repetition <= asked;
-- What every request came to, and the tokens it cost: as the endpoint reported them, or an upper bound where it did not.
CREATE TABLE traffic (
    run INTEGER NOT NULL REFERENCES runs, condition TEXT NOT NULL, outcome TEXT NOT NULL,
    requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    PRIMARY KEY (run, condition, outcome)) WITHOUT ROWID;
-- Where a slot without a rating was asked again because the study said so: what was answered first.
CREATE TABLE first_answers (
    question INTEGER NOT NULL REFERENCES questions, repetition INTEGER NOT NULL, asked_again INTEGER NOT NULL,
    reason TEXT, reply TEXT, time TEXT, PRIMARY KEY (question, repetition)) WITHOUT ROWID;
-- Files of requests in the Batch format: `name` is that of the file, `input_file` and `batch` are the endpoint's.
CREATE TABLE batches (
    name TEXT PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, requests INTEGER NOT NULL,
    input_file TEXT, batch TEXT, status TEXT NOT NULL);
"""
#: Raised when the schema changes; a store of an earlier version is brought up to date when it is opened for writing.
_VERSION = 1
_UPGRADE = """
ALTER TABLE slots ADD COLUMN latency REAL;
ALTER TABLE slots ADD COLUMN provider TEXT;
DROP VIEW ratings;
"""


class Question(NamedTuple):
    """A cell as it is to be asked; `persona` is None in the self condition, `item` is the item's number."""

    condition: str
    persona: int | None
    item: int
    identity: str
    prompt_hash: str | None
    repetitions: int


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


class MissingCell(NamedTuple):
    """A cell with slots to be asked: the number of its question, and the repetitions that are missing."""

    question: int
    persona: int | None
    item: int
    repetitions: tuple[int, ...]


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


_INSERT = (
    f"INSERT INTO slots ({', '.join(Answer._fields)}) VALUES ({', '.join('?' * len(Answer._fields))}) "
    # Only a slot that the model never answered may be written again.
    "ON CONFLICT (question, repetition) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in Answer._fields[2:])
    + f" WHERE slots.reason IN ({', '.join(repr(reason) for reason in RETRIED)})"
)


class Store:
    """Ratings of one study on disk. Open with `open_store`; every write is one transaction."""

    def __init__(self, path: Path, *, write: bool) -> None:
        """Open the file; with `write` it is made if need be and held by this process alone while a transaction runs."""
        self.path, self._write = path, write
        self._counts: dict[tuple, np.ndarray] = {}
        self._offered: dict[tuple, logprobs.Offered] = {}
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise FileNotFoundError(f"{shown(path)}: no ratings yet; run `make elicit STUDY={path.parent.name}` first")
        # A reader may have to undo what a killed writer left open, so it is held back by query_only, not by the mode.
        mode = "rwc" if write else "rw"
        # One thread at a time uses it, but while an endpoint is asked that is not the thread that opened it.
        self._db = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30, check_same_thread=False
        )
        try:
            self._db.execute("PRAGMA synchronous = FULL")
            if write:
                # The journal is emptied after each transaction and removed at the end: removing it each time takes as long
                # as writing it.
                self._db.execute("PRAGMA journal_mode = PERSIST")
                self._make()
            elif self._db.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
                # A kill while it was made leaves an empty file.
                raise FileNotFoundError(f"{shown(path)}: no ratings yet; run `make elicit STUDY={path.parent.name}` first")
            self._db.execute(f"PRAGMA query_only = {not write}")
        except (sqlite3.DatabaseError, FileNotFoundError) as error:
            self._db.close()
            raise (_named(path, error) if isinstance(error, sqlite3.DatabaseError) else error) from None

    def _make(self) -> None:
        """Make the tables of a new file, or those that a file of an earlier version lacks."""
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == _VERSION:
            return
        with self.transaction():
            old = self._db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
            for statement in (_UPGRADE if old else "").split(";\n")[:-1]:
                self._db.execute(statement)
            for statement in _SCHEMA.split(";\n"):
                made = "CREATE TABLE (meta|runs|questions|slots)|CREATE UNIQUE INDEX"
                if not (old and re.search(made, statement)):
                    self._db.execute(statement)
            if old:
                self._db.execute(
                    "INSERT INTO traffic SELECT run, condition, 'answered', count(DISTINCT request_id), "
                    "ifnull(sum(input_tokens), 0), ifnull(sum(output_tokens), 0) FROM slots JOIN questions ON question = id "
                    "WHERE request_id IS NOT NULL GROUP BY run, condition"
                )
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Close the file."""
        if self._write:
            with suppress(sqlite3.DatabaseError):  # a full disk or a reader keeps the empty journal, which harms nobody
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; a full disk or a kill inside leaves the store as it was before."""
        self._counts.clear()
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

    def claim(self, study_path: Path) -> None:
        """Remember the study file these outputs belong to; another file of the same stem is refused."""
        owner = shown(study_path)
        with self.transaction():
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

    def plan(self, family: str, variant: str, questions: Iterable[Question]) -> dict[tuple, int]:
        """Make `questions` the present design of a run; returns the number of each by (condition, persona, item).

        Ratings of questions that are no longer asked stay in the file and leave every count.
        """
        questions = list(questions)
        known = {
            row[1:]: row[0]
            for row in self._db.execute(
                "SELECT questions.id, condition, persona, item, identity, asked FROM questions JOIN runs ON run = runs.id "
                "WHERE family = ? AND variant = ? AND asked > 0",
                (family, variant),
            )
        }
        wanted = {(q.condition, q.persona, q.item, q.identity, q.repetitions) for q in questions}
        if known.keys() != wanted:
            with self.transaction():
                self._replan(self.run_id(family, variant), questions)
            return self.plan(family, variant, questions)
        return {key[:3]: number for key, number in known.items()}

    def _replan(self, run: int, questions: list[Question]) -> None:
        self._db.execute("UPDATE questions SET asked = 0 WHERE run = ?", (run,))
        self._db.executemany(
            "INSERT INTO questions (run, condition, persona, item, identity, prompt_hash, asked) "
            f"VALUES ({run}, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (run, condition, ifnull(persona, -1), item, identity) DO UPDATE SET asked = excluded.asked",
            questions,
        )

    def missing(self, family: str, variant: str, condition: str) -> list[tuple[int, int, int | None, int]]:
        """Slots still to be asked, in the design's order: (question, repetition, persona, item number)."""
        return [
            (cell.question, repetition, cell.persona, cell.item)
            for cell in self.missing_cells(family, variant, condition)
            for repetition in cell.repetitions
        ]

    def missing_cells(self, family: str, variant: str, condition: str) -> list[MissingCell]:
        """Cells with slots still to be asked, in the design's order."""
        design = self._db.execute(
            "SELECT questions.id, asked, persona, item, group_concat(repetition) FROM questions JOIN runs ON run = runs.id "
            "LEFT JOIN slots ON question = questions.id AND repetition <= asked "
            f"AND (reason IS NULL OR reason NOT IN {RETRIED}) "
            "WHERE family = ? AND variant = ? AND condition = ? AND asked > 0 "
            "GROUP BY questions.id HAVING count(repetition) < asked ORDER BY persona, item",
            (family, variant, condition),
        )
        found = []
        for question, asked, persona, item, settled in design:
            done = set(map(int, settled.split(","))) if settled else ()
            found.append(MissingCell(question, persona, item, tuple(r for r in range(1, asked + 1) if r not in done)))
        return found

    def unrated_cells(self, family: str, variant: str, condition: str, times: int) -> list[MissingCell]:
        """Cells with answers that gave no rating and were asked again fewer than so many times, in the design's order."""
        design = self._db.execute(
            "SELECT s.question, persona, item, group_concat(s.repetition) FROM slots s "
            "JOIN questions ON s.question = questions.id JOIN runs ON run = runs.id "
            "LEFT JOIN first_answers f ON (f.question, f.repetition) = (s.question, s.repetition) "
            f"WHERE family = ? AND variant = ? AND condition = ? AND s.repetition <= asked AND s.reason NOT IN {RETRIED} "
            "AND ifnull(asked_again, 0) < ? GROUP BY s.question ORDER BY persona, item",
            (family, variant, condition, times),
        )
        return [MissingCell(q, persona, item, tuple(sorted(map(int, r.split(","))))) for q, persona, item, r in design]

    # --- writing ---------------------------------------------------------------------------------------------------

    def add(
        self,
        answers: Iterable[tuple],
        *,
        again: Iterable[tuple] = (),
        traffic: Iterable[Traffic] = (),
        batch: tuple[str, str] | None = None,
    ) -> None:
        """Write answers in one transaction; a slot that has its answer keeps it.

        `again` are answers to slots that were asked once more for want of a rating: the first answer is kept beside them.
        `traffic` is what the requests behind the answers came to; `batch` is the batch that brought them and its new status.
        """
        with self.transaction():
            self._db.executemany(_INSERT, answers)
            for answer in again:
                if answer[3] in RETRIED:
                    continue  # no second answer came, so the first one stands
                self._db.execute(
                    "INSERT INTO first_answers SELECT question, repetition, 1, reason, reply, time FROM slots "
                    "WHERE question = ? AND repetition = ? ON CONFLICT DO UPDATE SET asked_again = asked_again + 1",
                    answer[:2],
                )
                self._db.execute("DELETE FROM slots WHERE question = ? AND repetition = ?", answer[:2])
                self._db.execute(_INSERT, answer)
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
        self, family: str, variant: str, origin: str, report: dict[str, Any], questions: list[Question], slots: list[tuple]
    ) -> None:
        """Replace an imported run whole, in one transaction.

        `slots` holds, for each question in order, tuples that start with (place in `questions`, repetition, ...) and go on
        as `Answer` up to its time.
        """
        with self.transaction():
            run = self.run_id(family, variant)
            self._db.execute("DELETE FROM slots WHERE question IN (SELECT id FROM questions WHERE run = ?)", (run,))
            self._db.execute("DELETE FROM questions WHERE run = ?", (run,))
            first = self._db.execute("SELECT ifnull(max(id), 0) + 1 FROM questions").fetchone()[0]
            self._db.executemany(
                f"INSERT INTO questions VALUES (?, {run}, ?, ?, ?, ?, ?, ?)",
                ((first + i, *question) for i, question in enumerate(questions)),
            )
            columns = Answer._fields[:-2]  # nothing imported has a latency or a provider
            self._db.executemany(
                f"INSERT INTO slots ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                ((first + slot[0], *slot[1:]) for slot in sorted(slots, key=lambda slot: slot[:2])),
            )
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

    def identities(self, family: str, variant: str) -> dict[int, tuple[str, str]]:
        """Condition and identity of every question that was ever one of a run's, by its number."""
        rows = self._db.execute(
            "SELECT questions.id, condition, identity FROM questions JOIN runs ON run = runs.id WHERE family = ? AND variant = ?",
            (family, variant),
        )
        return {row[0]: row[1:] for row in rows}

    # --- reading ---------------------------------------------------------------------------------------------------

    def origin(self, family: str, variant: str) -> tuple[str | None, dict[str, Any]]:
        """What an imported run was read from (a hash), and what the importer found."""
        found = self._db.execute("SELECT origin, report FROM runs WHERE family = ? AND variant = ?", (family, variant)).fetchone()
        return (found[0], json.loads(found[1] or "{}")) if found else (None, {})

    def counts(self, family: str, variant: str, condition: str, items: int, categories: range) -> np.ndarray:
        """How often each category was given in each cell: (persona, item, category) ints; self has one persona row."""
        key = family, variant, condition, items, categories
        if key not in self._counts:
            self._counts[key] = self._read_counts(*key)
        return self._counts[key]

    def _read_counts(self, family: str, variant: str, condition: str, items: int, categories: range) -> np.ndarray:
        rows = np.array(
            self._db.execute(
                "SELECT ifnull(persona, 0), item, rating, count(*) FROM ratings "
                "WHERE family = ? AND variant = ? AND condition = ? AND rating IS NOT NULL GROUP BY 1, 2, 3",
                (family, variant, condition),
            ).fetchall(),
            dtype=int,
        ).reshape(-1, 4)
        found = np.zeros((self._personas(family, variant, condition), items, len(categories)), dtype=int)
        found[rows[:, 0], rows[:, 1] - 1, rows[:, 2] - categories[0]] = rows[:, 3]
        return found

    def _personas(self, family: str, variant: str, condition: str) -> int:
        return self._db.execute(
            "SELECT ifnull(max(ifnull(persona, 0)) + 1, 0) FROM questions JOIN runs ON run = runs.id "
            "WHERE family = ? AND variant = ? AND condition = ? AND asked > 0",
            (family, variant, condition),
        ).fetchone()[0]

    def offered(self, family: str, variant: str, condition: str, items: int, categories: range) -> logprobs.Offered:
        """What each cell was offered on the scale, of a study asked by method logprobs; slots without logprobs are not seen."""
        key = family, variant, condition, items, categories
        if key not in self._offered:
            rows = self._db.execute(
                "SELECT ifnull(persona, 0), item - 1, rating IS NOT NULL, logprobs FROM ratings WHERE family = ? AND variant = ? "
                "AND condition = ? AND logprobs IS NOT NULL AND (rating IS NOT NULL OR reason = 'low_mass')",
                (family, variant, condition),
            )
            self._offered[key] = logprobs.gather(rows, self._personas(family, variant, condition), items, categories)
        return self._offered[key]

    def answered(self, family: str, variant: str) -> dict[tuple[str, int | None, int, str], int]:
        """How many slots of each question need not be asked again: by condition, persona, item number and identity."""
        rows = self._db.execute(
            "SELECT condition, persona, item, identity, count(*) FROM slots JOIN questions ON question = questions.id "
            "JOIN runs ON run = runs.id WHERE family = ? AND variant = ? "
            f"AND (reason IS NULL OR reason NOT IN {RETRIED}) GROUP BY questions.id",
            (family, variant),
        )
        return {row[:4]: row[4] for row in rows}

    def ratings(self, family: str, variant: str, condition: str) -> list[tuple[int, int, int, int]]:
        """Every valid rating of a run in one condition: (persona, item number, repetition, rating)."""
        return self._db.execute(
            "SELECT persona, item, repetition, rating FROM ratings WHERE family = ? AND variant = ? AND condition = ? "
            "AND rating IS NOT NULL ORDER BY persona, item, repetition",
            (family, variant, condition),
        ).fetchall()

    def slots(self, family: str, variant: str, columns: Iterable[str]) -> Iterator[tuple]:
        """Every recorded slot of a run in the design's order: these columns of the view `ratings`."""
        yield from self._db.execute(
            f"SELECT {', '.join(columns)} FROM ratings WHERE family = ? AND variant = ? "
            "ORDER BY condition, persona, item, repetition",
            (family, variant),
        )

    def quality(self, family: str, variant: str, condition: str) -> dict[str, Any]:
        """Slots of the design, valid ratings, missing ones by reason, repetitions of a cell, dates, served models."""
        where = (family, variant, condition)
        per_cell = self._db.execute(
            "SELECT count(*), ifnull(sum(asked), 0) FROM questions JOIN runs ON run = runs.id "
            "WHERE family = ? AND variant = ? AND condition = ? AND asked > 0",
            where,
        ).fetchone()
        reasons = dict(
            self._db.execute(
                "SELECT reason, count(*) FROM ratings WHERE family = ? AND variant = ? AND condition = ? GROUP BY 1", where
            )
        )
        valid = reasons.pop(None, 0)
        first, last, models, providers = self._db.execute(
            "SELECT min(time), max(time), group_concat(DISTINCT served_model), group_concat(DISTINCT provider) FROM ratings "
            "WHERE family = ? AND variant = ? AND condition = ?",
            where,
        ).fetchone()
        return {
            "cells": per_cell[0], "asked": per_cell[1], "recorded": valid + sum(reasons.values()),
            "valid": valid, "reasons": reasons, "first": first, "last": last, "models": models, "providers": providers,
        }  # fmt: skip

    def replies(self, family: str, variant: str, limit: int) -> "pd.DataFrame":
        """The first replies of a run that gave no rating, for reading: condition, persona, item, reason, reply."""
        import pandas as pd  # asking needs none of it, and it is slow to import

        return pd.read_sql_query(
            "SELECT condition, persona, item, repetition, reason, reply FROM ratings WHERE family = ? AND variant = ? "
            "AND rating IS NULL ORDER BY condition, persona, item, repetition LIMIT ?",
            self._db,
            params=(family, variant, limit),
        )

    def spent_tokens(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Input and output tokens paid for so far, by (family, variant), over every request ever made.

        Those of a batch count half, as they cost half.
        """
        return {
            (family, variant): (tokens_in, tokens_out)
            for family, variant, tokens_in, tokens_out in self._db.execute(
                # A batch costs half.
                "SELECT family, variant, sum(input_tokens * share), sum(output_tokens * share) FROM "
                "(SELECT *, CASE outcome WHEN 'batch' THEN 0.5 ELSE 1 END AS share FROM traffic) "
                "JOIN runs ON run = id GROUP BY 1, 2"
            )
        }

    def has_fingerprint(self, fingerprint: str) -> bool:
        """Whether any slot was answered under this fingerprint."""
        return self._db.execute("SELECT 1 FROM slots WHERE fingerprint = ? LIMIT 1", (fingerprint,)).fetchone() is not None

    def traffic(self, family: str, variant: str, condition: str) -> dict[str, int]:
        """How many requests of a run in one condition came to what."""
        return dict(
            self._db.execute(
                "SELECT outcome, requests FROM traffic JOIN runs ON run = id WHERE family = ? AND variant = ? AND condition = ?",
                (family, variant, condition),
            )
        )

    def latencies(self, family: str, variant: str, condition: str) -> np.ndarray:
        """Seconds from request to answer, one a request."""
        rows = self._db.execute(
            "SELECT DISTINCT persona, item, request_id, latency FROM ratings "
            "WHERE family = ? AND variant = ? AND condition = ? AND latency IS NOT NULL",
            (family, variant, condition),
        )
        return np.array([row[-1] for row in rows], dtype=float)

    def reasked(self, family: str, variant: str) -> "pd.DataFrame":
        """Slots that were asked again: what was answered first, and what stands now."""
        import pandas as pd

        return pd.read_sql_query(
            "SELECT r.condition, r.persona, r.item, r.repetition, f.reason AS first_reason, f.reply AS first_reply, asked_again, "
            "r.rating, r.reason, r.reply FROM first_answers f "
            "JOIN questions ON f.question = questions.id JOIN runs ON run = runs.id "
            "JOIN ratings r USING (family, variant, condition, item, identity, repetition) "
            "WHERE r.persona IS questions.persona AND family = ? AND variant = ? "
            "ORDER BY r.condition, r.persona, r.item, r.repetition",
            self._db,
            params=(family, variant),
        )

    def prompts(self, family: str, variant: str) -> dict[tuple[str, int | None, int], str]:
        """The hash of every prompt of a run's present design, by condition, persona and item; none of an imported run."""
        rows = self._db.execute(
            "SELECT condition, persona, item, prompt_hash FROM questions JOIN runs ON run = runs.id "
            "WHERE family = ? AND variant = ? AND asked > 0 AND prompt_hash IS NOT NULL",
            (family, variant),
        )
        return {row[:3]: row[3] for row in rows}

    def digest(self, family: str, variant: str) -> str:
        """A hash of everything a run's numbers and pages can depend on; equal content, equal hash."""
        found = hashlib.sha256(json.dumps(self.origin(family, variant)[1], sort_keys=True).encode())
        rows = self._db.execute(
            "SELECT condition, persona, item, prompt_hash, asked, id FROM questions "
            "WHERE run = (SELECT id FROM runs WHERE family = ? AND variant = ?) AND asked > 0 ORDER BY condition, persona, item",
            (family, variant),
        ).fetchall()
        for row in rows:
            found.update(repr(row[:-1]).encode())
        numbers = sorted(row[-1] for row in rows)
        if numbers:
            slots = self._db.execute(
                "SELECT condition, persona, item, repetition, rating, reason, reply, served_model, time FROM ratings "
                "WHERE family = ? AND variant = ? ORDER BY condition, persona, item, repetition",
                (family, variant),
            )
            while block := slots.fetchmany(20_000):
                found.update(repr(block).encode())
            # Apart, so that samples, which have none, keep the hash that older reports name.
            for row in self._db.execute(
                "SELECT condition, persona, item, logprobs FROM ratings WHERE family = ? AND variant = ? "
                "AND logprobs IS NOT NULL ORDER BY condition, persona, item, repetition",
                (family, variant),
            ):
                found.update(repr(row).encode())
        return found.hexdigest()


def _named(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """The same failure with the file's name and a way out."""
    text = str(error)
    if "full" in text:
        return OSError(f"{shown(path)}: the disk is full; free some space and run the same command again, nothing is lost")
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
