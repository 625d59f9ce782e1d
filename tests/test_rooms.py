"""The library keeps to its rooms: imports go one way, and only through what a room opens to others."""

import ast
import sqlite3
import sys
import traceback
from importlib import import_module

import pytest

import rooms
from persona_collapse.paths import ROOT
from persona_collapse.report import make, run_notebooks
from persona_collapse.study.load_study import load_study


def said(taken):
    return [f"{i.file.relative_to(rooms.PACKAGE)}:{i.line} takes {i.module}.{i.name} of {i.of or 'the root'}" for i in taken]


def test_every_room_is_in_the_list_and_says_what_it_is():
    folders = {path.parent.name for path in rooms.PACKAGE.glob("*/__init__.py")}
    assert folders == set(rooms.ROOMS[1:])
    for room in rooms.ROOMS[1:]:
        first, _, rest = import_module(f"persona_collapse.{room}").__doc__.partition("\n\n")
        assert first.endswith(".") and "\n" not in first, room
        assert rest.startswith("In: ") and " Out: " in rest, room


def test_a_room_imports_only_from_rooms_above_it():
    order = {room: place for place, room in enumerate(rooms.ROOMS)}
    assert said(i for i in rooms.imports() if order[i.of] > order[i.room] and i.file not in rooms.DOORS) == []


def test_a_room_uses_of_another_what_that_one_opens():
    """`__all__` names the modules that other rooms may import."""
    opened = {room: import_module(f"persona_collapse.{room}").__all__ for room in rooms.ROOMS[1:]}
    foreign = [i for i in rooms.imports() if i.of and i.of != i.room]
    assert said(i for i in foreign if i.module not in opened[i.of]) == []
    assert said(i for i in rooms.imports() if i.name.startswith("_") and i.name != "__version__") == []


@pytest.mark.parametrize("room", rooms.ROOMS[1:])
def test_what_a_room_opens_is_there_and_is_sorted(room):
    names = import_module(f"persona_collapse.{room}").__all__
    assert names == sorted(names)
    assert all((rooms.PACKAGE / room / f"{name}.py").is_file() for name in names)


def test_an_arrow_that_runs_back_is_found(tmp_path, monkeypatch):
    """A module of `store` that takes a table, late, inside a function."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "bad.py").write_text("def f():\n    from persona_collapse.tables.build import Tables\n")
    monkeypatch.setattr(rooms, "PACKAGE", tmp_path / "persona_collapse")
    (tmp_path / "store").rename(tmp_path / "persona_collapse")
    monkeypatch.setattr(rooms, "room_of", lambda file: "store")
    (found,) = rooms.imports([tmp_path / "persona_collapse" / "bad.py"])
    assert (found.room, found.of, found.module, found.name, found.line) == ("store", "tables", "build", "Tables", 2)


def test_the_picture_is_drawn_from_the_imports_as_they_are():
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.svg(), "docs/rooms.svg is of other imports; run `make rooms`"


def test_the_statistics_know_no_study():
    """Arrays in, numbers out: of the rooms above it, statistics uses none."""
    assert said(i for i in rooms.imports() if i.room == "statistics" and i.of not in ("", "statistics")) == []


def test_the_way_through_the_house_names_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [room for room in rooms.ROOMS[1:] if f"`{room}/`" not in text] == []


@pytest.mark.slow
def test_a_study_walks_through_the_rooms_once_and_opens_its_store_at_the_door_only(outputs, monkeypatch):
    """The rooms that `make report` enters one after another, and who opens SQLite: nothing behind `Ratings`."""

    def committed(stale, server, say):
        for job in stale:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            job.output.write_bytes(job.source.read_bytes())

    monkeypatch.setattr(run_notebooks, "run", committed)
    monkeypatch.setattr("persona_collapse.report.make.run", committed)
    walk, opened, connect = [], set(), sqlite3.connect

    def entered(frame, event, _):
        caller = frame.f_back
        if event == "call" and caller and caller.f_code.co_filename == make.__file__:
            file = rooms.PACKAGE / frame.f_code.co_filename
            room = rooms.room_of(file) if file.is_relative_to(rooms.PACKAGE) else ""
            if room not in ("", "report") and [room] != walk[-1:]:
                walk.append(room)

    def connected(*given, **options):
        files = [rooms.PACKAGE / frame.filename for frame in traceback.extract_stack()]
        inside = [rooms.room_of(file) for file in files if file.is_relative_to(rooms.PACKAGE)]
        opened.add([room for room in inside if room != "store"][-1])
        return connect(*given, **options)

    monkeypatch.setattr(sqlite3, "connect", connected)
    study = load_study("mini")
    sys.setprofile(entered)
    try:
        make.make_report(study)
    finally:
        sys.setprofile(None)
    # study gives its folder, asking fills the store, store gives Ratings, sections make tables of them, tables write them.
    # Then store gives the ratings of each instrument for the replies, and tables those of each for the pages.
    made = ["study", "asking", "study", "store", "study", "store", "tables", "sections", "tables", "study"]
    assert walk == [*made, "store", "study", "tables", "study"]
    assert opened == {"asking", "report"}  # to fill it, and to read Ratings and replies


def test_no_text_stands_alone_that_was_meant_to_go_on():
    """A second line of a text without its brackets is a statement that does nothing, and the text is cut off."""
    alone = []
    for file in sorted(rooms.PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            body = getattr(node, "body", None)
            for place, one in enumerate(body if isinstance(body, list) else []):
                value = one.value if isinstance(one, ast.Expr) else None
                plain = isinstance(value, ast.Constant) and isinstance(value.value, str) and place > 0
                if plain or isinstance(value, ast.JoinedStr):
                    alone.append(f"{file.relative_to(rooms.PACKAGE)}:{one.lineno}")
    assert alone == []
