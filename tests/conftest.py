"""Fixtures that several test files share."""

from pathlib import Path

import pytest

import hostile
from persona_collapse.asking.collect import collect
from persona_collapse.comparison.build import build_comparison
from persona_collapse.comparison.page import provenance_of, render_comparison
from persona_collapse.comparison.pair import NOTEBOOK, open_pair
from persona_collapse.paths import NOTEBOOKS
from persona_collapse.report.provenance import provenance
from persona_collapse.report.replies import render_replies
from persona_collapse.report.study_page import render_report
from persona_collapse.sections.record import STUDY, all_tables, of_study
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.instrument import Instrument, load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.personas import load_personas
from persona_collapse.tables.build import Tables

#: Fixtures that take longer than a verdict in a minute can wait for: whole reports, exports, pages.
SLOW_FIXTURES = {"hostile_report", "comparison_page", "exported", "payload"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cells of notebooks, tests of what a slow fixture makes, and those that take payload after payload are slow."""
    for item in items:
        if item.path.suffix == ".ipynb" or SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def mfq30() -> Instrument:
    """The shipped questionnaire."""
    return load_instrument("mfq30")


@pytest.fixture(scope="session")
def prompt(mfq30) -> str:
    """The prompt of persona 3 (0-based) and item 12."""
    return mfq30.prompt(mfq30.items[11], load_personas("everyday")[3].text)


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Studies leave what they leave in a folder of the test's own."""
    folder = tmp_path / "outputs"
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", folder)
    return folder


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    """The mini study, elicited into a folder of its own: (study, open store, tables)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", tmp_path_factory.mktemp("mini"))
        study = load_study("mini")
        collect(study)
        with open_store(study.store_path) as store:
            yield study, store, Tables(read_ratings(study, store))


@pytest.fixture(scope="session")
def training(tmp_path_factory) -> Tables:
    """The tables of the shipped study of training steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", tmp_path_factory.mktemp("training"))
        study = load_study("trajectory")
        collect(study)
        with open_store(study.store_path) as store:
            return Tables(read_ratings(study, store))


@pytest.fixture(scope="session")
def mini_page(mini) -> Path:
    """The appendix of the mini study on disk, around the committed notebooks' outputs."""
    study, store, found = mini
    folder = study.outputs / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for entry in of_study(study, STUDY):
        (folder / entry.source.name).write_bytes(entry.source.read_bytes())
    path = study.outputs / "report.html"
    path.write_text(
        render_report(found, all_tables(found), provenance(read_ratings(study, store, digests=True))), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="session")
def mini_replies(mini, mini_page) -> Path:
    """replies.html of the mini study, beside its appendix."""
    study, store, _ = mini
    path = study.outputs / "replies.html"
    path.write_text(render_replies(read_ratings(study, store), store), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def minis(tmp_path_factory):
    """The two miniature studies of notebook 06 side by side: the pair, and its tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", tmp_path_factory.mktemp("minis"))
        pair = open_pair("mini", "mini-again")
        return pair, build_comparison(pair)


@pytest.fixture(scope="session")
def comparison_page(minis, tmp_path_factory) -> Path:
    """The page of the two miniature studies on disk, around the committed notebook's outputs."""
    pair, found = minis
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("persona_collapse.paths.OUTPUTS", tmp_path_factory.mktemp("comparison"))
        folder = pair.folder / "notebooks"
        folder.mkdir(parents=True)
        (folder / f"{NOTEBOOK}.ipynb").write_bytes((NOTEBOOKS / f"{NOTEBOOK}.ipynb").read_bytes())
        path = pair.folder / "report.html"
        path.write_text(render_comparison(pair, found, provenance_of(pair)), encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory) -> tuple[Path, str]:
    """The report of a study made of payloads: its outputs, and what the terminal showed."""
    return hostile.report(tmp_path_factory.mktemp("hostile"))
