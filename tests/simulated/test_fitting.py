"""The fit: expectations worked by hand, and a search that finds what it is given."""

import json

import numpy as np
import pytest

from persona_collapse.paths import PUBLISHED
from persona_collapse.simulated import fitting, response_model
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.personas import load_personas
from persona_collapse.study.respondent_parameters import PARAMETERS, from_parameters, load_parameters, load_respondent
from persona_collapse.study.scopes import scope_matrix

INSTRUMENT = load_instrument("mfq30")
DECK = load_personas("everyday")
TOXIC = load_personas("toxic")
FIGURES = json.loads((PUBLISHED / "arxiv-2605.12850.json").read_text(encoding="utf-8"))


def test_expected_sd_of_two_ratings_by_hand():
    """The SD of two ratings is their distance over sqrt(2)."""
    cells = np.array([[0.5, 0.5, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0, 0], [0, 0, 1, 0, 0, 0], [1 / 6] * 6])
    # Mean distance of two: 0.5; 1; 0; and of two dice 35/18.
    assert fitting.expected_sd(cells, n=2) * np.sqrt(2) == pytest.approx([0.5, 1, 0, 35 / 18], abs=1e-5)


def test_expected_sd_of_ten_ratings_is_what_draws_average_to():
    cell = np.array([0.05, 0.1, 0.15, 0.3, 0.25, 0.15])
    drawn = np.random.default_rng(1).choice(6, p=cell, size=(40_000, 10))
    assert fitting.expected_sd(cell[None])[0] == pytest.approx(drawn.std(axis=1, ddof=1).mean(), abs=0.005)


def test_expected_figures_of_two_opposite_personas():
    """One always 0, one always 5: SD 5 / sqrt(2), no noise, ceiling 2.5 x 2.5 + 12.5 / 2 = 12.5 = all of the variance."""
    chances = np.zeros((2, 30, 6))
    chances[0, :, 0] = chances[1, :, 5] = 1
    found = fitting.expected(chances, range(6), scope_matrix(INSTRUMENT))
    assert found.susceptibility == pytest.approx(np.full(6, 5 / np.sqrt(2)))
    assert found.within_sd == pytest.approx(np.zeros(6))
    assert (found.extremity, found.icc, found.endpoint_mass) == pytest.approx((1, 1, 1))
    assert fitting.fidelity(chances, chances, range(6)) == pytest.approx(1)
    assert fitting.fidelity(chances, chances[::-1], range(6)) == pytest.approx(-1)


@pytest.fixture(scope="module")
def fitted():
    """One base fitted anew."""
    only = {"runs": {"gpt-4o/base": FIGURES["runs"]["gpt-4o/base"]}, "toxic": FIGURES["toxic"]}
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_STARTS", (0.0,))
        found = fitting.fit(INSTRUMENT, DECK, TOXIC, only, progress=told.append)
    assert told == ["gpt-4o/base"]
    return found


def off(respondent, metric):
    """How far what a respondent is expected to give lies from the printed figures of a run, in printed SE, by foundation."""
    chances = response_model.cell_probabilities(respondent, INSTRUMENT, DECK)
    found = getattr(fitting.expected(chances, INSTRUMENT.categories, scope_matrix(INSTRUMENT)[:, 1:]), metric)
    printed = FIGURES["runs"][respondent.figures]["robustness" if metric == "within_sd" else metric]
    value, se = np.array([list(printed[foundation].values()) for foundation in INSTRUMENT.foundations]).T
    if metric == "within_sd":  # printed as R, its inverse: d(1/R) = dR / R^2
        value, se = 1 / value, se / value**2
    return np.abs(found - value) / se


def test_the_fit_meets_the_figures(fitted):
    """Not as the fit itself says, but as the respondent that it describes answers; what it says is that, rounded."""
    run = fitted["runs"]["gpt-4o/base"]
    respondent = from_parameters("gpt-4o/base", run)
    for metric in ("susceptibility", "within_sd"):
        assert off(respondent, metric).max() < 0.1
    assert abs(run["off"]["susceptibility"]) == pytest.approx(off(respondent, "susceptibility").max(), abs=0.006)


def test_the_shipped_parameters_are_a_fit_to_the_shipped_decks():
    """Whoever changes a deck or a figure has to fit again."""
    for name, run in load_parameters()["runs"].items():
        assert max(abs(run["off"][metric]) for metric in ("susceptibility", "within_sd")) < 0.1, name
        assert off(load_respondent(name, INSTRUMENT), "susceptibility").max() < 0.1, name


def test_the_same_figures_give_the_same_parameters(monkeypatch):
    monkeypatch.setattr(fitting, "_STARTS", (0.0,))
    monkeypatch.setattr(fitting, "_STEPS", 2)
    only = {"runs": {"gpt-4o/base": FIGURES["runs"]["gpt-4o/base"]}, "toxic": FIGURES["toxic"]}
    first, second = (fitting.fit(INSTRUMENT, DECK[:20], TOXIC, only) for _ in range(2))
    assert first == second


def test_what_is_written_reads_back_and_is_small(fitted, tmp_path):
    file = tmp_path / "parameters.json"
    fitting.write(fitted, file)
    assert json.loads(file.read_text(encoding="utf-8")) == fitted
    assert max(map(len, file.read_text(encoding="utf-8").splitlines())) < 250
    assert PARAMETERS.stat().st_size < 150_000


def test_a_missing_hostile_kind_is_named(monkeypatch):
    monkeypatch.setattr(fitting, "_STEPS", 1)
    with pytest.raises(ValueError, match="toxic personas: no persona of kind 'cult lieutenant'; expected each of 'cruel gossip'"):
        fitting.fit(INSTRUMENT, DECK[:5], TOXIC[:-1], FIGURES)
