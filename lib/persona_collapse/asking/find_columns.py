"""Which column of a file is what: as the study file says, else by the names that are common."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from persona_collapse.input_errors import closest, listing
from persona_collapse.store.column_names import COMMON, EITHER, candidates, plain
from persona_collapse.text import as_yaml

#: What every file must have; a file of the condition self has no personas.
_NEEDED = ("persona", "item", "repetition", "rating")
#: The plain names for what is needed, which nobody has to be told of.
PLAIN = {of: COMMON[of][0][0] for of in _NEEDED}


class Found(NamedTuple):
    """Columns of a file: `names` by what they are of; `items` by column the item's number where there is one column an item."""

    names: Mapping[str, str]
    items: Mapping[str, int]

    def line(self) -> str:
        """As a study file names them."""
        named = {of: name for of, name in self.names.items() if of in (*_NEEDED, "reply", "condition")}
        if self.items:
            named["items"] = f"{_beginning(self.items)}{{item}}"
        return "columns: {" + ", ".join(f"{of}: {name if name == '?' else as_yaml(name)}" for of, name in named.items()) + "}"

    @property
    def note(self) -> str:
        """What is said of columns that do not go by the plain names; nothing of those that do."""
        named = [f"{name} = {of}" for of, name in self.names.items() if of in PLAIN and name not in (of, PLAIN[of])]
        if self.items:
            first, *_, last = self.items
            named.append(f"{first} to {last} = one column an item")
        return f"columns {', '.join(named)}" if named else ""


def find_columns(columns: Sequence[str], given: Mapping[str, str], *, alone: bool, where: str) -> Found:
    """The columns of a file, by the names `given` in the study file, else by common ones; `alone` asks for no personas.

    Raises ValueError, one line that names every column that is missing or cannot be told, and shows what to write.
    """
    names: dict[str, str] = {}
    problems: list[str] = []
    for of, name in given.items():
        if of != "items" and name not in columns and not (alone and of == "persona"):
            problems.append(f"no column {name!r}, which columns.{of} names; {closest(name, columns)}")
        elif of != "items":
            names[of] = name
    items = _one_column_an_item(columns, names, given, problems)
    wanted = [of for of in _NEEDED if of not in given and not (items and of in ("item", "rating"))]
    missing = []
    for of in wanted:
        if alone and of == "persona":
            continue
        found = [name for name in candidates(of, columns) if name not in names.values()]
        if len(found) == 1:
            names[of] = found[0]
        elif found:
            problems.append(f"columns {listing(found)} may each be the {of}")
        elif not (items and of == "repetition"):
            missing.append(of)
    replies = [name for name in candidates("reply", columns) if name not in names.values()]
    if "reply" not in names and len(replies) == 1 and not items:
        names["reply"] = replies[0]
    if missing:
        problems.insert(0, _missing(missing, columns, alone))
    if problems:
        asked = Found({of: names.get(of, "?") for of in _NEEDED if not (alone and of == "persona")}, {}).line()
        raise ValueError(f"{where}: {'; '.join(problems)}; say in the study file which is which: {asked}")
    return Found({of: names[of] for of in (*_NEEDED, "reply", "condition") if of in names}, items)


def _missing(missing: Sequence[str], columns: Sequence[str], alone: bool) -> str:
    named = listing(PLAIN[of] for of in missing)
    expected = ", ".join(name for of, name in PLAIN.items() if not (alone and of == "persona"))
    return f"no column{'s' * (len(missing) > 1)} {named} (it has {', '.join(columns)}); expected {expected}"


def _one_column_an_item(
    columns: Sequence[str], names: Mapping[str, str], given: Mapping[str, str], problems: list[str]
) -> dict[str, int]:  # fmt: skip
    """Columns of items by their numbers, in order; none of a file that has one row a rating."""
    if "items" in given:
        before, after = map(re.escape, given["items"].split("{item}"))
        found = {name: int(match[1]) for name in columns if (match := re.fullmatch(rf"{before}(\d+){after}", name))}
        if not found:
            problems.append(f"no column goes by {given['items']!r}, which columns.items names (it has {', '.join(columns)})")
        return dict(sorted(found.items(), key=lambda pair: pair[1]))
    ratings = [name for name in candidates("rating", columns) if plain(name) not in EITHER]
    if names.keys() & {"item", "rating"} or candidates("item", columns) or ratings:
        return {}
    whole = numbered_columns(columns)
    if len(whole) > 1:
        sets = listing(f"{begins}{{item}}" for begins in whole)
        problems.append(f"columns {sets} may each be those of the items; name them by columns.items")
    return next(iter(whole.values())) if len(whole) == 1 else {}


def numbered_columns(columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """Columns that are numbered from 1 without a gap, by what stands before the number; two or more."""
    found: dict[str, dict[str, int]] = {}
    for name in columns:
        if match := re.fullmatch(r"(|.*\D)(\d{1,4})", name):
            found.setdefault(match[1], {})[name] = int(match[2])
    whole = {begins: own for begins, own in found.items() if len(own) > 1 and sorted(own.values()) == [*range(1, len(own) + 1)]}
    return {begins: dict(sorted(own.items(), key=lambda pair: pair[1])) for begins, own in whole.items()}


def may_be_text(found: Found, given: Mapping[str, str]) -> bool:
    """Whether what was taken for the rating goes by a name that replies go by too, and nobody said which it is."""
    return "rating" not in given and plain(found.names.get("rating", "")) in EITHER


def _beginning(items: Mapping[str, int]) -> str:
    return re.sub(r"\d+$", "", next(iter(items)))
