"""Equating the scales of base and variant: what a monotone recoding makes of S and noise, and what it cannot make."""

import numpy as np
import pytest

import known_truths
from persona_collapse.exhibits import normalisation_sentences
from persona_collapse.statistics.moments import Parts, cells
from persona_collapse.statistics.recoding import equated, made_by_recoding, recoded
from persona_collapse.tables.build import Tables

POINTS = np.arange(6.0)


def parts(counts, clusters=None):
    return Parts(counts, cells(counts, range(6)), range(6), clusters=clusters)


def drawn(rng, personas=20, items=4, n=5):
    """Ratings about a place of each persona and item."""
    place = rng.uniform(0, 5, (personas, items))
    rating = np.clip(np.rint(place[..., None] + rng.normal(0, 0.7, (personas, items, n))), 0, 5).astype(int)
    return (rating[..., None] == np.arange(6)).sum(axis=2)


def recode(counts, to):
    """The same ratings with every point replaced by another."""
    found = np.zeros_like(counts)
    for point, other in enumerate(to):
        found[..., other] += counts[..., point]
    return found


def test_a_band_gets_the_mean_of_what_lies_there_by_hand():
    """Base: half 2, half 4; variant: a quarter 1, half 3, a quarter 5. The lower half holds 1 and 3 alike often, mean 2; the upper 4."""
    found = equated(np.array([0, 0, 2, 0, 2, 0]), np.array([0, 1, 0, 2, 0, 1]), POINTS)
    assert found[2] == pytest.approx(2) and found[4] == pytest.approx(4)
    assert (np.diff(found) >= 0).all()


def test_a_recoding_of_points_is_found_exactly():
    """What lies below 2 moves to 0, what lies above 3 to 5: the base recoded is the variant, so nothing is left."""
    base = drawn(np.random.default_rng(1))
    variant = recode(base, [0, 0, 1, 4, 5, 5])
    own, other = parts(base), parts(variant)
    found = recoded(own, other)
    s = [np.sqrt(np.maximum(one.anchor, 0)).mean(axis=1) for one in (own, other)]
    noise = [(one.noise).mean(axis=1) for one in (own, other)]
    assert found.susceptibility == pytest.approx(np.log(s[1] / s[0]))
    assert found.within_rms == pytest.approx(np.log(noise[1] / noise[0]) / 2)


def test_a_scale_turned_into_itself_makes_nothing():
    base = drawn(np.random.default_rng(2))
    found = made_by_recoding(parts(base), parts(base))
    assert found.susceptibility == pytest.approx(np.zeros(21), abs=1e-12) and found.within_rms == pytest.approx(
        np.zeros(21), abs=1e-12
    )


def test_turning_the_contrast_round_turns_the_sign():
    one, other = drawn(np.random.default_rng(3)), recode(drawn(np.random.default_rng(4)), [0, 0, 2, 4, 5, 5])
    there, back = made_by_recoding(parts(one), parts(other)), made_by_recoding(parts(other), parts(one))
    assert there.susceptibility == pytest.approx(-back.susceptibility) and there.within_rms == pytest.approx(-back.within_rms)


def test_without_a_unit_is_what_the_others_give():
    """The recoding is found anew: row 1 + k is that of the data without persona, or cluster, k."""
    one, other = drawn(np.random.default_rng(5)), drawn(np.random.default_rng(6))
    found = recoded(parts(one), parts(other))
    fewer = recoded(parts(np.delete(one, 7, axis=0)), parts(np.delete(other, 7, axis=0)))
    assert found.susceptibility[8] == pytest.approx(fewer.susceptibility[0]) and found.within_rms[8] == pytest.approx(
        fewer.within_rms[0]
    )
    clusters = np.arange(20) // 4
    found = recoded(parts(one, clusters), parts(other, clusters))
    fewer = recoded(parts(one[4:]), parts(other[4:]))
    assert found.susceptibility.shape == (6,) and found.susceptibility[1] == pytest.approx(fewer.susceptibility[0])


@pytest.fixture(scope="module")
def truths(mfq30):
    kept = {key: known_truths.TRUTHS[key] for key in ("stretch", "shift", "noisier", "others", "unchanged")}
    design = known_truths.design(mfq30, kept)
    return Tables(design.ratings(design.drawn(np.random.default_rng(2), 60, 10)))


def left(tables, variant, metric, part="left"):
    rows = tables.normalisation.query("variant == @variant and metric == @metric and part == @part")
    return rows.iloc[0][["value", "lo", "hi"]].astype(float)


def test_another_use_of_the_scale_leaves_next_to_nothing(truths):
    """A stretch of all answers raises S by a third and noise by a fifth, and little of that is left; a shift leaves none."""
    assert left(truths, "stretch", "susceptibility", "measured")["lo"] > 25
    assert abs(left(truths, "stretch", "susceptibility")["value"]) < 5
    assert abs(left(truths, "stretch", "within_rms")["value"]) < 8
    for variant in ("shift", "unchanged", "others"):
        for metric in ("susceptibility", "within_rms"):
            found = left(truths, variant, metric)
            assert found["lo"] - 0.5 < 0 < found["hi"] + 0.5, (variant, metric)


def test_noise_is_left_after_any_recoding(truths):
    """Twice the noise is no use of the scale."""
    found = left(truths, "noisier", "within_rms")
    assert found["lo"] > 25 and left(truths, "noisier", "within_rms", "measured")["value"] > found["value"]


def test_parts_multiply_to_the_whole(truths):
    rows = truths.normalisation.set_index(["variant", "metric", "part"])["value"] / 100 + 1
    for variant in ("stretch", "noisier"):
        for metric in ("susceptibility", "within_rms"):
            assert rows[variant, metric, "recoding"] * rows[variant, metric, "left"] == pytest.approx(
                rows[variant, metric, "measured"]
            )


def test_sentences_say_what_is_left(truths):
    said = str(normalisation_sentences.left(truths.normalisation, truths.study)).splitlines()
    (noisier,) = (line for line in said if "noisier" in line)
    assert "noise +" in noisier and "another use of the scale" not in noisier.split("; noise")[1]
    (unchanged,) = (line for line in said if "unchanged" in line)
    assert "neither can be told from none" in unchanged


def test_where_personas_do_not_differ_nothing_is_said(mfq30):
    design = known_truths.design(mfq30, {"ceiling": known_truths.TRUTHS["ceiling"]})
    counts = design.drawn(np.random.default_rng(3), 12, 4)
    counts["ceiling"] = np.zeros_like(counts["ceiling"])
    counts["ceiling"][..., 5] = 4
    tables = Tables(design.ratings(counts))
    rows = tables.normalisation.query("variant == 'ceiling'").set_index(["metric", "part"])
    assert np.isnan(rows.loc[("susceptibility", "left"), "value"])
    assert "nothing can be said" in str(normalisation_sentences.left(tables.normalisation, tables.study))
