"""transformers serve with the tiny model."""

from collections.abc import Iterator
from pathlib import Path

from servers.environment import make_torch, pins
from servers.features import Feature, Keep, Outcome, Server, ask, refused, works
from servers.places import MODELS, VENV, clean_environment
from servers.processes import free_port, running

_MODEL = "base"  # a folder, as the server runs where it lies
_SAMPLES = {"repetitions": 1, "temperature": 0.7}


def _ask(folder: Path, keep: Keep) -> Iterator[Feature]:
    make_torch()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(VENV / "bin" / "transformers"), "serve", _MODEL, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = folder / "transformers-serve.log"
    with running(command, log=log, healthy=f"{url}/health", env=clean_environment(), folder=MODELS):
        found = ask(folder, "samples", url, [_MODEL], _SAMPLES, items=10)
        keep("unexpected-fields", found.answers(422))
        keep("samples", found.answers())
        yield works("samples, one by one", found)
        found = ask(folder, "choices", url, [_MODEL], _SAMPLES | {"repetitions": 3}, items=10)
        yield works("choices (n)", found, also=_alone(found))
        found = ask(folder, "logprobs", url, [_MODEL], {"method": "logprobs"}, items=2)
        yield refused("logprobs", found, "gave no logprobs")
        found = ask(folder, "unknown", url, ["another"], _SAMPLES, items=2)
        keep("unknown-model", found.answers(400))
        yield refused("a model that it does not know", found, "pinned to")


def _alone(found: Outcome) -> str:
    asked = [exchange for exchange in found.answers() if exchange.asked.get("n", 1) > 1]
    return f"{len(asked)} requests asked for several and got one each; then one by one"


TRANSFORMERS = Server("transformers", "transformers serve", lambda: pins()["transformers"], 180, _ask)
