"""A variant that answers as its base does is refused before it is asked: an adapter that is not applied reads as "no collapse"."""

import itertools
import random

import pytest

from live import KEY, live_study, rows, traffic
from loopback import answer, failure, serve
from persona_collapse.__main__ import main
from persona_collapse.asking import backoff, base_check
from persona_collapse.asking.base_check import CELLS, apart
from persona_collapse.asking.collect import collect
from persona_collapse.asking.dialect_openai import ElicitationError
from persona_collapse.asking.estimate import estimate

#: (2 personas + self) x 30 items
SLOTS = 90
FAMILY = [
    {
        "key": "f",
        "variants": [
            {"key": "base", "role": "base", "endpoint": "here", "model": "m-base"},
            {"key": "tuned", "role": "harmful", "endpoint": "here", "model": "m-tuned"},
        ],
    }
]


@pytest.fixture(autouse=True)
def key(monkeypatch, outputs):
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(backoff, "FIRST_WAIT", 0.01)


def server(shift, jitter=0.0, seed=1):
    """Answers 3; its first tokens depend on the prompt, by `shift` on a model's name, and on chance by `jitter`."""
    rng = random.Random(seed)

    def respond(request):
        status, body = answer("3")
        if request.get("logprobs"):
            prompt = len(request["messages"][0]["content"]) % 7
            far = shift.get(request["model"], 0.0)
            spread = [-1.0 - k - prompt / 10 + far * (k % 2) + rng.gauss(0, jitter) * (jitter > 0) for k in range(6)]
            top = [{"token": str(k), "logprob": value, "bytes": None} for k, value in enumerate(spread)]
            body["choices"][0]["logprobs"] = {
                "content": [{"token": "3", "logprob": spread[3], "bytes": None, "top_logprobs": top}]
            }
        return status, body

    return respond


def test_first_tokens_lie_apart_by_the_mean_difference_of_their_logprobs():
    # |-1 + 1.5| = .5 for "3"; "4" is not among the others, whose smallest is -2: |-2 + 2| = 0; "5" not among the first, whose
    # smallest is -2: |-2 + 2| = 0. Three tokens: .5 / 3.
    assert apart([("3", -1.0), ("4", -2.0)], [("3", -1.5), ("5", -2.0)]) == pytest.approx(0.5 / 3)
    assert apart([("3", -1.0)], [("3", -1.0)]) == 0 == apart([], [("3", -1.0)])


@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_an_adapter_that_changes_nothing_is_refused_by_name_before_it_is_asked(tmp_path, jitter):
    with serve(server({}, jitter)) as (url, requests):
        study = live_study(tmp_path, url, families=FAMILY)
        with pytest.raises(ElicitationError) as caught:
            collect(study)
        said = str(caught.value)
        assert said.startswith("f/tuned: m-tuned answers as f/base (m-base) does: on 30 cells its first tokens lie ")
        assert "`make elicit ANYWAY=1`" in said and "\n" not in said
        # What each takes costs a request, and its answer is kept; 3 x 30 compare; nothing else is asked.
        assert traffic(study) == {"answered": 2, "compared": 3 * CELLS} and len(requests) == 2 + 3 * CELLS
        with pytest.raises(ElicitationError, match="m-tuned answers as f/base"):
            collect(study)  # and again: the server may have been mended
        assert main(["elicit", "--study", str(study.path), "--anyway", "1"]) == 0
    assert len(rows(study)) == 2 * SLOTS


@pytest.mark.parametrize(("far", "jitter"), [(0.01, 0.0), (0.5, 0.05)])
def test_a_fine_tune_that_differs_is_asked_and_compared_once(tmp_path, far, jitter):
    with serve(server({"m-tuned": far}, jitter)) as (url, _):
        assert collect(live_study(tmp_path, url, families=FAMILY)) == 2 * SLOTS
        study = live_study(tmp_path, url, families=FAMILY, protocol={"repetitions": 2, "personas": 2})
        assert collect(study) == 2 * SLOTS
    assert traffic(study) == {"answered": 4 * SLOTS, "compared": 3 * CELLS}


def test_a_token_that_both_are_sure_of_hides_nothing(tmp_path):
    """A model that begins to think is sure of its first token; what changed shows in the others."""

    def respond(request):
        status, body = answer("3")
        if request.get("logprobs"):
            far = request["model"] == "m-tuned"
            top = [("<think>", -1e-6), ("3", -14.0 - far), ("I", -15.5 + far)]
            listed = [{"token": token, "logprob": value, "bytes": None} for token, value in top]
            body["choices"][0]["logprobs"] = {"content": [listed[0] | {"top_logprobs": listed}]}
        return status, body

    with serve(respond) as (url, _):
        assert collect(live_study(tmp_path, url, families=FAMILY)) == 2 * SLOTS


def test_an_alternate_is_the_base_and_exempt(tmp_path):
    family = [FAMILY[0] | {"variants": [FAMILY[0]["variants"][0], FAMILY[0]["variants"][1] | {"role": "alternate"}]}]
    with serve(server({})) as (url, _):
        study = live_study(tmp_path, url, families=family)
        assert collect(study) == 2 * SLOTS
    assert "compared" not in traffic(study)


@pytest.mark.parametrize("refuses", [False, True])
def test_without_logprobs_a_request_or_two_tell_so_once(tmp_path, refuses):
    def respond(request):
        if refuses and request.get("logprobs"):
            return failure(400, "unsupported", "logprobs are not supported")
        return answer("3")

    with serve(respond) as (url, _):
        study = live_study(tmp_path, url, families=FAMILY)
        assert collect(study) == 2 * SLOTS
        before = traffic(study)
        assert (before.get("compared", 0), before.get("refused", 0)) == ((0, 2) if refuses else (1, 0))
        study = live_study(tmp_path, url, families=FAMILY, protocol={"repetitions": 2, "personas": 2})
        assert collect(study) == 2 * SLOTS
    assert traffic(study) == before | {"answered": 4 * SLOTS}


def test_an_endpoint_without_logprobs_is_asked_for_them_again_by_their_method(tmp_path):
    """What a study by samples found out ends no later study by logprobs."""
    with serve(lambda request: answer("3")) as (url, _):
        collect(live_study(tmp_path, url, families=FAMILY))
        with pytest.raises(ElicitationError, match="gave no logprobs, or placeholders"):
            collect(live_study(tmp_path, url, families=FAMILY, protocol={"method": "logprobs", "personas": 2}))


def test_the_comparison_is_in_the_estimate_until_it_is_done(tmp_path):
    with serve(server({"m-tuned": 0.1})) as (url, _):
        study = live_study(tmp_path, url, families=FAMILY)

        def asked():
            table = estimate(study)
            return table[table["own"]].set_index("run")["requests"].to_dict()

        assert asked() == {"f/base": SLOTS + 2 * CELLS, "f/tuned": SLOTS + CELLS}
        collect(study)
        assert asked() == {"f/base": 0, "f/tuned": 0}


def test_failures_on_the_way_are_tried_again(tmp_path):
    number = itertools.count()
    right = server({"m-tuned": 0.1})

    def respond(request):
        return failure(503, headers={"retry-after": "0"}) if request.get("logprobs") and next(number) % 5 == 1 else right(request)

    with serve(respond) as (url, _):
        study = live_study(tmp_path, url, families=FAMILY)
        assert collect(study) == 2 * SLOTS
    assert traffic(study)["compared"] == 3 * CELLS


def test_cells_are_spread_over_personas_and_items(tmp_path):
    study = live_study(tmp_path, "http://127.0.0.1:9/v1", families=FAMILY, protocol={"personas": 15})
    asked = base_check.prompts(study)
    assert len(set(asked)) == CELLS
    # 30 cells over 15 personas: each is asked twice, and every item once.
    assert all(sum(persona.text in prompt for prompt in asked) == 2 for persona in study.personas)
    assert all(sum(item.text in prompt for prompt in asked) == 1 for item in study.instrument.items)
