"""Whether a variant answers as its base does, seen on a few cells before it is asked: an adapter that is not applied does.

A server may serve the base under the name of an adapter, or an adapter may change nothing; either would read as "no collapse".
"""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from persona_collapse.asking import spending, supported_parameters
from persona_collapse.asking.dialect_openai import ElicitationError, RefusedError
from persona_collapse.asking.extra_requests import ExtraRequests, spread
from persona_collapse.asking.slots import hash_of
from persona_collapse.store.store import Store
from persona_collapse.study.first_token import Alternatives
from persona_collapse.study.study import Run, Study

#: Cells that are compared, and how many of them must lie further from the base than the base does from itself: of 30 coins, 24
#: or more show heads in one of 1,400 throws.
CELLS, _FURTHER = 30, 24


def due(study: Study, store: Store | None) -> list[Run]:
    """Runs that are still to be compared with their base: fine-tunes whose endpoint may give logprobs.

    Alternates are the base served otherwise, and exempt. A run that was found to differ is not looked at again.
    """
    return [
        run
        for run in study.runs
        if run.variant.role in ("control", "harmful")
        and not (store and store.recall(_key(study, run)))
        and not _known_silent(study, Run(run.family, run.family.base), store)
    ]


def prompts(study: Study) -> list[str]:
    """The cells that are compared."""
    return spread(study, CELLS)


def tokens(study: Study, runs: Sequence[Run], run: Run) -> tuple[int, int, int]:
    """Requests of `run`, and tokens in and out, to compare `runs` with their bases: of a base twice, to know its own jitter."""
    times = (run in runs) + 2 * (run.variant is run.family.base and any(other.family is run.family for other in runs))
    characters = sum(map(len, prompts(study))) if times else 0
    return times * CELLS, times * math.ceil(characters / spending.CHARACTERS_A_TOKEN), times * CELLS


async def check(study: Study, runs: Sequence[Run], store: Store, extra: ExtraRequests, say: Callable[[str], None]) -> None:
    """Compare every run that is due with its base, on the same prompts.

    Raises ElicitationError that names a run and its base if the run is no further from the base than the base is from itself.
    """

    async def look(run: Run) -> list[Alternatives] | None:
        return await _first_tokens(study, run, store, extra)

    for family in study.file.families:
        if not any(run.family is family for run in due(study, store) if run in runs):
            continue
        base = Run(family, family.base)
        if (first := await look(base)) is None:
            return
        endpoint = study.file.endpoints[base.variant.endpoint or ""]
        known = supported_parameters.recall(store, endpoint, base.variant.model or "")
        if known.alternatives is None:  # samples do not ask for logprobs, so that nobody knows yet
            offered = max((len(alternatives) for alternatives in first), default=0)
            supported_parameters.remember(store, endpoint, base.variant.model or "", replace(known, alternatives=offered))
        if not first:
            continue  # a study without logprobs is compared by its ratings, once they are there
        again = await look(base)
        for run in (run for run in due(study, store) if run in runs and run.family is family):
            found = await look(run)
            if found is None or again is None:
                return
            if not found or not again:
                say(f"{study.name}: {run.key}: could not be compared with {base.key}, as no logprobs came")
                continue
            own = [apart(one, other) for one, other in zip(first, again, strict=True)]
            far = [apart(one, other) for one, other in zip(first, found, strict=True)]
            further = sum(b > a for a, b in zip(own, far, strict=True))
            if further < _FURTHER:
                raise ElicitationError(
                    f"{run.key}: {run.variant.model} answers as {base.key} ({base.variant.model}) does: on {CELLS} cells its "
                    f"first tokens lie {_mean(far):.2g} from the base's, the base's own {_mean(own):.2g} from themselves "
                    f"(mean difference of logprobs), further in {further}; see that the adapter is loaded under that name and "
                    "changes something, or go on with `make elicit ANYWAY=1`"
                )
            store.remember(_key(study, run), json.dumps({"further": further, "apart": _mean(far), "itself": _mean(own)}))


async def _first_tokens(study: Study, run: Run, store: Store, extra: ExtraRequests) -> list[Alternatives] | None:
    """What a run's first tokens could have been on the compared cells; empty without logprobs, None once the visit stops."""
    endpoint = study.file.endpoints[run.variant.endpoint or ""]
    known = supported_parameters.recall(store, endpoint, run.variant.model or "")
    protocol = study.file.protocol.model_copy(update={"method": "logprobs"})
    for most in (supported_parameters.MOST_ALTERNATIVES, supported_parameters.FEW_ALTERNATIVES):
        with suppress(RefusedError):
            first, *rest = prompts(study)
            found = await extra.ask(run, [first], known, protocol, alternatives=most)
            if found is None:
                return None
            if not found[0].choices[0].alternatives:
                return []
            if (others := await extra.ask(run, rest, known, protocol, alternatives=most)) is None:
                return None
            offered = [completion.choices[0].alternatives for completion in (*found, *others)]
            return list(offered) if all(offered) else []
    return []


def apart(one: Alternatives, other: Alternatives) -> float:
    """How far two first tokens lie apart: the mean difference of logprobs over the tokens of either.

    A token that one side did not return has the smallest logprob that it did. Unlike a difference of probabilities this sees a
    change where both are sure of the same token, such as the one that begins to think.
    """
    mine, theirs = dict(one), dict(other)
    if not mine or not theirs:
        return 0.0
    least, least_theirs = min(mine.values()), min(theirs.values())
    tokens = sorted(mine.keys() | theirs.keys())
    return math.fsum(abs(mine.get(token, least) - theirs.get(token, least_theirs)) for token in tokens) / len(tokens)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _known_silent(study: Study, base: Run, store: Store | None) -> bool:
    """Whether the base's endpoint is known to give no logprobs."""
    if store is None:
        return False
    endpoint = study.file.endpoints[base.variant.endpoint or ""]
    return supported_parameters.recall(store, endpoint, base.variant.model or "").alternatives == 0


def _key(study: Study, run: Run) -> str:
    """Which two servings a record is about."""
    about = []
    for each in (run.family.base, run.variant):
        endpoint = study.file.endpoints[each.endpoint or ""]
        about.append([endpoint.base_url, each.model, endpoint.extra_body, endpoint.headers, endpoint.provider])
    return f"compared {hash_of(json.dumps(about, sort_keys=True, default=str))}"
