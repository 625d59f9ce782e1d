"""Runs whose personas are the same in part are compared on those; runs that share none are not, and the page says either."""

import numpy as np
import pandas as pd
import pytest

import persona_collapse as pc
from building import SCALE, random_counts
from importable import rating_file, small_study
from persona_collapse.asking.collect import collect, open_study
from persona_collapse.statistics import common_cells
from persona_collapse.statistics.recommended_estimators import leave_one_out
from persona_collapse.store.ratings import Ratings
from persona_collapse.tables.build import tables_of

VARIANTS = [
    {"key": "base", "role": "base", "persona": "base.csv"},
    {"key": "bad", "role": "harmful", "persona": "bad.csv"},
]


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Ratings of a study whose base has personas 1 to 20 and whose variant has those of these ids."""
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")

    def made(ids) -> tuple[Ratings, dict[str, np.ndarray]]:
        given = {}
        for seed, (name, own) in enumerate((("base", range(1, 21)), ("bad", ids))):
            given[name] = random_counts(np.random.default_rng(seed), len(own), items=2)
            rating_file(tmp_path, f"{name}.csv", given[name])
            table = pd.read_csv(tmp_path / f"{name}.csv")
            table.assign(persona_id=[own[row] for row in table["persona_id"]]).to_csv(tmp_path / f"{name}.csv", index=False)
        collect(small_study(tmp_path, VARIANTS))
        return open_study(str(tmp_path / "small.yaml")), given

    return made


@pytest.mark.parametrize("first", [6, 15])
def test_runs_are_compared_on_the_ids_that_they_share(imported, first):
    ratings, given = imported(range(first, first + 20))
    shared = 21 - first  # first..20
    found = tables_of(ratings)
    row = found.contrasts.query("metric == 'within_rms' and scope == 'overall' and method == 'recommended'").iloc[0]
    scope = np.full((2, 1), 1 / 2)
    one, other = (
        leave_one_out(counts, SCALE, scope).of("within_rms")[0, 0] for counts in (given["bad"][:shared], given["base"][-shared:])
    )
    assert row["value"] == pytest.approx(100 * (one / other - 1))
    said = f"compared on the {shared} personas that all sides have, of 20 and 20"
    assert row["differs"] == said and row["note"].startswith(f"C{said[1:]}. The base's S is ")
    assert f"\n- f bad: {said}" in pc.say.cautions(ratings)


def test_personas_of_the_other_run_are_no_missing_ratings_of_this_one(imported):
    ratings, _ = imported(range(6, 26))
    found = tables_of(ratings)
    assert (
        found.quality[["slots", "valid", "absent", "personas_used", "personas_dropped"]].to_numpy().tolist()
        == [[200, 200, 0, 20, 0]] * 2
    )
    assert found.missing is None
    assert not found.metrics["note"].str.contains("left").any()


def test_runs_that_share_no_id_are_refused_in_one_line(imported):
    ratings, _ = imported([f"x{number:02}" for number in range(20)])
    found = tables_of(ratings)
    refused = (
        "Not compared: no persona is on all sides (f/bad: 'x00', 'x01', 'x02', ...; f/base: '1', '2', '3', ...); give the same "
        "persona the same id in every file."
    )
    rows = found.contrasts.query("method == 'recommended' and family == 'f'")
    assert rows["value"].isna().all() and set(rows["note"]) == {refused}
    assert f"\n- f bad: {refused}" in pc.say.cautions(ratings)
    assert found.verdict["verdict"].tolist() == ["undecided"]


def test_a_data_frame_compares_on_shared_labels_too():
    rows = [
        (variant, role, persona, item, n, (persona * item + n) % 6)
        for variant, role, people in (("base", "base", range(8)), ("bad", "harmful", range(3, 11)))
        for persona in people
        for item in range(1, 31)
        for n in range(2)
    ]
    frame = pd.DataFrame(rows, columns=["variant", "role", "persona", "item", "repetition", "rating"])
    differs = tables_of(Ratings.from_frame(frame)).contrasts["differs"]
    assert set(differs) - {""} == {"compared on the 5 personas that all sides have, of 8 and 8"}


def test_an_item_is_judged_by_the_personas_that_all_sides_have():
    """Of six personas four have none on the other side: the first item is rated by all of the two that are shared."""
    one, other = random_counts(np.random.default_rng(1), 6), random_counts(np.random.default_rng(2), 6)
    here = [np.arange(6) < 4, np.arange(6) > 1]
    one[4:], other[:2] = 0, 0
    found = common_cells.common([one, other], np.full((6, 1), 1 / 6), here)
    assert (found.personas.tolist(), found.items.tolist()) == ([2, 3], list(range(6)))
    assert found.note == "Compared on the 2 personas that all sides have, of 4 and 4."
    apart = common_cells.common([one, other], np.full((6, 1), 1 / 6), [here[0], ~here[0]])
    assert apart.note == "Nothing is common: no persona is on all sides." and not len(apart.personas)
