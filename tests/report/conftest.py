"""What tests of notebooks have in common."""

import pytest

from persona_collapse.report import run_notebooks


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """A folder that stands for the committed notebooks."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(run_notebooks, "NOTEBOOKS", folder)
    return folder
