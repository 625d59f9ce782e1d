"""What a store says: ratings as counts, how they came, and a hash of them."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from persona_collapse.files import atomic_text
from persona_collapse.store.text_answers import RETRIED, TextReader
from persona_collapse.study import first_token

if TYPE_CHECKING:
    import pandas as pd

#: A different reply of a cell and how often it came: (persona, item number, rating, reason, reply, times).
Said = tuple[int, int, int | None, str | None, str | None, int]
#: Bytes of a store beyond which its digests are not kept.
_LARGE = 500_000_000


#: A run in one condition, of one instrument; a store of an earlier version does not say of which.
_AT = "family = ? AND variant = ? AND condition = ? AND instrument IN ('', ?)"


class Reader(TextReader):
    """The reading side of a store."""

    path: Path
    _db: sqlite3.Connection
    #: What was read since the last transaction.
    _offered: dict[tuple[str, str, str, str, int, range], first_token.Offered]

    def origin(self, family: str, variant: str) -> tuple[str | None, dict[str, Any]]:
        """What an imported run was read from (a hash), and what the importer found."""
        found = self._db.execute("SELECT origin, report FROM runs WHERE family = ? AND variant = ?", (family, variant)).fetchone()
        return (found[0], json.loads(found[1] or "{}")) if found else (None, {})

    def labels(self, condition: str) -> tuple[str, ...]:
        """Ids of the personas of imported files in one condition, by their number; none of ratings that were asked for."""
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'personas'").fetchone() is None:
            return ()  # a store of an earlier version, which is brought up to date when it is written to
        rows = self._db.execute("SELECT label FROM personas WHERE condition = ? ORDER BY number", (condition,))
        return tuple(row[0] for row in rows)

    def personas(self, family: str, variant: str, condition: str, instrument: str) -> int:
        """Rows of personas that a run's design has in one condition; 1 without a persona."""
        return self._db.execute(
            f"SELECT ifnull(max(ifnull(persona, 0)) + 1, 0) FROM questions JOIN runs ON run = runs.id WHERE {_AT} AND asked > 0",
            (family, variant, condition, instrument),
        ).fetchone()[0]

    def rows(self, family: str, variant: str, condition: str, instrument: str) -> list[int]:
        """Which rows of personas a run's design has in one condition, in order; 0 without a persona."""
        found = self._db.execute(
            f"SELECT DISTINCT ifnull(persona, 0) FROM questions JOIN runs ON run = runs.id WHERE {_AT} AND asked > 0 ORDER BY 1",
            (family, variant, condition, instrument),
        )
        return [row for (row,) in found]

    def offered(
        self, family: str, variant: str, condition: str, instrument: str, items: int, categories: range
    ) -> first_token.Offered:  # fmt: skip
        """What each cell was offered on the scale, of a study asked by method logprobs; slots without logprobs are not seen."""
        key = family, variant, condition, instrument, items, categories
        if key not in self._offered:
            rows = self._db.execute(
                f"SELECT ifnull(persona, 0), item - 1, rating IS NOT NULL, logprobs FROM ratings WHERE {_AT} "
                "AND logprobs IS NOT NULL AND (rating IS NOT NULL OR reason = 'low_mass')",
                (family, variant, condition, instrument),
            )
            personas = self.personas(family, variant, condition, instrument)
            self._offered[key] = first_token.gather(rows, personas, items, categories)
        return self._offered[key]

    @property
    def of_one_instrument(self) -> bool:
        """Whether its ratings come from a time at which the study file named one instrument, which they do not say."""
        return self._db.execute("SELECT 1 FROM questions WHERE instrument = '' LIMIT 1").fetchone() is not None

    def rated_runs(self) -> list[tuple[str, str, int]]:
        """Every run with ratings as personas, whether or not a study file still names it: (family, variant, ratings)."""
        return self._db.execute(
            "SELECT family, variant, count(*) FROM ratings WHERE condition = 'persona' AND rating IS NOT NULL GROUP BY 1, 2"
        ).fetchall()

    def completions(self) -> Iterator[tuple[str, str]]:
        """Completions that were stored for what the present design asks, each with the hash of its prompt."""
        return self._db.execute(
            "SELECT completion, prompt_hash FROM slots JOIN questions ON question = questions.id "
            "WHERE completion IS NOT NULL AND prompt_hash IS NOT NULL AND asked > 0"
        )

    def answered(self, family: str, variant: str) -> dict[tuple[str, int | None, int, str], int]:
        """How many slots of each question need not be asked again: by condition, persona, item number and identity."""
        rows = self._db.execute(
            "SELECT condition, persona, item, identity, count(*) FROM slots JOIN questions ON question = questions.id "
            "JOIN runs ON run = runs.id WHERE family = ? AND variant = ? "
            f"AND (reason IS NULL OR reason NOT IN {RETRIED}) GROUP BY questions.id",
            (family, variant),
        )
        return {row[:4]: row[4] for row in rows}

    def ratings(self, family: str, variant: str, condition: str, instrument: str) -> list[tuple[int, int, int, int]]:
        """Every valid rating of a run in one condition: (persona, item number, repetition, rating)."""
        return self._db.execute(
            f"SELECT persona, item, repetition, rating FROM ratings WHERE {_AT} "
            "AND rating IS NOT NULL ORDER BY persona, item, repetition",
            (family, variant, condition, instrument),
        ).fetchall()

    def requests(self, family: str, variant: str, condition: str, instrument: str) -> list[str | None]:
        """With which request each of the `ratings` came, in their order; None where the endpoint named none."""
        rows = self._db.execute(
            f"SELECT request_id FROM ratings WHERE {_AT} AND rating IS NOT NULL ORDER BY persona, item, repetition",
            (family, variant, condition, instrument),
        )
        return [row[0] for row in rows]

    def wordings(self, family: str, variant: str, condition: str, instrument: str) -> list[str]:
        """How each of the `ratings` was asked for, in their order: the levels of what varies."""
        rows = self._db.execute(
            f"SELECT wording FROM ratings WHERE {_AT} AND rating IS NOT NULL ORDER BY persona, item, repetition",
            (family, variant, condition, instrument),
        )
        return [row[0] for row in rows]

    def said(self, family: str, variant: str, condition: str, instrument: str) -> list[Said]:
        """Every different reply of a cell, and how often: (persona, item number, rating, reason, reply, times), often ones first.

        Persona is 0 without one.
        """
        return self._db.execute(
            "SELECT ifnull(persona, 0), item, rating, reason, reply, count(*) FROM ratings "
            f"WHERE {_AT} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 6 DESC, 3 DESC, 4, 5",
            (family, variant, condition, instrument),
        ).fetchall()

    def asked(self, family: str, variant: str, condition: str, instrument: str) -> list[tuple[int, int, int]]:
        """How many ratings the present design requests of every cell: (persona, item number, number), persona 0 without one."""
        return self._db.execute(
            "SELECT ifnull(persona, 0), item, sum(asked) FROM questions JOIN runs ON run = runs.id "
            f"WHERE {_AT} AND asked > 0 GROUP BY 1, 2 ORDER BY 1, 2",
            (family, variant, condition, instrument),
        ).fetchall()

    def unread(self, family: str, variant: str, condition: str, instrument: str) -> list[tuple[str, int]]:
        """Every different reply of a run in one condition that gave no rating, and how often it came."""
        return self._db.execute(
            f"SELECT reply, count(*) FROM ratings WHERE {_AT} AND reason = 'unparseable' AND reply IS NOT NULL GROUP BY 1",
            (family, variant, condition, instrument),
        ).fetchall()

    def slots(self, family: str, variant: str, columns: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """Every recorded slot of a run in the design's order: these columns of the view `ratings`."""
        yield from self._db.execute(
            f"SELECT {', '.join(columns)} FROM ratings WHERE family = ? AND variant = ? "
            "ORDER BY instrument, condition, persona, item, repetition",
            (family, variant),
        )

    def quality(self, family: str, variant: str, condition: str, instrument: str) -> dict[str, Any]:
        """Slots of the design, valid ratings, missing ones by reason, repetitions of a cell, dates, served models."""
        where = (family, variant, condition, instrument)
        per_cell = self._db.execute(
            f"SELECT count(*), ifnull(sum(asked), 0) FROM questions JOIN runs ON run = runs.id WHERE {_AT} AND asked > 0",
            where,
        ).fetchone()
        reasons = dict(self._db.execute(f"SELECT reason, count(*) FROM ratings WHERE {_AT} GROUP BY 1", where))
        valid = reasons.pop(None, 0)
        first, last, models, providers = self._db.execute(
            "SELECT min(time), max(time), group_concat(DISTINCT served_model), group_concat(DISTINCT provider) FROM ratings "
            f"WHERE {_AT}",
            where,
        ).fetchone()
        return {
            "cells": per_cell[0], "asked": per_cell[1], "recorded": valid + sum(reasons.values()),
            "valid": valid, "reasons": reasons, "first": first, "last": last, "models": models, "providers": providers,
        }  # fmt: skip

    def replies(self, family: str, variant: str, instrument: str, limit: int) -> "pd.DataFrame":
        """The first replies of a run that gave no rating, for reading: condition, persona, item, reason, reply."""
        import pandas as pd  # asking needs none of it, and it is slow to import

        return pd.read_sql_query(
            "SELECT condition, persona, item, repetition, reason, reply FROM ratings WHERE family = ? AND variant = ? "
            "AND instrument IN ('', ?) AND rating IS NULL ORDER BY condition, persona, item, repetition LIMIT ?",
            self._db,
            params=(family, variant, instrument, limit),
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

    def reasked(self, family: str, variant: str, instrument: str) -> "pd.DataFrame":
        """Slots that were asked again: what was answered first, and what stands now."""
        import pandas as pd

        return pd.read_sql_query(
            "SELECT r.condition, r.persona, r.item, r.repetition, f.reason AS first_reason, f.reply AS first_reply, asked_again, "
            "r.rating, r.reason, r.reply FROM first_answers f "
            "JOIN questions ON f.question = questions.id JOIN runs ON run = runs.id "
            "JOIN ratings r USING (family, variant, instrument, condition, item, identity) "
            "WHERE r.persona IS questions.persona AND r.repetition = f.repetition + questions.before "
            "AND family = ? AND variant = ? AND instrument IN ('', ?) "
            "ORDER BY r.condition, r.persona, r.item, r.repetition",
            self._db,
            params=(family, variant, instrument),
        )

    def prompts(self, family: str, variant: str, instrument: str) -> dict[tuple[str, int | None, int], str]:
        """The hash of every prompt of a run's present design, by condition, persona and item; none if imported.

        Where wording varies within a cell, the hashes of all its prompts, in one text.
        """
        rows = self._db.execute(
            "SELECT condition, persona, item, prompt_hash FROM questions JOIN runs ON run = runs.id "
            "WHERE family = ? AND variant = ? AND asked > 0 AND instrument IN ('', ?) AND prompt_hash IS NOT NULL "
            "ORDER BY before",
            (family, variant, instrument),
        )
        found: dict[tuple[str, int | None, int], str] = {}
        for *cell, prompt in rows:
            key = cell[0], cell[1], cell[2]
            found[key] = f"{found[key]} {prompt}" if key in found else prompt
        return found

    def digests(self, runs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """`digest` of several runs.

        They are kept beside the store, under a hash of its bytes and of the code that made them, as to hash a file as it lies
        there takes a tenth of the time.
        """
        wanted, beside = list(runs), self.path.with_name(".digests.json")
        self._db.execute("BEGIN")  # what is hashed is what is read
        try:
            whole = self._whole()
            known = _known(beside, whole)
            found = {run: known.get("/".join(run)) or self.digest(*run) for run in wanted}
        finally:
            self._db.execute("COMMIT")
        new = {"/".join(run): made for run, made in found.items()}
        if whole and not new.keys() <= known.keys():
            with suppress(OSError):  # a folder that cannot be written to
                atomic_text(beside, json.dumps({"store": whole, "runs": known | new}))
        return found

    def _whole(self) -> str:
        """A hash of the bytes of the store and of this module; empty for a store too large to be held in memory."""
        pages, size = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if pages * size > _LARGE:
            return ""
        found = hashlib.sha256(Path(__file__).read_bytes())
        found.update(self._db.serialize())
        return found.hexdigest()

    def digest(self, family: str, variant: str) -> str:
        """A hash of everything a run's numbers and pages can depend on; equal content, equal hash."""
        found = hashlib.sha256(json.dumps(self.origin(family, variant)[1], sort_keys=True).encode())
        for condition in ("persona", "toxic"):
            labels = self.labels(condition)
            if labels != tuple(map(str, range(len(labels)))):  # which says nothing
                found.update(repr(labels).encode())
        rows = self._db.execute(
            "SELECT condition, persona, item, prompt_hash, asked, instrument, wording FROM questions "
            "WHERE run = (SELECT id FROM runs WHERE family = ? AND variant = ?) AND asked > 0 "
            "ORDER BY condition, persona, item, instrument, before",
            (family, variant),
        ).fetchall()
        plain = len({row[5] for row in rows}) < 2 and not any(row[6] for row in rows)
        for row in rows:  # what one questionnaire in one wording has not, was not hashed before either
            found.update(repr(row[:5] if plain else row).encode())
        if rows:
            slots = self._db.execute(
                "SELECT condition, persona, item, repetition, rating, reason, reply, served_model, time FROM ratings "
                "WHERE family = ? AND variant = ? ORDER BY condition, persona, item, instrument, repetition",
                (family, variant),
            )
            while block := slots.fetchmany(20_000):
                found.update(repr(block).encode())
            # Apart, so that samples, which have none, keep the hash that older reports name.
            for row in self._db.execute(
                "SELECT condition, persona, item, logprobs FROM ratings WHERE family = ? AND variant = ? "
                "AND logprobs IS NOT NULL ORDER BY condition, persona, item, instrument, repetition",
                (family, variant),
            ):
                found.update(repr(row).encode())
        for row in self.text_digest_rows(family, variant):
            found.update(repr(row).encode())
        return found.hexdigest()


def _known(path: Path, whole: str) -> dict[str, str]:
    """Digests that were kept of the same bytes, by run."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return dict(kept["runs"]) if whole and kept["store"] == whole else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
