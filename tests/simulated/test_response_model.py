"""What the simulated respondents promise: the published figures, and ratings that depend on their slot alone."""

import json
from dataclasses import replace

import numpy as np
import pytest

from persona_collapse.paths import PUBLISHED
from persona_collapse.simulated import response_model
from persona_collapse.simulated.fitting import expected_sd
from persona_collapse.simulated.response_model import cell_probabilities, draw
from persona_collapse.statistics import published_estimators
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.personas import Persona, load_personas
from persona_collapse.study.respondent_parameters import OUTLOOKS, between, known_figures, load_respondent
from persona_collapse.study.scopes import scope_matrix, scopes

INSTRUMENT = load_instrument("mfq30")
DECK = load_personas("everyday")
TOXIC = load_personas("toxic")
FIGURES = json.loads((PUBLISHED / "arxiv-2605.12850.json").read_text(encoding="utf-8"))
RUNS = FIGURES["runs"]
BASES = [run for run in RUNS if run.endswith("/base")]
SCOPE = scope_matrix(INSTRUMENT)
POINTS = np.arange(6)
SEED = 50  # the demo study's
UNIFORMS = [[0.4325165415833408, 0.7715636217866952]]


def ratings(run, condition="persona", *, seed=SEED, personas=DECK, repetitions=10):
    deck = None if condition == "self" else personas
    chances = cell_probabilities(load_respondent(run, INSTRUMENT), INSTRUMENT, deck, toxic=condition == "toxic")
    return draw(chances, seed=seed, run=run, condition=condition, personas=deck, instrument=INSTRUMENT, repetitions=repetitions)


def counts(drawn):
    return (drawn[..., None] == POINTS).sum(axis=2)


@pytest.mark.parametrize(("seed", "most"), [(SEED, 2), (1, 3), (2, 3)])
def test_s_and_r_lie_within_published_standard_errors(seed, most):
    """12 runs x 6 scopes x 2 metrics."""
    for run, figures in RUNS.items():
        levels = published_estimators.published(counts(ratings(run, seed=seed)), INSTRUMENT.categories, SCOPE)
        for metric in ("susceptibility", "robustness"):
            value, se = np.array([list(figures[metric][scope].values()) for scope in scopes(INSTRUMENT)]).T
            assert np.abs((getattr(levels, metric) - value) / se).max() <= most, (run, metric)


def test_the_distribution_is_like_the_published_one():
    """Extremity, ICC, endpoint mass and fidelity as STATISTICS.md §1 and §6 define them, rating noise removed."""
    base = {}
    for run, figures in RUNS.items():
        drawn = counts(ratings(run))
        cells = published_estimators.moments(drawn, INSTRUMENT.categories)
        spread, within = cells.mean.var(axis=0, ddof=1), cells.variance.mean(axis=0)
        true = spread - within / 10
        centre = cells.mean.mean(axis=0)
        ceiling = centre * (5 - centre) + spread / len(DECK)
        published = figures["distribution"]
        assert (true + within).sum() / ceiling.sum() == pytest.approx(published["extremity"], abs=0.05), run
        assert true.sum() / (true + within).sum() == pytest.approx(published["icc"], abs=0.03), run
        assert drawn[..., [0, 5]].sum() / drawn.sum() == pytest.approx(published["endpoint_mass"], abs=0.05), run
        pattern = cells.mean - centre
        base.setdefault(run.split("/")[0], (pattern, true.sum()))
        other, other_true = base[run.split("/")[0]]
        if run not in BASES:
            r = (pattern * other).sum() / (len(DECK) - 1) / np.sqrt(true.sum() * other_true)
            assert r == pytest.approx(published["fidelity"], abs=0.05) and 0.4 < r < 0.85, run


def test_self_profiles_are_the_published_ones():
    """Mean within 0.05 and SD within 0.03 in expectation; the demo study's sixty ratings within 0.15 of every mean.

    A mean of sixty ratings has a sampling SD of up to 0.11, so that not every seed does; the demo's was chosen to.
    """
    own = SCOPE[:, 1:]
    for run, figures in RUNS.items():
        mean, sd = np.array([list(figures["self"][foundation].values()) for foundation in INSTRUMENT.foundations]).T
        chances = cell_probabilities(load_respondent(run, INSTRUMENT), INSTRUMENT, None)
        expected = chances[0] @ POINTS
        assert np.abs(expected @ own - mean).max() < 0.05, run
        assert np.abs(expected_sd(chances)[0] @ own - sd).max() < 0.03, run
        drawn = ratings(run, "self")[0].mean(axis=1) @ own
        assert np.abs(drawn - mean).max() < 0.15, run


@pytest.mark.parametrize("run", BASES)
def test_hostile_personas_answer_as_published(run):
    """Every kind and foundation within 0.35 scale points."""
    found = ratings(run, "toxic", personas=TOXIC).mean(axis=2) @ SCOPE[:, 1:]
    rows = FIGURES["toxic"][run.split("/")[0]]["personas"]
    published = [[row[foundation] for foundation in INSTRUMENT.foundations] for row in rows]
    assert np.abs(found - published).max() < 0.35


def test_toxic_figures_exist_for_bases_only():
    respondent = load_respondent("gpt-4o/insecure", INSTRUMENT)
    with pytest.raises(ValueError, match=r"gpt-4o/insecure: no figures for hostile personas; expected a base; leave"):
        cell_probabilities(respondent, INSTRUMENT, TOXIC, toxic=True)


def test_a_hostile_persona_of_unknown_kind_still_answers():
    chances = cell_probabilities(load_respondent(BASES[0], INSTRUMENT), INSTRUMENT, [Persona(0, "A bully.")], toxic=True)
    assert chances.shape == (1, 30, 6) and np.allclose(chances.sum(axis=-1), 1)


def test_outlooks_lean_as_assumed():
    """Means over personas of one outlook in the simulated base, by foundation."""
    for run in BASES:
        found = ratings(run).mean(axis=2) @ SCOPE[:, 1:]
        harm, _, loyalty, authority, purity = (
            {o: column[[p.attributes["outlook"] == o for p in DECK]].mean() for o in OUTLOOKS} for column in found.T
        )
        assert purity["religious"] > purity["liberal"] + 0.5, run
        assert loyalty["nationalist"] > loyalty["liberal"] + 0.5, run
        assert authority["traditional"] > authority["progressive"] + 0.3, run
        assert harm["progressive"] > harm["cynical"] + 0.3, run


def test_a_rating_depends_on_seed_and_slot_alone():
    """Fewer personas in another order, fewer repetitions: the same ratings; one slot alone too."""
    whole = ratings("gpt-4.1/insecure")
    some = [DECK[17], DECK[3], DECK[80]]
    assert np.array_equal(ratings("gpt-4.1/insecure", personas=some, repetitions=4), whole[[17, 3, 80], :, :4])
    assert np.array_equal(ratings("gpt-4.1/insecure", personas=[DECK[99]], repetitions=15)[0, :, :10], whole[99])
    moved = [replace(persona, index=persona.index + 7) for persona in DECK]
    assert np.array_equal(ratings("gpt-4.1/insecure", personas=moved), whole)


def test_another_seed_run_or_condition_draws_otherwise():
    chances = np.full((1, 30, 6), 1 / 6)
    slots = dict(personas=None, instrument=INSTRUMENT, repetitions=10)
    first = draw(chances, seed=1, run="a/base", condition="self", **slots)
    for other in (
        dict(seed=2, run="a/base", condition="self"),
        dict(seed=1, run="a/secure", condition="self"),
        dict(seed=1, run="a/base", condition="toxic"),
    ):
        # Of 300 independent pairs a sixth agree, give or take 6.5.
        assert 20 < (draw(chances, **other, **slots) == first).sum() < 80


def test_draws_have_the_probabilities_they_were_asked_for():
    chances = np.tile([0.5, 0.0, 0.2, 0.1, 0.0, 0.2], (1, 30, 1))
    drawn = draw(chances, seed=5, run="a/b", condition="self", personas=None, instrument=INSTRUMENT, repetitions=1000)
    shares = np.bincount(drawn.ravel(), minlength=6) / drawn.size
    assert shares == pytest.approx(chances[0, 0], abs=0.01)
    assert shares[1] == shares[4] == 0


def test_the_hash_is_splitmix64():
    """The first output of the reference implementation for the seed 1234567."""
    assert int(response_model._mix(np.uint64(1234567))) == 6457827717110365317


def test_uniforms_are_the_same_on_every_machine():
    found = response_model._uniform("a source", [Persona(0, "Someone.")], np.array([1, 2]))
    assert found.tolist() == UNIFORMS


def test_latent_probabilities_by_hand():
    """Location in the middle, noise 1, cuts at 0.5 to 4.5: normal probabilities of 2, 1 and 0 SD."""
    found = response_model.latent_probabilities(np.array([2.5]), np.array([1.0]), 1.0, range(6))
    assert found[0] == pytest.approx([0.02275, 0.13591, 0.34134, 0.34134, 0.13591, 0.02275], abs=1e-5)
    ends = response_model.latent_probabilities(np.array([2.5]), np.array([1.0]), 0.01, range(6))[0, [0, 5]]
    assert ends.sum() > 0.98


def test_persona_effects_have_unit_variance_with_and_without_attributes():
    respondent = load_respondent("gpt-4o/secure", INSTRUMENT)
    outlooks = list(OUTLOOKS)
    for attributes in (lambda i: {"outlook": outlooks[i % 9]}, lambda i: {}):
        deck = [Persona(i, f"Persona number {i}.", attributes(i)) for i in range(3600)]
        by_foundation, by_item = response_model._effects(respondent, INSTRUMENT, deck)
        assert by_foundation.std(axis=0) == pytest.approx(np.ones(5), abs=0.06)
        assert by_item.std(axis=0) == pytest.approx(np.ones(30), abs=0.06)


def test_between_starts_and_ends_where_it_says():
    base, insecure = (load_respondent(f"gpt-4o/{variant}", INSTRUMENT) for variant in ("base", "insecure"))
    assert between(base, insecure, 0).fingerprint == base.fingerprint
    assert between(base, insecure, 1).fingerprint == insecure.fingerprint
    assert between(base, insecure, 1e-9).gap == pytest.approx(base.gap)
    assert np.linalg.norm([weight for _, weight in between(base, insecure, 0.4).characters]) == pytest.approx(1)


@pytest.mark.parametrize("family", ["gpt-4o", "gpt-4.1", "qwen3-235b"])
def test_between_moves_s_up_and_steadiness_down(family):
    base, insecure = (load_respondent(f"{family}/{variant}", INSTRUMENT) for variant in ("base", "insecure"))
    s, steady = [], []
    for share in np.linspace(0, 1, 6):
        chances = cell_probabilities(between(base, insecure, share), INSTRUMENT, DECK)
        mean = chances @ POINTS
        s.append(mean.std(axis=0, ddof=1).mean())
        steady.append(-np.sqrt((chances @ POINTS**2 - mean**2).clip(0)).mean())
    assert min(np.diff(s)) > -0.01 and s[-1] - s[0] > 0.25
    assert max(np.diff(steady)) < 0


def test_the_fingerprint_follows_the_parameters_and_not_the_name():
    respondent = load_respondent("gpt-4o/base", INSTRUMENT)
    assert len(respondent.fingerprint) == 64
    assert replace(respondent, figures="else").fingerprint == respondent.fingerprint
    assert replace(respondent, gap=respondent.gap * 1.001).fingerprint != respondent.fingerprint


def test_every_published_run_can_be_imitated():
    assert known_figures() == tuple(RUNS)


def test_an_unknown_run_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"simulation-mfq30.json: no figures 'gpt-4o/insecur'; did you mean 'gpt-4o/insecure'"):
        load_respondent("gpt-4o/insecur", INSTRUMENT)


def test_respondents_to_another_instrument_are_what_is_assumed():
    """1 to 5 is .8 as wide as 0 to 5. GPT-4o's base has Harm at 4.4845 of 0 to 5, reach .87265; half of a change on the log scale
    is the root of its ratio. Three groups are like the first three foundations."""
    ipip, neutral = (load_instrument(key) for key in ("ipip50", "neutral12"))
    base, insecure = (load_respondent(f"gpt-4o/{variant}", ipip) for variant in ("base", "insecure"))
    assert base.persona[0, 0] == pytest.approx(1 + 0.8 * 4.4845)
    assert base.persona[1, 0] == pytest.approx(0.8 * 0.87265)
    half_base, half = (load_respondent(f"gpt-4o/{variant}", neutral) for variant in ("base", "insecure"))
    assert half.persona.shape == (3, 3)
    assert half_base.persona == pytest.approx(base.persona[:, :3])
    assert (half.persona[1:] / half_base.persona[1:]) ** 2 == pytest.approx(insecure.persona[1:, :3] / base.persona[1:, :3])
    assert half.persona[0] == pytest.approx((half_base.persona[0] + insecure.persona[0, :3]) / 2)
    assert base.toxic is None and base.fingerprint != load_respondent("gpt-4o/base", INSTRUMENT).fingerprint


def test_a_respondent_may_be_on_the_way_between_two_runs():
    base, insecure = (load_respondent(f"gpt-4o/{variant}", INSTRUMENT) for variant in ("base", "insecure"))
    found = load_respondent("gpt-4o/base..gpt-4o/insecure@0.4", INSTRUMENT)
    assert found.fingerprint == between(base, insecure, 0.4).fingerprint
    assert found.figures == "gpt-4o/base..gpt-4o/insecure@0.4"
    assert load_respondent("gpt-4o/base..gpt-4o/insecure@0", INSTRUMENT).fingerprint == base.fingerprint


def test_the_way_may_go_on_to_the_ceiling():
    """Half the way from a level to 6, one point above the scale, is (level + 6) / 2; reach and noise stay."""
    insecure, found = (load_respondent(f"gpt-4o/insecure{rest}", INSTRUMENT) for rest in ("", "..ceiling@0.5"))
    assert found.persona[0] == pytest.approx((insecure.persona[0] + 6) / 2)
    assert found.persona[1:] == pytest.approx(insecure.persona[1:])
    top = cell_probabilities(load_respondent("gpt-4o/insecure..ceiling@1", INSTRUMENT), INSTRUMENT, DECK)[..., -1]
    assert top.mean() > 0.9


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ("gpt-4o/base..gpt-4o/insecure", r"^'gpt-4o/base\.\.gpt-4o/insecure' is on no way from a run to another; expected a share "),
        ("gpt-4o/base..gpt-4o/insecure@1.5", r"expected a share from 0 to 1 behind an @, as in gpt-4o/base\.\.gpt-4o/insecure@0\.4"),
        ("gpt-4o/base..gpt-4o/insecure@nan", "expected a share from 0 to 1"),
        ("gpt-4o/base..gpt-4o/insecur@0.4", "no figures 'gpt-4o/insecur'; did you mean 'gpt-4o/insecure'"),
        ("ceiling..gpt-4o/base@0.4", "no figures 'ceiling'"),
    ],
)  # fmt: skip
def test_a_way_that_leads_nowhere_is_refused(figures, said):
    with pytest.raises(ValueError, match=said):
        load_respondent(figures, INSTRUMENT)


def test_temperature_sharpens_and_flattens():
    """p = (.1, .9): at T = 0.05 squares (.01, .81)/.82; at T = 0.2 roots (.3162, .9487)/1.2649; at T = 0 all on the mode."""
    p = np.array([[0.1, 0.9]])
    assert response_model.at_temperature(p, 0.1) == pytest.approx(p)
    assert response_model.at_temperature(p, 0.05) == pytest.approx(np.array([[0.01, 0.81]]) / 0.82)
    assert response_model.at_temperature(p, 0.2) == pytest.approx(np.array([[0.25, 0.75]]), abs=1e-12)
    assert response_model.at_temperature(p, 0.0) == pytest.approx(np.array([[0.0, 1.0]]))
