"""replies.html: every reply of a study, by run, persona and item, with a search; one file that opens without a network."""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from persona_collapse import __version__
from persona_collapse.exhibits.data_sentences import how_made
from persona_collapse.exhibits.verification_sentences import anchor
from persona_collapse.report.methods import WHY_NONE
from persona_collapse.store.ratings import Ratings
from persona_collapse.store.store import Store
from persona_collapse.study.load_study import keys
from persona_collapse.study.study import Study
from persona_collapse.tables.every_reply import ABSENT, REMOVED, Cleaner, EveryReply, Reply, every_reply
from persona_collapse.tables.open_replies import open_replies
from persona_collapse.text import tamed

#: Letters of a reply that the page holds, and that its tables without script show; replies of a run that those show.
LONGEST, _SHOWN, _COMMONEST = 2_000, 300, 10
#: Bytes that the file may take, and those of it for the packed replies.
MOST_BYTES, _MOST_PACKED = 15_000_000, 14_000_000
#: Fewer letters of each reply than this are not worth holding.
_FEWEST = 40


class Home(NamedTuple):
    """What lies beside the page: the report, if any, and the file with every reply whole."""

    report: str
    store: str


def render_replies(ratings: Ratings, store: Store, home: Home | None = None) -> str:
    """The text of replies.html, by default beside a report in the study's outputs; the same ratings give the same bytes.

    Replies are packed into it: JSON, deflated, as base64. Whatever a reply, persona, label or item holds is text: the page
    sets no markup from it, and its policy runs one script, by its hash. Replies longer than `LONGEST` letters are cut, all of
    them shorter where the file would be larger than `MOST_BYTES`, and the page says so.
    """
    study, every = ratings.study, every_reply(ratings, store)
    home = home or Home(study.page, "ratings.sqlite")
    total = {run.key: every.times(run.key) for run in study.runs}
    packed, longest, cut = _packed(study, every)
    script = _part("replies.js")
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    text = environment.get_template("replies.html").render(
        title=study.file.title,
        simulated="" if study.is_evidence else "Simulated ratings",
        like=how_made(study),
        version=__version__,
        home=home,
        number=sum(found.total() for found in total.values()),
        different=len({reply.text for found in total.values() for reply in found if reply.text is not None}),
        notes=[*_notes(ratings, every, total, home), *_cuts(longest, cut, bool(packed), home)],
        reasons=_reasons(total),
        runs=[(run.name, run.key, _of_run(total[run.key])) for run in study.runs],
        judges=[tamed(judge.variant.key) for judge in study.judges],
        opened=[(run.name, anchor(run), rows) for run, rows in open_replies(ratings, Cleaner(keys(study).values())).items()],
        packed=Markup(packed),
        style=Markup(_part("page.css") + _part("replies.css")),
        script=Markup(script),
        hashed=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return tamed(text)


@lru_cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _way(reply: Reply) -> str:
    """How a reply was read, as people are told."""
    return str(reply.rating) if reply.reason is None else f"no rating ({tamed(reply.reason)})"


def _of_run(found: Mapping[Reply, int]) -> dict[str, Any]:
    """How many replies and different ones a run has, and its commonest."""
    commonest = sorted(found.items(), key=lambda pair: -pair[1])[:_COMMONEST]
    return {
        "number": sum(found.values()),
        "different": len({reply.text for reply in found if reply.text is not None}),
        "commonest": [(_short(reply.text), times, _way(reply)) for reply, times in commonest],
    }


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= _SHOWN else text[:_SHOWN].rstrip() + " …"


# --- what is said of the replies -------------------------------------------------------------------------------------


def _notes(ratings: Ratings, every: EveryReply, total: Mapping[str, Mapping[Reply, int]], home: Home) -> Iterator[str]:
    said = [reply for found in total.values() for reply in found if reply.reason is None]
    if said and all(reply.text is None for reply in said):
        yield "The files that these ratings were read from hold no texts of replies: counts of ratings alone stand here."
    if ratings.study.by_logprobs:
        yield (
            "Asked by logprobs: the reply of a cell is one token; what counts is its distribution over the scale, which stands "
            "under the cell."
        )
    if every.removed:
        number = f"{every.removed} different replies" if every.removed > 1 else "1 reply"
        yield f"{number} held the key of an endpoint, which is not shown: {REMOVED} stands in its place. Change that key."
    if again := sum(len(asked) for run in ratings.runs if (asked := ratings.asked_again(run)) is not None):
        yield (
            f"{again:,} requested ratings were asked for again, as the first answer gave none: the last answers stand here, and "
            f"{home.store} has the first ones."
        )


def _cuts(longest: int, cut: int, held: bool, home: Home) -> Iterator[str]:
    """What the page lacks for its size, and where it is."""
    size = f"so that this file stays under {MOST_BYTES // 1_000_000} MB"
    if not held:
        yield f"The replies of this study are left out {size}; {home.store} has them. Below are the commonest of each run."
    elif not longest:
        yield f"The texts of replies are left out {size}, and counts of ratings stand alone; {home.store} has the texts."
    elif cut:
        why = f", {size}" if longest < LONGEST else ""
        number = f"{cut:,} different replies are" if cut > 1 else "1 reply is"
        yield (
            f"{number} cut to the first {longest:,} letters{why}, and the search looks no further; {home.store} has "
            f"{'them' if cut > 1 else 'it'} whole."
        )


def _reasons(total: Mapping[str, Mapping[Reply, int]]) -> list[tuple[str, str]]:
    """Why replies of this study gave no rating, each reason with what it means."""
    known = WHY_NONE | {ABSENT: "nothing is stored of it"}
    found = {reply.reason for said in total.values() for reply in said if reply.reason is not None}
    return [(reason, meaning) for reason, meaning in known.items() if reason in found]


# --- packing ---------------------------------------------------------------------------------------------------------


def _packed(study: Study, every: EveryReply) -> tuple[str, int, int]:
    """The replies as base64, at how many letters they are cut, and how many are; empty where nothing is small enough."""
    letters = np.array([len(text) for text in {r.text for run in study.runs for r in every.times(run.key)} if text], dtype=int)
    longest = LONGEST
    while True:
        text = json.dumps(_content(study, every, longest), separators=(",", ":"), ensure_ascii=False)
        packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
        if len(packed) <= _MOST_PACKED:
            return packed, longest, int((letters > longest).sum())
        if not longest:
            return "", 0, 0
        longest = _affordable(letters, longest, 0.95 * _MOST_PACKED / len(packed))


def _affordable(letters: np.ndarray, longest: int, share: float) -> int:
    """The most letters of each reply at which this share of their letters stays, in tens; 0 for none."""
    allowed = share * np.minimum(letters, longest).sum()
    for most in range(longest - longest % 10, _FEWEST, -10):
        if most < longest and np.minimum(letters, most).sum() <= allowed:
            return most
    return 0


def _content(study: Study, every: EveryReply, longest: int) -> dict[str, Any]:
    """What the script reads.

    ``replies`` are texts, ``reads`` for each the place in ``ways`` of how it was read, ``cut`` pairs of a place and the
    letters that a cut reply has. ``runs`` have for each condition every cell, personas first: the number of its different
    replies, then place and times of each.
    """
    number: dict[Reply, int] = {}
    cells = {key: {at: _held(said, longest) for at, said in found.items()} for key, found in every.cells.items()}
    total: dict[Reply, int] = {}
    for found in cells.values():
        for said in found.values():
            for reply, times in said.items():
                total[reply] = total.get(reply, 0) + times
    for reply in sorted(total, key=lambda reply: -total[reply]):
        number[reply] = len(number)
    ways = list(dict.fromkeys((_way(reply), reply.reason is None) for reply in number))
    place = {way: n for n, (way, _) in enumerate(ways)}
    items = study.instrument.items
    flat: dict[str, dict[str, list[int]]] = {run.key: {} for run in study.runs}
    for (run, condition), found in cells.items():
        flat[run][condition] = row = []
        for at in ((p, i) for p in range(len(every.people[condition])) for i in range(len(items))):
            often = sorted(found.get(at, {}).items(), key=lambda pair: -pair[1])
            row.append(len(often))
            row.extend(value for reply, times in often for value in (number[reply], times))
    return {
        "replies": [reply.text and reply.text[:longest] for reply in number],
        "cut": [(n, len(r.text)) for r, n in number.items() if r.text and len(r.text) > longest],
        "reads": [place[_way(reply)] for reply in number],
        "ways": ways,
        "items": [(item.number, tamed(item.text), tamed(item.foundation)) for item in items],
        "people": every.people,
        "runs": [
            {"key": run.key, "name": tamed(run.name), "cells": flat[run.key]}
            | {"shares": {c: every.shares[run.key, c] for c in flat[run.key] if every.shares}}
            for run in study.runs
        ],
    }  # fmt: skip


def _held(said: Mapping[Reply, int], longest: int) -> Mapping[Reply, int]:
    """The replies of a cell, without texts where none are held."""
    if longest:
        return said
    found: dict[Reply, int] = {}
    for reply, times in said.items():
        reply = reply._replace(text=None)
        found[reply] = found.get(reply, 0) + times
    return found
