"""Small imported studies on disk: rating files as the paper's authors write them, an instrument, a study file."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import yaml

from persona_collapse.store.ratings import Ratings
from persona_collapse.study.load_study import load_study
from persona_collapse.study.study import Study

COLUMNS = ["persona_id", "question_id", "run_index", "rating", "failures", "response", "collected_at"]


def cell(persona: int, item: int, *ratings: int | None) -> list[dict]:
    """Rows of one cell, repetitions from 1; -1 stands beside the reply "I", None leaves the repetition out."""
    return [
        {
            "persona_id": persona, "question_id": item, "run_index": number, "rating": rating, "failures": 0,
            "response": "I" if rating == -1 else str(rating), "collected_at": f"2026-03-15T10:00:{number:02d}",
        }
        for number, rating in enumerate(ratings, start=1)
        if rating is not None
    ]  # fmt: skip


def grid(personas: Iterable[int], items: int, *ratings: int) -> list[dict]:
    """Rows of every cell, each with the same ratings."""
    return [row for persona in personas for item in range(1, items + 1) for row in cell(persona, item, *ratings)]


def write_rows(path: Path, rows: list[dict], columns: Iterable[str] = COLUMNS) -> Path:
    """A CSV file of these rows and columns; the persona column is left out of a file called `..._self.csv`."""
    columns = [c for c in columns if c != "persona_id" or not path.stem.endswith("_self")]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_instrument(path: Path, items: int = 2, low: int = 0, high: int = 5) -> Path:
    """An instrument whose items take turns in the foundations A and B."""
    content = {
        "title": "Short", "source": "made up", "citation": "none", "terms": "none", "scale": {"low": low, "high": high},
        "persona_prompt": "{persona} {item}", "prompts": {"only": "{text}?"},
        "items": [{"number": n, "block": "only", "foundation": "AB"[(n - 1) % 2], "text": f"t{n}"} for n in range(1, items + 1)],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def write_study(folder: Path, variants: Iterable[Mapping[str, str]] | None = None, **more: object) -> Path:
    """A study file `small.yaml`: one family `f`, by default with one variant `base` read from base.csv."""
    variants = variants or [{"key": "base", "role": "base", "persona": "base.csv"}]
    if not (folder / "short.yaml").exists():
        write_instrument(folder / "short.yaml")
    content = {"title": "Small", "kind": "imported", "instrument": "./short.yaml"} | more
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content | {"families": [{"key": "f", "variants": list(variants)}]}), encoding="utf-8")
    return path


def small_study(folder: Path, variants: Iterable[Mapping[str, str]] | None = None, **more: object) -> Study:
    """The study of `write_study`, loaded; its rating files must exist."""
    return load_study(write_study(folder, variants, **more))


def one_line(error: BaseException) -> str:
    """The text of an error, which must be a single line."""
    text = str(error)
    assert "\n" not in text, text
    return text


def rating_file(folder, name, counts):
    """The rows of an imported file with these counts (persona, item, category)."""
    rows = ["persona_id,question_id,run_index,rating"]
    for p, q in np.ndindex(counts.shape[:2]):
        ratings = np.repeat(np.arange(6), counts[p, q])
        rows += [f"{p},{q + 1},{i},{rating}" for i, rating in enumerate(ratings, start=1)]
    (folder / name).write_text("\n".join(rows) + "\n")


def assert_same_ratings(one: Ratings, other: Ratings) -> None:
    """Everything of the two is the same, whatever way it came."""
    assert (one.study, one.prompts, one.again) == (other.study, other.prompts, other.again)
    assert one.answers.keys() == other.answers.keys()
    for key, answers in one.answers.items():
        assert_same_fields(answers, other.answers[key])
        assert_same_fields(answers.asked, other.answers[key].asked)


def assert_same_fields(one: object, other: object) -> None:
    """Two records with arrays in them."""
    for field in fields(one):
        own, others = getattr(one, field.name), getattr(other, field.name)
        if isinstance(others, np.ndarray):
            assert own.dtype == others.dtype and np.array_equal(own, others), field.name
        elif field.name != "asked":
            assert own == others, field.name
