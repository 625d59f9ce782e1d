"""Clusters: which personas belong together, named by a deck, a file beside imported ratings, or a data frame."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

import persona_collapse as pc
from building import random_counts
from frames import ratings_of
from persona_collapse.asking.collect import collect, open_study
from persona_collapse.exhibits.level_sentences import intervals
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.load_study import load_study
from persona_collapse.tables.build import tables_of

DECK = "persona,household\n" + "".join(f"Somebody number {p} with a mind of their own.,house {p // 2}\n" for p in range(8))


def study(folder, deck=DECK, **keys):
    (folder / "deck.csv").write_text(deck, encoding="utf-8")
    content = {
        "title": "Own",
        "kind": "simulated",
        "personas": "./deck.csv",
        "protocol": {"repetitions": 2},
        "conditions": ["persona"],
        "families": [{"key": "one", "variants": [{"key": "base", "role": "base", "figures": "gpt-4o/base"}]}],
    } | keys
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def frame(cluster=None, personas=20):
    """A base and a harmful variant; `cluster` maps the number of a persona to its cluster."""
    rows = []
    for variant, role in (("base", "base"), ("harmful", "harmful")):
        counts = random_counts(np.random.default_rng(len(variant)), personas, items=30)
        for p, q, k in np.argwhere(counts):
            for _ in range(counts[p, q, k]):
                rows.append((f"p{p:02}", q + 1, len(rows), k, variant, role))
    found = pd.DataFrame(rows, columns=["persona", "item", "repetition", "rating", "variant", "role"])
    return found if cluster is None else found.assign(cluster=found["persona"].str[1:].astype(int).map(cluster))


def test_a_deck_names_clusters_only_where_the_study_names_the_column(tmp_path):
    assert load_study(study(tmp_path)).clusters == ()
    found = load_study(study(tmp_path, cluster="household", protocol={"repetitions": 2, "personas": 7}))
    assert found.clusters == ("house 0", "house 0", "house 1", "house 1", "house 2", "house 2", "house 3")
    assert found.cluster_names == ("house 0", "house 1", "house 2", "house 3")
    assert (found.unit_name(2), load_study(study(tmp_path)).unit_name(2)) == ("cluster house 2", "persona 3")


def test_clusters_of_one_persona_each_are_no_clusters(tmp_path):
    found = load_study(
        study(tmp_path, cluster="persona number", deck=DECK.replace("household", "persona number").replace("\n", "\n", 1))
    )
    assert found.cluster_names  # pairs
    alone = "persona,who\n" + "".join(f"Somebody number {p} with a mind of their own.,{p}\n" for p in range(8))
    assert load_study(study(tmp_path, alone, cluster="who")).cluster_names == ()


@pytest.mark.parametrize(
    ("deck", "keys", "said"),
    [
        (DECK, {"cluster": "houshold"}, "own.yaml, cluster: the deck of personas has no column 'houshold'; did you mean 'household'?"),
        (DECK.replace("house 2", " ", 1), {"cluster": "household"}, "own.yaml, cluster: persona 5 has no household; fill it in"),
        (DECK.replace("house 1", "house 0").replace("house 3", "house 2"), {"cluster": "household"},
         "own.yaml, cluster: household has 2 values; an interval for other clusters needs at least 3"),
        (DECK, {"cluster": {"column": "household", "file": "x.csv"}}, "own.yaml, cluster.file: belongs to a study of kind imported"),
        (DECK, {"cluster": {"colum": "household"}}, "own.yaml, cluster.colum: unknown key 'colum'; did you mean 'column'?"),
    ],
)  # fmt: skip
def test_wrong_clusters_are_refused_in_one_line(tmp_path, deck, keys, said):
    with pytest.raises(ValueError) as error:
        load_study(study(tmp_path, deck, **keys))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_clusters_change_intervals_and_no_value(tmp_path):
    """Neighbours in pairs: ten units in place of twenty, in every table with an interval for other personas."""
    plain, paired = (tables_of(Ratings.from_frame(frame(cluster))) for cluster in (None, lambda p: f"h{p // 2}"))
    assert paired.study.clusters[:3] == ("h0", "h0", "h1")
    for name in ("metrics", "contrasts", "presence", "components", "reliability", "equivalence", "companions"):
        one, other = getattr(plain, name), getattr(paired, name)
        pd.testing.assert_series_equal(one["value"], other["value"])
        lo = "lo90" if name == "equivalence" else "lo"
        if "method" in one:
            one, other = (table[table["method"] == "recommended"] for table in (one, other))
        told = one[lo].notna() & (one["se"] > 0 if "se" in one else True)
        assert told.any() and (one.loc[told, lo] != other.loc[told, lo]).all(), name
    pd.testing.assert_frame_equal(
        plain.metrics[plain.metrics["method"] == "published"], paired.metrics[paired.metrics["method"] == "published"]
    )
    of_personas, of_clusters = (found.validity[found.validity["lo"].notna()] for found in (plain, paired))
    assert len(of_personas) == len(of_clusters) and (of_personas["lo"].to_numpy() != of_clusters["lo"].to_numpy()).mean() > 0.9


def test_three_clusters_are_too_few_for_an_interval_of_noise():
    found = tables_of(Ratings.from_frame(frame(lambda p: f"h{p % 3}")))
    noise = found.metrics.query("method == 'recommended' and metric == 'within_rms'")
    assert noise["lo"].isna().all() and noise["note"].str.contains("Too few clusters: 3 of at least 5 that an interval").all()


def test_the_page_says_for_which_clusters_an_interval_is(tmp_path):
    ratings = Ratings.from_frame(frame(lambda p: f"h{p // 2}"))
    said = pc.say.intervals(ratings)
    assert said.startswith(
        "In brackets: 95 % interval for other clusters like these 10 (of 20 personas), on these 30 items, for this fine-tuned model, "
        "prompt and serving stack; leave-one-cluster-out on the log scale. Few clusters: in simulation, such intervals of 10 clusters "
    )
    assert "95 % interval for other personas drawn like these 20, on" in intervals(
        *(getattr(tables_of(Ratings.from_frame(frame())), name) for name in ("metrics", "quality", "study"))
    )


def test_names_of_clusters_are_text_where_they_stand_on_a_page():
    counts = np.zeros((12, 30, 6), int)
    counts[..., 2] = counts[::3, :, 3] = 5
    counts[4:6] = [0, 0, 0, 0, 0, 5]  # two who alone differ much
    ratings = ratings_of({"base": counts})
    household = {f"p{p}": f"<i>{p // 2}" for p in range(12)}
    named = replace(ratings.study, clusters=tuple(household[label] for label in ratings.study.labels))
    said = pc.say.level(replace(ratings, study=named), "susceptibility")
    assert r"cluster \<i\>2 alone carries" in said and "<i>" not in said


def test_a_cut_copy_keeps_the_clusters_of_those_who_stay():
    ratings = Ratings.from_frame(frame(lambda p: f"h{p // 4}"))
    assert ratings.without(range(8)).study.clusters == ("h2",) * 4 + ("h3",) * 4 + ("h4",) * 4


def test_a_data_frame_with_two_clusters_for_a_persona_is_refused():
    table = frame(lambda p: f"h{p // 4}")
    table.loc[0, "cluster"] = "elsewhere"
    with pytest.raises(ValueError, match=r"^data frame: persona 'p00' has cluster .*'elsewhere'.*; expected one$"):
        Ratings.from_frame(table)


def imported(folder, people, **cluster):
    frame(personas=6).query("variant == 'base'").drop(columns=["variant", "role"]).to_csv(folder / "b.csv", index=False)
    (folder / "people.csv").write_text(people, encoding="utf-8")
    content = {
        "title": "Own",
        "kind": "imported",
        "cluster": {"file": "people.csv", "column": "household"} | cluster,
        "families": [{"key": "one", "variants": [{"key": "base", "role": "base", "persona": "b.csv"}]}],
    }
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


PEOPLE = "persona,household\np05,c\np00,a\np01,a\np02,b\np03,b\np04,c\nnobody,z\n"


def test_a_file_names_the_clusters_of_imported_personas_by_their_ids(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    path = imported(tmp_path, PEOPLE)
    collect(load_study(path))
    ratings = open_study(path)
    assert ratings.study.labels == tuple(f"p0{p}" for p in range(6))
    assert ratings.study.clusters == ("a", "a", "b", "b", "c", "c")


@pytest.mark.parametrize(
    ("people", "cluster", "said"),
    [
        (PEOPLE.replace("p02,b\n", ""), {}, "people.csv has no row for persona 'p02'; expected one for every persona"),
        (PEOPLE, {"column": "house"}, "people.csv has no column 'house'; "),
        (PEOPLE, {"file": "nowhere.csv"}, "nowhere.csv does not exist; expected a .csv with columns 'persona' and 'household'"),
        (
            PEOPLE,
            {"file": None},
            "own.yaml, cluster: imported personas have no deck with a column 'household'; give a file that has",
        ),
    ],
)
def test_a_file_of_clusters_that_does_not_fit_is_refused_in_one_line(tmp_path, monkeypatch, people, cluster, said):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        path = imported(tmp_path, people, **cluster)
        collect(load_study(path))
        open_study(path)
    assert said in str(error.value) and "\n" not in str(error.value)
