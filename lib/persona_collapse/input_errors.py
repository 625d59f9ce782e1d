"""How wrong input is read and named: YAML that refuses doubled keys, and errors of one line that say where and what."""

import csv
import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from persona_collapse.paths import shown

# A reply or a text of any length is a field; the library's own limit would be called a matter of quotes.
csv.field_size_limit(2**31 - 1)
#: Places that a line names beside the first problem.
_NAMED = 4


def listing(names: Iterable[Any]) -> str:
    """Names as a person lists them: 'a', 'b'."""
    return ", ".join(repr(name) for name in names) or "nothing"


def closest(name: str, known: Iterable[str]) -> str:
    """A remedy for a mistyped name: the nearest known one, else all of them."""
    known = list(known)
    if not known:
        return "there is none to choose from"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {listing(known)}"


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; plain PyYAML keeps the last one silently."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for position, key in enumerate(keys):
        line = node.value[position][0].start_mark.line + 1
        if isinstance(key, (list, dict)):
            raise ValueError(f"line {line}: a key is {type(key).__name__}, expected a word; quote it or correct the brackets")
        if key in keys[:position]:
            raise ValueError(f"line {line}: key {key!r} stands twice; keep one")
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """A number that YAML 1.1 and 1.2 read alike; 010 (8 or 10) and 1:30 (90, or a text) are refused."""
    if re.fullmatch(r"[-+]?0[0-7_]+|.*:.*", node.value):
        read = loader.construct_yaml_float(node) if node.tag.endswith("float") else loader.construct_yaml_int(node)
        raise ValueError(
            f"line {node.start_mark.line + 1}: {node.value} is {read} to some readers of YAML and not to others; write the plain "
            "number, or put it in quotes if it is a name or a time"
        )
    as_float = node.tag.endswith("float")
    return loader.construct_yaml_float(node) if as_float else loader.construct_yaml_int(node)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds; anything else is a ValueError that names the file and the line."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ValueError(f"{shown(path)}, line {line}: not YAML ({error.problem}); check indentation and quotes") from None
    except yaml.reader.ReaderError as error:
        place = f"character {error.position + 1}"
        raise ValueError(f"{shown(path)}, {place}: #x{error.character:04x} is not allowed in YAML; remove it") from None
    except UnicodeDecodeError:
        raise ValueError(f"{shown(path)}: not UTF-8 text; save it as UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{shown(path)}, {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{shown(path)}: holds {type(found).__name__}, expected keys and values; see README.md")
    return found


def first_error(path: Path, error: ValidationError) -> str:
    """One line for what pydantic found wrong: file, place, what was found, what was expected."""
    problems = error.errors(include_url=False)
    # A misspelt key first: what is missing is mostly the same key.
    problem, *others = sorted(problems, key=lambda one: one["type"] != "extra_forbidden")
    place, found = _place(problem), problem["input"]
    named = ", ".join(_place(one) for one in others[:_NAMED] if one["loc"])
    more = f" (and {len(others)} more{': ' * bool(named)}{named})" if others else ""
    if problem["type"] == "extra_forbidden":
        text = f"unknown key {problem['loc'][-1]!r}; remove it or correct its spelling"
    elif problem["type"] == "missing":
        text = "is missing; add it"
    elif problem["type"] == "value_error":
        text = str(problem["ctx"]["error"])
    else:
        text = f"found {_brief(found)}; expected: {problem['msg'][0].lower()}{problem['msg'][1:]}"
    # What the whole file's checks find names its place itself.
    return f"{shown(path)}, {place}: {text}{more}" if place else f"{shown(path)}, {text}{more}"


def _place(problem: Any) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")


def _brief(found: Any) -> str:
    text = repr(found)
    return text if len(text) <= 80 else f"{text[:77]}..."
