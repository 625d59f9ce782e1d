"""Whatever a test of this folder imports anew is compared: ratings straight from the columns are those of the store."""

from contextlib import contextmanager

import pytest

from importable import assert_same_ratings
from persona_collapse.asking import import_study
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store


@pytest.fixture(autouse=True)
def compared(monkeypatch):
    """Every import that gives ratings, with what its store then holds."""
    importing = import_study.importing

    @contextmanager
    def beside(study, *arguments):
        with importing(study, *arguments) as found:
            yield found
        if found.ratings is not None:
            with open_store(study.store_path) as store:
                assert_same_ratings(found.ratings, read_ratings(study, store))

    monkeypatch.setattr(import_study, "importing", beside)
