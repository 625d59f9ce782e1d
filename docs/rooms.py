"""The rooms of lib/persona_collapse/ and who imports whom, read from the imports: `make rooms` draws docs/rooms.svg."""

import ast
import html
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import persona_collapse

PACKAGE = Path(persona_collapse.__file__).parent
PICTURE = Path(__file__).with_name("rooms.svg")
#: Rooms in the order of the data flow: each imports only from those before it. The first is the folder itself.
ROOMS = (
    "", "study", "store", "simulated", "weights", "asking", "statistics", "tables", "exhibits", "sections", "report",
    "export", "comparison", "registry", "lesson",
)  # fmt: skip
#: The commands and the public door stand in the root and lead to everything.
DOORS = (PACKAGE / "__main__.py", PACKAGE / "__init__.py", PACKAGE / "door.py")
_ROW, _BOX, _LEFT, _RIGHT, _WIDTH = 46, 34, 10, 520, 670


class Import(NamedTuple):
    """One name that a module takes from another module of the library."""

    file: Path
    line: int
    room: str  #: of the module that imports
    of: str  #: the room that is imported from
    module: str
    name: str  #: what is taken from the module; empty for the module itself


def room_of(file: Path) -> str:
    """The room a file of the library stands in."""
    return file.relative_to(PACKAGE).parts[0] if file.parent != PACKAGE else ""


def imports(files: list[Path] | None = None) -> Iterator[Import]:
    """Every import of the library by a module of the library, late ones included."""
    for file in files or sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
                places = node.module.split(".")[1:]
                for alias in node.names:
                    yield Import(file, node.lineno, room_of(file), *_taken(places, alias.name))


def _taken(places: list[str], name: str) -> tuple[str, str, str]:
    """Room, module and name that `from persona_collapse.<places> import <name>` takes."""
    if not places:
        return ("", name, "") if (PACKAGE / f"{name}.py").is_file() else ("", "__init__", name)
    if places[0] not in ROOMS:
        return "", places[0], name
    return (places[0], places[1], name) if len(places) > 1 else (places[0], name, "")


def arrows() -> set[tuple[str, str]]:
    """Pairs of a room and another one that it imports from."""
    return {(i.room, i.of) for i in imports() if i.room != i.of and i.file not in DOORS}


def svg() -> str:
    """The rooms from top to bottom, an arc from each to every room that it imports from."""
    shown = ROOMS[1:]
    place = {room: 30 + _ROW * number for number, room in enumerate(shown)}
    arcs, boxes = [], []
    for room, of in sorted(arrows()):
        if of:  # every room uses the root
            top, bottom = place[of] + _BOX / 2 + 6, place[room] + _BOX / 2 - 6
            reach = _RIGHT + 26 + 15 * (shown.index(room) - shown.index(of))
            arcs.append(
                f'<path d="M{_RIGHT} {bottom} C{reach} {bottom} {reach} {top} {_RIGHT} {top}">'
                f"<title>{room} imports from {of}</title></path>"
            )
    for room in shown:
        about = (import_module(f"{PACKAGE.name}.{room}").__doc__ or "").splitlines()[0]
        boxes.append(
            f'<rect x="{_LEFT}" y="{place[room]}" width="{_RIGHT - _LEFT}" height="{_BOX}" rx="5"/>'
            f'<text x="{_LEFT + 10}" y="{place[room] + 14}" class="name">{room}/</text>'
            f'<text x="{_LEFT + 10}" y="{place[room] + 28}">{html.escape(_short(about))}</text>'
        )
    height = 30 + _ROW * len(shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
        'aria-label="Rooms of the library in the order of the data flow; arcs lead from a room up to those it imports from.">\n'
        "<style>rect{fill:#f6f8fa;stroke:#8a8f98}text{font:11px Helvetica,Arial,sans-serif;fill:#57606a}"
        ".name{font-weight:bold;fill:#1b1f24;font-size:12px}path{fill:none;stroke:#0072B2;opacity:.6;"
        "marker-end:url(#head)}</style>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#0072B2;stroke:none;marker-end:none"/>'
        "</marker></defs>\n"
        f'<rect x="0" y="0" width="{_WIDTH}" height="{height}" style="fill:white;stroke:none"/>\n'
        '<text x="10" y="18">Each room imports only from rooms above it; all of them use the root: paths, files, text, '
        "input_errors, vocabulary, wire.</text>\n" + "\n".join([*arcs, *boxes]) + "\n</svg>\n"
    )


def _short(text: str) -> str:
    return text if len(text) <= 92 else text[:91].rsplit(" ", 1)[0] + " …"


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
