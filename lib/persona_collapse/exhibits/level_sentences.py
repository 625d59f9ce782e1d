"""What the numbers say, as sentences computed from them: a notebook runs for every model, so none can be typed."""

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.data_sentences import family_name, mass_line
from persona_collapse.statistics import persona_jackknife, repeat_interval
from persona_collapse.statistics.published_estimators import is_exact, moments
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables import printed_figures
from persona_collapse.tables.build import Tables
from persona_collapse.tables.saturation import mean_profile
from persona_collapse.text import safe
from persona_collapse.vocabulary import METRICS, twin

#: Probability of one category from which on a cell is said to hold one answer, and the two temperatures that are compared.
_ONE_ANSWER, _COLD, _WARM = 0.99, 0.1, 1.0


@exhibit.finding("level", by="metric")
def level(run_metrics: pd.DataFrame, metric: str) -> str:
    """One run's value of a metric with interval A, the published value beside it, and where it is largest over foundations."""
    rows = run_metrics[(run_metrics["metric"] == metric) & (run_metrics["method"] == "recommended")].set_index("scope")
    overall = rows.loc[OVERALL]
    name = METRICS[metric].name[:1].upper() + METRICS[metric].name[1:]
    if np.isinf(overall["value"]):
        return f"**{name} is infinite**: no rating varies between repetitions. {safe(overall['note'])}"
    if np.isnan(overall["value"]):
        return f"**{name} does not exist for this run**: too few personas answered every item. {safe(overall['note'])}".strip()
    foundations = rows.drop(index=OVERALL)["value"]
    finite = foundations[np.isfinite(foundations)]
    span = ""
    if len(finite):
        most, least = finite.idxmax(), finite.idxmin()
        span = f" Largest for {most} ({_number(finite[most])}), smallest for {least} ({_number(finite[least])})."
    said = f"**{name} = {_number(overall['value'])}** {_interval(overall)}{_published(run_metrics, metric)}.{span}"
    return f"{said} {safe(overall['note'])}".strip()


def _interval(row: pd.Series) -> str:
    if np.isnan(row["lo"]):
        return "(no interval)"
    return f"[{_number(row['lo'])}, {_number(row['hi'])}]"


def _published(metrics: pd.DataFrame, metric: str) -> str:
    """The published value of a metric over all items, in parentheses."""
    wanted = (metrics["metric"] == twin(metric)) & (metrics["method"] == "published")
    row = metrics[wanted & (metrics["scope"] == OVERALL)].iloc[0]
    error = "" if np.isnan(row["se"]) else f" ± {_number(row['se'])}"
    return f" (the paper's formula: {_number(row['value'])}{error}{', ' + row['note'] if row['note'] else ''})"


@exhibit.finding("intervals")
def intervals(metrics: pd.DataFrame, quality: pd.DataFrame, study: Study, *, paired: bool = False) -> str:
    """What the intervals are intervals for, once where they first stand; tables of the study, or one run's rows of them."""
    rows = metrics.query("scope == @OVERALL and metric == 'susceptibility' and method == 'recommended'")
    rows = rows[rows["ratings"] > 0]
    if rows.empty:
        return "No run has ratings enough for an interval."
    personas, items = int(rows["personas"].max()), int(rows["items"].max())
    clusters = len(study.cluster_names) or None
    said = ["In brackets: " + _lower(persona_jackknife.sentence(personas, items, paired=paired, clusters=clusters))]
    if study.by_logprobs:
        said.append("Repeating the requests would give the same probabilities, so there is no interval for that.")
    else:
        asked = quality[(quality["condition"] == "persona") & (quality["valid"] > 0)]
        least, most = int(asked["min_repetitions"].min()), int(asked["max_repetitions"].max())
        repeated = _lower(repeat_interval.sentence(personas, items, (least, most)))
        said.append(
            f"In the tables beside it (`lo_repeat`, `hi_repeat`): {repeated}"
            " A difference within that cannot be told from repeating the same requests; one beyond it but within the first holds "
            "for these personas only."
        )
    return " ".join(said)


def _lower(text: str) -> str:
    """A sentence as it goes on after a colon."""
    return text[0].lower() + text[1:]


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


@exhibit.finding("band")
def band(metrics: pd.DataFrame, study: Study, band: printed_figures.Band | None) -> str:
    """Which runs lie in the published band of frontier models, by variant; nothing without a band."""
    if band is None:
        return ""
    rows = metrics.query("scope == @OVERALL and metric == 'susceptibility' and method == 'published'")
    parts = []
    for variant in dict.fromkeys(run.variant.key for run in study.runs):
        own = rows[rows["variant"] == variant]
        inside = int(own["value"].between(band.low, band.high).sum())
        if len(study.file.families) > 1:
            parts.append(f"{inside} of {len(own)} {safe(variant)} runs")
        elif inside:
            parts.append(safe(variant))
    return (
        f"Inside the published band of frontier models ({band.low:g} to {band.high:g}; the paper's formula): "
        + (", ".join(parts) or "no run of this study")
        + "."
    )


@exhibit.finding("self_ratings")
def saturated(saturation: pd.DataFrame, profiles: pd.DataFrame, drift: pd.DataFrame, study: Study) -> str:
    """Whether answers without a persona went to the ceiling, and whether they went towards hostile characters."""
    top, lines = study.instrument.scale[1], []
    for variant in dict.fromkeys(r.variant.key for r in study.runs if r.variant.role in ("control", "harmful")):
        moved = drift[drift["variant"] == variant]
        if moved.empty:
            continue
        means = [mean_profile(profiles, family, variant, "self").mean() for family in moved["family"]]
        line = (
            f"- **{safe(variant)}**: without a persona the mean rating is {np.mean(means):.2f} of {top}. {_nearer(moved, study)}"
        )
        own = [_measures(saturation, family, variant) for family in moved["family"]]
        asked = [one for one in own if "distance_to_toxic" in one]
        if asked:
            hostile = sum(one["distance_to_toxic"] < one["distance_to_ceiling"] for one in asked)
            said = in_families("nearer to the hostile characters' profile than to the ceiling", hostile, len(asked))
            line += f"; {said}"
        lines.append(f"{line}.")
    if lines:
        return "\n".join(lines)
    asked_alone = [run for run in study.runs if run.variant.role != "base" and "self" in study.conditions(run)]
    if not asked_alone:
        return "No variant of this study was asked without a persona."
    return (
        "Variants were asked without a persona, but none of them and its base both gave a rating of every item there, so there "
        "is nothing to compare."
    )


def _nearer(moved: pd.DataFrame, study: Study) -> str:
    """By how much the answers are nearer to the ceiling than the base's, and in how many families that is clear."""
    each = ", ".join(
        f"{family_name(study, row.family)} {row.value:+.2f}" + (f" [{row.lo:.2f}, {row.hi:.2f}]" if np.isfinite(row.lo) else "")
        for row in moved.itertuples()
    )
    what = f"Change of its distance to the ceiling, in scale points: {each}"
    if moved["hi"].isna().all():
        return f"{what} (no interval: one rating an item)"
    nearer, items = (int((moved[end] < 0).sum()) for end in ("hi", "hi_items"))
    if len(moved) == 1:
        said = "clearly nearer" if nearer else "not clearly nearer"
        also = ", and for other items like these" if items else ", but not for other items like these"
    else:
        said, also = f"clearly nearer in {nearer} of {len(moved)} families", f", for other items like these in {items}"
    return f"{what}; {said}{also if nearer else ''}"


def in_families(what: str, number: int, of: int) -> str:
    """What some of the families show, counted; of a single family that it shows it or does not."""
    return f"{what} in {number} of {of} families" if of > 1 else what if number else f"not {what}"


def _measures(table: pd.DataFrame, family: str, variant: str) -> dict[str, float]:
    rows = table[(table["family"] == family) & (table["variant"] == variant) & (table["condition"] == "self")]
    found = dict(zip(rows["measure"], rows["value"], strict=True))
    return {name: value for name, value in found.items() if np.isfinite(value)}


@exhibit.finding("ends")
def ends(run_shares: pd.DataFrame, study: Study) -> str:
    """How much of one run's ratings lies at the ends of the scale, by condition."""
    words = {"persona": "as personas", "self": "without a persona", "toxic": "as hostile characters"}
    at = run_shares.set_index(["condition", "measure"])["value"]
    parts = [
        f"{100 * at[c, 'endpoint_mass']:.0f} % {words[c]} ({100 * at[c, 'ceiling_share']:.0f} % at the ceiling)"
        for c in dict.fromkeys(run_shares["condition"])
        if np.isfinite(at[c, "endpoint_mass"])
    ]
    return "Ratings at either end of the scale: " + "; ".join(parts) + "." if parts else "There is no rating to show."


@exhibit.finding("steady")
def steady(counts: np.ndarray, study: Study) -> str:
    """How many cells of a run never vary, and how much of the within-persona SD the liveliest tenth of cells carries."""
    sd = np.sqrt(moments(counts, study.instrument.categories).variance)
    known = ~np.isnan(sd)
    sd = sd[known]
    if not len(sd):
        return f"No cell has {'a distribution' if is_exact(counts) else 'two ratings'}, so steadiness cannot be seen."
    still = f"{100 * (sd == 0).mean():.0f} % of the cells with two ratings or more never vary"
    if is_exact(counts):
        sure = 100 * (counts[known].max(axis=-1) >= _ONE_ANSWER).mean()
        at = study.file.protocol.temperature
        still = f"{sure:.0f} % of the cells put {100 * _ONE_ANSWER:.0f} % or more on one answer at T = {at:g}"
    if not sd.any():
        return still + "."
    top = np.sort(sd)[::-1][: max(1, len(sd) // 10)].sum() / sd.sum()
    return f"{still}; the liveliest tenth of cells carries {100 * top:.0f} % of the within-persona SD."


@exhibit.finding("temperature")
def temperature(found: Tables, study: Study) -> str:
    """How R and S of a variant beside its base's change with temperature, how sure that is, or why it cannot be said."""
    if found.temperature is None:
        at = "" if study.file.kind == "imported" else f" at T = {study.file.protocol.temperature:g}"
        return f"These ratings are samples{at} and say nothing of other temperatures; `method: logprobs` gives these curves."
    table = found.temperature
    value = {(row.family, row.variant, row.metric, row.temperature): row.value for row in table.itertuples()}
    lines = []
    for run in study.runs:
        if run.variant.role not in ("control", "harmful"):
            continue
        said = []
        for metric in ("robustness", "susceptibility"):
            ends = [
                tuple(value[run.family.key, key, metric, at] for key in (run.variant.key, run.family.base.key))
                for at in (_COLD, _WARM)
            ]
            if np.isfinite(ends).all() and all(base > 0 for _, base in ends):
                cold, warm = (own / base for own, base in ends)
                said.append(
                    f"{METRICS[metric].name} is {cold:.2f} times the base's at T = {_COLD:g} and {warm:.2f} times at T = "
                    f"{_WARM:g}"
                )
        if said:
            lines.append(f"- **{safe(run.name)}**: {'; '.join(said)}.")
    mass = mass_line(found.quality)
    return "\n".join([*lines, "", _bounds(table), "", f"{mass[0].upper()}{mass[1:]}."])


def _bounds(table: pd.DataFrame) -> str:
    """How far the digits outside the returned alternatives could move the curves; `table` is temperature.csv."""
    rows = table[np.isfinite(table[["value", "bound_lo", "bound_hi"]]).all(axis=1) & (table["value"] > 0)]
    off = np.fmax(rows["bound_hi"] - rows["value"], rows["value"] - rows["bound_lo"]) / rows["value"]
    if not (off > 0).any():
        return "Every digit of the scale was among the returned alternatives, so the curves are exact for these cells."
    most = rows.loc[off.idxmax()]
    return (
        f"Digits outside the returned alternatives move no value by more than {100 * off.max():.2g} % "
        f"({METRICS[most['metric']].name} at T = {most['temperature']:g}), wherever their probabilities lie."
    )


@exhibit.finding("uneven")
def uneven(metrics: pd.DataFrame, study: Study) -> str:
    """How evenly S and the within-persona SD lie over foundations (coefficient of variation), by variant."""
    found = printed_figures.evenness(metrics[metrics["method"] == "published"])
    parts = []
    for variant in dict.fromkeys(run.variant.key for run in study.runs):
        s, sd = found.get((variant, "susceptibility"), np.nan), found.get((variant, "within_sd"), np.nan)
        if np.isfinite(s) and np.isfinite(sd):
            parts.append(f"{safe(variant)} {s:.2f} for S and {sd:.2f} for the within-persona SD")
    if not parts:
        return ""
    mean = ", mean over families" if len(study.file.families) > 1 else ""
    return f"Spread of the levels over {study.instrument.groups} (coefficient of variation{mean}): " + "; ".join(parts) + "."


@exhibit.finding("endpoints")
def endpoints(saturation: pd.DataFrame, study: Study) -> str:
    """How the share of ratings at the ends of the scale, as personas, compares with the base's."""
    at = saturation[(saturation["condition"] == "persona") & (saturation["measure"] == "endpoint_mass")]
    at = at.set_index(["family", "variant"])["value"]
    lines = []
    for variant in dict.fromkeys(r.variant.key for r in study.runs if r.variant.role in ("control", "harmful")):
        pairs = [(at[f.key, f.base.key], at[f.key, variant]) for f in study.file.families if (f.key, variant) in at.index]
        pairs = [(base, own) for base, own in pairs if np.isfinite([base, own]).all()]
        if pairs:
            base, own = np.mean(pairs, axis=0)
            more = sum(b < o for b, o in pairs)
            lines.append(
                f"- **{safe(variant)}**: {100 * own:.0f} % of ratings lie at either end of the scale, against {100 * base:.0f} % "
                f"of the base{'s' * (len(pairs) > 1)}; {in_families('more', more, len(pairs))}."
            )
    return "\n".join(lines) or "This study has no variant to compare with a base."


@exhibit.finding("against_print")
def against_print(found: Tables, study: Study) -> str:
    """Whether an imported study reproduces the printed figures, or how near a simulated one comes to them."""
    if study.by_logprobs:
        return "Printed figures are of samples; logprobs answer another prompt, so the two are not set side by side."
    if found.published_check is not None:
        return agreement(found.published_check)
    pairs = printed_figures.beside(found.metrics, None, study)
    if pairs.empty:
        return "This study names no printed figures to compare with."
    ratio = np.log(pairs["simulated"] / pairs["published"]).abs()
    off = pairs.loc[ratio.idxmax()]
    return (
        f"The simulated S and R lie within {100 * np.expm1(ratio.median()):.1f} % (median) of the published figures that they "
        f"imitate; furthest off is {METRICS[off['metric']].name} of {safe(study.run(off['family'], off['variant']).name)} "
        f"({off['simulated']:.2f} simulated, {off['published']:.2f} published). A small deck or few repetitions move both."
    )


def agreement(check: pd.DataFrame) -> str:
    """How many printed numbers the ratings reproduce, and which they do not."""
    slips = check["known_slip"]
    open_ = check[~check["agrees"] & ~slips]
    sentence = (
        f"**{int(check['agrees'].sum())} of {len(check)} printed numbers follow from the ratings**; {int(slips.sum())} more are "
        "known rounding slips of the paper, named below and not bent to"
    )
    if open_.empty:
        return sentence + "; no disagreement is left."
    return sentence + f"; **{len(open_)} disagree without a known reason.**"
