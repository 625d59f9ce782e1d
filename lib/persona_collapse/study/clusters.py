"""Which personas belong together, such as the members of a household: the clusters that a deck or a file names."""

from collections.abc import Sequence
from pathlib import Path

from persona_collapse.input_errors import closest, listing
from persona_collapse.paths import shown
from persona_collapse.study.personas import Persona, load_attributes

#: Fewest clusters that an interval can be made from.
FEWEST = 3


def of_deck(where: str, column: str, deck: Sequence[Persona]) -> tuple[str, ...]:
    """The cluster of each persona of a deck, as its column says; `where` names the study file and its key.

    Raises ValueError: the deck has no such column, a persona has nothing there, or there are fewer than three clusters.
    """
    known = list(deck[0].attributes)
    if column not in known:
        raise ValueError(f"{where}: the deck of personas has no column {column!r}; {closest(column, known)}")
    return checked(where, column, [(f"persona {one.index + 1}", one.attributes[column]) for one in deck])


def of_file(where: str, path: Path, column: str, ids: Sequence[str]) -> tuple[str, ...]:
    """The cluster of each persona of imported ratings, from a file as `in_file` takes it; rows of other personas are passed over.

    Raises FileNotFoundError, or ValueError as `of_deck` does.
    """
    named = in_file(where, path, column)
    if absent := [one for one in ids if one not in named]:
        raise ValueError(f"{where}: {shown(path)} has no row for persona {listing(absent[:3])}; expected one for every persona")
    return checked(where, column, [(f"persona {one!r}", named[one]) for one in ids])


def in_file(where: str, path: Path, column: str) -> dict[str, str]:
    """What a CSV file says in `column`, by what it says in the column `persona`, ids; raises FileNotFoundError or ValueError."""
    if not path.is_file():
        raise FileNotFoundError(f"{where}: {shown(path)} does not exist; expected a .csv with columns 'persona' and {column!r}")
    rows = load_attributes(path)
    if column not in (names := list(rows[0][1]) if rows else []):
        raise ValueError(f"{where}: {shown(path)} has no column {column!r}; {closest(column, names)}")
    return {text: attributes[column] for text, attributes in rows}


def checked(where: str, column: str, named: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The clusters of personas, each (how an error calls the persona, cluster); raises ValueError as `of_deck` does."""
    found = tuple(" ".join(cluster.split()) for _, cluster in named)
    if "" in found:
        who = named[found.index("")][0]
        raise ValueError(f"{where}: {who} has no {column}; fill it in, and give a persona without one a name of its own")
    if len(set(found)) < FEWEST:
        raise ValueError(
            f"{where}: {column} has {len(set(found))} values; an interval for other clusters needs at least {FEWEST}"
        )
    return found
