"""Exhibits say themselves what they are: ids, captions and links hang on no name of a function."""

import inspect
import json
from types import ModuleType

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from persona_collapse.exhibits import exhibit, reading_tables, study_figures, theme
from persona_collapse.exhibits.exhibit import MARK, Finding, ReadingTable, exhibit_id
from persona_collapse.report import notebook_section
from persona_collapse.report.page import Page


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Exhibits of a test are gone after it."""
    monkeypatch.setattr(exhibit, "EXHIBITS", list(exhibit.EXHIBITS))


def output(thing):
    """What a notebook stores when a cell ends with this."""
    data, metadata = DisplayFormatter().format(thing)
    return {"output_type": "execute_result", "data": data, "metadata": metadata, "execution_count": 1}


def page_of(tmp_path, *things):
    cells = [{"cell_type": "code", "source": "x", "metadata": {}, "outputs": [output(thing)]} for thing in things]
    path = tmp_path / "03_compare_variants.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "# T", "metadata": {}}, *cells]}), encoding="utf-8")
    page = Page()
    return page, notebook_section.notebook(page, path)


def renamed(module, old, new):
    """The module with one function under another name."""
    source = inspect.getsource(module)
    assert source.count(f"def {old}(") == 1
    found = ModuleType(module.__name__)
    exec(compile(source.replace(f"def {old}(", f"def {new}("), module.__file__, "exec"), vars(found))
    return getattr(found, new)


def test_renaming_the_function_of_a_table_changes_neither_caption_nor_link(mini, tmp_path):
    study, _, found = mini
    other = renamed(reading_tables, "saturation_table", "whatever")
    pages = [page_of(tmp_path, make(study, found.saturation)) for make in (reading_tables.saturation_table, other)]
    for page, text in pages:
        assert "Where ratings lie on the scale, by run: shares at both ends and at the top" in text
        assert page.links("table-saturation") == "[Table 1](#table-1)"
    assert pages[0][1] == pages[1][1]


def test_renaming_the_function_of_a_figure_changes_neither_caption_nor_link(mini, tmp_path):
    study, _, found = mini
    theme.use_theme()
    other = renamed(study_figures, "changes", "whatever")
    pages = [page_of(tmp_path, make(found.contrasts, study, "within_rms")) for make in (study_figures.changes, other)]
    for page, text in pages:
        assert "Change of within-persona noise against base. Percent of the base of the same family" in text
        assert page.links("figure-changes-within-rms") == "[Figure 1](#figure-1)"
    assert pages[0][1] == pages[1][1]


def test_a_finding_is_text_that_a_notebook_shows_as_markdown():
    @exhibit.finding("told", by="what")
    def told(what: str) -> str:
        return f"**{what}** rises."

    found = told("S")
    assert found == "**S** rises." and isinstance(found, Finding) and found.exhibit["id"] == "finding-told-S"
    shown = output(found)
    assert shown["data"]["text/markdown"] == shown["data"]["text/plain"] == "**S** rises."
    assert shown["metadata"][MARK]["id"] == "finding-told-S"


def test_a_reading_table_is_a_data_frame_and_what_is_computed_from_it_is_no_exhibit():
    @exhibit.table("numbers", lambda what: f"Numbers of {what}.", by="what")
    def numbers(what: str = "S") -> pd.DataFrame | None:
        return pd.DataFrame({"x": [1, 2]}) if what else None

    found = numbers()
    assert isinstance(found, ReadingTable) and found["x"].sum() == 3
    assert output(found)["metadata"][MARK] == {"id": "table-numbers-S", "caption": "Numbers of S."}
    assert MARK not in output(found.round(1))["metadata"] and type(found.round(1)) is pd.DataFrame
    assert numbers("") is None


def test_a_long_table_is_shown_whole():
    @exhibit.table("long", "Long.")
    def long() -> pd.DataFrame:
        return pd.DataFrame({"x": range(200)})

    assert output(long())["data"]["text/html"].count("<tr") == 201


def test_an_id_tells_kind_name_and_what_it_is_of():
    assert exhibit_id("figure", "self_radar") == "figure-self-radar"
    assert exhibit_id("table", "choices", "noise_excess") == "table-choices-noise-excess"


def test_ids_of_exhibits_of_one_thing_are_all_different():
    import persona_collapse as pc

    for shelf in (pc.figures, pc.say, pc.tabulate):
        assert shelf.__all__
    known = [(one.kind, one.name, "pair" in one.parameters or "tables" in one.parameters) for one in exhibit.EXHIBITS]
    assert len(known) == len(set(known))
