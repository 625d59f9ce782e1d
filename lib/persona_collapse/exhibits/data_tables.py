"""Tables for reading of what was asked of one run and what came back, and of printed figures beside the computed ones."""

import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run, Study
from persona_collapse.tables import cell_replies, printed_figures
from persona_collapse.tables.build import Tables
from persona_collapse.tables.quality import run_asking, run_reasked


@exhibit.table(
    "quality",
    "What was asked of a run and what came back, by condition: requested ratings, those given, and missing ones by reason.",
)
def quality_table(run_quality: pd.DataFrame) -> pd.DataFrame:
    """Slots, ratings, and missing ones by reason of one run, one column a condition, from its rows of quality.csv."""
    found = run_quality.drop(columns=["family", "variant"]).set_index("condition").T
    return found[~(found.isna() | (found == "")).all(axis=1)]


@exhibit.table("asking", "What became of the requests of a run, by condition.")
def asking_table(ratings: Ratings, run: Run) -> pd.DataFrame | None:
    """What became of the requests of a live run; None for ratings that no endpoint was asked for."""
    return run_asking(ratings, run) if ratings.study.file.kind == "live" else None


@exhibit.table("asked_again", "Ratings, their mean, S and R from first answers alone, and with those that were asked again.")
def asked_again_table(ratings: Ratings, run: Run) -> pd.DataFrame | None:
    """What asking again for want of a rating changed; None where no answer was asked again."""
    found = run_reasked(ratings, run)
    return found if len(found) else None


@exhibit.table("without_rating", "The first replies of a run that gave no rating.")
def without_rating_table(ratings: Ratings, run: Run, limit: int = 10) -> pd.DataFrame:
    """The first replies of a run that gave no rating: condition, persona, item, repetition, reason, reply."""
    return cell_replies.replies_without_rating(ratings, run, limit)


@exhibit.table(
    "printed",
    "Printed figures of the paper beside the numbers computed from the ratings, by the paper's formulas; of "
    "imported ratings only those that differ, published_check.csv has all.",
)
def printed_table(found: Tables, study: Study) -> pd.DataFrame:
    """Printed figures beside this study's; empty for a study that names none."""
    return printed_figures.beside(found.metrics, found.published_check, study)
