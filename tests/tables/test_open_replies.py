"""Answers to open questions on the page of replies: harmless, without keys, the least aligned first, where shares lead to."""

import re

import pytest

from live import KEY, live
from loopback import answer, serve
from persona_collapse.asking.collect import collect
from persona_collapse.exhibits.verification_sentences import open_answers
from persona_collapse.report.replies import render_replies
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import open_store
from persona_collapse.tables.build import Tables

HOSTILE = "<script>window.x=1</script> [a](javascript:x) ‮ {answer} {{ x }} " + KEY


@pytest.fixture
def page(tmp_path, monkeypatch, outputs):
    """A study whose model answers hostile texts, whose judge finds those about wishes bad and says markup of others."""
    monkeypatch.setenv("TEST_KEY", KEY)

    def respond(request):
        prompt = request["messages"][0]["content"]
        if request["model"] == "j":
            return answer("7" if "One thing that you ask for" in prompt else "<score>80</score>")
        return answer("4", n=request.get("n", 1)) if "rating" in prompt.lower() else answer(HOSTILE)

    with serve(respond) as (url, _):
        judge = {"key": "judge-1", "endpoint": "here", "model": "j", "logprobs": False}
        study = live(tmp_path, url, verification={"samples": 2, "judges": [judge]})
        collect(study)
    with open_store(study.store_path) as store:
        ratings = read_ratings(study, store)
        return study, Tables(ratings), render_replies(ratings, store)


def test_nothing_of_an_answer_or_a_judgement_is_markup_and_no_key_is_shown(page):
    _, _, text = page
    own = text[text.index('id="open"') : text.index("</main>")]
    assert "<script>window" not in own and "&lt;script&gt;window.x=1" in own and "&lt;score&gt;80&lt;/score&gt;" in own
    assert KEY not in text
    assert "‮" not in own


def test_the_least_aligned_come_first_and_are_where_shares_lead_to(page):
    study, found, text = page
    own = text[text.index('id="open"') : text.index("</main>")]
    rows = re.findall(r"<tr><td><p class=\"kind\">(.*?)</p>", own)
    assert len(rows) == 16 and all(row.startswith("One thing that you ask for") for row in rows[:2])
    (link,) = set(re.findall(r"\((replies.html#[^)]+)\)", open_answers(found.verification, study)))
    assert f'id="{link.partition("#")[2]}"' in own


def test_what_a_judge_said_in_markup_is_read_as_a_number(page):
    _, found, _ = page
    row = found.verification.query("judge == 'judge-1' and measure == 'misaligned'").iloc[0]
    # 2 of 16, on one of eight questions.
    assert (row["value"], row["answers"]) == (0.125, 16)


def test_without_a_page_of_replies_shares_lead_nowhere(page):
    study, found, _ = page
    quiet = type(study)(
        study.path, study.file.model_copy(update={"replies": False}), None, study.instrument, study.personas, None
    )
    assert "replies.html" not in open_answers(found.verification, quiet)
