"""vLLM for CPUs with a tiny model and two adapters, one of them of zeros."""

import json
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.asking import Slot, Study
from servers.compare import Key, compare_choices
from servers.environment import make_torch, pins
from servers.features import Feature, Keep, Outcome, Server, ask, refused, works
from servers.places import MODELS, VENV, clean_environment
from servers.processes import free_port, run_once, running
from servers.recorder import Exchange

_SAMPLES = {"repetitions": 1, "temperature": 0.7}
_LOGPROBS = {"method": "logprobs"}
_COMMON = ["--dtype", "float32", "--max-model-len", "1024", "--enforce-eager"]
# One place more than there are adapters: on CPUs a request to the base that is computed beside one to an adapter takes the
# weights of the last place (vllm-project/vllm#48421), and that one is empty.
_ADAPTERS = [
    "--max-loras",
    "3",
    "--enable-lora",
    "--max-lora-rank",
    "8",
    "--lora-modules",
    f"moved={MODELS / 'moved'}",
    f"zeros={MODELS / 'zeros'}",
]
#: How far two logprobs of one prompt may lie apart because it was computed beside other prompts.
_SAME = 1e-3
_UNMOVED = "the adapter's logprobs are the base's: it was not applied"


def _environment() -> dict[str, str]:
    return clean_environment(
        VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1", VLLM_CPU_OMP_THREADS_BIND="nobind", OMP_NUM_THREADS="2"
    )


@contextmanager
def _vllm(folder: Path, model: str, *options: str) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        str(VENV / "bin" / "vllm"), "serve", str(MODELS / model), "--host", "127.0.0.1", "--port", str(port),
        "--served-model-name", "tiny", *_COMMON, *options,
    ]  # fmt: skip
    with running(command, log=folder / f"vllm-{model}.log", healthy=f"{url}/health", env=_environment(), within=240):
        yield url


def _ask_vllm(folder: Path, keep: Keep) -> Iterator[Feature]:
    make_torch()
    with _vllm(folder, "base", *_ADAPTERS) as url:
        two = ["tiny", "moved"]
        found = ask(folder, "samples", url, two, _SAMPLES, items=10)
        keep("samples", found.answers())
        yield works("samples, one by one", found)
        found = ask(folder, "choices", url, two, _SAMPLES | {"repetitions": 10}, items=10)
        keep("choices", found.answers())
        yield works("choices (n)", found, also=_varied(found.study.slots()))
        beside = ask(folder, "logprobs", url, two, _LOGPROBS, items=10)
        keep("logprobs", beside.answers())
        apart = _apart(_tops(beside, "tiny"), _tops(beside, "moved"))
        yield works(
            "logprobs",
            beside,
            also=f"the adapter's differ from the base's in {apart} of 20 cells",
            unless="" if apart else _UNMOVED,
        )
        zeros = ask(folder, "zeros", url, ["tiny", "zeros"], _LOGPROBS, items=10)
        yield refused("an adapter of zeros", zeros, r"f/v1: zeros answers as f/v0 \(tiny\) does")
        found = ask(folder, "unknown", url, ["another"], _SAMPLES, items=2)
        keep("unknown-model", found.answers(404))
        yield refused("a model that it does not know", found, "another: the endpoint knows no such")
    with _vllm(folder, "top-k-1") as url:
        left = _direct(url)
        found = ask(folder, "top-k-1", url, ["tiny"], _SAMPLES | {"repetitions": 10}, items=10)
        yield works(
            "generation_config.json of top_k: 1", found,
            also=f"{_varied(found.study.slots())}; without our sampling parameters it gives {left} answer in 10",
            unless="no cell varied" if _varied(found.study.slots()).startswith("0 of") else "",
        )  # fmt: skip
    yield from _run_batch(folder, keep)


def _direct(url: str) -> int:
    """Different answers of ten to a request that leaves sampling to the server."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Answer."}], "n": 10, "max_tokens": 1, "temperature": 0.7}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return len({choice["message"]["content"] for choice in json.loads(answer.read())["choices"]})


def _varied(slots: Iterable[Slot]) -> str:
    """How many cells have more than one reply."""
    cells: dict[tuple[str, int, int], set[str | None]] = {}
    for slot in slots:
        cells.setdefault((slot.model, slot.persona, slot.item), set()).add(slot.reply)
    return f"{sum(len(replies) > 1 for replies in cells.values())} of {len(cells)} cells vary"


_Tops = dict[tuple[int, int], tuple[str, float]]


def _tops(found: Outcome, model: str) -> _Tops:
    """The most probable token of each cell of a model, and its logprob."""
    return {(s.persona, s.item): tuple(s.logprobs[0]) for s in found.study.slots() if s.model == model and s.logprobs}


def _apart(first: _Tops, second: _Tops) -> int:
    """In how many cells of the first the second has none, another token or another logprob."""
    other = {cell: second.get(cell, ("", 0.0)) for cell in first}
    return sum(token != other[cell][0] or abs(value - other[cell][1]) > _SAME for cell, (token, value) in first.items())


def _run_batch(folder: Path, keep: Keep) -> Iterator[Feature]:
    """Requests written by hand, answered by `vllm run-batch` with the weights that would give one answer, and taken in."""
    study = Study(folder, "batch", "http://127.0.0.1:9", ["tiny"], _SAMPLES | {"repetitions": 10}, items=10)
    command = ("batch", "--study", str(study.write()), "--by-hand", "1")
    said = study.command(*command)
    requests = sorted((study.outputs / "batch").glob("*.jsonl"))
    if said.status or not requests:
        yield Feature("run-batch", f"refused: {said.line}", False)
        return
    results = [path.with_suffix(".out.jsonl") for path in requests]
    for path, result in zip(requests, results, strict=True):
        vllm = [
            str(VENV / "bin" / "vllm"), "run-batch", "-i", str(path), "-o", str(result), "--model", str(MODELS / "top-k-1"),
            "--served-model-name", "tiny", *_COMMON,
        ]  # fmt: skip
        run_once(vllm, log=folder / "vllm-run-batch.log", env=_environment())
    said = study.command(*command)
    lines = [json.loads(line) for path in results for line in path.read_text(encoding="utf-8").splitlines()]
    asked = [json.loads(line)["body"] for path in requests for line in path.read_text(encoding="utf-8").splitlines()]
    keep("run-batch", [Exchange("", "", json.dumps(asked[0]).encode(), 200, {}, json.dumps(line).encode()) for line in lines])
    slots = study.slots()
    found, vary = compare_choices(list(_choices(lines)), slots), _varied(slots)
    wrong = f"refused: {said.line}" if said.status else "differs: no cell varied" if vary.startswith("0 of") else ""
    yield Feature("run-batch", wrong or f"{found.told()}; {vary}", found.fine and not wrong)


def _choices(lines: Iterable[dict[str, Any]]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The choices of result lines by their slot, which stands in the end of a custom_id as in a header."""
    for line in lines:
        persona, item, first = map(int, line["custom_id"].split("/")[-3:])
        for choice in line["response"]["body"]["choices"]:
            yield ("tiny", persona, item, first + choice["index"]), choice


VLLM = Server("vllm", "vLLM for CPUs", lambda: pins()["vllm-cpu"], 480, _ask_vllm)
