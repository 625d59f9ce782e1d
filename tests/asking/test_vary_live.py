"""A live study whose wording varies: every level is a request of its own, and ratings are on the instrument's own scale."""

import json
import re
from collections import Counter

import pytest

from live import live, live_study, rows
from loopback import answer, failure, serve
from persona_collapse.asking import batch_files
from persona_collapse.asking.batch_files import _lines
from persona_collapse.asking.collect import collect, collect_by_batch
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.asking.slots import plan
from persona_collapse.exhibits.request_sentences import UNCHECKED, independence
from persona_collapse.simulated.completions import _prompt
from persona_collapse.simulated.faults import Options
from persona_collapse.simulated.prompt_answers import Respondents
from persona_collapse.simulated.server import running
from persona_collapse.store.ratings import read_ratings
from persona_collapse.store.store import Store, open_store
from persona_collapse.study.instrument import load_instrument
from persona_collapse.study.personas import load_personas
from persona_collapse.study.wording import combinations
from persona_collapse.tables.quality import run_quality

VARY = {"repetitions": 8, "personas": 2, "vary": {"wording": ["a", "b"], "scale": ["up", "down"]}}
EVERY = {"wording": ["a", "b"], "scale": ["up", "down"], "persona_in": ["user", "system"]}
IN_SYSTEM = {"repetitions": 4, "personas": 2, "vary": {"persona_in": ["user", "system"]}}
#: What vLLM says where a chat template, such as Gemma's, takes no system message.
NO_SYSTEM = failure(400, "BadRequestError", "System role not supported")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr("persona_collapse.paths.OUTPUTS", tmp_path / "outputs")
    monkeypatch.setenv("TEST_KEY", "k")


def agrees(request):
    """The number that stands beside the label of the most that can be said."""
    asked = request["messages"][0]["content"]
    return answer(re.search(r"(\d) = (?:extremely relevant|strongly agree)", asked)[1], n=request.get("n", 1))


def test_what_a_number_means_is_read_by_the_scale_that_was_shown(tmp_path):
    with serve(agrees) as (url, _):
        study = live_study(tmp_path, url, protocol=VARY, conditions=["persona"])
        collect(study)
    found = rows(study, "repetition, wording, reply, rating")
    assert len(found) == 2 * 30 * 8
    assert {rating for *_, rating in found} == {5}
    assert {(wording, reply) for _, wording, reply, _ in found} == {
        ("wording=a scale=up", "5"), ("wording=a scale=down", "0"), ("wording=b scale=up", "5"), ("wording=b scale=down", "0"),
    }  # fmt: skip
    assert {repetition for repetition, *_ in found} == set(range(1, 9))


def test_a_persona_in_a_system_message_is_sent_there_live_and_in_batch_files(tmp_path):
    seen = []

    def answered(request):
        seen.append(request["messages"])
        return answer("3", n=request.get("n", 1))

    with serve(answered) as (url, _):
        study = live_study(tmp_path, url, protocol=IN_SYSTEM, conditions=["persona", "self"])
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


def test_the_simulated_endpoint_understands_every_wording():
    """What it says to a reversed scale is turned; all levels are answered as the questionnaire, with ratings near each other."""
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
    assert Respondents(1).cell("\n\n".join(_prompt(messages)))[:4] == ("a judge", 1, False, "")


def test_a_chat_template_without_a_system_message_ends_the_visit_in_one_line_and_keeps_what_was_answered(tmp_path):
    def refuses(request):
        return NO_SYSTEM if request["messages"][0]["role"] == "system" else answer("4", n=request.get("n", 1))

    with serve(refuses) as (url, _):
        study = live_study(tmp_path, url, protocol=IN_SYSTEM, conditions=["persona"])
        with pytest.raises(ElicitationError) as raised:
            collect(study)
    assert str(raised.value) == (
        "m-1: the endpoint refused the system message (status 400): 'System role not supported'; leave persona_in out of "
        "protocol.vary and the key system out, or the model out of the study; nothing was dropped silently"
    )
    assert {wording for (wording,) in rows(study, "wording")} == {"persona_in=user"}


def test_an_error_about_a_system_where_no_system_message_was_sent_is_quoted_as_it_is(tmp_path):
    with serve(lambda request: failure(400, "bad", "system message: the disk is full")) as (url, _):
        study = live_study(tmp_path, url, conditions=["persona"])
        with pytest.raises(
            ElicitationError, match=r"refused the request \(status 400\): 'system message: the disk is full'; correct"
        ):
            collect(study)


def test_a_refused_system_message_is_told_from_a_result_line_too(tmp_path):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1", protocol=IN_SYSTEM, conditions=["persona"])
    collect_by_batch(study, by_hand=True)
    with open_store(study.store_path) as store:
        (batch,) = store.batches("f", "base")
    path = batch_files.path_of(study, batch)
    response = {"status_code": 400, "request_id": "r", "body": {"error": {"message": "System role not supported"}}}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.with_suffix(".out.jsonl").write_text(
        "".join(json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}) + "\n" for line in lines)
    )
    with pytest.raises(ElicitationError, match=r"refused the system message .*: 'System role not supported'; leave persona_in"):
        collect_by_batch(study, by_hand=True)


def test_every_combination_is_answered_live_and_in_batches_alike(tmp_path):
    """2 personas x 30 items x 8 combinations, two repetitions each; a reversed scale says 5 less the rating."""
    protocol, found = {"repetitions": 16, "vary": EVERY}, {}
    with running(Options(seed=3, batch_seconds=0.05)) as server:
        for name, ask in (("one", collect), ("many", collect_by_batch)):
            study = live(tmp_path, server.base_url, name=name, protocol=protocol, conditions=["persona"])
            ask(study)
            found[name] = sorted(rows(study, "persona, item, wording, repetition, rating, reply"))
    assert found["one"] == found["many"]
    assert len(found["one"]) == 2 * 30 * 16
    for *_, wording, _, rating, reply in found["one"]:
        assert reply[0] == str(5 - rating if "scale=down" in wording else rating)


def test_a_cache_is_found_among_answers_to_a_system_message_of_an_earlier_visit(tmp_path):
    """Every answer repeats the id that its messages had before; the second visit asks the same for more repetitions."""

    def cached(request):
        status, body = answer("3", n=request.get("n", 1))
        return status, body | {"id": f"c-{hash(json.dumps(request['messages']))}", "created": 5}

    with serve(cached) as (url, _):
        study = live_study(tmp_path, url, protocol=IN_SYSTEM, conditions=["persona"])
        collect(study)
        more = live_study(tmp_path, url, protocol=IN_SYSTEM | {"repetitions": 8}, conditions=["persona"])
        with pytest.raises(ElicitationError, match="3 answers came from a cache"):
            collect(more)


def test_what_wordings_differ_by_is_not_taken_for_noise_that_choices_of_a_request_share(tmp_path):
    """Each wording is one request of two equal choices, 0 in one and 5 in the other: rho of requests would be 1."""

    def by_wording(request):
        return answer("5" if "Imagine" in request["messages"][0]["content"] else "0", n=request.get("n", 1))

    with serve(by_wording) as (url, _):
        protocol = {"repetitions": 4, "personas": 3, "vary": {"wording": ["a", "b"]}}
        study = live_study(tmp_path, url, protocol=protocol, conditions=["persona"])
        collect(study)
    with open_store(study.store_path) as store:
        quality = run_quality(read_ratings(study, store), study.runs[0])
    assert quality["requests_a_cell"][0] == 2
    assert quality[["rho", "rho_lo", "rho_cells"]].isna().all(axis=None)
    assert independence(quality, study) == UNCHECKED
