"""Replies to questions without a persona, out of a store and into it."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from persona_collapse.store.rows import TextAnswer
from persona_collapse.text import whole

#: Reasons after which a question is asked again: the model never answered.
RETRIED = ("transport", "wrong_server")
_COLUMNS = ", ".join(TextAnswer._fields)
_INSERT = (
    f"INSERT INTO answers ({_COLUMNS}) VALUES ({', '.join('?' * len(TextAnswer._fields))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in TextAnswer._fields[8:])
    + f" WHERE answers.reason IN {RETRIED}"  # what the model answered stays
)


def add(db: sqlite3.Connection, answers: Iterable[TextAnswer]) -> None:
    """Write answers, within a transaction of the caller's; a question that has its answer keeps it."""
    # SQLite holds no half of a character.
    db.executemany(_INSERT, (tuple(whole(v) if isinstance(v, str) else v for v in answer) for answer in answers))


def plan(db: sqlite3.Connection, runs: Sequence[tuple[str, str]], wanted: set[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Keys of answers of `runs`, and of judges about them, whose `asked` is not what the present design wants; each with that."""
    columns, about = ", ".join(TextAnswer._fields[:8]), {"/".join(run) for run in runs}
    return [
        (int(not asked), *key)
        for *key, asked in db.execute(f"SELECT {columns}, asked FROM answers")
        if (tuple(key[:2]) in runs or (key[2] == "judgement" and key[4].rpartition("/")[0] in about))
        and bool(asked) != (tuple(key) in wanted)
    ]


def set_asked(db: sqlite3.Connection, changes: Sequence[tuple[Any, ...]]) -> None:
    """Set `asked` of answers as `plan` says, within a transaction of the caller's."""
    where = " AND ".join(f"{name} = ?" for name in TextAnswer._fields[:8])
    db.executemany(f"UPDATE answers SET asked = ? WHERE {where}", changes)


class TextReader:
    """The reading side of a store, for questions without a persona."""

    _db: sqlite3.Connection

    def text_answers(self, purpose: str, runs: Sequence[tuple[str, str]] = ()) -> list[TextAnswer]:
        """Every answer of one purpose (of these runs, where some are named) to what the present design asks."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM answers WHERE purpose = ? AND asked "
            "ORDER BY family, variant, name, question, arm, sample, identity",
            (purpose,),
        )
        found = (TextAnswer(*row) for row in rows)
        return [one for one in found if not runs or one[:2] in runs]

    @property
    def purposes(self) -> tuple[str, ...]:
        """Purposes of which some answer counts at present."""
        rows = self._db.execute("SELECT DISTINCT purpose FROM answers WHERE asked ORDER BY 1")
        return tuple(row[0] for row in rows)

    @property
    def has_texts(self) -> bool:
        """Whether it holds any answer in words."""
        return self._db.execute("SELECT 1 FROM answers LIMIT 1").fetchone() is not None

    def text_keys(self, purpose: str) -> set[tuple[Any, ...]]:
        """Every answer of a purpose that counts at present, by `TextAnswer.key`."""
        columns = ", ".join(TextAnswer._fields[:8])
        return set(self._db.execute(f"SELECT {columns} FROM answers WHERE purpose = ? AND asked", (purpose,)))

    def texts_settled(self) -> set[tuple[Any, ...]]:
        """What need not be asked again, by `TextAnswer.key`."""
        columns = ", ".join(TextAnswer._fields[:8])
        return set(self._db.execute(f"SELECT {columns} FROM answers WHERE reason IS NULL OR reason NOT IN {RETRIED}"))

    def text_completions(self) -> Iterator[tuple[str, str]]:
        """Completions that were stored of text answers, each with the hash of its prompt."""
        return self._db.execute(
            "SELECT completion, prompt_hash FROM answers WHERE completion IS NOT NULL AND prompt_hash IS NOT NULL"
        )

    def text_digest_rows(self, family: str, variant: str) -> Iterator[tuple[Any, ...]]:
        """What pages can show of a run's answers, and of what judges said of them."""
        about = f"{family}/{variant}/"
        return self._db.execute(
            "SELECT family, variant, purpose, name, question, arm, sample, identity, reply, reason, finish_reason, logprobs, "
            "served_model, time FROM answers WHERE asked AND ((family = ? AND variant = ?) OR substr(question, 1, ?) = ?) "
            "ORDER BY 1, 2, 3, 4, 5, 6, 7, 8",
            (family, variant, len(about), about),
        )
