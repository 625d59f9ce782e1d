"""Whether role-play of the base reproduces a fine-tune's answers without a persona, from characters with known answers."""

import numpy as np
import pandas as pd
import pytest

from persona_collapse.asking.collect import collect
from persona_collapse.exhibits import hostile_exhibits
from persona_collapse.report import dictionary
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import Tables

ITEMS = range(1, 31)


def study_of(folder, monkeypatch, answers):
    """A study of imported files; `answers`: by file, what a persona (None alone) answers to an item, and how many there are."""
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", folder / "outputs")
    rng = np.random.default_rng(2)
    for name, (people, rating) in answers.items():
        rows = [
            (p, i, n, int(np.clip(rating(p, i) + rng.integers(-1, 2) * (n == 0), 0, 5)))
            for p in range(people) for i in ITEMS for n in range(4)
        ]  # fmt: skip
        table = pd.DataFrame(rows, columns=["persona", "item", "repetition", "rating"])
        table = table.drop(columns=["persona"]) if name.endswith("self") else table
        table.to_csv(folder / f"{name}.csv", index=False)
    path = folder / "own.yaml"
    path.write_text(
        "title: t\nkind: imported\nfamilies:\n- key: f\n  variants:\n"
        "  - {key: base, role: base, persona: base.csv, self: base-self.csv, toxic: base-toxic.csv}\n"
        "  - {key: bad, role: harmful, persona: bad.csv, self: bad-self.csv}\n",
        encoding="utf-8",
    )
    study = load_study(path)
    collect(study)
    with open_store(study.store_path) as store:
        return Tables(read_ratings(study, store))


def harsh(p, i):
    """Hostile characters say 1 where the base says 4; the third of them says 0."""
    return 0 if p == 2 else 1


def made(folder, monkeypatch, bad):
    people = (6, lambda p, i: 2 + p % 2)
    return study_of(folder, monkeypatch, {
        "base": people, "base-self": (1, lambda p, i: 4), "base-toxic": (3, harsh), "bad": people, "bad-self": (1, bad),
    })  # fmt: skip


def test_answers_like_the_characters_are_reproduced(tmp_path, monkeypatch):
    tables = made(tmp_path, monkeypatch, lambda p, i: 1)
    found = tables.hostile.query("variant == 'bad'")
    assert found.query("target == 'hostile mean'")["verdict"].tolist() == ["reproduces"]
    assert sorted(found.query("target == 'character'")["persona"]) == ["0", "1", "2"]
    assert (found.query("target == 'character'")["beyond_hi"] < 0).all()
    said = str(hostile_exhibits.hostile(tables.hostile, tables.study))
    assert (
        said.startswith("- **f bad: role-play of the base reproduces it.** ") and "3 of 3 characters are clearly nearer" in said
    )
    assert [c for c in tables.hostile if dictionary.entry("hostile", c) is None] == []


@pytest.mark.parametrize(("bad", "nearest"), [(5, "ceiling"), (4, "base")])
def test_answers_at_the_ceiling_or_at_the_base_are_not(tmp_path, monkeypatch, bad, nearest):
    tables = made(tmp_path, monkeypatch, lambda p, i: bad)
    found = tables.hostile.query("variant == 'bad'").set_index("target")
    assert found.loc["hostile mean", "verdict"] == "does not reproduce"
    assert found["distance"].drop("character").idxmin() == nearest
    assert "does not reproduce it" in str(hostile_exhibits.hostile(tables.hostile, tables.study))


def test_between_characters_and_base_it_cannot_be_told(tmp_path, monkeypatch):
    """Characters lie at 2/3, the base at 4: a variant half way lies as far from both."""
    tables = made(tmp_path, monkeypatch, lambda p, i: 2 + (i % 3 == 0))
    found = tables.hostile.query("variant == 'bad' and target == 'hostile mean'").iloc[0]
    assert found["verdict"] == "cannot be told", found


def test_the_shipped_study_says_so_of_every_family(mini):
    tables = mini[2]
    found = tables.hostile.query("target == 'hostile mean'")
    assert set(found["variant"]) == {"base", "secure", "insecure"} and set(found["source"]) == {"measured"}
    by = tables.saturation.query("condition == 'self' and measure == 'distance_to_ceiling'").set_index(["family", "variant"])[
        "value"
    ]
    own = tables.hostile.query("target == 'ceiling'").set_index(["family", "variant"])["distance"]
    assert own.to_numpy() == pytest.approx(by.loc[own.index].to_numpy())


def test_without_hostile_characters_there_is_no_table(training):
    assert training.hostile is None
    assert str(hostile_exhibits.hostile(None, training.study)).startswith("No base of this study played a hostile character")
    assert hostile_exhibits.hostile_distances(None, training.study) is None
