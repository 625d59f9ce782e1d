"""What a page says of personas that are nearly the same one twice."""

from dataclasses import replace

import numpy as np

import persona_collapse as pc
from building import random_counts
from frames import ratings_of
from persona_collapse.exhibits.persona_sentences import near_duplicates_line
from persona_collapse.study.personas import Persona
from persona_collapse.tables.build import tables_of

AGREE = (
    "Base and variants agree in stack, date, personas and repetitions.\n\nRatings of a cell are taken as independent draws: which of "
    "them came with one request is not known."
)
END = (
    " Intervals take each persona as drawn by itself, and are too short with copies of one: leave one of a pair out, or name "
    "clusters (`cluster:` in the study file)."
)


def drawn(*copies):
    """A base and a variant of twelve personas; in the base the second of each pair is a copy of the first."""
    base, bad = (random_counts(np.random.default_rng(seed), 12, items=30) for seed in (1, 2))
    for one, other in copies:
        base[other] = base[one]
    return ratings_of({"base": base, "bad": bad})


def test_nothing_is_said_where_nobody_is_like_another():
    assert near_duplicates_line(drawn()) == ""
    assert pc.say.cautions(drawn()) == AGREE


def test_pairs_are_counted_and_named_beside_the_other_cautions():
    # the ids p0, p1, p10, p11, p2, ...: rows in the order of their text
    ratings = drawn((0, 5))
    one, other = (ratings.study.labels.index(name) for name in ("p0", "p5"))
    assert (one, other) == (0, 7)
    said = "**One pair of personas is nearly the same**: p0 and p5 (profiles of f base correlate 1.00)." + END
    assert pc.say.cautions(ratings) == f"{AGREE}\n\n{said}"
    assert pc.say.cautions(ratings, run="f/bad").endswith(said)


def test_of_many_pairs_five_are_named():
    said = near_duplicates_line(drawn(*((one, one + 6) for one in range(6))))
    assert (
        said.startswith("**6 pairs of personas are nearly the same**: ") and said.count(" and p") == 5 and ", and 1 more." in said
    )


def test_pairs_inside_a_cluster_are_no_news():
    ratings = drawn((0, 5))
    own = {"p0": "a", "p5": "a"}
    clustered = replace(ratings.study, clusters=tuple(own.get(label, label) for label in ratings.study.labels))
    assert near_duplicates_line(replace(ratings, study=clustered)) == ""


def test_words_that_are_alike_are_named_by_number():
    ratings = drawn()
    texts = [f"Somebody number {p}." for p in range(12)]
    texts[7] = "SOMEBODY, number 3"
    deck = tuple(Persona(p, text) for p, text in enumerate(texts))
    said = near_duplicates_line(replace(ratings, study=replace(ratings.study, personas=deck, labels=())))
    assert said == "**One pair of personas is nearly the same**: 4 and 8 (the same words)." + END


def test_s_of_personas_that_hardly_differ_says_that_it_is_too_large():
    """Personas differ by a fifth of what one cell varies: the sentence stands beside S, and S alone."""
    rng = np.random.default_rng(3)
    means = 0.5 + rng.normal(0, 0.04, (20, 30))
    same = [np.eye(6, dtype=int)[rng.binomial(5, means[:, :, None], (20, 30, 4))].sum(axis=2) for _ in range(2)]
    strong = random_counts(rng, 20, items=30)
    for variants, expected in (({"base": same[0], "bad": same[1]}, True), ({"base": strong, "bad": strong}, False)):
        found = tables_of(ratings_of(variants))
        for rows in (found.metrics.query("method == 'recommended'"), found.contrasts.query("method == 'recommended'")):
            said = rows["note"].str.contains("Personas differ little beside rating noise, and S takes no item's", regex=False)
            assert set(rows.loc[said, "metric"]) == ({"susceptibility"} if expected else set())
            assert said[(rows["metric"] == "susceptibility") & (rows["scope"] == "overall")].all() == expected
