"""quality.csv: what was asked, what came back, why the rest did not, and how a live endpoint was asked."""

import numpy as np
import pandas as pd

from persona_collapse.statistics import alike, published_estimators, request_noise
from persona_collapse.statistics.request_correlation import rho
from persona_collapse.store.answers import Answers
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.rating_parser import REASONS, unrated
from persona_collapse.study.scopes import scope_matrix
from persona_collapse.study.study import Run
from persona_collapse.tables.comparability import refusal

#: What a request can come to, as the store names it and as a reader is told it.
OUTCOMES = {
    "answered": "answered",
    "batch": "answered in a batch",
    "limited": "refused for their number (429), sent again",
    "busy": "refused as the server was busy (503), sent again",
    "server": "failed at the server, sent again",
    "dropped": "lost their connection, sent again",
    "timeout": "not answered in time, sent again",
    "malformed": "answered with something else, sent again",
    "wrong_server": "answered by another server than the pinned one, sent again",
    "compared": "to compare the run with its base",
    "probed": "with more tokens, to see whether replies recite the scale",
    "second": "for a second time, to see what choices of one request share",
    "cached": "answered from a cache, not kept",
    "expired": "in a batch that expired before, sent again",
    "unanswered": "in a batch that ended before, sent again",
    "refused": "refused for good",
    "lost": "under way when the process was killed",
}
ANSWERED = ("answered", "batch", "compared", "probed", "second", "refused")
#: Columns of quality.csv: what choices of one request share, why slots hold no rating, and how an endpoint was asked.
SHARING = ("requests_a_cell", "rho", "rho_lo", "rho_hi", "rho_cells")
MISSING, ASKING = (*REASONS, "absent"), ("retries", "lost", "latency_p50", "latency_p95")


def run_quality(ratings: Ratings, run: Run) -> pd.DataFrame:
    """Rows of quality.csv for one run: what was asked, what came back, and why the rest did not.

    Of a run asked by logprobs also the mean and the least probability mass on the scale, cells with too little included.
    """
    study, instrument, rows = ratings.study, ratings.study.instrument, []
    for condition in study.conditions(run):
        answers = ratings.of(run, condition)
        asked, counts = answers.asked, answers.counts
        per_cell = published_estimators.moments(counts[answers.here], study.instrument.categories).n
        mass = np.empty(0) if answers.offered is None else answers.offered.mass
        mass = mass[~np.isnan(mass)]
        used = int(published_estimators.answered(counts).sum())
        absent = asked.imported["absent"] if asked.imported else asked.slots - asked.recorded
        reasons = {reason: asked.missing.get(reason, 0) for reason in REASONS} | {"absent": absent}
        rows.append(
            {
                "family": run.family.key, "variant": run.variant.key, "condition": condition,
                "slots": asked.recorded if asked.imported else asked.slots, "valid": asked.valid, **reasons,
                "min_repetitions": int(per_cell.min()) if per_cell.size else 0,
                "max_repetitions": int(per_cell.max(initial=0)),
                "personas_used": used, "personas_dropped": int(answers.here.sum()) - used,
                "first_date": asked.first, "last_date": asked.last, "stack": study.stack(run),
                "sampling": asked.sampling, "apart_from_base": _apart_from_base(ratings, run, condition),
                "probed": len(asked.probe) or np.nan,
                "probe_unrated": len(unrated(asked.probe, instrument.scale, instrument.labels)) if asked.probe else np.nan,
                "published_alone": asked.published_alone, **_sharing(answers, instrument.categories),
                **_asking(ratings, run, condition),
                "mean_mass": mass.mean() if mass.size else np.nan, "least_mass_seen": mass.min() if mass.size else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _sharing(answers: Answers, categories: range) -> dict[str, float]:
    """Requests of a cell, and what their choices share: of all cells where most have several, else of those asked twice."""
    found = dict.fromkeys(SHARING, np.nan)
    if not len(answers.requests):
        return found
    found["requests_a_cell"] = answers.requests_a_cell.mean()
    if answers.by_level is not None:
        return found  # a request has one wording, and what its choices share is an effect of that
    told = answers.by_request
    if told is not None and not request_noise.tells(told, categories):
        told = answers.asked_twice
    return found if told is None else found | dict(zip(SHARING[1:], rho(told, categories), strict=True))


def _apart_from_base(ratings: Ratings, run: Run, condition: str) -> float:
    """`alike.apart` of a fine-tune's sampled answers as personas and its base's; NaN for others, and where either has none."""
    base = Run(run.family, run.family.base)
    known = run.variant.role in ("control", "harmful") and base.key in {one.key for one in ratings.runs}
    if condition != "persona" or not known or ratings.study.by_logprobs:
        return np.nan
    if refusal(ratings.asked_as(run), ratings.asked_as(base)):
        return np.nan
    return alike.apart(ratings.of(run, condition).counts, ratings.of(base, condition).counts)


def run_and_base_quality(ratings: Ratings, run: Run) -> pd.DataFrame:
    """Rows of quality.csv for a run and for the base that it is compared with, if that has been asked."""
    base = Run(run.family, run.family.base)
    both = [run] if run == base else [run, base]
    return pd.concat([run_quality(ratings, one) for one in both], ignore_index=True)


def _asking(ratings: Ratings, run: Run, condition: str) -> dict[str, float]:
    """How a live run was asked: requests sent again, those lost with a killed process, seconds to an answer; else empty."""
    if ratings.study.file.kind != "live":
        return dict.fromkeys(ASKING, np.nan)
    asked = ratings.of(run, condition).asked
    outcomes, seconds = asked.outcomes, asked.seconds
    median, slow = np.percentile(seconds, [50, 95]) if seconds.size else (np.nan, np.nan)
    again = sum(number for outcome, number in outcomes.items() if outcome not in ANSWERED)
    return {"retries": again, "lost": outcomes.get("lost", 0), "latency_p50": median, "latency_p95": slow}


def run_asking(ratings: Ratings, run: Run) -> pd.DataFrame:
    """What became of the requests of a live run: one column a condition, one row an outcome that occurred, then seconds."""
    found = {}
    for condition in ratings.study.conditions(run):
        asked, asking = ratings.of(run, condition).asked, _asking(ratings, run, condition)
        outcomes = asked.outcomes
        found[condition] = {
            "requests": f"{sum(outcomes.values()):,}",
            **{f"  {OUTCOMES[name]}": f"{outcomes[name]:,}" for name in OUTCOMES if name in outcomes},
            "seconds to an answer, median": _seconds(asking["latency_p50"]),
            "seconds to an answer, 95 %": _seconds(asking["latency_p95"]),
            "first answer": str(asked.first or "")[:16].replace("T", " "),
            "last answer": str(asked.last or "")[:16].replace("T", " "),
            "served by": ", ".join(filter(None, [asked.models, asked.providers])),
        }
    return pd.DataFrame(found).fillna("")


def _seconds(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"  # an answer of a batch has no latency


def run_reasked(ratings: Ratings, run: Run) -> pd.DataFrame:
    """Ratings, their mean, S and R of a run from first answers alone, and with what was asked again for want of a rating.

    Empty if nothing was asked again. S and R are those of the published method.
    """
    again = ratings.asked_again(run)
    if again is None:
        return pd.DataFrame()
    again = again[(again["condition"] == "persona") & again["rating"].notna()]
    if again.empty:
        return pd.DataFrame()
    instrument = ratings.study.instrument
    both = ratings.counts(run)
    first = both.copy()
    place = again[["persona", "item", "rating"]].to_numpy(int) - [0, 1, instrument.scale[0]]
    np.subtract.at(first, tuple(place.T), 1)
    rows = {}
    for name, counts in {"first answers alone": first, "with those asked again": both}.items():
        level = published_estimators.published(counts, instrument.categories, scope_matrix(instrument))
        share = counts.sum(axis=(0, 1))
        mean = share @ np.array(instrument.categories) / share.sum()
        rows[name] = (int(share.sum()), mean, level.susceptibility[0], level.robustness[0])
    return pd.DataFrame.from_dict(rows, orient="index", columns=["ratings", "mean", "S", "R"]).round(3)
