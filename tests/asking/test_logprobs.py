"""Method logprobs: hand-computed distributions, limits that hold, low mass, and a study from question to tables."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import yaml

from building import SCALE
from persona_collapse.asking import slots
from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import data_sentences, level_sentences, study_figures, theme
from persona_collapse.paths import INSTRUMENTS
from persona_collapse.sections.record import all_tables
from persona_collapse.simulated import response_model
from persona_collapse.statistics import published_estimators
from persona_collapse.statistics.published_errors import published_se
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.rows import Answer
from persona_collapse.store.store import open_store
from persona_collapse.study import first_token
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.load_study import load_study
from persona_collapse.study.respondent_parameters import load_respondent
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.tables.build import Tables, run_metrics, write
from persona_collapse.tables.quality import run_quality
from persona_collapse.tables.temperature import COLUMNS, level_bounds

LOG = math.log


def one_cell(*pairs, used=True):
    """A run of one cell that was offered these (token, probability) pairs."""
    text = first_token.as_text([(token, LOG(p)) for token, p in pairs])
    return first_token.gather([(0, 0, used, text)], 1, 1, SCALE)


# --- one reply ---------------------------------------------------------------------------------------------------------


def test_the_rating_is_the_most_probable_category_and_spellings_add():
    # "4" and " 4" are .3 + .25 = .55, above the .4 of "3"; the mass is .95
    reading = first_token.read([("3", LOG(0.4)), ("4", LOG(0.3)), (" 4", LOG(0.25)), (" I", LOG(0.05))], SCALE)
    assert (reading.rating, reading.reason) == (4, None)
    assert reading.mass == pytest.approx(0.95)


def test_of_two_alike_the_lower_category_is_the_rating():
    assert first_token.read([("5", LOG(0.5)), ("2", LOG(0.5))], SCALE).rating == 2


@pytest.mark.parametrize(("digit", "rating"), [(0.5, 4), (0.499, None)])
def test_a_cell_with_less_than_the_least_mass_has_a_reason_and_no_rating(digit, rating):
    # exp(log(.5)) is .5 exactly: at the least mass a cell is used, below it is not
    reading = first_token.read([("I", LOG(0.5)), ("4", LOG(digit))], SCALE)
    assert (reading.rating, reading.reason) == (rating, None if rating else "low_mass")
    assert reading.mass == pytest.approx(digit)


def test_junk_is_no_category():
    # 6 and 10 are off the scale; "44", "4.", "four", a full-width 4 and an empty token are no digit of it
    junk = [("6", 0.2), ("10", 0.2), ("44", 0.1), ("4.", 0.1), ("four", 0.1), ("４", 0.1), ("", 0.1), ("\n", 0.1)]
    assert first_token.read([(token, LOG(p)) for token, p in junk], SCALE) == (None, 0.0, "low_mass")


@pytest.mark.parametrize(
    "alternatives",
    [
        [],
        [("4", 0.0)],  # one alternative is no distribution
        [("4", 0.0), ("3", 0.0), ("2", 0.0)],  # a gateway's placeholders: the probabilities add up to 3
        [("4", math.nan), ("3", -1.0)],
        [("4", math.inf), ("3", -1.0)],
        [("4", 1000.0), ("3", -1.0)],
        [("4", None), ("3", -1.0)],
    ],
)
def test_a_reply_without_usable_logprobs_is_unparseable(alternatives):
    reading = first_token.read(alternatives, SCALE)
    assert (reading.rating, reading.reason) == (None, "unparseable") and math.isnan(reading.mass)


def test_certain_and_impossible_tokens_are_usable():
    # a sure model: 0.0 beside the -9999 and -inf with which endpoints say "never"
    assert first_token.read([("4", 0.0), ("3", -9999.0), ("2", -math.inf)], SCALE) == (4, 1.0, None)


def test_the_store_keeps_alternatives_with_the_most_probable_first():
    assert first_token.as_text([(" I", -6.1), ("4", -0.01), ("３", -4.7)]) == '[["4", -0.01], ["３", -4.7], [" I", -6.1]]'


# --- one cell at any temperature ---------------------------------------------------------------------------------------


def test_two_digits_at_half_temperature():
    # p = .8, .2 at T = 1; at T = .5 squares: .64, .04 -> 16/17, 1/17. Four digits are missing: smallest is .2 -> 4 x .04
    # -> weights .64, .04, 4 x .04 = .84 in all
    found = first_token.probabilities(one_cell(("1", 0.8), ("3", 0.2)), 0.5)[0, 0]
    assert found == pytest.approx(np.array([0.04, 0.64, 0.04, 0.04, 0.04, 0.04]) / 0.84)


ALL = [("0", 0.0001), ("1", 0.0001), ("2", 0.0001), ("3", 0.2), ("4", 0.6), ("5", 0.0001)]


def test_exact_moments_of_a_cell():
    # squares of (.6, .2) at T = .5 over 3 and 4, the others 1e-8: share of 4 is .36/.4 = .9
    # mean 3.9, variance .9 x .1 = .09, no ddof
    cells = first_token.probabilities(one_cell(*ALL), 0.5)
    found = published_estimators.moments(cells, SCALE)
    assert found.n[0, 0] == 1
    assert found.mean[0, 0] == pytest.approx(3.9, abs=1e-6)
    assert found.variance[0, 0] == pytest.approx(0.09, abs=1e-5)
    assert published_estimators.cell_sd(found)[0, 0] == pytest.approx(0.3, abs=1e-4)


def test_each_spelling_is_tempered_by_itself():
    # at T = .5: "4" .3^2 + " 4" .3^2 = .18, "3" .4^2 = .16; tempering the sum .6 would give .36 against .16
    pairs = [("4", 0.3), (" 4", 0.3), ("3", 0.39), *((str(k), 1e-9) for k in (0, 1, 2, 5))]
    found = first_token.probabilities(one_cell(*pairs), 0.5)[0, 0]
    assert found[[3, 4]] == pytest.approx(np.array([0.1521, 0.18]) / 0.3321)


def test_temperature_one_is_what_was_returned_and_zero_is_the_mode():
    cell = one_cell(*ALL)
    assert first_token.probabilities(cell, 1.0)[0, 0, [3, 4]] == pytest.approx(np.array([0.2, 0.6]) / 0.8004)
    assert first_token.probabilities(cell, 0.0)[0, 0].tolist() == [0, 0, 0, 0, 1, 0]


def test_ties_at_temperature_zero_share_evenly():
    pairs = [("0", 0.3), ("5", 0.3), ("1", 0.1), *((str(k), 0.01) for k in (2, 3, 4))]
    assert first_token.probabilities(one_cell(*pairs), 0.0)[0, 0].tolist() == [0.5, 0, 0, 0, 0, 0.5]


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 0.02, 1.5, 1e6])
def test_no_temperature_overflows(temperature):
    text = first_token.as_text([("4", -0.001), ("3", -100.0), ("2", -9999.0), ("1", -math.inf)])
    cell = first_token.gather([(0, 0, True, text)], 1, 1, SCALE)
    found = first_token.probabilities(cell, temperature)
    assert np.isfinite(found).all() and found.sum() == pytest.approx(1)
    assert np.isfinite(first_token.bounds(cell, temperature, SCALE)).all()


def test_a_cell_that_is_not_used_is_empty_and_its_mass_is_seen():
    cell = one_cell(("I", 0.7), ("4", 0.3), used=False)
    assert first_token.probabilities(cell, 0.1).tolist() == [[[0.0] * 6]]
    assert cell.mass[0, 0] == pytest.approx(0.3)
    found = published_estimators.moments(first_token.probabilities(cell, 0.1), SCALE)
    assert found.n[0, 0] == 0 and np.isnan([found.mean[0, 0], found.variance[0, 0]]).all()


def test_distributions_have_no_response_part():
    # the same moments from integers carry sampling noise: cells (2, 2) of two categories against probabilities (.5, .5)
    half = np.zeros((3, 2, 6))
    half[0, :, 0] = half[0, :, 1] = half[1, :, 2] = half[1, :, 3] = half[2, :, 4] = half[2, :, 5] = 0.5
    scope = np.full((2, 1), 0.5)
    # every cell SD is .5, so resampling personas does not move within_sd: nothing is left without a response part
    assert published_se(half, SCALE, scope).within_sd[0] == pytest.approx(0, abs=1e-9)
    assert published_se((4 * half).astype(int), SCALE, scope).within_sd[0] > 0.01


# --- limits ------------------------------------------------------------------------------------------------------------


def test_limits_by_hand():
    # "1" .8 and "3" .1 at T = 1, the rest .05 " I": known shares 8/9, 1/9 -> mu = 11/9, V = 8/81 x 4 = 32/81
    # four missing digits at up to .05: t = .2/1.1 = 2/11; they reach from 0 to 5: mean in [mu - t mu, mu + t (5 - mu)]
    # D = (34/9)^2; (1 - t) V <= Var <= (1 - t) V + t D
    found = first_token.bounds(one_cell(("1", 0.8), ("3", 0.1), (" I", 0.05)), 1.0, SCALE)
    t, mu, v = 2 / 11, 11 / 9, 32 / 81
    expected = mu - t * mu, mu + t * (5 - mu), math.sqrt((1 - t) * v), math.sqrt((1 - t) * v + t * (34 / 9) ** 2)
    assert [limit[0, 0] for limit in found] == pytest.approx(expected)


def random_run(rng, personas=6, items=4):
    """A run in which some digits of some cells are outside what was returned."""
    rows = []
    for p in range(personas):
        for q in range(items):
            lp = rng.normal(0, rng.choice([0.5, 3]), 8)
            lp -= np.log(np.exp(lp).sum()) + 0.1
            tokens = [*(str(k) for k in SCALE), " I", rng.choice([" 4", "As"])]
            keep = rng.permutation(8)[: rng.integers(3, 9)]
            kept = [(tokens[i], float(lp[i])) for i in keep]
            if any(token.strip().isdigit() for token, _ in kept):
                rows.append((p, q, True, first_token.as_text(kept)))
            else:
                rows.append((p, q, True, first_token.as_text([*kept, ("2", -0.5)])))
    return first_token.gather(rows, personas, items, SCALE)


def completed(found, rng):
    """The same run with every missing digit put somewhere between -inf and the smallest returned logprob."""
    below = rng.choice([0.0, 0.3, 5.0, np.inf], found.missing.shape)
    filled = found.logprobs.copy()
    filled[..., 0] = np.where(found.missing, found.smallest[..., None] - below, filled[..., 0])
    return found._replace(logprobs=filled, smallest=np.full_like(found.smallest, -np.inf))


@pytest.mark.parametrize("seed", range(20))
def test_every_completion_of_the_missing_digits_lies_within_the_limits(seed):
    rng = np.random.default_rng(seed)
    found, scope = random_run(rng), np.full((4, 1), 0.25)
    assert found.missing.any()
    for at in (0.0, 0.02, 0.1, 0.7, 1.0, 1.5):
        cells = first_token.bounds(found, at, SCALE)
        limits = level_bounds(cells)
        # the published rule is one of the completions
        for run in (found, *(completed(found, rng) for _ in range(15))):
            chances = first_token.probabilities(run, at)
            moments = published_estimators.moments(chances, SCALE)
            assert (cells.mean_lo - 1e-9 <= moments.mean).all() and (moments.mean <= cells.mean_hi + 1e-9).all()
            sd = np.sqrt(moments.variance)
            assert (cells.sd_lo - 1e-7 <= sd).all() and (sd <= cells.sd_hi + 1e-7).all()
            level = published_estimators.published(chances, SCALE, scope)
            for metric, (low, high) in limits.items():
                value = getattr(level, metric)[0]
                assert low * (1 - 1e-9) - 1e-9 <= value <= high * (1 + 1e-9) + 1e-9


def test_a_missing_digit_widens_the_limits_more_when_it_is_warmer():
    cell = one_cell(("4", 0.9), ("3", 0.09), (" I", 0.01))
    width = [float(np.ptp(first_token.bounds(cell, at, SCALE)[2:])) for at in (0.1, 0.5, 1.0)]
    # at T = .1 the four missing digits have at most 4 (.01/.9)^10: nothing
    assert width[0] < 1e-6 < width[1] < width[2]


# --- a study -----------------------------------------------------------------------------------------------------------


def study_of(folder, name="asked", **protocol):
    """A simulated study of one family, asked with this protocol."""
    variants = [{"key": v, "role": r, "figures": f"gpt-4o/{v}"} for v, r in (("base", "base"), ("insecure", "harmful"))]
    content = {
        "title": "Asked", "kind": "simulated", "seed": 3, "protocol": {"personas": 8, **protocol},
        "families": [{"key": "gpt-4o", "variants": variants}],
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_study(path)


def test_a_cell_is_one_slot_with_the_digit_prompt(tmp_path, outputs):
    study = study_of(tmp_path, method="logprobs")
    asked = list(slots.questions(study, study.runs[0]))
    assert {q.repetitions for q in asked} == {1}
    assert all(q.prompt.endswith("Return exactly one digit from 0 to 5. Do not output any other text.") for q in asked)
    # 2 runs of 8 personas x 30 items and 30 without a persona
    assert collect(study) == 2 * (240 + 30)
    assert collect(study) == 0


def test_what_the_protocol_says_of_temperature_asks_nothing_again(tmp_path, outputs):
    collect(study_of(tmp_path, method="logprobs"))
    warmer = study_of(tmp_path, method="logprobs", temperature=0.7, repetitions=3, max_tokens=5)
    assert collect(warmer) == 0


def test_a_live_question_is_asked_at_temperature_one(tmp_path):
    content = {
        "title": "Live", "kind": "live", "protocol": {"personas": 2, "method": "logprobs", "temperature": 0.3},
        "endpoints": {"here": {"base_url": "http://localhost:1/v1", "api_key_env": "HERE_KEY"}},
        "families": [{"key": "a", "variants": [{"key": "b", "role": "base", "endpoint": "here", "model": "m"}]}],
    }  # fmt: skip

    def identities(**protocol):
        path = tmp_path / "live.yaml"
        path.write_text(yaml.safe_dump(content | {"protocol": content["protocol"] | protocol}), encoding="utf-8")
        study = load_study(path)
        return {q.identity for q in slots.questions(study, study.runs[0])}

    assert identities() == identities(temperature=1.0, max_tokens=9)
    assert not identities() & identities(method="samples", temperature=1.0)


def test_tempered_to_what_they_were_fitted_at_they_are_the_fitted_respondents(tmp_path, outputs):
    study = study_of(tmp_path, method="logprobs")
    collect(study)
    run = study.runs[1]
    fitted = load_respondent("gpt-4o/insecure", study.instrument)
    expected = response_model.cell_probabilities(fitted, study.instrument, study.personas)
    with open_store(study.store_path) as store:
        found = read_ratings(study, store).counts(run, "persona")
    # logprobs are rounded to 5e-7, which the division by T = .1 makes 5e-6 of a probability
    assert found == pytest.approx(expected, abs=1e-5)


def test_recovers_s_and_the_within_persona_sd_of_very_many_samples(tmp_path, outputs):
    exact, sampled = study_of(tmp_path, "exact", method="logprobs"), study_of(tmp_path, "sampled", repetitions=120)
    levels = []
    for study in (exact, sampled):
        collect(study)
        with open_store(study.store_path) as store:
            scope = scope_matrix(study.instrument)
            levels.append(
                [
                    published_estimators.published(read_ratings(study, store).counts(r, "persona"), SCALE, scope)
                    for r in study.runs
                ]
            )
    for one, other in zip(*levels, strict=True):
        # the sample SD of 120 ratings falls short of the true one by little, most in cells that rarely waver
        assert one.susceptibility == pytest.approx(other.susceptibility, rel=0.02)
        assert one.within_sd[0] == pytest.approx(other.within_sd[0], rel=0.04)


def test_samples_are_never_pooled_with_logprobs(tmp_path, outputs):
    sampled = study_of(tmp_path, repetitions=3)
    collect(sampled)
    study = study_of(tmp_path, method="logprobs")
    assert collect(study) == 540  # nothing of the samples counts
    with open_store(study.store_path) as store:
        quality = run_quality(read_ratings(study, store), study.runs[0])
        assert quality[["slots", "valid", "min_repetitions", "max_repetitions"]].iloc[0].tolist() == [240, 240, 1, 1]
        assert read_ratings(study, store).counts(study.runs[0], "persona").sum() == pytest.approx(240)
    back = study_of(tmp_path, repetitions=3)
    assert collect(back) == 0  # and the samples are still there
    with open_store(back.store_path) as store:
        found = read_ratings(back, store).counts(back.runs[0], "persona")
        assert np.issubdtype(found.dtype, np.integer) and found.sum() == 720
        assert Tables(read_ratings(back, store)).temperature is None


@pytest.fixture
def asked(tmp_path, outputs):
    """A study by logprobs of which two cells of the base's first personas have little mass or no logprobs."""
    study = study_of(tmp_path, method="logprobs")
    with open_store(study.store_path, write=True) as store:
        run = study.runs[0]
        slots.plan(study, run, store)
        by_cell = {(cell.persona, cell.item): cell.question for cell in store.missing_cells("gpt-4o", "base", "persona")}
        low = first_token.as_text([("I", LOG(0.8)), ("4", LOG(0.1))])
        placeholder = first_token.as_text([("4", 0.0), ("3", 0.0)])
        store.add([
            Answer(by_cell[0, 1], 1, None, "low_mass", "I", logprobs=low, served_model="simulated"),
            Answer(by_cell[1, 1], 1, None, "unparseable", "4", logprobs=placeholder, served_model="simulated"),
        ])  # fmt: skip
    collect(study)
    return study


def test_cells_without_a_reading_are_counted_and_their_personas_left_out(asked):
    with open_store(asked.store_path) as store:
        row = run_quality(read_ratings(asked, store), asked.runs[0]).iloc[0]
        level = run_metrics(read_ratings(asked, store), asked.runs[0])
    assert row[["slots", "valid", "low_mass", "unparseable", "personas_used"]].tolist() == [240, 238, 1, 1, 6]
    assert (row["min_repetitions"], row["max_repetitions"]) == (0, 1)
    # 238 cells of mass .98 and one of .1; the placeholder has no mass
    assert row["mean_mass"] == pytest.approx((238 * 0.98 + 0.1) / 239, abs=1e-5)
    assert row["least_mass_seen"] == pytest.approx(0.1)
    assert set(level[level["scope"] == "overall"]["ratings"]) == {180}  # 6 personas x 30 items
    assert level["ratings"].dtype == int


def test_every_table_is_built_twice_to_the_same_bytes(asked):
    written = []
    for _ in range(2):
        with open_store(asked.store_path) as store:
            paths = write(asked, all_tables(Tables(read_ratings(asked, store))))
        written.append({path.name: path.read_bytes() for path in paths})
    assert written[0] == written[1] and "temperature.csv" in written[0]


def test_the_table_of_temperatures(asked):
    with open_store(asked.store_path) as store:
        found = Tables(read_ratings(asked, store))
    table = found.temperature
    assert tuple(table.columns) == COLUMNS
    assert sorted(set(table["temperature"])) == pytest.approx(np.arange(1, 16) / 10)
    own = table.query("variant == 'insecure' and temperature == 0.1").set_index("metric")
    level = found.metrics.query("variant == 'insecure' and scope == 'overall' and method == 'published'").set_index("metric")
    # at the protocol's temperature it says what metrics.csv says
    assert own["value"].tolist() == level["value"][own.index].tolist()
    assert own["lo"].tolist() == level["lo"][own.index].tolist()
    # every digit was returned, so there is nothing to bound
    assert (table["bound_lo"] == table["value"]).all() and (table["bound_hi"] == table["value"]).all()
    # warmth lowers R
    for _, curve in table[table["metric"] == "robustness"].groupby("variant"):
        assert (curve["value"].diff().dropna() < 0).all()


def test_digits_that_were_not_returned_bound_the_curves(asked):
    with open_store(asked.store_path, write=True) as store:
        # what an endpoint with three alternatives would have returned
        rows = store._db.execute("SELECT question, logprobs FROM slots WHERE reason IS NULL").fetchall()
        cut = [(json.dumps(json.loads(text)[:3]), question) for question, text in rows]
        with store.transaction():
            store._db.executemany("UPDATE slots SET logprobs = ? WHERE question = ?", cut)
        found = Tables(read_ratings(asked, store))
    table = found.temperature
    assert (table["bound_lo"] <= table["value"]).all() and (table["value"] <= table["bound_hi"]).all()
    width = (table["bound_hi"] - table["bound_lo"]) / table["value"]
    at = {t: width[(table["temperature"] == t) & (table["metric"] == "susceptibility")].max() for t in (0.1, 1.0)}
    assert at[0.1] < at[1.0]
    assert "Digits outside the returned alternatives move no value by more than" in level_sentences.temperature(found, asked)


def test_sentences_speak_of_mass_and_not_of_repetitions(asked):
    with open_store(asked.store_path) as store:
        found = Tables(read_ratings(asked, store))
        cells = read_ratings(asked, store).counts(asked.runs[0], "persona")
    line = data_sentences.run_line(asked, asked.runs[0], found.quality)
    assert "one request, for the distribution of the answer (logprobs, shown at T = 0.1)" in line
    assert "repetition" not in line + data_sentences.cautions(found.quality, asked) + level_sentences.steady(cells, asked)
    assert data_sentences.study_line(asked).split("\n")[0].endswith("asked by logprobs and shown at T = 0.1.")
    said = level_sentences.temperature(found, asked)
    value = found.temperature.set_index(["variant", "metric", "temperature"])["value"].to_dict()
    ratio = [value["insecure", "robustness", t] / value["base", "robustness", t] for t in (0.1, 1.0)]
    assert f"R is {ratio[0]:.2f} times the base's at T = 0.1 and {ratio[1]:.2f} times at T = 1" in said
    assert "0.100 in the least sure one; 1 of them lies below 0.5" in said
    assert "Every digit of the scale was among the returned alternatives" in said


def test_a_study_by_samples_says_so_and_draws_nothing(mini):
    study, _, found = mini
    assert level_sentences.temperature(found, study) == (
        "These ratings are samples at T = 0.1 and say nothing of other temperatures; `method: logprobs` gives these curves."
    )
    assert study_figures.temperature_curves(found.temperature, study, "robustness") is None


@pytest.mark.parametrize("metric", ["robustness", "susceptibility"])
def test_the_curves_are_drawn_for_every_variant(asked, metric):
    theme.use_theme()
    with open_store(asked.store_path) as store:
        found = Tables(read_ratings(asked, store))
    spec = theme.spec(study_figures.temperature_curves(found.temperature, asked, metric))
    assert spec == theme.spec(study_figures.temperature_curves(found.temperature, asked, metric))
    rows = max(spec["datasets"].values(), key=len)
    assert len(rows) == 2 * 15 and json.dumps(spec, allow_nan=False)
    assert theme.SIMULATED in spec["title"]["subtitle"] and spec["description"].startswith("Line charts of")
    assert all(row["from"] > 0 for row in rows)


def test_a_study_shown_at_temperature_zero_has_infinite_r_and_is_drawn(tmp_path, outputs):
    study = study_of(tmp_path, method="logprobs", temperature=0.0)
    collect(study)
    with open_store(study.store_path) as store:
        found = Tables(read_ratings(study, store))
        assert (
            published_estimators.moments(read_ratings(study, store).counts(study.runs[0], "persona"), SCALE).variance == 0
        ).all()
    at_zero = found.temperature.query("temperature == 0 and metric == 'robustness'")
    assert np.isinf(at_zero["value"]).all()
    theme.use_theme()
    json.dumps(theme.spec(study_figures.temperature_curves(found.temperature, study, "robustness")), allow_nan=False)
    assert "R is" in level_sentences.temperature(found, study)


def test_other_logprobs_are_another_digest(asked):
    with open_store(asked.store_path, write=True) as store:
        before = store.digest("gpt-4o", "base")
        with store.transaction():
            store._db.execute("UPDATE slots SET logprobs = replace(logprobs, '\" I\"', '\"We\"') WHERE question = 3")
        assert store.digest("gpt-4o", "base") != before


def test_the_other_conditions_work_on_probabilities_too(asked):
    with open_store(asked.store_path) as store:
        found = Tables(read_ratings(asked, store))
        seen = read_ratings(asked, store).of(asked.runs[0], "self").offered
    assert seen.mass.shape == (1, 30)
    shares = found.saturation[found.saturation["measure"].str.startswith("share_")]
    assert shares.groupby(["variant", "condition"])["value"].sum().tolist() == pytest.approx([1.0] * 4)
    profile = found.profiles[found.profiles["condition"] == "self"]
    assert profile["ratings"].tolist() == [6] * 10 and pd.notna(profile["within_sd"]).all()


def instrument_without(tmp_path, **changes):
    content = yaml.safe_load((INSTRUMENTS / "mfq30.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in (content | changes).items() if v is not None}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"digit_suffix": None},
            "logprobs needs an instrument with a digit_suffix, which 'own' lacks; add one to it, or use samples",
        ),
        ({"scale": {"low": 0, "high": 10}}, "logprobs reads one digit, but the scale of 'own' goes up to 10; use samples"),
    ],
)
def test_an_instrument_that_cannot_be_asked_for_a_digit_is_refused_in_one_line(tmp_path, changes, words):
    instrument_without(tmp_path, **changes)
    assert load_instrument(tmp_path / "own.yaml").key == "own"
    content = {
        "title": "x", "kind": "live", "instrument": "own.yaml", "protocol": {"method": "logprobs"},
        "endpoints": {"here": {"base_url": "http://localhost:1/v1", "api_key_env": "HERE_KEY"}},
        "families": [{"key": "a", "variants": [{"key": "b", "role": "base", "endpoint": "here", "model": "m"}]}],
    }  # fmt: skip
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError) as error:
        load_study(tmp_path / "study.yaml")
    assert str(error.value) == f"{tmp_path / 'study.yaml'}, protocol.method: {words}"
