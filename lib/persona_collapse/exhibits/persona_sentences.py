"""What there is to say of the personas themselves: nearly the same one twice, or others on the other side."""

from collections.abc import Iterator

from persona_collapse.statistics import near_duplicates
from persona_collapse.statistics.near_duplicates import Near
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run
from persona_collapse.text import safe

#: Pairs that a sentence names.
_NAMED = 5


def near_duplicates_line(ratings: Ratings) -> str:
    """Personas that are nearly the same one twice, by their words or by what the bases answered; empty where there are none.

    Those of one cluster are left out together, and are no news.
    """
    study = ratings.study
    pairs: dict[tuple[int, int], str] = {}
    for near, why in (*_texts(ratings), *_profiles(ratings)):
        together = study.cluster_names and study.clusters[near.one] == study.clusters[near.other]
        if not together:
            pairs.setdefault((near.one, near.other), why)
    if not pairs:
        return ""
    named = [
        f"{safe(study.persona_name(one))} and {safe(study.persona_name(other))} ({why})"
        for (one, other), why in list(pairs.items())[:_NAMED]
    ]
    more = f", and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    number = "One pair of personas is" if len(pairs) == 1 else f"{len(pairs)} pairs of personas are"
    return (
        f"**{number} nearly the same**: {', '.join(named)}{more}. Intervals take each persona as drawn by itself, and are too "
        "short with copies of one: leave one of a pair out, or name clusters (`cluster:` in the study file)."
    )


def _texts(ratings: Ratings) -> Iterator[tuple[Near, str]]:
    for near in near_duplicates.alike_texts([persona.text for persona in ratings.study.personas or ()]):
        yield near, "the same words"


def _profiles(ratings: Ratings) -> Iterator[tuple[Near, str]]:
    """Pairs by the profiles of each base, the most alike first."""
    bases = [run for run in ratings.runs if run.variant.role == "base"]
    found = [(near, run) for run in bases for near in _of_run(ratings, run)]
    for near, run in sorted(found, key=lambda pair: -pair[0].correlation):
        yield near, f"profiles of {safe(run.name)} correlate {near.correlation:.2f}"


def _of_run(ratings: Ratings, run: Run) -> list[Near]:
    return near_duplicates.alike_profiles(ratings.counts(run), ratings.study.instrument.categories)
