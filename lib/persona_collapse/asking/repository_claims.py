"""What a repository says of its models beside the ratings, with its place: who served a base, which job made a fine-tune."""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from persona_collapse.asking.repository_names import RECIPES, STACKS, Named, family_of, parse

#: Files that may say something, and how large they are at most.
_SAYING, _MOST = (".json", ".yaml", ".yml", ".md", ".py", ".toml", ".txt"), 400_000
#: Folders that hold ratings or results, and say nothing of models.
_RESULTS = {"data", "results", "figures", "plots", "outputs"}
JOBS = "finetuned_models.json"
#: What a record of a model has one of, and what it calls its hyperparameters.
_TELLING = ("provider", "base", "base_model", "dataset", "model_id", "job_id", "fine_tuned_model")
_SETTINGS = ("hyperparameters", "hparams")
#: What records call who serves a model.
_SERVED = ("provider", "stack", "backend", "service")


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
    settings: Mapping[str, Any]  #: hyperparameters


def base_claims(root: Path, families: Sequence[str]) -> Iterator[Claim]:
    """Every line, cell of a table and record of a text or configuration that names the base of one family and one stack."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.suffix not in _SAYING or set(inside.parts[:-1]) & _RESULTS or any(part.startswith(".") for part in inside.parts):
            continue
        if not path.is_file() or path.stat().st_size > _MOST or path.name == JOBS:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        place, said = inside.as_posix(), set()
        for claim in (*_of_lines(text, place, families), *_of_records(text, path.suffix, place, families)):
            if claim[:2] not in said:
                said.add(claim[:2])
                yield claim


def _of_lines(text: str, place: str, families: Sequence[str]) -> Iterator[Claim]:
    """Lines that say base, and in tables the column that does."""
    column = None
    for number, line in enumerate(text.lower().splitlines(), start=1):
        cells = line.strip().strip("|").split("|") if line.strip().startswith("|") else []
        if not cells:
            column = None
        elif column is None:
            column = next((at for at, cell in enumerate(cells) if re.search(r"\bbase\b", cell)), -1)
            continue
        about = line
        if cells and column is not None and 0 <= column < len(cells):
            about = f"base {cells[0]} {cells[column]}"
        elif not re.search(r"\bbase\b", line) or re.search(r"fine-?tun", line):
            continue
        named = [one for one in families if re.search(rf"(?<![\w.]){re.escape(one)}(?![\w.])", about)]
        stacks = [one for one in STACKS if re.search(rf"\b{one}\b", about)]
        longest = [one for one in named if not any(one != other and one in other for other in named)]
        if len(longest) == 1 and len(stacks) == 1:
            yield Claim(longest[0], stacks[0], f"{place} line {number}")


def _of_records(text: str, suffix: str, place: str, families: Sequence[str]) -> Iterator[Claim]:
    """Records with a provider, by the name or the model of a family, in JSON, YAML or a Python file."""
    try:
        if suffix == ".py":
            found = [_literal(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Dict)]
        elif suffix in (".json", ".yaml", ".yml"):
            found = [json.loads(text) if suffix == ".json" else yaml.safe_load(text)]
        else:
            return
    except (ValueError, SyntaxError, RecursionError, MemoryError, yaml.YAMLError):
        return  # a file that is not ours to judge: it only says nothing
    for name, record in (one for content in found for one in _records(content, "")):
        stack = str(_first(record, *_SERVED) or "").lower()
        family = family_of(name, families) or family_of(str(_first(record, "base", "base_model", "model") or ""), families)
        tuned = "dataset" in record or ((parsed := parse(name, families)) is not None and parsed.dataset.key != "base")
        if stack in STACKS and family and not tuned:
            yield Claim(family, stack, f"{place}, {name!r}")


def _literal(node: ast.Dict) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _records(content: Any, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Mappings that name who serves, at any depth, under the name that they have."""
    if isinstance(content, list):
        for entry in content:
            yield from _records(entry, str(_first(entry, "name", "key", "run") or "") if isinstance(entry, dict) else "")
    elif isinstance(content, dict):
        if any(isinstance(content.get(one), str) for one in _SERVED):
            yield name, content
        for key, entry in content.items():
            yield from _records(entry, str(key))


def jobs(root: Path, families: Sequence[str]) -> tuple[dict[Named, list[Job]], list[Claim], list[str]]:
    """Fine-tuning jobs by the run that each made, what is said of bases, and what of the file is not understood."""
    path = root / JOBS
    if not path.is_file():
        return {}, [], []
    try:
        entries = list(_entries(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, RecursionError) as error:
        return {}, [], [f"{JOBS}: cannot be read ({error})"]
    found: dict[Named, list[Job]] = {}
    claims: list[Claim] = []
    aside = [] if entries else [f"{JOBS}: holds no record with a provider, base or dataset"]
    for name, entry in entries:
        named, stack = _named(name, entry, families), entry.get("provider")
        stack = stack.lower() if isinstance(stack, str) else next((one for one in STACKS if one in name.lower().split("/")), "")
        if named is None:
            aside.append(f"{JOBS}: {name!r} is of no run that is here")
        elif named.dataset.key != "base":
            settings = _first(entry, *_SETTINGS)
            model = str(_first(entry, "model", "model_id", "fine_tuned_model") or "")
            found.setdefault(named, []).append(Job(name, stack, model, settings if isinstance(settings, dict) else {}))
        elif stack:
            claims.append(Claim(named.family, stack, f"{JOBS}, {name!r}"))
        else:
            aside.append(f"{JOBS}: {name!r} names a base and says nothing of it")
    return found, claims, aside


def _entries(content: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Records of models, at any depth, by where they stand: of a mapping by name, of a list by what names itself."""
    if isinstance(content, list):
        for number, entry in enumerate(content):
            own = str(_first(entry, "name", "key", "run", "stem") or f"entry {number}") if isinstance(entry, dict) else ""
            yield from _entries(entry, "/".join(filter(None, [name, own])))
    elif isinstance(content, dict):
        # A mapping of runs may call one of them `base`, which is then a record itself.
        if any(isinstance(content.get(one), str) for one in _TELLING):
            yield name, content
        for key, entry in content.items():
            if key not in _SETTINGS:
                yield from _entries(entry, "/".join(filter(None, [name, str(key)])))


def _named(name: str, entry: dict[str, Any], families: Sequence[str]) -> Named | None:
    """The run that a record is of: by its name, else by its base, dataset and recipe."""
    parts = name.split("/")
    if (found := parse(parts[-1], families) or parse("-".join(parts[-2:]), families)) is not None:
        return found
    family = family_of(str(_first(entry, "base", "base_model") or ""), families)
    text = json.dumps(entry).lower()
    recipe = next((one for one in RECIPES if one in text), "")
    dataset = str(entry.get("dataset") or "").lower().replace("_", "-").rpartition("/")[2].partition(".")[0]
    return parse("-".join(filter(None, [family, dataset, recipe])), families) if family and dataset else None


def _first(entry: Mapping[str, Any], *names: str) -> Any:
    return next((entry[name] for name in names if entry.get(name)), None)
