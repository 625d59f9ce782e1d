"""Wording as a factor of the design: its variance apart from noise, and the change in each wording, by hand and recovered."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

import persona_collapse as pc
from persona_collapse.exhibits import wording_exhibits
from persona_collapse.statistics.level_variance import level_variance
from persona_collapse.tables.build import tables_of


@pytest.fixture
def varied(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    variants = [
        {"key": "base", "role": "base", "figures": "gpt-4o/base"},
        {"key": "bad", "role": "harmful", "figures": "gpt-4o/insecure"},
    ]
    content = {
        "title": "Varied", "kind": "simulated", "conditions": ["persona"],
        "protocol": {"personas": 12, "repetitions": 8, "vary": {"wording": ["a", "b"], "scale": ["up", "down"]}},
        "families": [{"key": "f", "variants": variants}],
    }  # fmt: skip
    path = tmp_path / "varied.yaml"
    path.write_text(yaml.safe_dump(content))
    return pc.open_study(str(path))


class TestVariance:
    def test_of_levels_by_hand(self):
        """Each cell: level one 1, 1 and level two 3, 3: SS between 4 with 1 df, within 0 with 2; n0 = 4 - 8 / 4 = 2; so 4 / 2 = 2."""
        counts = np.zeros((4, 2, 2, 5), int)
        counts[:, :, 0, 1] = counts[:, :, 1, 3] = 2
        assert level_variance(counts, range(5))[0] == pytest.approx(2)

    def test_of_noise_alone_is_about_zero(self):
        """60 personas x 30 items x 2 levels x 4 ratings of the same distribution: 0 lies in the interval."""
        rng = np.random.default_rng(1)
        counts = rng.multinomial(4, [0.1, 0.2, 0.4, 0.2, 0.1], size=(60, 30, 2))
        value, lo, hi = level_variance(counts, range(5))
        assert lo < 0 < hi and abs(value) < 0.02

    def test_of_one_rating_a_level_does_not_exist(self):
        counts = np.zeros((4, 3, 2, 5), int)
        counts[:, :, 0, 1] = counts[:, :, 1, 2] = 1
        assert np.isnan(level_variance(counts, range(5))).all()

    def test_it_stands_among_the_components_and_leaves_noise(self, varied):
        table = tables_of(varied).components.set_index(["variant", "component"])["value"]
        plain = varied.counts("f/base")
        spread = plain @ np.arange(6.0)
        variance = (plain @ np.arange(6.0) ** 2 - spread**2 / 8) / 7
        assert table["base", "wording"] > 0.02
        assert table["base", "repetition"] < 0.7 * variance.mean()


class TestChanges:
    def test_a_level_is_its_ratings_alone(self, varied):
        """8 repetitions over 2 x 2 levels: 4 of each wording, and all 8 in both together."""
        a, b = (varied.at_level("wording", level).counts("f/base") for level in "ab")
        assert (a.sum(axis=-1) == 4).all() and (a + b == varied.counts("f/base")).all()

    def test_each_level_has_the_change_of_its_own_study(self, varied):
        found = tables_of(varied).wordings.query("metric == 'susceptibility'").set_index(["factor", "level"])
        alone = pc.contrasts(varied.at_level("scale", "down")).query(
            "metric == 'susceptibility' and scope == 'overall' and method == 'recommended' and family == 'f'"
        )
        assert found.loc[("scale", "down"), "value"] == pytest.approx(alone["value"].iloc[0])
        apart = found.loc[("scale", "down"), "value"] - found.loc[("scale", "up"), "value"]
        assert found.loc[("scale", "down"), "difference"] == pytest.approx(apart)
        assert np.isnan(found.loc[("wording", "a"), "difference"])

    def test_the_sentence_says_whether_it_holds(self, varied):
        said = str(pc.say.wordings(varied))
        assert "- **S under bad (f), by wording**: the change holds at every level: +" in said
        assert "% at a; " in said and "points at b" in said

    def test_a_change_that_turns_does_not_hold(self, varied):
        table = tables_of(varied).wordings.copy()
        table.loc[table["level"] == "b", ["value", "lo", "hi"]] = -20.0, -30.0, -10.0
        assert "by wording**: the change does not hold at every level" in wording_exhibits.wordings(table, varied.study)

    def test_a_level_without_a_change_says_how_many_repetitions_it_takes(self, varied):
        table = tables_of(varied).wordings.copy()
        table.loc[table["level"] == "b", ["value", "lo", "hi"]] = np.nan
        protocol = varied.study.file.protocol.model_copy(update={"repetitions": 5})
        few = replace(varied.study, file=varied.study.file.model_copy(update={"protocol": protocol}))
        said = wording_exhibits.wordings(table, few)
        assert (
            "by wording**: it cannot be told whether the change holds, as it does not exist at b; two ratings at each combination "
            "of levels do it (`repetitions: 8`)." in said
        )
        assert "as it does not exist at b." in wording_exhibits.wordings(table, varied.study)

    def test_without_it_there_is_no_table(self):
        ratings = pc.open_study("mini")
        assert tables_of(ratings).wordings is None
        assert pc.say.wordings(ratings) == "The wording does not vary in this study."
