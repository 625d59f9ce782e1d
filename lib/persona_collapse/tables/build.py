"""The tables a study leaves, each made from counts and written whole."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from persona_collapse.files import atomic_text, guarded_table
from persona_collapse.statistics import published_estimators
from persona_collapse.statistics.published_errors import published_se
from persona_collapse.statistics.recommended_estimators import at_n
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run, Study
from persona_collapse.tables import printed_figures, recommended_rows
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.frontier import frontier_table
from persona_collapse.tables.published_contrasts import NORMAL_95
from persona_collapse.tables.published_contrasts import contrasts as published_contrasts
from persona_collapse.tables.quality import run_quality
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.tables.saturation import run_profiles, saturation_rows
from persona_collapse.tables.temperature import temperature_curves
from persona_collapse.tables.validity import foundation_claims, validity_table

METRICS = ("susceptibility", "robustness", "within_sd")


@dataclass(frozen=True)
class Tables:
    """Everything a study's numbers amount to; each field is written as tables/<field>.csv."""

    metrics: pd.DataFrame
    contrasts: pd.DataFrame
    companions: pd.DataFrame
    validity: pd.DataFrame
    foundation_claims: pd.DataFrame
    profiles: pd.DataFrame
    saturation: pd.DataFrame
    quality: pd.DataFrame
    published_check: pd.DataFrame | None
    frontier: pd.DataFrame | None = None
    temperature: pd.DataFrame | None = None


def build_tables(ratings: Ratings) -> Tables:
    """Make every table of a study from its ratings."""
    study, analysis = ratings.study, Analysis(ratings)
    quality = pd.concat([run_quality(ratings, run) for run in study.runs], ignore_index=True)
    guard = Guard(ratings, quality)
    metrics = pd.concat([run_metrics(ratings, run, analysis) for run in study.runs], ignore_index=True)
    compared = _contrasts(study, metrics, analysis, guard)
    profiles = pd.concat([run_profiles(ratings, run) for run in study.runs], ignore_index=True)
    check = None
    if study.file.kind == "imported" and study.file.published:
        check = printed_figures.check(study.file.published, metrics, compared, profiles)
    return Tables(
        metrics=metrics,
        contrasts=compared,
        companions=recommended_rows.companions(analysis, guard),
        validity=validity_table(analysis, guard, compared),
        foundation_claims=foundation_claims(analysis, guard),
        profiles=profiles,
        saturation=saturation_rows(ratings, profiles),
        quality=quality,
        published_check=check,
        frontier=frontier_table(study, metrics),
        temperature=temperature_curves(ratings) if study.by_logprobs else None,
    )


def write_tables(study: Study, tables: Tables) -> list[Path]:
    """Write each table as CSV, at full precision, in one step each; returns the files.

    A text that a spreadsheet would run as a formula has an apostrophe before it.
    """
    folder = study.outputs / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in vars(tables).items():
        path = folder / f"{name}.csv"
        if table is None:
            path.unlink(missing_ok=True)
            continue
        atomic_text(path, guarded_table(table).to_csv(index=False, lineterminator="\n"))
        written.append(path)
    return written


def run_metrics(ratings: Ratings, run: Run, analysis: Analysis | None = None) -> pd.DataFrame:
    """Rows of metrics.csv for one run, overall and by foundation: the recommended method, then the published one."""
    analysis = analysis or Analysis(ratings)
    return pd.concat([recommended_rows.levels(analysis, run), _published_levels(analysis, run)], ignore_index=True)


def levels(ratings: Ratings) -> pd.DataFrame:
    """S, R and their companions of every run, as in tables/metrics.csv.

    Returns
    -------
    DataFrame
        One row a metric of a run and scope: family, variant, scope (`overall` or a foundation), metric, method
        (`recommended` or `published`), value, se, lo, hi (95 % interval for other personas), sizes, lo_repeat, hi_repeat
        (for the same requests again), note.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> table = pc.levels(pc.open_study("mini"))
    >>> sorted(table["method"].unique())
    ['published', 'recommended']
    """
    analysis = Analysis(ratings)
    return pd.concat([run_metrics(ratings, run, analysis) for run in ratings.runs], ignore_index=True)


def contrasts(ratings: Ratings) -> pd.DataFrame:
    """What fine-tuning changed, as in tables/contrasts.csv: every variant against its base, and beyond its matched control.

    Returns
    -------
    DataFrame
        One row a metric of a contrast and scope: family (`mean` for the average over families), variant, control, scope,
        metric, quantity (`change_pct` of base, or `excess_pp` over the control in points of base), method, value, se, lo, hi
        and what else stands beside it.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> table = pc.contrasts(pc.open_study("mini"))
    >>> sorted(table["quantity"].unique())
    ['change_pct', 'excess_pp']
    """
    analysis, metrics = Analysis(ratings), levels(ratings)
    quality = pd.concat([run_quality(ratings, run) for run in ratings.runs], ignore_index=True)
    return _contrasts(ratings.study, metrics, analysis, Guard(ratings, quality))


def _published_levels(analysis: Analysis, run: Run) -> pd.DataFrame:
    """S, R and within_sd by the published estimators, with published SE and interval."""
    instrument = analysis.study.instrument
    ratings = analysis.counts(run)
    weights = analysis.scope
    level = published_estimators.published(ratings, instrument.categories, weights)
    se = published_se(ratings, instrument.categories, weights)
    used = ratings[published_estimators.answered(ratings)]
    per_item = published_estimators.moments(used, instrument.categories).n.sum(axis=0)
    at = at_n(analysis.alone(run).loo[0])
    rows = []
    for metric in METRICS:
        for column, scope in enumerate(analysis.scopes):
            value, error = getattr(level, metric)[column], getattr(se, metric)[column]
            own = weights[:, column] > 0
            interval = value - NORMAL_95 * error, value + NORMAL_95 * error
            sizes = len(used), int(own.sum()), int(per_item[own].sum())
            again = np.nan, np.nan, "" if metric == "susceptibility" else at
            rows.append((run.family.key, run.variant.key, scope, metric, "published", value, error, *interval, *sizes, *again))
    return pd.DataFrame(rows, columns=list(recommended_rows.LEVELS))


def _contrasts(study: Study, metrics: pd.DataFrame, analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """contrasts.csv: recommended rows, then published ones, each with what its sides differ in."""
    published_ones = published_contrasts(study, metrics[metrics["method"] == "published"])
    runs = {(run.family.key, run.variant.key): run for run in study.runs}
    differs = []
    for row in published_ones.itertuples():
        run = runs.get((row.family, row.variant))
        control = None if run is None or not row.control else analysis.control(run)
        differs.append("" if run is None else guard.differs(run, analysis.base(run), control))
    published_ones["differs"] = differs
    return pd.concat([recommended_rows.contrasts(analysis, guard), published_ones], ignore_index=True)
