"""What interval A is said to be an interval for, of few personas and of clusters."""

from persona_collapse.statistics import persona_jackknife


def test_up_to_fifty_personas_the_sentence_says_how_often_such_intervals_held():
    said = persona_jackknife.sentence(20, 30)
    assert said.endswith(
        "on the log scale. Few personas: in simulation, such intervals of 20 personas held the true S in 95 % of studies and the true "
        "noise in 94 %; where one persona in twenty answers the other way round, in 68 % and 95 %."
    )
    # the largest number that was simulated and is not above: of 10, 20, 30 and 50
    assert [f"of {at} personas held" in persona_jackknife.few(n) for n, at in ((19, 10), (49, 30), (50, 50))] == [True] * 3
    assert persona_jackknife.few(6).endswith(", in 61 % and 94 %, and fewer are less sure.")
    assert persona_jackknife.few(51) == "" == persona_jackknife.sentence(51, 30).partition("log scale.")[2]


def test_clusters_are_what_the_sentence_is_about():
    said = persona_jackknife.sentence(100, 30, paired=True, clusters=60)
    assert said == (
        "95 % interval for other clusters like these 60 (of 100 personas), on these 30 items, for this fine-tuned model, prompt and "
        "serving stack; leave-one-cluster-out on the log scale, the same clusters left out of both runs."
    )
    assert "Few clusters: in simulation, such intervals of 10 clusters held" in persona_jackknife.sentence(100, 30, clusters=12)
