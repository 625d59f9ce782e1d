"""The tables a study leaves, each made from counts and written whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from persona_collapse import frontier, published, recommending, saturation, temperature, validity
from persona_collapse import metrics as estimators
from persona_collapse.analysis import Analysis
from persona_collapse.collecting import counts, offered
from persona_collapse.contrasts import NORMAL_95, contrasts
from persona_collapse.guard import Guard
from persona_collapse.paths import atomic_text
from persona_collapse.recommended import at_n
from persona_collapse.replies import REASONS
from persona_collapse.store import Store
from persona_collapse.study import Run, Study
from persona_collapse.tidy import guarded_table
from persona_collapse.uncertainty import published_se

#: What a request can come to, as the store names it and as a reader is told it.
OUTCOMES = {
    "answered": "answered",
    "batch": "answered in a batch",
    "limited": "refused for their number (429), sent again",
    "server": "failed at the server, sent again",
    "dropped": "lost their connection, sent again",
    "timeout": "not answered in time, sent again",
    "malformed": "answered with something else, sent again",
    "wrong_server": "answered by another server than the pinned one, sent again",
    "expired": "in a batch that expired before, sent again",
    "unanswered": "in a batch that ended before, sent again",
    "refused": "refused for good",
    "lost": "under way when the process was killed",
}
ANSWERED = ("answered", "batch", "refused")
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


def build(study: Study, store: Store) -> Tables:
    """Make every table of a study from the ratings in its store."""
    analysis = Analysis(study, store)
    quality = pd.concat([run_quality(study, store, run) for run in study.runs], ignore_index=True)
    guard = Guard(study, store, quality)
    metrics = pd.concat([run_metrics(study, store, run, analysis) for run in study.runs], ignore_index=True)
    compared = _contrasts(study, metrics, analysis, guard)
    profiles = pd.concat([run_profiles(study, store, run) for run in study.runs], ignore_index=True)
    check = None
    if study.file.kind == "imported" and study.file.published:
        check = published.check(study.file.published, metrics, compared, profiles)
    return Tables(
        metrics=metrics,
        contrasts=compared,
        companions=recommending.companions(analysis, guard),
        validity=validity.table(analysis, guard, compared),
        foundation_claims=validity.foundation_claims(analysis, guard),
        profiles=profiles,
        saturation=_saturation(study, store, profiles),
        quality=quality,
        published_check=check,
        frontier=frontier.table(study, metrics),
        temperature=temperature.curves(study, store) if study.by_logprobs else None,
    )


def write(study: Study, tables: Tables) -> list[Path]:
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


def run_metrics(study: Study, store: Store, run: Run, analysis: Analysis | None = None) -> pd.DataFrame:
    """Rows of metrics.csv for one run, overall and by foundation: the recommended method, then the published one."""
    analysis = analysis or Analysis(study, store)
    return pd.concat([recommending.levels(analysis, run), _published_levels(analysis, run)], ignore_index=True)


def _published_levels(analysis: Analysis, run: Run) -> pd.DataFrame:
    """S, R and within_sd by the published estimators, with published SE and interval."""
    instrument = analysis.study.instrument
    ratings = analysis.counts(run)
    weights = analysis.scope
    level = estimators.published(ratings, instrument.categories, weights)
    se = published_se(ratings, instrument.categories, weights)
    used = ratings[estimators.answered(ratings)]
    per_item = estimators.moments(used, instrument.categories).n.sum(axis=0)
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
    return pd.DataFrame(rows, columns=list(recommending.LEVELS))


def _contrasts(study: Study, metrics: pd.DataFrame, analysis: Analysis, guard: Guard) -> pd.DataFrame:
    """contrasts.csv: recommended rows, then published ones, each with what its sides differ in."""
    published_ones = contrasts(study, metrics[metrics["method"] == "published"])
    runs = {(run.family.key, run.variant.key): run for run in study.runs}
    differs = []
    for row in published_ones.itertuples():
        run = runs.get((row.family, row.variant))
        control = None if run is None or not row.control else analysis.control(run)
        differs.append("" if run is None else guard.differs(run, analysis.base(run), control))
    published_ones["differs"] = differs
    return pd.concat([recommending.contrasts(analysis, guard), published_ones], ignore_index=True)


def run_profiles(study: Study, store: Store, run: Run) -> pd.DataFrame:
    """Rows of profiles.csv for one run, every condition it was asked in."""
    parts = []
    for condition in study.conditions(run):
        found = saturation.profiles(counts(study, store, run, condition), study.instrument, each=condition == "toxic")
        parts.append(found.assign(family=run.family.key, variant=run.variant.key, condition=condition))
    table = pd.concat(parts, ignore_index=True)
    columns = "family variant condition persona foundation mean within_sd ratings between_sd".split()
    return table.astype({"persona": "Int64"})[columns]


def run_quality(study: Study, store: Store, run: Run) -> pd.DataFrame:
    """Rows of quality.csv for one run: what was asked, what came back, and why the rest did not.

    Of a run asked by logprobs also the mean and the least probability mass on the scale, cells with too little included.
    """
    rows = []
    for condition in study.conditions(run):
        found = store.quality(run.family.key, run.variant.key, condition)
        report = store.origin(run.family.key, run.variant.key)[1].get(condition)
        ratings = counts(study, store, run, condition)
        per_cell = estimators.moments(ratings, study.instrument.categories).n
        mass = offered(study, store, run, condition).mass if study.by_logprobs else np.empty(0)
        mass = mass[~np.isnan(mass)]
        used = int(estimators.answered(ratings).sum())
        absent = report["absent"] if report else found["asked"] - found["recorded"]
        reasons = {reason: found["reasons"].get(reason, 0) for reason in REASONS} | {"absent": absent}
        rows.append(
            {
                "family": run.family.key, "variant": run.variant.key, "condition": condition,
                "slots": found["recorded"] if report else found["asked"], "valid": found["valid"], **reasons,
                "min_repetitions": int(per_cell.min()) if per_cell.size else 0,
                "max_repetitions": int(per_cell.max(initial=0)),
                "personas_used": used, "personas_dropped": len(ratings) - used,
                "first_date": found["first"], "last_date": found["last"], "stack": study.stack(run),
                **_asking(study, store, run, condition),
                "mean_mass": mass.mean() if mass.size else np.nan, "least_mass_seen": mass.min() if mass.size else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def run_and_base_quality(study: Study, store: Store, run: Run) -> pd.DataFrame:
    """Rows of quality.csv for a run and for the base that it is compared with, if that has been asked."""
    base = Run(run.family, run.family.base)
    both = [run] if run == base else [run, base]
    return pd.concat([run_quality(study, store, one) for one in both], ignore_index=True)


def _asking(study: Study, store: Store, run: Run, condition: str) -> dict[str, float]:
    """How a live run was asked: requests sent again, those lost with a killed process, seconds to an answer; else empty."""
    if study.file.kind != "live":
        return dict.fromkeys(("retries", "lost", "latency_p50", "latency_p95"), np.nan)
    outcomes = store.traffic(run.family.key, run.variant.key, condition)
    seconds = store.latencies(run.family.key, run.variant.key, condition)
    median, slow = np.percentile(seconds, [50, 95]) if seconds.size else (np.nan, np.nan)
    again = sum(number for outcome, number in outcomes.items() if outcome not in ANSWERED)
    return {"retries": again, "lost": outcomes.get("lost", 0), "latency_p50": median, "latency_p95": slow}


def run_asking(study: Study, store: Store, run: Run) -> pd.DataFrame:
    """What became of the requests of a live run: one column a condition, one row an outcome that occurred, then seconds."""
    found = {}
    for condition in study.conditions(run):
        outcomes = store.traffic(run.family.key, run.variant.key, condition)
        quality = store.quality(run.family.key, run.variant.key, condition)
        asking = _asking(study, store, run, condition)
        found[condition] = {
            "requests": f"{sum(outcomes.values()):,}",
            **{f"  {OUTCOMES[name]}": f"{outcomes[name]:,}" for name in OUTCOMES if name in outcomes},
            "seconds to an answer, median": _seconds(asking["latency_p50"]),
            "seconds to an answer, 95 %": _seconds(asking["latency_p95"]),
            "first answer": str(quality["first"] or "")[:16].replace("T", " "),
            "last answer": str(quality["last"] or "")[:16].replace("T", " "),
            "served by": ", ".join(filter(None, [quality["models"], quality["providers"]])),
        }
    return pd.DataFrame(found).fillna("")


def _seconds(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"  # an answer of a batch has no latency


def run_reasked(study: Study, store: Store, run: Run) -> pd.DataFrame:
    """Ratings, their mean, S and R of a run from first answers alone, and with what was asked again for want of a rating.

    Empty if nothing was asked again. S and R are those of the published method.
    """
    again = store.reasked(run.family.key, run.variant.key)
    again = again[(again["condition"] == "persona") & again["rating"].notna()]
    if again.empty:
        return pd.DataFrame()
    instrument = study.instrument
    both = counts(study, store, run, "persona")
    first = both.copy()
    place = again[["persona", "item", "rating"]].to_numpy(int) - [0, 1, instrument.scale[0]]
    np.subtract.at(first, tuple(place.T), 1)
    rows = {}
    for name, ratings in {"first answers alone": first, "with those asked again": both}.items():
        level = estimators.published(ratings, instrument.categories, estimators.scope_matrix(instrument))
        share = ratings.sum(axis=(0, 1))
        mean = share @ np.array(instrument.categories) / share.sum()
        rows[name] = (int(share.sum()), mean, level.susceptibility[0], level.robustness[0])
    return pd.DataFrame.from_dict(rows, orient="index", columns=["ratings", "mean", "S", "R"]).round(3)


def run_shares(study: Study, store: Store, run: Run) -> pd.DataFrame:
    """Rows of saturation.csv that need one run alone: share of every category, of both ends and of the ceiling."""
    rows = []
    for condition in study.conditions(run):
        share = saturation.shares(counts(study, store, run, condition))
        found = {f"share_{category}": value for category, value in zip(study.instrument.categories, share, strict=True)}
        found |= {"endpoint_mass": share[0] + share[-1], "ceiling_share": share[-1]}
        rows += [(run.family.key, run.variant.key, condition, name, value) for name, value in found.items()]
    return pd.DataFrame(rows, columns=["family", "variant", "condition", "measure", "value"])


def _saturation(study: Study, store: Store, profiles: pd.DataFrame) -> pd.DataFrame:
    """How far each run's answers went to the ends of the scale, as measure and value."""
    parts = []
    for run in study.runs:
        parts.append(run_shares(study, store, run))
        if "self" in study.conditions(run):
            found = _distances(study, run, profiles)
            rows = [(run.family.key, run.variant.key, "self", name, value) for name, value in found.items()]
            parts.append(pd.DataFrame(rows, columns=parts[0].columns))
    return pd.concat(parts, ignore_index=True)


def _distances(study: Study, run: Run, profiles: pd.DataFrame) -> dict[str, float]:
    """Distance of a run's self profile to the ceiling, to its base's and to its base's hostile characters' profile."""
    own = mean_profile(profiles, run.family.key, run.variant.key, "self")
    if not len(own):
        return {}  # not asked yet
    found = {"distance_to_ceiling": saturation.distance(own, np.full(len(own), study.instrument.scale[1]))}
    base = mean_profile(profiles, run.family.key, run.family.base.key, "self")
    if len(base):
        found["distance_to_base"] = saturation.distance(own, base)
    hostile, _ = toxic_profile(study, profiles, run.family.key)
    if len(hostile):
        found["distance_to_toxic"] = saturation.distance(own, hostile)
    return found


def mean_profile(profiles: pd.DataFrame, family: str, variant: str, condition: str) -> np.ndarray:
    """The profile of a run in one condition, over foundations in the instrument's order; empty if it was not asked."""
    return _mean_rows(profiles, family, variant, condition)["mean"].to_numpy(float)


def toxic_profile(study: Study, profiles: pd.DataFrame, family: str) -> tuple[np.ndarray, str]:
    """The mean profile of a family's base as hostile characters, and whether it was `measured` or only `printed`.

    Raw toxic ratings of the paper were not published; an imported study shows the printed profile and says so.
    """
    base = next(f.base.key for f in study.file.families if f.key == family)
    measured = mean_profile(profiles, family, base, "toxic")
    if len(measured):
        return measured, "measured"
    printed = _printed_toxic(study, family)
    return np.array([float(printed[f]["mean"]) for f in study.instrument.foundations if f in printed]), "printed"


def profile_table(study: Study, profiles: pd.DataFrame) -> pd.DataFrame:
    """Profiles without a persona as a paper prints them, mean ± SD, with the hostile characters' profile of each family."""
    rows = []
    for family in study.file.families:
        for variant in family.variants:
            alone = _mean_rows(profiles, family.key, variant.key, "self")
            if len(alone):
                rows.append((family.name, variant.name, *_cells(study, alone["mean"], alone["within_sd"])))
        hostile = _mean_rows(profiles, family.key, family.base.key, "toxic")
        printed = _printed_toxic(study, family.key)
        if len(hostile):
            rows.append((family.name, "hostile characters", *_cells(study, hostile["mean"], hostile["between_sd"])))
        elif printed:
            mean, spread = ({f: float(v[name]) for f, v in printed.items()} for name in ("mean", "between_sd"))
            rows.append((family.name, "hostile characters (printed)", *_cells(study, mean, spread)))
    table = pd.DataFrame(rows, columns=["model", "variant", *study.instrument.foundations])
    return table.set_index(["model", "variant"])


def _mean_rows(profiles: pd.DataFrame, family: str, variant: str, condition: str) -> pd.DataFrame:
    """Rows of profiles.csv that are means over personas, by foundation."""
    chosen = profiles.query("family == @family and variant == @variant and condition == @condition and persona.isna()")
    return chosen.set_index("foundation")


def _cells(study: Study, mean: Mapping[str, float], spread: Mapping[str, float]) -> list[str]:
    return [f"{mean[f]:.2f} ± {spread[f]:.2f}" for f in study.instrument.foundations]


def _printed_toxic(study: Study, family: str) -> dict[str, dict[str, str]]:
    """The printed hostile profile of a family, for an imported study that names printed figures; else nothing."""
    if study.file.kind != "imported" or not study.file.published:
        return {}
    return published.figures(study.file.published)["toxic"].get(family, {}).get("printed", {})


def levels_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """S, R and ICC of one run by scope with interval A, and the published S and R with their standard errors beside them."""
    found = {}
    for metric, name, digits in (("susceptibility", "S", 3), ("robustness", "R", 2), ("icc", "ICC", 3)):
        rows = metrics[(metrics["metric"] == metric) & (metrics["method"] == "recommended")].set_index("scope")
        found[name] = [
            f"{r.value:.{digits}f}" + (f" [{r.lo:.{digits}f}, {r.hi:.{digits}f}]" if np.isfinite(r.lo) else "")
            for r in rows.itertuples()
        ]
    for metric, name, digits in (("susceptibility", "S", 3), ("robustness", "R", 2)):
        rows = metrics[(metrics["metric"] == metric) & (metrics["method"] == "published")].set_index("scope")
        at = f", {rows['note'].iloc[0]}" if rows["note"].iloc[0] else ""
        found[f"published {name}{at}"] = [f"{r.value:.{digits}f} ± {r.se:.{digits}f}" for r in rows.itertuples()]
    return pd.DataFrame(found, index=rows.index.rename(None))


def companions_table(study: Study, metrics: pd.DataFrame) -> pd.DataFrame:
    """What stands beside S and R on a bounded scale, one row a run, over all items."""
    wanted = ["extremity", "icc", "relative_susceptibility", "relative_noise", "fidelity", "endpoint_mass", "information_share"]
    own = metrics[(metrics["scope"] == estimators.OVERALL) & metrics["metric"].isin(wanted)]
    named = own.assign(run=[study.run(f, v).name for f, v in zip(own["family"], own["variant"], strict=True)])
    wide = named.pivot_table(index="run", columns="metric", values="value", sort=False).reindex(columns=wanted)
    return wide.rename(columns=lambda name: name.replace("_", " ").replace("icc", "ICC")).rename_axis(columns=None).round(3)


def saturation_table(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Endpoint mass, ceiling share and distances of every run, one row a run."""
    chosen = table[~table["measure"].str.startswith("share_") & table["condition"].isin(["persona", "self"])]
    chosen = chosen.assign(
        measure=[
            m.replace("_", " ") + (f" ({'personas' if c == 'persona' else 'self'})" if not m.startswith("distance") else "")
            for m, c in zip(chosen["measure"], chosen["condition"], strict=True)
        ],
        run=[study.run(f, v).name for f, v in zip(chosen["family"], chosen["variant"], strict=True)],
    )
    wide = chosen.pivot_table(index="run", columns="measure", values="value", sort=False)
    return wide.rename_axis(columns=None).round(3)
