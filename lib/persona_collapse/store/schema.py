"""The tables of a store, and how a file of an earlier version gets those it lacks."""

import re
import sqlite3

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, family TEXT NOT NULL, variant TEXT NOT NULL,
    origin TEXT, report TEXT, UNIQUE (family, variant));
-- A question is a cell as it was asked: another prompt, model or protocol is another question. `asked` is the number of
-- repetitions that the present design wants, 0 if the question is no longer part of it. Where wording varies within a cell,
-- `wording` names the levels of a question and `before` counts the repetitions of its cell that are asked in others before it.
-- `instrument` is empty in a store of an earlier version, which has one.
CREATE TABLE questions (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, condition TEXT NOT NULL,
    persona INTEGER, item INTEGER NOT NULL, identity TEXT NOT NULL, prompt_hash TEXT,
    asked INTEGER NOT NULL, instrument TEXT NOT NULL DEFAULT '', wording TEXT NOT NULL DEFAULT '',
    before INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX one_question ON questions (run, condition, ifnull(persona, -1), item, identity, instrument);
CREATE TABLE slots (
    question INTEGER NOT NULL REFERENCES questions, repetition INTEGER NOT NULL,
    rating INTEGER, reason TEXT, reply TEXT, finish_reason TEXT, logprobs TEXT, served_model TEXT,
    fingerprint TEXT, request_id TEXT, attempts INTEGER, input_tokens INTEGER, output_tokens INTEGER, time TEXT,
    latency REAL, provider TEXT, completion TEXT,
    PRIMARY KEY (question, repetition), CHECK ((rating IS NULL) <> (reason IS NULL))) WITHOUT ROWID;
-- Ids of the personas of imported files: `number` is the persona of `questions`.
CREATE TABLE personas (condition TEXT NOT NULL, number INTEGER NOT NULL, label TEXT NOT NULL, PRIMARY KEY (condition, number));
CREATE VIEW ratings AS
    SELECT family, variant, instrument, condition, persona, item, repetition + before AS repetition, wording, rating, reason,
        reply, finish_reason, logprobs, served_model, fingerprint, request_id, attempts, input_tokens, output_tokens, time,
        latency, provider, prompt_hash, identity
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
-- Replies to questions without a persona: `purpose` is verification, task or judgement, `name` the set of questions (or the set
-- and the rubric), `identity` a hash of prompt, model and protocol. A judge is of family `judge`, and its question names the
-- answer that it read: family/variant/question. `reason` says why there is no reply, `asked` whether the present design wants it.
CREATE TABLE answers (
    family TEXT NOT NULL, variant TEXT NOT NULL, purpose TEXT NOT NULL, name TEXT NOT NULL, question TEXT NOT NULL,
    arm TEXT NOT NULL, sample INTEGER NOT NULL, identity TEXT NOT NULL, prompt_hash TEXT,
    reply TEXT, reason TEXT, finish_reason TEXT, logprobs TEXT, served_model TEXT, fingerprint TEXT, request_id TEXT,
    attempts INTEGER, input_tokens INTEGER, output_tokens INTEGER, time TEXT, latency REAL, provider TEXT, completion TEXT,
    asked INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (family, variant, purpose, name, question, arm, sample, identity));
"""
#: Raised when the schema changes; a store of an earlier version is brought up to date when it is opened for writing.
_VERSION = 5
_UPGRADE = """
ALTER TABLE slots ADD COLUMN latency REAL;
ALTER TABLE slots ADD COLUMN provider TEXT;
ALTER TABLE slots ADD COLUMN completion TEXT;
DROP VIEW ratings;
"""
_KEPT = r"CREATE TABLE (meta|runs|questions|slots)|CREATE UNIQUE INDEX"
#: What questions of a store before version 4 lack.
_OF_SEVERAL = """
ALTER TABLE questions ADD COLUMN instrument TEXT NOT NULL DEFAULT '';
ALTER TABLE questions ADD COLUMN wording TEXT NOT NULL DEFAULT '';
ALTER TABLE questions ADD COLUMN before INTEGER NOT NULL DEFAULT 0;
DROP INDEX one_question;
"""


def is_current(db: sqlite3.Connection) -> bool:
    """Whether a file has the tables of this version."""
    return db.execute("PRAGMA user_version").fetchone()[0] == _VERSION


def make(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, or what a file of an earlier version lacks; to be called in a transaction."""
    old = db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
    version = db.execute("PRAGMA user_version").fetchone()[0]
    every = _SCHEMA.split(";\n")
    if version == 1:  # lacks the ids of personas
        db.execute(_statement(every, "CREATE TABLE personas"))
    if 0 < version < 3:
        db.execute("ALTER TABLE slots ADD COLUMN completion TEXT")
    for statement in (_UPGRADE if old and not version else "").split(";\n")[:-1]:
        db.execute(statement)
    if old and version < 4:
        for statement in _OF_SEVERAL.split(";\n")[:-1]:
            db.execute(statement)
        db.execute(_statement(every, "CREATE UNIQUE INDEX"))
    if 0 < version < 5:
        db.execute(_statement(every, "CREATE TABLE answers"))
    if version:
        db.execute("DROP VIEW ratings")
        db.execute(_statement(every, "CREATE VIEW ratings"))
    else:
        for statement in every:
            if not (old and re.search(_KEPT, statement)):
                db.execute(statement)
    if old and not version:
        db.execute(
            "INSERT INTO traffic SELECT run, condition, 'answered', count(DISTINCT request_id), "
            "ifnull(sum(input_tokens), 0), ifnull(sum(output_tokens), 0) FROM slots JOIN questions ON question = id "
            "WHERE request_id IS NOT NULL GROUP BY run, condition"
        )
    db.execute(f"PRAGMA user_version = {_VERSION}")


def _statement(every: list[str], beginning: str) -> str:
    """The statement of the schema that begins so."""
    return next(statement for statement in every if beginning in statement)
