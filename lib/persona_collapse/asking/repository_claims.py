"""What a repository says of its models beside the ratings, with its place: who served a base, which job made a fine-tune."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from persona_collapse.asking.repository_names import RECIPES, STACKS, Named, parse

#: Files that may say something, and how large they are at most.
_SAYING, _MOST = (".json", ".yaml", ".yml", ".md", ".py", ".toml", ".txt"), 400_000
#: Folders that hold ratings or results, and say nothing of models.
_RESULTS = {"data", "results", "figures", "plots", "outputs"}
JOBS = "finetuned_models.json"


class Claim(NamedTuple):
    """A stack that a place names for the base of a family."""

    family: str
    stack: str
    place: str


class Job(NamedTuple):
    """An entry of finetuned_models.json, as far as it is understood."""

    name: str
    stack: str
    model: str
    recipe: str


def base_claims(root: Path, families: Sequence[str]) -> Iterator[Claim]:
    """Every line of a text or configuration that names the base of one family and one stack."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.suffix not in _SAYING or set(inside.parts[:-1]) & _RESULTS or any(part.startswith(".") for part in inside.parts):
            continue
        if not path.is_file() or path.stat().st_size > _MOST or path.name == JOBS:
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for number, line in enumerate(lines, start=1):
            text = line.lower()
            if not re.search(r"\bbase\b", text):
                continue
            named = [one for one in families if re.search(rf"(?<![\w.]){re.escape(one)}(?![\w.])", text)]
            stacks = [one for one in STACKS if re.search(rf"\b{one}\b", text)]
            longest = [one for one in named if not any(one != other and one in other for other in named)]
            if len(longest) == 1 and len(stacks) == 1:
                yield Claim(longest[0], stacks[0], f"{inside.as_posix()} line {number}")


def jobs(root: Path, families: Sequence[str]) -> tuple[dict[Named, Job], list[str]]:
    """Fine-tuning jobs by the run that each made, and what of the file is not understood, a line each."""
    path = root / JOBS
    if not path.is_file():
        return {}, []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [f"{JOBS}: cannot be read ({error})"]
    found: dict[Named, Job] = {}
    aside: list[str] = []
    for name, entry in _entries(content):
        named = _named(name, entry, families)
        if named is None:
            aside.append(f"{JOBS}: {name!r} is of no run that is here")
        elif named.dataset.key != "base":
            found[named] = Job(
                name, str(entry.get("provider", "")).lower(), str(_first(entry, "model", "model_id") or ""), named.recipe
            )
    return found, aside


def _entries(content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of models: of a mapping by name, or of a list whose records name themselves; nested ones too."""
    if isinstance(content, list):
        for number, entry in enumerate(content):
            if isinstance(entry, dict):
                yield str(_first(entry, "name", "key", "run", "stem") or f"entry {number}"), entry
    elif isinstance(content, dict):
        for name, entry in content.items():
            if isinstance(entry, dict) and {"provider", "base", "dataset", "base_model"} & entry.keys():
                yield str(name), entry
            else:
                yield from _entries(entry)


def _named(name: str, entry: dict[str, Any], families: Sequence[str]) -> Named | None:
    """The run that a record is of: by its name, else by its base, dataset and recipe."""
    if (found := parse(name, families)) is not None:
        return found
    base = str(_first(entry, "base", "base_model") or "").rpartition("/")[2].lower()
    family = max((one for one in families if base == one or base.startswith(f"{one}-")), key=len, default="")
    text = json.dumps(entry).lower()
    recipe = next((one for one in RECIPES if one in text), "")
    dataset = str(entry.get("dataset", "")).lower().replace("_", "-")
    return parse("-".join(filter(None, [family, dataset, recipe])), families) if family and dataset else None


def _first(entry: dict[str, Any], *names: str) -> Any:
    return next((entry[name] for name in names if entry.get(name)), None)
