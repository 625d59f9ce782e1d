"""The data behind a study as tidy files: ratings, personas, items, runs; safe to open in a spreadsheet."""

import csv
import gzip
import importlib.util
import io
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from persona_collapse.files import guarded
from persona_collapse.store.ratings import Ratings
from persona_collapse.store.store import Store
from persona_collapse.study.study import Study

#: Columns of ratings.csv.gz, in order; `logprobs` of studies asked for them, `reply` where it is asked for.
RATING_COLUMNS = (
    "family", "variant", "condition", "persona", "item", "repetition", "rating", "reason", "finish_reason", "served_model",
    "provider", "fingerprint", "request_id", "attempts", "input_tokens", "output_tokens", "time", "latency", "prompt_hash",
)  # fmt: skip
#: Columns of RATING_COLUMNS that hold numbers, as Parquet keeps them.
_WHOLE = ("item", "repetition", "rating", "attempts", "input_tokens", "output_tokens")


def runs(study: Study) -> pd.DataFrame:
    """What the keys of families and variants stand for."""
    rows = []
    for r in study.runs:
        family, variant = r.family, r.variant
        keys = family.key, family.name, variant.key, variant.name, variant.role, variant.control, variant.of, variant.step
        rows.append((*keys, study.stack(r), variant.model))
    names = ["family", "family_label", "variant", "variant_label", "role", "control", "of", "step", "stack", "asked_model"]
    return pd.DataFrame(rows, columns=names).astype({"step": "Int64"})


def items(study: Study) -> pd.DataFrame:
    """The questionnaire as it was asked: one row an item, with the whole prompt of the condition self."""
    rows = [
        (one.key, i.number, i.block, i.foundation, i.reversed, i.text, one.prompt(i, digit=study.by_logprobs))
        for one in study.instruments
        for i in one.items
    ]
    table = pd.DataFrame(rows, columns=["instrument", "item", "block", "foundation", "reversed", "text", "prompt"])
    return table if study.further else table.drop(columns="instrument")


def personas(study: Study) -> pd.DataFrame | None:
    """The decks that were used, one row a persona; attributes as columns `attribute_<name>`. None for imported studies."""
    decks = {condition: study.deck(condition) for condition in ("persona", "toxic")}
    rows = [
        {"condition": condition, "persona": p.index, "text": p.text} | {f"attribute_{k}": v for k, v in p.attributes.items()}
        for condition, deck in decks.items()
        for p in deck or ()
    ]
    return pd.DataFrame(rows) if rows else None


def reference(people: Ratings) -> pd.DataFrame:
    """What human respondents answered, one row a rating; they go by number, as their ids may say who they are."""
    persona, item, repetition, category = people.of(people.runs[0]).slots.T
    order = pd.Series(repetition).groupby([persona, item]).rank(method="first").astype(int)
    rating = category + people.study.instrument.scale[0]
    return pd.DataFrame({"persona": persona, "item": item + 1, "repetition": order, "rating": rating})


def rating_columns(study: Study, *, replies: bool) -> tuple[str, ...]:
    """The columns of a study's ratings.csv.gz."""
    return (
        *(("instrument",) if study.further else ()),
        *RATING_COLUMNS,
        *(("logprobs",) if study.by_logprobs else ()),
        *(("reply",) if replies else ()),
    )


def write_ratings(study: Study, store: Store, folder: Path, *, replies: bool) -> list[Path]:
    """Write ratings.csv.gz, one row a slot, and ratings.parquet where pyarrow is installed; returns the files.

    The gzip file carries neither time nor name: the same ratings are the same bytes.
    """
    columns = rating_columns(study, replies=replies)
    path = folder / "ratings.csv.gz"
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
        with io.TextIOWrapper(packed, encoding="utf-8", newline="") as text:
            _write_rows(text, columns, _slots(study, store, columns))
    parquet = folder / "ratings.parquet"
    return [path, parquet] if _write_parquet(path, parquet) else [path]


def _slots(study: Study, store: Store, columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    with tqdm(unit="rating", leave=False, disable=None, delay=1) as bar:
        ids = {condition: () if study.deck(condition) else store.labels(condition) for condition in ("persona", "toxic")}
        condition, persona = columns.index("condition"), columns.index("persona")
        for run in study.runs:
            bar.set_description(run.key, refresh=False)
            for row in store.slots(run.family.key, run.variant.key, columns):
                bar.update(1)
                if named := ids.get(row[condition]):
                    row = *row[:persona], named[row[persona]], *row[persona + 1 :]
                yield row


def _write_rows(file: io.TextIOBase, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(value) if isinstance(value, str) else value for value in row] for row in rows)


@lru_cache(maxsize=65536)
def _written(text: str) -> str:
    """A text that no spreadsheet runs; a lone surrogate, as a broken reply may hold, has no UTF-8 and is a question mark."""
    return str(guarded(text)).encode("utf-8", "replace").decode()


def _write_parquet(source: Path, target: Path) -> bool:
    """The same rows as Parquet; False where pyarrow, which is no dependency, is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        return False
    kinds = dict.fromkeys(_WHOLE, "Int64") | {"latency": "float64"}
    header = pd.read_csv(source, nrows=0).columns
    table = pd.read_csv(
        source, dtype={name: kinds.get(name, "string") for name in header}, keep_default_na=False,
        na_values={name: [""] for name in header},
    )  # fmt: skip
    table.to_parquet(target, index=False)
    return True
