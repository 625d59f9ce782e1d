"""How wrong input is read and named: YAML that refuses doubled keys, and errors of one line that say where and what."""

import copy
import csv
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from persona_collapse.paths import shown

# A reply or a text of any length is a field; the library's own limit would be called a matter of quotes.
csv.field_size_limit(2**31 - 1)
#: Problems that a line names.
_NAMED = 10
#: How near a key must be to be taken for a misspelt one: api_key is not for api_key_env (0.78), where no key belongs either.
_NEAR = 0.79
_Model = TypeVar("_Model", bound=BaseModel)


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
        raise ValueError(f"{shown(path)}: holds {type(found).__name__}, expected keys and values; see docs/asking.md")
    return found


class SeveralError(ValueError):
    """Problems that a check found at once, each in words that name its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def gather(checks: Iterable[Callable[[], None]]) -> None:
    """Run every check, and raise one SeveralError for all that fail."""
    problems = []
    for check in checks:
        try:
            check()
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SeveralError(problems)


def checked(path: Path, model: type[_Model], content: dict[str, Any]) -> _Model:
    """What a file holds, as a model; a ValueError of one line that names the file and every problem in it.

    Checks of a whole file need its parts: they are made once more with misspelt keys mended, and with `gathering` in the
    context for parts that can do without something meanwhile.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = _own(error)
    mended = copy.deepcopy(content)
    for problem in problems:
        if problem["type"] == "extra_forbidden":
            _mend(mended, problem["loc"], _meant(model, problem["loc"]))
    try:
        model.model_validate(mended, context={"gathering": True})
        further = []
    except ValidationError as error:
        further = _own(error)
    still = [(problem["loc"], problem["type"]) for problem in further]
    # What is missing no more was only misspelt.
    gone = [one for one in problems if (one["loc"], one["type"]) not in still and one["type"] != "missing"]
    raise ValueError(_one_line(path, [text for one in [*gone, *further] for text in _told(one, model)]))


def first_error(path: Path, error: ValidationError) -> str:
    """One line for what pydantic found wrong: file, place, what was found, what was expected."""
    return _one_line(path, [text for one in _own(error) for text in _told(one, None)])


def _own(error: ValidationError) -> list[Any]:
    """What was found wrong, without lists that are too short because their entries are wrong."""
    found = error.errors(include_url=False)
    places = [one["loc"] for one in found]
    return [
        one
        for one in found
        if one["type"] != "too_short" or not any(len(p) > len(one["loc"]) and p[: len(one["loc"])] == one["loc"] for p in places)
    ]


def _one_line(path: Path, problems: list[str]) -> str:
    if len(problems) == 1:
        return f"{shown(path)}, {problems[0]}"
    listed = "; ".join(f"({number}) {text}" for number, text in enumerate(problems[:_NAMED], start=1))
    more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return f"{shown(path)}: {len(problems)} problems: {listed}{more}"


def _told(problem: Any, model: type[BaseModel] | None) -> list[str]:
    """A problem in words that begin with its place; what checks of the whole file find names its place itself."""
    place, found = _place(problem), problem["input"]
    if problem["type"] == "extra_forbidden":
        meant = _meant(model, problem["loc"]) if model else None
        remedy = f"did you mean {meant!r}?" if meant else "remove it or correct its spelling"
        texts: Sequence[str] = [f"unknown key {problem['loc'][-1]!r}; {remedy}"]
    elif problem["type"] == "missing":
        texts = ["is missing; add it"]
    elif problem["type"] == "value_error":
        cause = problem["ctx"]["error"]
        texts = cause.problems if isinstance(cause, SeveralError) else [str(cause)]
    else:
        texts = [f"found {_brief(found)}; expected: {problem['msg'][0].lower()}{problem['msg'][1:]}"]
    return [f"{place}: {text}" if place else text for text in texts]


def _meant(model: type[BaseModel], place: Sequence[int | str]) -> str | None:
    """The key that is nearest to an unknown one, of those that may stand there."""
    for part in place[:-1]:
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        model = next(_models(field.annotation), model) if field else model  # else a place in a list, or a name of the user's
    known = [field.alias or name for name, field in model.model_fields.items()]
    return next(iter(difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=_NEAR)), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _mend(content: Any, place: Sequence[int | str], meant: str | None) -> None:
    """Give an unknown key its likely name, or remove it."""
    for part in place[:-1]:
        content = content[part]
    value = content.pop(place[-1])
    if meant:
        content.setdefault(meant, value)


def _place(problem: Any) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")


def _brief(found: Any) -> str:
    text = repr(found)
    return text if len(text) <= 80 else f"{text[:77]}..."
