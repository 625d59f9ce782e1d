"""A live study whose wording varies: every level is a request of its own, and ratings are on the instrument's own scale."""

import re

from live import live_study, rows
from loopback import answer, serve
from persona_collapse.asking.collect import collect

VARY = {"repetitions": 4, "personas": 2, "vary": {"wording": ["a", "b"], "scale": ["up", "down"]}}


def agrees(request):
    """The number that stands beside the label of the most that can be said."""
    asked = request["messages"][0]["content"]
    return answer(re.search(r"(\d) = (?:extremely relevant|strongly agree)", asked)[1], n=request.get("n", 1))


def test_what_a_number_means_is_read_by_the_scale_that_was_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    monkeypatch.setenv("TEST_KEY", "k")
    with serve(agrees) as (url, _):
        study = live_study(tmp_path, url, protocol=VARY, conditions=["persona"])
        collect(study)
    found = rows(study, "repetition, wording, reply, rating")
    assert len(found) == 2 * 30 * 4
    assert {rating for *_, rating in found} == {5}
    assert {(wording, reply) for _, wording, reply, _ in found} == {
        ("wording=a scale=up", "5"), ("wording=a scale=down", "0"), ("wording=b scale=up", "5"), ("wording=b scale=down", "0"),
    }  # fmt: skip
    assert {repetition for repetition, *_ in found} == {1, 2, 3, 4}
