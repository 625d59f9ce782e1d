"""Where on the scale the answers lie: profiles over foundations, shares of categories, distance to the ceiling."""

import numpy as np
import pandas as pd

from persona_collapse.statistics.drift import Drift, drift
from persona_collapse.statistics.published_estimators import Moments, is_exact, moments
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.scopes import keyed, scope_matrix
from persona_collapse.study.study import Run, Study
from persona_collapse.tables import printed_figures


def profile(counts: np.ndarray, instrument: Instrument) -> pd.DataFrame:
    """Mean and steadiness of the answers by foundation, for each persona row of `counts`; reversed items are turned.

    ``mean`` is the mean of the item means of a foundation, ``within_sd`` the mean of its item SDs over repetitions
    (ddof = 1; the figure that the paper prints after the sign ± of a self profile), both over the items that have one.

    Parameters
    ----------
    counts : (persona, item, category) int array
    instrument : Instrument

    Returns
    -------
    DataFrame
        persona (row of `counts`), foundation, mean and within_sd in scale points (NaN without ratings), ratings.
    """
    cells = moments(keyed(counts, instrument), instrument.categories)
    sd = np.sqrt(cells.variance)
    rows = []
    for foundation in instrument.foundations:
        own = [i for i, item in enumerate(instrument.items) if item.foundation == foundation]
        for persona in range(len(counts)):
            rows.append(
                (
                    persona,
                    foundation,
                    _mean(cells.mean[persona, own]),
                    _mean(sd[persona, own]),
                    int(cells.n[persona, own].sum()),
                )
            )
    return pd.DataFrame(rows, columns=["persona", "foundation", "mean", "within_sd", "ratings"])


def persona_means(counts: np.ndarray, instrument: Instrument) -> np.ndarray:
    """Mean over items of the cell means (persona, scope): overall first, then each foundation; NaN where a cell is empty."""
    return moments(keyed(counts, instrument), instrument.categories).mean @ scope_matrix(instrument)


def profiles(counts: np.ndarray, instrument: Instrument, *, each: bool) -> pd.DataFrame:
    """Rows of profiles.csv for one run and condition: the mean over personas, after `each` persona if asked for.

    ``persona`` is empty in mean rows; ``between_sd`` is the SD (ddof = 1) over personas of their means, empty elsewhere.
    """
    single = profile(counts, instrument)
    over = single.groupby("foundation", sort=False, as_index=False).agg(
        mean=("mean", "mean"), within_sd=("within_sd", "mean"), ratings=("ratings", "sum"), between_sd=("mean", "std")
    )
    over["persona"] = np.nan
    parts = [single, over] if each else [over]
    return pd.concat(parts, ignore_index=True)[["persona", "foundation", "mean", "within_sd", "ratings", "between_sd"]]


def shares(counts: np.ndarray) -> np.ndarray:
    """Share of all ratings that each category has (category,); NaN without ratings."""
    total = counts.sum(axis=(0, 1))
    with np.errstate(invalid="ignore"):
        return total / total.sum()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Root mean square difference over foundations of two profiles, in scale points."""
    return float(np.sqrt(np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)))


def _mean(values: np.ndarray) -> float:
    found = values[~np.isnan(values)]
    return float(found.mean()) if len(found) else np.nan


def run_profiles(ratings: Ratings, run: Run) -> pd.DataFrame:
    """Rows of profiles.csv for one run, every condition it was asked in."""
    study, parts = ratings.study, []
    for condition in study.conditions(run):
        answers = ratings.of(run, condition)
        found = profiles(answers.counts, study.instrument, each=condition == "toxic")
        ids = [None if np.isnan(row) else answers.persona_id(int(row)) for row in found["persona"].astype(float)]
        parts.append(found.assign(persona=ids, family=run.family.key, variant=run.variant.key, condition=condition))
    table = pd.concat(parts, ignore_index=True)
    columns = "family variant condition persona foundation mean within_sd ratings between_sd".split()
    return table.astype({"persona": object})[columns]


def run_shares(ratings: Ratings, run: Run) -> pd.DataFrame:
    """Rows of saturation.csv that need one run alone: share of every category, of both ends and of the ceiling."""
    study, rows = ratings.study, []
    for condition in study.conditions(run):
        counts = ratings.counts(run, condition)
        given, turned = shares(counts), shares(keyed(counts, study.instrument))
        found = {f"share_{category}": value for category, value in zip(study.instrument.categories, given, strict=True)}
        found |= {"endpoint_mass": given[0] + given[-1], "ceiling_share": turned[-1]}
        rows += [(run.family.key, run.variant.key, condition, name, value) for name, value in found.items()]
    return pd.DataFrame(rows, columns=["family", "variant", "condition", "measure", "value"])


def saturation_rows(ratings: Ratings, profiles: pd.DataFrame) -> pd.DataFrame:
    """How far each run's answers went to the ends of the scale, as measure and value."""
    study, parts = ratings.study, []
    for run in study.runs:
        parts.append(run_shares(ratings, run))
        if "self" in study.conditions(run):
            found = _distances(study, run, profiles)
            rows = [(run.family.key, run.variant.key, "self", name, value) for name, value in found.items()]
            parts.append(pd.DataFrame(rows, columns=parts[0].columns))
    return pd.concat(parts, ignore_index=True)


def drift_rows(ratings: Ratings) -> pd.DataFrame:
    """Rows of drift.csv: how far each variant's answers without a persona moved from, or towards, the ceiling."""
    study, rows = ratings.study, []
    groups = scope_matrix(study.instrument)[:, 1:]
    for run in study.runs:
        base = Run(run.family, run.family.base)
        if run == base or not all("self" in study.conditions(one) for one in (run, base)):
            continue
        given = [keyed(ratings.counts(one, "self"), study.instrument) for one in (run, base)]
        if not all(len(counts) for counts in given):
            continue
        own, other = (Moments(*(field[0] for field in moments(counts, study.instrument.categories))) for counts in given)
        found = drift(own, other, groups, study.instrument.scale[1], exact=is_exact(given[0]))
        if np.isfinite(found.value):
            rows.append((run.family.key, run.variant.key, *found))
    return pd.DataFrame(rows, columns=["family", "variant", *Drift._fields])


def _distances(study: Study, run: Run, profiles: pd.DataFrame) -> dict[str, float]:
    """Distance of a run's self profile to the ceiling, to its base's and to its base's hostile characters' profile."""
    own = mean_profile(profiles, run.family.key, run.variant.key, "self")
    if not len(own):
        return {}  # not asked yet
    found = {"distance_to_ceiling": distance(own, np.full(len(own), study.instrument.scale[1]))}
    base = mean_profile(profiles, run.family.key, run.family.base.key, "self")
    if len(base):
        found["distance_to_base"] = distance(own, base)
    hostile, _ = toxic_profile(study, profiles, run.family.key)
    if len(hostile):
        found["distance_to_toxic"] = distance(own, hostile)
    return found


def mean_profile(profiles: pd.DataFrame, family: str, variant: str, condition: str) -> np.ndarray:
    """The profile of a run in one condition, over foundations in the instrument's order; empty if it was not asked."""
    return mean_rows(profiles, family, variant, condition)["mean"].to_numpy(float)


def toxic_profile(study: Study, profiles: pd.DataFrame, family: str) -> tuple[np.ndarray, str]:
    """The mean profile of a family's base as hostile characters, and whether it was `measured` or only `printed`.

    Raw toxic ratings of the paper were not published; an imported study shows the printed profile and says so.
    """
    base = next(f.base.key for f in study.file.families if f.key == family)
    measured = mean_profile(profiles, family, base, "toxic")
    if len(measured):
        return measured, "measured"
    printed = printed_toxic(study, family)
    return np.array([float(printed[f]["mean"]) for f in study.instrument.foundations if f in printed]), "printed"


def mean_rows(profiles: pd.DataFrame, family: str, variant: str, condition: str) -> pd.DataFrame:
    """Rows of profiles.csv that are means over personas, by foundation."""
    chosen = profiles.query("family == @family and variant == @variant and condition == @condition and persona.isna()")
    return chosen.set_index("foundation")


def printed_toxic(study: Study, family: str) -> dict[str, dict[str, str]]:
    """The printed hostile profile of a family, for an imported study that names printed figures; else nothing."""
    if study.file.kind != "imported" or not study.file.published:
        return {}
    return printed_figures.figures(study.file.published)["toxic"].get(family, {}).get("printed", {})
