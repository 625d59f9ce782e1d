"""llama.cpp's server with SmolLM2-135M-Instruct, and LiteLLM in front of it with its cache on and off."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from persona_collapse.study.score_parser import PROSE, read_score
from servers.environment import pins, weights
from servers.features import Feature, Keep, Outcome, Server, ask, refused, works
from servers.places import PYTHON, SCRIPTS, VENV, clean_environment
from servers.processes import free_port, running

MODEL = "SmolLM2-135M-Instruct"
#: Requests that it answers at a time, and so the most choices of one.
_SLOTS = 4
_SAMPLES = {"repetitions": 1, "temperature": 0.7}
_TWICE: tuple[dict[str, Any], ...] = ({}, {"repetitions": 2})


@contextmanager
def _llama_cpp(folder: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(PYTHON), "-P", str(SCRIPTS / "serve_llama_cpp.py"), str(weights()), str(port), str(_SLOTS)]
    with running(command, log=folder / "llama.cpp.log", healthy=f"{url}/health", env=clean_environment()):
        yield url


def _ask_llama_cpp(folder: Path, keep: Keep) -> Iterator[Feature]:
    # Few items: the wheel is built for any processor, and reads some 30 tokens of a prompt a second.
    with _llama_cpp(folder) as url:
        found = ask(folder, "samples", url, [MODEL], _SAMPLES | {"max_tokens": 24}, items=4)
        keep("samples", found.answers())
        yield works("samples of 24 tokens, one by one", found, one_token=False)
        found = ask(folder, "choices", url, [MODEL], _SAMPLES | {"repetitions": 6}, items=2)
        keep("choices-above-its-cap", found.answers(400))
        keep("choices", found.answers())
        yield works("choices (n)", found, also=f"n = 6 was refused, {_SLOTS} asked at a time", unless=_not_capped(found))
        found = ask(folder, "logprobs", url, [MODEL], {"method": "logprobs"}, items=4)
        keep("logprobs", found.answers())
        yield works("logprobs", found)
        for instrument, name in (("ipip50", "IPIP-50"), ("neutral12", "everyday preferences")):
            found = ask(folder, instrument, url, [MODEL], _SAMPLES | {"max_tokens": 24}, items=4, instrument=instrument)
            yield works(f"{name}, samples of 24 tokens", found, one_token=False, also=_said(found))
    yield _ask_judged(folder)


def _ask_judged(folder: Path) -> Feature:
    """Eight open questions, two samples of 64 tokens, judged by the same small model at a server of its own."""
    (folder / "judge").mkdir(parents=True, exist_ok=True)
    with _llama_cpp(folder) as url, _llama_cpp(folder / "judge") as judge:
        more = {
            "endpoints": {"judge": {"base_url": f"{judge}/v1", "max_in_flight": _SLOTS, "timeout": 120}},
            "verification": {"samples": 2, "max_tokens": 64, "judges": [{"key": "smol", "endpoint": "judge", "model": MODEL}]},
        }
        found = ask(folder, "judged", url, [MODEL], _SAMPLES | {"max_tokens": 24}, items=2, more=more)
    texts = found.study.texts()
    answers, judged = ([text for one, text, _ in texts if one == purpose] for purpose in ("verification", "judgement"))
    unread = sum(read_score(text or "").kind == PROSE for text in judged)
    also = f"{len(answers)} answers and {len(judged)} judgements, of which {unread} hold no number"
    lost = "" if (len(answers), len(judged)) == (16, 32) else f"{also}; expected 16 and 32"
    return works("open questions and a judge", found, one_token=False, also=also, unless=lost)


def _said(found: Outcome) -> str:
    """The commonest reply, as an example."""
    replies = Counter(slot.reply or "" for slot in found.study.slots())
    return f"such as {replies.most_common(1)[0][0][:40]!r}" if replies else ""


def _not_capped(found: Outcome) -> str:
    refusals = [e for e in found.answers(400) if e.asked.get("n") == 6 and re.search(rf"1 <= value <= {_SLOTS}\b", str(e.body))]
    asked = {exchange.asked.get("n", 1) for exchange in found.answers()}
    return "" if refusals and max(asked) == _SLOTS else f"{len(refusals)} refusals of n = 6, then n of {sorted(asked)}"


@contextmanager
def _litellm(folder: Path, behind: str, *, cache: bool) -> Iterator[str]:
    """LiteLLM in front of the server `behind`."""
    port, name = free_port(), "litellm-cache-on" if cache else "litellm-cache-off"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{behind}/v1", "api_key": "none"}
    config: dict[str, Any] = {"model_list": [{"model_name": MODEL, "litellm_params": parameters}]}
    if cache:
        config["litellm_settings"] = {"cache": True, "cache_params": {"type": "local"}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    env = clean_environment(
        LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False", LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true"
    )
    command = [str(VENV / "bin" / "litellm"), "--config", f"{name}.yaml", "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running(command, log=folder / f"{name}.log", healthy=f"{url}/health/liveliness", env=env, folder=folder):
        yield url


def _ask_litellm(folder: Path, keep: Keep) -> Iterator[Feature]:
    folder.mkdir(parents=True, exist_ok=True)
    with _llama_cpp(folder) as behind:
        with _litellm(folder, behind, cache=True) as url:
            found = ask(folder, "cached", url, [MODEL], _SAMPLES, visits=_TWICE, items=2)
            keep("cache-miss", found.answers())
            keep("cache-hit", found.answers()[-1:])
            yield refused("cache on", found, "answers came from a cache", unless=_stored_twice(found))
            past: Mapping[str, Any] = {"extra_body": {"cache": {"no-cache": True}}}
            found = ask(folder, "past-the-cache", url, [MODEL], _SAMPLES, visits=_TWICE, items=2, endpoint=past)
            yield works("cache on, past it by extra_body", found, also=_ids(found), unless=_repeated(found))
            found = ask(folder, "unknown-model", url, ["another"], _SAMPLES, items=2)
            keep("unknown-model", found.answers(400))
            yield refused("a model that it does not know", found, "Invalid model name")
        with _litellm(folder, behind, cache=False) as url:
            found = ask(folder, "uncached", url, [MODEL], _SAMPLES, visits=_TWICE, items=2)
            yield works("cache off", found, also=_ids(found), unless=_repeated(found))


def _completions(found: Outcome) -> tuple[int, int]:
    """Different ids of completions, and requests."""
    return len({re.search(rb'"id": ?"([^"]+)"', e.body)[1] for e in found.answers()}), len(found.answers())  # type: ignore[index]


def _stored_twice(found: Outcome) -> str:
    ids, stored = _completions(found)[0], sum(slot.reason != "transport" for slot in found.study.slots())
    return "" if stored <= ids else f"{stored} answers stored of {ids} completions"


def _ids(found: Outcome) -> str:
    return "{} ids of completions in {} requests".format(*_completions(found))


def _repeated(found: Outcome) -> str:
    ids, requests = _completions(found)
    return "" if ids == requests else _ids(found)


LLAMA_CPP = Server("llama.cpp", "llama.cpp (xllamacpp)", lambda: pins()["xllamacpp"], 480, _ask_llama_cpp)
LITELLM = Server("litellm", "LiteLLM before llama.cpp", lambda: pins()["litellm"], 300, _ask_litellm)
