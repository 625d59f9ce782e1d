"""Fixtures that several test files share."""

import pytest
from persona_collapse.instrument import Instrument, load_instrument


@pytest.fixture(scope="session")
def mfq30() -> Instrument:
    """The shipped questionnaire."""
    return load_instrument("mfq30")


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Studies leave what they leave in a folder of the test's own."""
    folder = tmp_path / "outputs"
    monkeypatch.setattr("persona_collapse.study.OUTPUTS", folder)
    return folder
