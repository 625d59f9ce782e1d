"""Whether replies of one token hide a recited scale: a few cells are asked once more with room to go on.

A model that recites the options begins with a digit as well. At `max_tokens: 1` nobody can tell, so ten cells of a run are asked
with 24 tokens. Their replies are kept and shown, and are never ratings.
"""

import json
from collections.abc import Callable, Sequence

from persona_collapse.asking import spending, supported_parameters
from persona_collapse.asking.dialect_openai import RefusedError
from persona_collapse.asking.extra_requests import ExtraRequests, spread
from persona_collapse.asking.slots import hash_of
from persona_collapse.store.store import Store, probe_key
from persona_collapse.study import rating_parser
from persona_collapse.study.study import Run, Study

#: Tokens that a probe leaves room for, and those of a protocol at and above which replies tell by themselves.
TOKENS, _TELLS = 24, 5
#: Characters of a reply that a message quotes.
_QUOTED = 60


def due(study: Study, run: Run, store: Store | None) -> bool:
    """Whether a run is still to be probed: asked by samples too short to tell, and not probed in this way before."""
    protocol = study.file.protocol
    if protocol.method != "samples" or protocol.max_tokens >= _TELLS or not protocol.probe:
        return False
    known = store.recall(probe_key(*run.keys)) if store else None
    return not (known and json.loads(known)["asked"] == _asked(study, run))


def tokens(study: Study, run: Run, store: Store | None) -> tuple[int, int, int]:
    """Requests of the probe that a run still takes, and their tokens in and out."""
    if not due(study, run, store):
        return 0, 0, 0
    asked = spread(study, study.file.protocol.probe)
    return len(asked), sum(len(prompt) for prompt in asked) // int(spending.CHARACTERS_A_TOKEN), len(asked) * TOKENS


async def probe(study: Study, runs: Sequence[Run], store: Store, extra: ExtraRequests, say: Callable[[str], None]) -> None:
    """Ask the probe of every run that is due, keep its replies, and warn of those that give no rating when they are longer."""
    protocol = study.file.protocol.model_copy(update={"max_tokens": TOKENS})
    for run in (run for run in runs if due(study, run, store)):
        endpoint = study.file.endpoints[run.variant.endpoint or ""]
        known = supported_parameters.recall(store, endpoint, run.variant.model or "")
        try:
            found = await extra.ask(run, spread(study, protocol.probe), known, protocol)
        except RefusedError as error:
            say(f"{study.name}: {run.key}: no probe of {TOKENS} tokens was possible ({error})")
            continue
        if found is None:
            return
        replies = [(completion.choices[0].text or "", completion.choices[0].finish_reason) for completion in found]
        store.remember(probe_key(*run.keys), json.dumps({"asked": _asked(study, run), "replies": replies}))
        if unread := rating_parser.unrated(replies, study.instrument.scale, study.instrument.labels):
            say(
                f"{study.name}: {run.key}: {len(unread)} of {len(replies)} replies give no rating when they may have {TOKENS} "
                f"tokens, such as {unread[0][:_QUOTED]!r}; at max_tokens: {study.file.protocol.max_tokens} one that begins with "
                f"a number would be read as that; set protocol.max_tokens: {TOKENS}, or look at what the model says"
            )


def _asked(study: Study, run: Run) -> str:
    """How the run is asked: another model, endpoint or temperature is probed anew."""
    endpoint, protocol = study.file.endpoints[run.variant.endpoint or ""], run.variant.protocol(study.file.protocol)
    said = [text for text in (protocol.system, protocol.prefix) if text]
    return hash_of(json.dumps([endpoint.base_url, run.variant.model, protocol.temperature, endpoint.extra_body, *said]))
