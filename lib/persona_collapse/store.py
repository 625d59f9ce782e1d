"""One SQLite file a study: every slot's rating or the reason there is none, neither lost nor counted twice."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from persona_collapse import logprobs
from persona_collapse.paths import shown

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
    PRIMARY KEY (question, repetition), CHECK ((rating IS NULL) <> (reason IS NULL))) WITHOUT ROWID;
CREATE VIEW ratings AS
    SELECT family, variant, condition, persona, item, repetition, rating, reason, reply, finish_reason, logprobs,
        served_model, fingerprint, request_id, attempts, input_tokens, output_tokens, time, prompt_hash, identity
    FROM slots JOIN questions ON question = questions.id JOIN runs ON run = runs.id WHERE repetition <= asked;
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
        self.path = path
        self._counts: dict[tuple, np.ndarray] = {}
        self._offered: dict[tuple, logprobs.Offered] = {}
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise FileNotFoundError(f"{shown(path)}: no ratings yet; run `make elicit STUDY={path.parent.name}` first")
        # A reader may have to undo what a killed writer left open, so it is held back by query_only, not by the mode.
        mode = "rwc" if write else "rw"
        self._db = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30)
        try:
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA query_only = {not write}")
            if write and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                with self.transaction():
                    for statement in _SCHEMA.split(";\n"):
                        self._db.execute(statement)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise _named(path, error) from None

    def close(self) -> None:
        """Close the file."""
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
        settled = set(
            self._db.execute(
                "SELECT question, repetition FROM slots JOIN questions ON question = questions.id JOIN runs ON run = runs.id "
                "WHERE family = ? AND variant = ? AND condition = ? "
                f"AND (reason IS NULL OR reason NOT IN {RETRIED})",
                (family, variant, condition),
            )
        )
        design = self._db.execute(
            "SELECT questions.id, asked, persona, item FROM questions JOIN runs ON run = runs.id "
            "WHERE family = ? AND variant = ? AND condition = ? AND asked > 0 ORDER BY persona, item",
            (family, variant, condition),
        )
        return [
            (question, repetition, persona, item)
            for question, asked, persona, item in design
            for repetition in range(1, asked + 1)
            if (question, repetition) not in settled
        ]

    # --- writing ---------------------------------------------------------------------------------------------------

    def add(self, answers: Iterable[tuple]) -> None:
        """Write answers in one transaction; a slot that has its answer keeps it."""
        with self.transaction():
            self._db.executemany(_INSERT, answers)

    def replace_run(
        self, family: str, variant: str, origin: str, report: dict[str, Any], questions: list[Question], slots: list[tuple]
    ) -> None:
        """Replace an imported run whole, in one transaction.

        `slots` holds, for each question in order, tuples that start with (place in `questions`, repetition, ...) and go on
        as `Answer`.
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
            marks = ", ".join("?" * len(Answer._fields))
            self._db.executemany(
                f"INSERT INTO slots ({', '.join(Answer._fields)}) VALUES ({marks})",
                ((first + slot[0], *slot[1:]) for slot in sorted(slots, key=lambda slot: slot[:2])),
            )
            self._db.execute(
                "UPDATE runs SET origin = ?, report = ? WHERE id = ?", (origin, json.dumps(report, sort_keys=True), run)
            )

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
        first, last, models = self._db.execute(
            "SELECT min(time), max(time), group_concat(DISTINCT served_model) FROM ratings "
            "WHERE family = ? AND variant = ? AND condition = ?",
            where,
        ).fetchone()
        return {
            "cells": per_cell[0], "asked": per_cell[1], "recorded": valid + sum(reasons.values()),
            "valid": valid, "reasons": reasons, "first": first, "last": last, "models": models,
        }  # fmt: skip

    def replies(self, family: str, variant: str, limit: int) -> pd.DataFrame:
        """The first replies of a run that gave no rating, for reading: condition, persona, item, reason, reply."""
        return pd.read_sql_query(
            "SELECT condition, persona, item, repetition, reason, reply FROM ratings WHERE family = ? AND variant = ? "
            "AND rating IS NULL ORDER BY condition, persona, item, repetition LIMIT ?",
            self._db,
            params=(family, variant, limit),
        )

    def spent_tokens(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Input and output tokens paid for so far, by (family, variant), every question ever asked included."""
        return {
            (family, variant): (tokens_in, tokens_out)
            for family, variant, tokens_in, tokens_out in self._db.execute(
                "SELECT family, variant, ifnull(sum(input_tokens), 0), ifnull(sum(output_tokens), 0) "
                "FROM slots JOIN questions ON question = questions.id JOIN runs ON run = runs.id GROUP BY 1, 2"
            )
        }

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
