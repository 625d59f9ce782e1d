"""Rows of components.csv and reliability.csv, and what stands beside them."""

import numpy as np
import pandas as pd
import pytest
import yaml

from persona_collapse.statistics.components import COMPONENTS
from persona_collapse.store.ratings import Ratings
from persona_collapse.tables.build import Tables


def of_frame(rng, personas=8, repetitions=2, instrument="mfq30", items=30, missing=()):
    """Tables of ratings drawn at random."""
    rows = [
        (p, q, r, rng.integers(0, 6) if instrument == "mfq30" else rng.integers(1, 6))
        for p in range(personas) for q in range(1, items + 1) for r in range(1, repetitions + 1) if (p, q) not in missing
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["persona", "item", "repetition", "rating"])
    return Tables(Ratings.from_frame(frame, instrument=instrument))


def test_four_components_and_five_groups_of_every_run(mini):
    found = mini[2].components
    assert len(found) == 6 * 4 and tuple(found["component"][:4]) == COMPONENTS
    assert (found["lo"] < found["hi"]).all() and set(found["note"]) == {""}
    alphas = mini[2].reliability
    assert len(alphas) == 6 * 5 and set(alphas["items"]) == {6} and set(alphas["note"]) == {"at n = 5"}
    assert (alphas["hi"] < 1).all()


def test_one_rating_a_cell_leaves_what_hangs_on_noise_out_and_says_so():
    found = of_frame(np.random.default_rng(1), repetitions=1).components.set_index("component")
    assert np.isfinite(found.loc[["persona", "persona_group"], "value"]).all()
    assert found.loc[["persona_item", "repetition"], "value"].isna().all()
    said = "30 of 30 items have one rating a cell, from which noise cannot be told."
    assert found["note"].tolist() == ["", "", said, said]


def test_a_persona_without_an_item_leaves_and_without_anybody_nothing_is_left():
    rng = np.random.default_rng(2)
    some = of_frame(rng, missing={(0, 3)}).reliability
    assert np.isfinite(some["value"]).all()
    nobody = of_frame(rng, personas=3, missing={(0, 3), (1, 4), (2, 5)})
    assert nobody.reliability["value"].isna().all() and nobody.components["value"].isna().all()
    assert set(nobody.reliability["note"]) == set(nobody.components["note"]) == {"No persona answered every item."}


def test_an_item_that_nobody_answered_leaves_its_group():
    found = of_frame(np.random.default_rng(3), missing={(p, 1) for p in range(8)}).reliability
    assert sorted(found["items"]) == [5, 6, 6, 6, 6]


def questionnaire(folder, groups):
    """An instrument of 1 to 5 with these (group, reversed) items, as a file."""
    items = [
        {"number": n, "block": "b", "group": group, "text": f"I am {n}.", "reversed": turned}
        for n, (group, turned) in enumerate(groups, 1)
    ]
    content = {
        "title": "Small", "source": "s", "citation": "c", "terms": "t", "scale": {"low": 1, "high": 5},
        "persona_prompt": "{persona} {item}", "prompts": {"b": "Rate from 1 to 5: {text}"}, "items": items,
    }  # fmt: skip
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def alike(path, groups, *, turn):
    """Tables of ten personas at five levels, two each, who give every item the same; reversed ones the other way round."""
    rows = [
        (p, n, r, 6 - (1 + p % 5) if turn and turned else 1 + p % 5)
        for p in range(10) for n, (_, turned) in enumerate(groups, 1) for r in (1, 2)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["persona", "item", "repetition", "rating"])
    return Tables(Ratings.from_frame(frame, instrument=path))


def test_reversed_items_are_turned(tmp_path):
    """Levels -2 to 2, twice each, have the variance 20 / 9: all of it the persona's, or, not turned, all of it the item's."""
    groups = [("A", False), ("A", True), ("B", True), ("B", False)]
    path = questionnaire(tmp_path, groups)
    turned, plain = (alike(path, groups, turn=turn) for turn in (True, False))
    assert turned.components["value"].tolist() == pytest.approx([20 / 9, 0, 0, 0])
    assert turned.reliability["value"].tolist() == pytest.approx([1, 1])
    # Means of groups are all 0: MS_p = MS_pf = 0, MS_pi = 4 x 20 / (9 x (4 - 2)) = 40 / 9.
    assert plain.components["value"].tolist() == pytest.approx([0, -20 / 9, 40 / 9, 0])
    assert set(plain.reliability["note"]) == {"All personas have the same mean: no alpha."}


def test_one_group_has_no_component_of_groups_and_one_item_no_alpha(tmp_path):
    one = [("A", False)] * 3
    assert alike(questionnaire(tmp_path, one), one, turn=True).components["component"].tolist() == [
        "persona", "persona_item", "repetition",
    ]  # fmt: skip
    each = [("A", False), ("B", False)]
    found = alike(questionnaire(tmp_path, each), each, turn=True)
    assert set(found.reliability["note"]) == {"One item has no alpha."}
    assert found.components["note"].tolist()[1:3] == ["One item in each group: groups cannot be told from items."] * 2
