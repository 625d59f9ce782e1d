"""Which column of a file is what: as the study file says, else by the names that are common."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from persona_collapse.input_errors import closest, listing
from persona_collapse.store.column_names import COMMON, EITHER, candidates, plain
from persona_collapse.text import as_yaml, tamed

#: What every file must have; a file of the condition self has no personas.
_NEEDED = ("persona", "item", "repetition", "rating")
#: The plain names for what is needed, which nobody has to be told of.
PLAIN = {of: COMMON[of][0][0] for of in _NEEDED}


class Found(NamedTuple):
    """Columns of a file: `names` by what they are of; `items` by column the item's number where there is one column an item."""

    names: Mapping[str, str]
    items: Mapping[str, int]

    def line(self) -> str:
        """As a study file names them; a name that a reply goes by too is left to be told by what stands there."""
        named = {of: name for of, name in self.names.items() if not (of == "rating" and plain(name) in EITHER)}
        return _line(named | ({"items": f"{_beginning(self.items)}{{item}}"} if self.items else {}))

    @property
    def note(self) -> str:
        """What is said of columns that do not go by the plain names; nothing of those that do."""
        named = [f"{name} = {of}" for of, name in self.names.items() if of in PLAIN and name not in (of, PLAIN[of])]
        if self.items:
            items = list(self.items)
            named.append(f"{items[0]} to {items[-1]} = one column an item")
        return tamed(f"columns {', '.join(named)}") if named else ""


def find_columns(columns: Sequence[str], given: Mapping[str, str], *, alone: bool, where: str) -> Found:
    """The columns of a file, by the names `given` in the study file, else by common ones; `alone` asks for no personas.

    Raises ValueError, one line that names every column that is missing or cannot be told, and shows what to write.
    """
    needed = [of for of in _NEEDED if not (alone and of == "persona")]
    names: dict[str, str] = {}
    problems: list[str] = []
    for of, name in given.items():
        if of != "items" and name in columns:
            names[of] = name
        elif of in (*needed, "reply", "condition"):
            problems.append(f"no column {name!r}, which columns.{of} names; {closest(name, columns)}")
    items, pattern = _one_column_an_item(columns, given, problems)
    missing = []
    for of in needed:
        if of in given or (pattern and of in ("item", "rating")):
            continue
        found = [name for name in candidates(of, columns) if name not in names.values()]
        if len(found) == 1:
            names[of] = found[0]
        elif found:
            problems.append(f"columns {listing(found)} may each be the {of}")
        elif not (pattern and of == "repetition"):
            missing.append(of)
    replies = [name for name in candidates("reply", columns) if name not in names.values()]
    if "reply" not in names and len(replies) == 1 and not pattern:
        names["reply"] = replies[0]
    if missing:
        problems.insert(0, _missing(missing, columns, alone))
    if problems:
        asked = {of: names.get(of, "?") for of in needed if not (pattern and of != "persona")}
        line = _line(asked | ({"items": pattern} if pattern else {}))
        raise ValueError(f"{where}: {'; '.join(problems)}; say in the study file which is which: {line}")
    return Found({of: names[of] for of in (*_NEEDED, "reply", "condition") if of in names}, items)


def _line(named: Mapping[str, str]) -> str:
    return "columns: {" + ", ".join(f"{of}: {name if name == '?' else as_yaml(name)}" for of, name in named.items()) + "}"


def _missing(missing: Sequence[str], columns: Sequence[str], alone: bool) -> str:
    named = listing(PLAIN[of] for of in missing)
    expected = ", ".join(name for of, name in PLAIN.items() if not (alone and of == "persona"))
    return f"no column{'s' * (len(missing) > 1)} {named} (it has {', '.join(columns)}); expected {expected}"


def _one_column_an_item(
    columns: Sequence[str], given: Mapping[str, str], problems: list[str]
) -> tuple[dict[str, int], str]:  # fmt: skip
    """Columns of items by their numbers, in order, and their pattern; nothing of a file that has one row a rating."""
    if "items" in given:
        before, after = map(re.escape, given["items"].split("{item}"))
        found = {name: int(match[1]) for name in columns if (match := re.fullmatch(rf"{before}(\d+){after}", name))}
        if not found:
            problems.append(f"no column goes by {given['items']!r}, which columns.items names (it has {', '.join(columns)})")
        return _in_order(found), given["items"]
    ratings = [name for name in candidates("rating", columns) if plain(name) not in EITHER]
    if given.keys() & {"item", "rating"} or candidates("item", columns) or ratings:
        return {}, ""
    sets: dict[str, dict[str, int]] = {}
    for name in columns:
        if match := re.fullmatch(r"(|.*\D)(\d{1,4})", name):
            sets.setdefault(f"{match[1]}{{item}}", {})[name] = int(match[2])
    whole = {pattern: own for pattern, own in sets.items() if len(own) > 1 and {*own.values()} == {*range(1, len(own) + 1)}}
    if len(whole) == 1:
        return _in_order(next(iter(whole.values()))), next(iter(whole))
    likely = whole or {pattern: own for pattern, own in sets.items() if len(own) > 2}
    if len(likely) > 1:
        problems.append(f"columns {listing(likely)} may each be those of the items")
    elif likely:
        names = list(_in_order(next(iter(likely.values()))))
        problems.append(f"columns {names[0]} to {names[-1]} may be those of the items, but are not numbered from 1 without a gap")
    return {}, next(iter(likely), "")


def _in_order(items: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(items.items(), key=lambda pair: pair[1]))


def may_be_text(found: Found, given: Mapping[str, str]) -> bool:
    """Whether what was taken for the rating goes by a name that replies go by too, and nobody said which it is."""
    return "rating" not in given and plain(found.names.get("rating", "")) in EITHER


def _beginning(items: Mapping[str, int]) -> str:
    return re.sub(r"\d+$", "", next(iter(items)))
