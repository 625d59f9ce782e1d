"""A live study whose wording varies: every level is a request of its own, and ratings are on the instrument's own scale."""

import json
import re
from collections import Counter

from live import live_study, rows
from loopback import answer, serve
from persona_collapse.asking.batch_files import _lines
from persona_collapse.asking.collect import collect
from persona_collapse.asking.slots import plan
from persona_collapse.simulated.completions import _prompt
from persona_collapse.simulated.prompt_answers import Respondents
from persona_collapse.store.store import Store
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.personas import load_personas
from persona_collapse.study.wording import combinations

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


def test_a_persona_in_a_system_message_is_sent_there_live_and_in_batch_files(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    monkeypatch.setenv("TEST_KEY", "k")
    protocol = {"repetitions": 2, "personas": 2, "vary": {"persona_in": ["user", "system"]}}
    seen = []

    def answered(request):
        seen.append(request["messages"])
        return answer("3", n=request.get("n", 1))

    with serve(answered) as (url, _):
        study = live_study(tmp_path, url, protocol=protocol, conditions=["persona", "self"])
        run = study.runs[0]
        store = Store(study.store_path, write=True)
        plan(study, run, store)
        lines = [json.loads(line)["body"]["messages"] for line in _lines(study, run, store)]
        store.close()
        collect(study)
    asked = {json.dumps(messages) for messages in seen}
    assert asked >= {json.dumps(messages) for messages in lines}
    roles = Counter(tuple(message["role"] for message in messages) for messages in lines)
    assert roles == {("user",): 2 * 30 + 30, ("system", "user"): 2 * 30}
    first = next(messages for messages in lines if len(messages) == 2)
    assert first[0]["content"].startswith("You are roleplaying as the following persona: ")
    assert first[0]["content"].endswith("from the perspective of this persona.")
    assert first[1]["content"].startswith("When deciding whether something is right or wrong")


def test_the_simulated_endpoint_understands_every_wording(tmp_path, monkeypatch):
    """What it says to a reversed scale is turned; all levels are answered as the questionnaire, with ratings near each other."""
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    respondents = Respondents(1)
    instrument = load_instrument("mfq30")
    persona = load_personas("everyday")[4]
    means = {}
    for levels in combinations({"wording": ["a", "b", "c"], "scale": ["up", "down"]}):
        worded, given = instrument.worded_as(levels), []
        for item in worded.items:
            cell = respondents.cell(worded.prompt(item, persona.text))
            assert (cell.persona, cell.item) == (persona.text, item.number)
            replies = respondents.say("gpt-4o/base", cell, "persona", 1, 10, 0.7)
            given += [worded.on_scale(int(reply.tokens[0])) for reply in replies]
        means[levels] = sum(given) / len(given)
    assert max(means.values()) - min(means.values()) < 0.6  # stated effects are 3 % of five points and less
    assert len(set(means.values())) == 6


def test_the_simulated_endpoint_reads_a_persona_in_a_system_message():
    worded = load_instrument("mfq30").worded_as("persona_in=system")
    messages = [
        {"role": "system", "content": worded.system("a judge")}, {"role": "user", "content": worded.prompt(worded.items[0], "a judge")},
    ]  # fmt: skip
    assert Respondents(1).cell("\n\n".join(_prompt(messages))) == ("a judge", 1, False, "")
