"""A path from base to fine-tune: which steps and personas it has, what every step's numbers are, and whether S has a peak."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from known_paths import STUDIES, studies_told, study
from persona_collapse.report import dictionary
from persona_collapse.statistics import published_estimators
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.tables.build import Tables
from persona_collapse.tables.trajectory import OnPath, Step, steps_of

ITEMS = range(1, 31)


def answers(variant, personas, rating, *, of=None, step=None, role="harmful", repetitions=2, empty=()):
    """Rows of one run, `rating(persona, item, repetition)`; personas in `empty` were asked and gave no rating."""
    rows = [
        ("f", variant, role, of, step, f"p{p}", i, n, None if p in empty else rating(p, i, n))
        for p in personas for i in ITEMS for n in range(repetitions)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["family", "variant", "role", "of", "step", "persona", "item", "repetition", "rating"])


def ratings(*runs):
    return Ratings.from_frame(pd.concat(runs, ignore_index=True))


def spread(size):
    """Even personas at `size` above the odd ones, and every second item's two ratings one point apart."""
    return lambda p, i, n: (p % 2) * size + (n if i % 2 else 0)


def path_of(*, last=None, half=(), all_of=20):
    """Base, two checkpoints and the end; at the second checkpoint the personas in `half` gave no rating."""
    everybody = range(all_of)
    return ratings(
        answers("base", everybody, spread(1), role="base"),
        answers("at100", everybody, spread(2), of="end", step=100),
        answers("at300", everybody, spread(4), of="end", step=300, empty=half),
        answers("end", everybody, spread(3), step=last),
    )


def one(table, **keys):
    found = table
    for name, value in keys.items():
        found = found[found[name] == value]
    assert len(found) == 1, (keys, len(found))
    return found.iloc[0]


# --- steps -------------------------------------------------------------------------------------------------------------


def test_a_fine_tune_without_a_step_stands_behind_its_last_checkpoint_by_the_median_distance():
    """Distances 100 and 200: median 150, so that it stands at 450."""
    given = path_of()
    (end,) = [run for run in given.runs if run.variant.key == "end"]
    assert [(one.run.variant.key, one.position) for one in steps_of(given, end)] == [
        ("base", 0), ("at100", 100), ("at300", 300), ("end", 450),
    ]  # fmt: skip
    assert np.isnan(steps_of(given, end)[-1].step)
    rows = Tables(given).trajectory
    assert set(rows[rows["variant"] == "end"]["position"]) == {450} and rows[rows["variant"] == "end"]["step"].isna().all()


def test_a_fine_tune_stands_at_its_own_step():
    given = path_of(last=400)
    assert steps_of(given, given.run("f/end"))[-1] == Step(given.run("f/end"), 400, 400)


def test_a_study_without_checkpoints_has_no_such_tables(mini):
    found = mini[2]
    assert found.trajectory is None and found.peaks is None
    assert not mini[0].has_checkpoints and steps_of(found.ratings, found.study.runs[1]) == ()


def test_a_treatment_is_no_step():
    given = ratings(
        answers("base", range(12), spread(1), role="base"),
        answers("end", range(12), spread(3)),
        answers("calm", range(12), spread(2), of="end"),
    )
    assert Tables(given).trajectory is None


# --- personas ----------------------------------------------------------------------------------------------------------


def test_half_finished_checkpoints_are_used_as_far_as_they_go():
    """Eleven of twenty personas gave no rating at one step: the other nine are shared, and no item leaves for it."""
    found = Tables(path_of(half=range(9, 20))).trajectory
    s = found[(found["metric"] == "susceptibility") & (found["method"] == "recommended")]
    assert set(s[s["on"] == "shared"]["personas"]) == {9}
    assert dict(s[s["on"] == "all"][["variant", "personas"]].itertuples(index=False)) == {
        "base": 20, "at100": 20, "at300": 9, "end": 20,
    }  # fmt: skip


def test_a_step_of_too_few_personas_stands_by_itself():
    """Four of twenty personas are less than a quarter; the others are compared on all twenty."""
    tables = Tables(path_of(half=range(4, 20)))
    found, peak = tables.trajectory, tables.peaks.iloc[0]
    assert set(found[found["variant"] == "at300"]["on"]) == {"all"}
    assert set(found[found["on"] == "shared"]["personas"]) == {20}
    assert peak["steps"] == 3 and peak["left"] == "at300: only 4 personas, compared with no other step."


def test_a_step_without_ratings_is_left_out_and_said():
    peak = Tables(path_of(half=range(20))).peaks.iloc[0]
    assert peak["steps"] == 3 and peak["left"] == "at300: no ratings."


def test_too_few_personas_tell_nothing():
    peak = Tables(path_of(half=range(4, 20), all_of=4)).peaks.iloc[0]
    assert not peak["told"] and np.isnan(peak["rise"])
    assert peak["why"] == "4 steps that can be compared, on 4 shared personas; it takes at least 3 steps and 5 personas"


def test_a_persona_counts_at_a_step_that_rated_most_of_its_items():
    given = ratings(
        answers("base", range(3), spread(1), role="base"),
        answers("at1", [0], spread(2), of="end", step=1),
        answers("at1", [1], lambda p, i, n: 1 if i > 14 else None, of="end", step=1),  # 16 of 30 items
        answers("at1", [2], lambda p, i, n: 1 if i > 15 else None, of="end", step=1),  # 15 of 30
        answers("end", range(3), spread(2)),
    )
    assert OnPath(given).here(given.run("f/at1")).tolist() == [True, True, False]


# --- numbers -----------------------------------------------------------------------------------------------------------


def test_numbers_of_a_step_by_hand():
    """Twenty personas, ten of them `size` above the others; on half of the items the two ratings of a cell are 0 and 1 above that.

    The variance of a cell with both is .5, of its mean .25; half of the items have it, so that noise is sqrt(.25) = .5. V is
    size^2 / 4 * 20 / 19 on every item; S takes .25 off it on half of them. At size 2 the ratings are 0, 0, 0, 1, 2, 2, 2, 3 in equal
    parts: shares 3/8, 1/8, 3/8, 1/8, whose entropy is 2 (3/8 log2 8/3 + 1/8 * 3) = 1.811 bits; none is 5.
    """
    found = Tables(path_of()).trajectory
    row = {"variant": "at100", "on": "shared", "method": "recommended"}
    v = 4 / 4 * 20 / 19
    assert one(found, metric="susceptibility", **row)["value"] == pytest.approx((np.sqrt(v) + np.sqrt(v - 0.25)) / 2)
    assert one(found, metric="within_rms", **row)["value"] == pytest.approx(0.5)
    assert one(found, metric="robustness", **row)["value"] == pytest.approx(2)
    assert one(found, metric="entropy", **row)["value"] == pytest.approx(2 * (3 / 8 * np.log2(8 / 3) + 3 / 8))
    assert one(found, metric="commonest_share", **row)["value"] == pytest.approx(3 / 8)
    assert one(found, metric="endpoint_mass", **row)["value"] == pytest.approx(3 / 8)
    assert one(found, metric="ceiling_share", **row)["value"] == 0
    theta = v - 0.125  # the mean over items
    assert one(found, metric="persona_variance", **row)["value"] == pytest.approx(theta)
    # At size 4, every eighth rating is 5: half of the personas, half of their items, one of two ratings.
    assert one(found, **row | {"variant": "at300"}, metric="ceiling_share")["value"] == pytest.approx(1 / 8)


def test_published_rows_are_the_papers_formula_on_the_same_personas(training):
    found, given = training.trajectory, training.ratings
    run, scope = given.run("gpt-4o/insecure-step0400"), scope_matrix(given.study.instrument)
    level = published_estimators.published(given.counts(run), range(6), scope)
    for metric in ("susceptibility", "robustness", "within_sd"):
        row = one(found, variant=run.variant.key, on="shared", metric=metric, method="published")
        assert row["value"] == pytest.approx(getattr(level, metric)[0])
        assert row["hi"] - row["value"] == pytest.approx(row["value"] - row["lo"]) and row["hi"] > row["value"]


def test_where_all_steps_have_the_same_personas_both_are_alike(training):
    found = training.trajectory
    found = found[found["on"] != "self"].drop(columns=["note"])
    keys = ["family", "of", "variant", "metric", "method"]
    shared, every = (found[found["on"] == on].set_index(keys).drop(columns=["on"]) for on in ("shared", "all"))
    pd.testing.assert_frame_equal(shared, every.loc[shared.index])


def test_numbers_are_those_of_the_other_tables(training):
    """metrics.csv, style.csv, presence.csv and saturation.csv, as all personas answered every item."""
    found, at = training.trajectory, {"family": "gpt-4o", "variant": "insecure-step0800"}
    row = {"variant": at["variant"], "on": "shared", "method": "recommended"}
    for metric in ("susceptibility", "robustness", "within_rms", "icc", "relative_susceptibility", "endpoint_mass"):
        expected = one(training.metrics, **at, scope="overall", metric=metric, method="recommended")
        assert one(found, metric=metric, **row)[["value", "lo", "hi"]].tolist() == pytest.approx(
            expected[["value", "lo", "hi"]].tolist()
        )
    style, present = one(training.style, **at), one(training.presence, **at)
    assert one(found, metric="style_share", **row)["value"] == pytest.approx(style["share"])
    assert one(found, metric="persona_variance", **row)[["value", "lo"]].tolist() == pytest.approx(
        [present["value"], present["lo"]]
    )
    measure = {"condition": "persona", **at}
    assert one(found, metric="ceiling_share", **row)["value"] == pytest.approx(
        one(training.saturation, measure="ceiling_share", **measure)["value"]
    )
    alone = one(found, variant=at["variant"], on="self", metric="self_to_ceiling")
    expected = one(training.saturation, measure="distance_to_ceiling", **measure | {"condition": "self"})["value"]
    assert alone["value"] == pytest.approx(expected)
    mean = one(found, variant=at["variant"], on="self", metric="self_mean")
    own = training.profiles.query("variant == @at['variant'] and condition == 'self'")["mean"]
    assert mean["value"] == pytest.approx(own.mean()) and mean["lo"] < mean["value"] < mean["hi"]  # groups of six items each


def test_every_column_is_in_the_dictionary(training):
    for name in ("trajectory", "peaks"):
        table = getattr(training, name)
        assert [column for column in table if dictionary.entry(name, column) is None] == []
    assert set(training.trajectory["instrument"]) == {"mfq30"}


# --- peaks -------------------------------------------------------------------------------------------------------------


def test_the_shipped_study_rises_and_falls_on_one_path_and_not_on_the_other(training):
    peaks = training.peaks.set_index(["of", "method"])
    own = peaks.loc[("insecure", "recommended")]
    assert own["told"] and own["step"] == 600 and own["lo"] <= 600 <= own["hi"]
    assert own["rise_lo"] > 0 and own["fall_hi"] < 0 and own["with_ceiling"] and own["top_lo"] > 0
    assert peaks.loc[("insecure", "published"), "told"]
    assert not peaks.loc[[("secure", "recommended"), ("secure", "published")], "told"].any()


def test_rise_and_fall_are_the_percentages_of_s(training):
    row = training.peaks.set_index(["of", "method"]).loc[("insecure", "recommended")]
    s = training.trajectory.query(
        "of == 'insecure' and on == 'shared' and metric == 'susceptibility' and method == 'recommended'"
    )
    s = s.set_index("position")["value"]
    assert row["rise"] == pytest.approx(100 * (s[600] / s[0] - 1)) and row["fall"] == pytest.approx(100 * (s[1200] / s[600] - 1))
    assert row["change"] == pytest.approx(100 * (s[1200] / s[0] - 1))


def test_personas_gone_at_a_step_are_told_in_scale_points():
    """S is 0 at the end, which has no logarithm."""
    rng = np.random.default_rng(1)
    own = {p: float(rng.uniform(0, 3)) for p in range(30)}

    def about(size):
        return lambda p, i, n: round(size * own[p] + (p * i + n) % 2)

    given = ratings(
        answers("base", range(30), about(0.3), role="base", repetitions=4),
        answers("at1", range(30), about(1.3), of="end", step=1, repetitions=4),
        answers("end", range(30), lambda p, i, n: 5, repetitions=4),
    )
    row = Tables(given).peaks.iloc[0]
    assert row["unit"] == "scale points" and row["told"] and row["variant"] == "at1" and row["fall_hi"] < 0


def other_stacks(given, stacks):
    """The same ratings, of runs that these stacks served."""
    file = given.study.file
    families = tuple(
        family.model_copy(
            update={"variants": tuple(v.model_copy(update={"stack": stacks.get(v.key, "a")}) for v in family.variants)}
        )
        for family in file.families
    )
    return replace(given, study=replace(given.study, file=file.model_copy(update={"families": families})))


def test_a_step_that_another_stack_served_is_marked():
    tables = Tables(other_stacks(path_of(), {"base": "b"}))
    found, peak = tables.trajectory, tables.peaks.iloc[0]
    assert set(found[found["variant"] == "base"]["other_stack"]) == {"b"}
    assert set(found[found["variant"] != "base"]["other_stack"]) == {""}
    assert peak["other_stack"] == "0 by b"


def test_of_two_stacks_with_as_many_steps_the_finished_ones_is_the_usual():
    peak = Tables(other_stacks(path_of(), {"base": "b", "at100": "b"})).peaks.iloc[0]
    assert peak["other_stack"] == "0, 100 by b"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flat", "only rising", "rising to a plateau"])
def test_studies_without_a_peak_get_none(name):
    """Of twenty studies, four or more with a peak come about in one of sixty sets where the rate is 5 %."""
    assert studies_told(STUDIES[name], 20, np.random.default_rng(21)).told * 20 <= 3


def test_a_simulated_rise_and_fall_is_found_with_its_interval(mfq30):
    row = Tables(study(STUDIES["rising and falling"], mfq30, np.random.default_rng(8))).peaks.iloc[0]
    assert row["told"] and row["step"] in (300, 400) and row["lo"] <= 300 <= row["hi"]
