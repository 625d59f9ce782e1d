"""Bounds of runs with missing ratings, and which changes they leave without a sign."""

import numpy as np
import pandas as pd
import pytest

from persona_collapse.exhibits import missing_sentences
from persona_collapse.statistics.missing_bounds import Bounds
from persona_collapse.store.ratings import Ratings
from persona_collapse.tables.build import Tables
from persona_collapse.tables.missing import change_bounds


def study_of(rng, *, lost, higher=1.0):
    """Tables of a base and a variant of twelve personas and five repetitions; the variant's personas lie further apart by
    `higher`, and a share `lost` of its ratings is missing."""
    rows = []
    own = rng.normal(0, 1, (12, 30))
    for variant, role, apart in (("base", "base", 1.0), ("bad", "harmful", higher)):
        for p in range(12):
            for q in range(30):
                for r in range(5):
                    rating = int(np.clip(round(2.5 + apart * own[p, q] + rng.normal(0, 0.4)), 0, 5))
                    gone = variant == "bad" and rng.random() < lost
                    rows.append((variant, role, p, q + 1, r + 1, None if gone else rating))
    frame = pd.DataFrame(rows, columns=["variant", "role", "persona", "item", "repetition", "rating"])
    return Tables(Ratings.from_frame(frame))


def say(found):
    return missing_sentences.missing(found.missing, found.metrics, found.contrasts, found.study)


def test_a_study_without_a_missing_rating_has_no_such_table(mini):
    assert mini[2].missing is None
    assert say(mini[2]) == "No rating is missing."


def test_the_run_that_lacks_ratings_has_its_bounds_around_its_numbers():
    found = study_of(np.random.default_rng(1), lost=0.02)
    table = found.missing
    assert list(table["metric"]) == ["mean", "susceptibility", "within_rms"] and set(table["variant"]) == {"bad"}
    assert (
        (table["slots"] == 12 * 30 * 5).all()
        and (table["least"] < table["value"]).all()
        and (table["value"] < table["most"]).all()
    )


def test_a_clear_change_whose_sign_hangs_on_missing_ratings_is_named():
    """S rises clearly by what there is; a tenth of the ratings is missing, which could take all of it back."""
    found = study_of(np.random.default_rng(2), lost=0.1, higher=1.25)
    first, *turned = say(found).splitlines()
    number = found.missing["missing"].iloc[0]
    assert first.startswith(
        f"- **model bad**: {number} of 1,800 ratings are missing ({100 * number / 1800:.2g} %). Whatever they would have "
    )
    assert "been, the mean lies between" in first and ", S lies between" in first and ", noise lies between" in first
    (s,) = (line for line in turned if "change of S under model bad" in line)
    row = found.contrasts.query(
        "method == 'recommended' and scope == 'overall' and metric == 'susceptibility' and family != 'mean'"
    )
    assert row["lo"].iloc[0] > 0
    assert s.startswith(
        f"- **The sign of the change of S under model bad depends on the missing ratings**: +{row['value'].iloc[0]:.0f} % ["
    )
    assert " % with them." in s and "anywhere between -" in s


def test_a_change_that_no_filling_turns_is_not_named():
    found = study_of(np.random.default_rng(3), lost=0.002, higher=1.6)
    assert say(found).splitlines()[1:] == [
        "- No clear change of S or noise of these runs could lose its sign with these ratings."
    ]


def test_where_no_change_is_clear_nothing_is_said_of_signs():
    """A variant drawn like its base: whatever is missing, there is no sign to lose."""
    found = study_of(np.random.default_rng(4), lost=0.02, higher=1.0)
    clear = found.contrasts.query("method == 'recommended' and scope == 'overall' and metric in ('susceptibility', 'within_rms')")
    assert not ((clear["lo"] > 0) | (clear["hi"] < 0)).any()
    assert len(say(found).splitlines()) == 1


@pytest.mark.parametrize(
    ("control", "least", "most"),
    [
        # 100 (2 / 2 - 1) = 0 and 100 (4 / 1 - 1) = 300
        (None, 0, 300),
        # (2 - 3) / 1 and (4 - 1) / 1 in points of the smallest base
        (Bounds(1, 3), -100, 300),
        # all above: (2 - 1) / 2 in points of the largest base, (4 - 0) / 1 of the smallest
        (Bounds(0, 1), 50, 400),
        # all below: (2 - 6) / 1 and (4 - 5) / 2
        (Bounds(5, 6), -400, -50),
    ],
)
def test_bounds_of_a_change_by_hand(control, least, most):
    assert change_bounds(Bounds(2, 4), Bounds(1, 2), control) == pytest.approx((least, most))


def test_a_base_that_may_have_nothing_leaves_a_change_without_an_upper_bound():
    assert change_bounds(Bounds(2, 4), Bounds(0, 2)) == (0, np.inf)
