"""Human respondents beside the runs: S among them, their means and alpha, by hand and from populations whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

import persona_collapse as pc
from importable import grid, small_study, write_instrument, write_rows
from persona_collapse.asking.collect import collect, open_study
from persona_collapse.sections.record import all_tables
from persona_collapse.tables.build import Tables, tables_of

#: Items 1 and 3 are of group A, 2 and 4 of group B.
ONCE = "respondent,q1,q2,q3,q4\nann,0,1,2,1\nbob,2,3,2,3\ncat,4,5,5,2\n"


def ratings_beside(folder, people, items=4, high=5):
    """Ratings of a base that answers 1 and 2 everywhere, beside a reference file of this content."""
    write_instrument(folder / "short.yaml", items=items, high=high)
    write_rows(folder / "base.csv", grid(range(3), items, 1, 2))
    (folder / "people.csv").write_text(people, encoding="utf-8")
    study = small_study(folder, reference="people.csv")
    collect(study)
    return open_study(str(study.path))


def values(ratings, metric, method=""):
    table = tables_of(ratings).reference
    rows = table[(table["metric"] == metric) & (table["method"] == method)]
    return dict(zip(rows["scope"], rows["value"], strict=True))


def test_three_respondents_who_answered_once_by_hand(tmp_path, outputs):
    """SDs over respondents of the items: of 0 2 4 it is 2, of 1 3 5 also, of 2 2 5 sqrt 3, of 1 3 2 it is 1."""
    ratings = ratings_beside(tmp_path, ONCE)
    expected = {"overall": (5 + 3**0.5) / 4, "A": (2 + 3**0.5) / 2, "B": 1.5}
    assert values(ratings, "susceptibility", "published") == pytest.approx(expected)
    assert all(map(np.isnan, values(ratings, "susceptibility", "recommended").values()))
    assert values(ratings, "robustness", "recommended") == values(ratings, "robustness", "published") == {}
    # Means over A are 1, 2 and 4.5, over B 1, 3 and 3.5.
    assert values(ratings, "mean") == pytest.approx({"A": 2.5, "B": 2.5})
    assert values(ratings, "between_sd") == pytest.approx({"A": 3.25**0.5, "B": 1.75**0.5})
    # 2 (1 - sum of variances / variance of sums): 2 (1 - 7 / 13) and 2 (1 - 5 / 7).
    assert values(ratings, "alpha") == pytest.approx({"A": 12 / 13, "B": 4 / 7})
    said = pc.say.reference(ratings)
    assert said.startswith("People of people.csv: 3 respondents rated 4 items, each once. S among them is **at most 1.68 [")
    assert "rating noise from differences between people" in said and "R does not exist" in said
    assert "A 0.92, B 0.57" in said and "not the same population" in said


def test_with_several_ratings_a_cell_noise_is_taken_off_and_r_exists(tmp_path, outputs):
    """Item 1: cell means 1, 2, 4 have variance 7/3, less a mean of v/n of 1/3: 2; item 2 has 1; noise is (2/3 + 0) / 2."""
    cells = {
        ("ann", 1): (0, 2),
        ("bob", 1): (2, 2),
        ("cat", 1): (4, 4),
        ("ann", 2): (1, 1),
        ("bob", 2): (2, 2),
        ("cat", 2): (3, 3),
    }
    rows = [f"{who},{item},{n},{rating}\n" for (who, item), given in cells.items() for n, rating in enumerate(given)]
    ratings = ratings_beside(tmp_path, "person,item,trial,score\n" + "".join(rows), items=2)
    assert values(ratings, "susceptibility", "recommended")["overall"] == pytest.approx((2**0.5 + 1) / 2)
    assert values(ratings, "susceptibility", "published")["overall"] == pytest.approx(((7 / 3) ** 0.5 + 1) / 2)
    assert values(ratings, "robustness", "recommended")["overall"] == pytest.approx(3**0.5)
    said = pc.say.reference(ratings)
    assert "3 respondents rated 2 items, each 2 times. S among them is **1.21" in said and "at most" not in said


def test_a_respondent_with_a_missing_item_counts_in_means_alone(tmp_path, outputs):
    ratings = ratings_beside(tmp_path, ONCE + "dan,5,,5,\n")
    assert values(ratings, "susceptibility", "published")["overall"] == pytest.approx((5 + 3**0.5) / 4)
    assert values(ratings, "mean") == pytest.approx({"A": (1 + 2 + 4.5 + 5) / 4, "B": 2.5})
    table = tables_of(ratings).reference.set_index(["metric", "scope"])["personas"]
    assert (table["mean", "A"], table["mean", "B"], table["alpha", "A"]) == (4, 3, 3)
    assert "4 respondents rated 4 items, each once. 1 of them left an item out" in pc.say.reference(ratings)


def test_an_item_that_nobody_was_asked_leaves_s_of_the_others(tmp_path, outputs):
    """Of q1 to q3 alone S is (2 + 2 + sqrt 3) / 3, and B has one item, so no alpha."""
    ratings = ratings_beside(tmp_path, "respondent,q1,q2,q3\nann,0,1,2\nbob,2,3,2\ncat,4,5,5\n")
    assert values(ratings, "susceptibility", "published")["overall"] == pytest.approx((4 + 3**0.5) / 3)
    assert np.isnan(values(ratings, "alpha")["B"]) and "B" not in pc.say.reference(ratings).partition("alpha")[2].split(";")[0]


def test_the_same_ratings_as_the_runs_own_are_no_error(tmp_path, outputs):
    write_instrument(tmp_path / "short.yaml", items=2)
    write_rows(tmp_path / "base.csv", [row for p in range(6) for row in grid([p], 2, p % 3, p % 3 + 1)])
    study = small_study(tmp_path, reference="base.csv")
    collect(study)
    ratings = open_study(str(study.path))
    own = tables_of(ratings).metrics.query("metric == 'susceptibility' and method == 'recommended' and scope == 'overall'")
    assert values(ratings, "susceptibility", "recommended")["overall"] == own["value"].item()


def test_people_enter_no_run_no_contrast_and_no_verdict(tmp_path, outputs):
    ratings = ratings_beside(tmp_path, ONCE)
    assert [run.key for run in ratings.runs] == ["f/base"]
    with_people, without = all_tables(tables_of(ratings)), all_tables(Tables(replace(ratings, reference=None)))
    assert without.pop("reference") is None and len(with_people.pop("reference")) == 12
    for name, table in with_people.items():
        assert (table is None and without[name] is None) or table.equals(without[name]), name


def test_s_of_one_rating_is_the_root_of_both_variances_and_is_called_a_bound(tmp_path, outputs):
    """People stand at 3 or 7, which is an SD of 2, and each answer is one off to either side: sqrt(4 + 1) on average."""
    rng = np.random.default_rng(30)
    given = rng.choice([3, 7], (1000, 4)) + rng.choice([-1, 1], (1000, 4))
    lines = [f"p{place}," + ",".join(map(str, row)) for place, row in enumerate(given)]
    ratings = ratings_beside(tmp_path, "respondent,q1,q2,q3,q4\n" + "\n".join(lines) + "\n", high=10)
    table = tables_of(ratings).reference.query("metric == 'susceptibility' and method == 'published' and scope == 'overall'")
    row = table.iloc[0]
    assert row["value"] == pytest.approx(5**0.5, abs=0.05) and row["lo"] < 5**0.5 < row["hi"]
    assert row["lo"] > 2 and row["note"].startswith("an upper bound")
    assert "is **at most 2.2" in pc.say.reference(ratings)


def test_figures_have_a_grey_line_of_people_and_say_what_it_is(tmp_path, outputs):
    ratings = ratings_beside(tmp_path, ONCE)
    chart = pc.figures.levels(ratings, "susceptibility")
    assert "Grey dots: S among 3 people of people.csv; with one rating a cell it is an upper bound." in chart.usermeta["caption"]
    rows = [row for data in chart.to_dict()["datasets"].values() for row in data if row.get("Variant") == "people of people.csv"]
    assert {row["Estimators"]: row["value"] for row in rows} == {"recommended": 1.68301, "paper's formula": 1.68301}
    assert "people" not in pc.figures.levels(ratings, "robustness").usermeta["caption"]  # of one rating there is no R


def test_profiles_have_the_yardstick_of_the_instrument_and_the_mean_of_people(mini):
    """The sums that the key prints over six: 20.2 / 6 = 3.36667 and so on; a study without a reference has that line alone."""
    chart = pc.figures.self_profiles(mini[2].ratings)
    assert "average politically moderate American (MFQ-30 scoring key, July 2008" in chart.usermeta["caption"]
    rows = [row for data in chart.to_dict()["datasets"].values() for row in data]
    grey = [row["mean"] for row in rows if row["Variant"] == "average politically moderate American" and row["Model"] == "GPT-4o"]
    assert grey == [3.36667, 3.41667, 2.66667, 2.75, 2.1]
    assert not any(row["Variant"].startswith("people of") for row in rows)
    assert pc.say.reference(mini[2].ratings) == "This study names no reference file of human respondents."


def test_an_instrument_without_a_yardstick_shows_none(tmp_path, outputs):
    write_instrument(tmp_path / "short.yaml")
    rows = grid(range(3), 2, 1, 2)
    write_rows(tmp_path / "base.csv", rows)
    write_rows(tmp_path / "base_self.csv", grid([0], 2, 1, 2))
    (tmp_path / "people.csv").write_text("respondent,q1,q2\nann,0,5\nbob,4,1\n", encoding="utf-8")
    variants = [{"key": "base", "role": "base", "persona": "base.csv", "self": "base_self.csv"}]
    study = small_study(tmp_path, variants, reference="people.csv")
    collect(study)
    for draw in (pc.figures.self_profiles, pc.figures.self_radar):
        chart = draw(open_study(str(study.path)))
        assert chart.usermeta["caption"].endswith(
            " Grey dots: the mean of 2 people of people.csv, as themselves. No test uses them."
        )
        rows = [row for data in chart.to_dict()["datasets"].values() for row in data]
        assert {row["Group"]: row["mean"] for row in rows if "people" in row.get("Variant", "")} == {"A": 2, "B": 3}


def test_a_file_name_is_text_wherever_it_comes_out(tmp_path, outputs):
    write_instrument(tmp_path / "short.yaml")
    write_rows(tmp_path / "base.csv", grid(range(3), 2, 1, 2))
    (tmp_path / "<img src=x onerror=alert(1)>*.csv").write_text("respondent,q1,q2\nann,0,5\nbob,4,1\n", encoding="utf-8")
    study = small_study(tmp_path, reference="<img src=x onerror=alert(1)>*.csv")
    collect(study)
    assert pc.say.reference(open_study(str(study.path))).startswith(
        r"People of \<img src=x onerror=alert(1)\>\*.csv: 2 respondents"
    )
