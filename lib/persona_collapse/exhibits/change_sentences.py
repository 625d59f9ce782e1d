"""What fine-tuning changed, as sentences computed from contrasts.csv: changes, excesses, and what stands beside them."""

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.data_sentences import family_name, unlike_control
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables
from persona_collapse.text import safe
from persona_collapse.vocabulary import METRICS, twin


@exhibit.finding("changes", by="metric")
def change(contrasts: pd.DataFrame, study: Study, metric: str) -> str:
    """What each kind of fine-tuning did to a metric: the mean over these families, then family by family."""
    chosen = contrasts.query(
        f"scope == '{OVERALL}' and metric == @metric and quantity == 'change_pct' and method == 'recommended'"
    )
    printed = contrasts[contrasts["metric"] == twin(metric)]
    printed = printed.query(f"scope == '{OVERALL}' and quantity == 'change_pct' and method == 'published'")
    lines = []
    for variant in dict.fromkeys(r.variant.key for r in study.runs if r.variant.role in ("control", "harmful")):
        rows = chosen[(chosen["variant"] == variant) & (chosen["family"] != "mean")]
        known = rows[np.isfinite(rows["value"])]
        if known.empty:
            why = next((note for note in rows["note"] if note), "")
            lines.append(f"- **{safe(variant)}**: no finite change of {METRICS[metric].name} in any family. {safe(why)}".strip())
            continue
        mean = chosen[(chosen["variant"] == variant) & (chosen["family"] == "mean")]
        average = ""
        if len(mean) and len(known) > 1:
            average = f" {moved(mean.iloc[0])} on average over these families{_printed_mean(printed, variant)};"
        each = "; ".join(f"{family_name(study, row.family)} {moved(row)}" for row in known.itertuples())
        lines.append(f"- **{safe(variant)}**: {METRICS[metric].name}{average or ' of'} {each}.")
    return "\n".join(lines) or "This study has no variant to compare with a base."


def moved(row: object, unit: str = " %") -> str:
    """A change with its interval in words; `row` has value, lo and hi, in percent or points."""
    value, lo, hi = (getattr(row, name) for name in ("value", "lo", "hi"))
    if np.isnan(lo):
        note = safe(getattr(row, "note", "").removesuffix("."))
        return f"{'rises' if value > 0 else 'falls'} by {whole(abs(value))}{unit} (no interval{': ' + note if note else ''})"
    if value == lo == hi == 0:
        return "shows no difference at all"
    if lo > 0:
        return f"rises by {whole(value)}{unit} [{whole(lo)}, {whole(hi)}]"
    if hi < 0:
        return f"falls by {whole(-value)}{unit} [{whole(-hi)}, {whole(-lo)}]"
    return f"shows no clear change ({whole(value, '+')}{unit} [{whole(lo)}, {whole(hi)}])"


def whole(value: float, sign: str = "") -> str:
    """A percentage as prose shows it: whole, but with a digit where it is small, and with one that is not 0 where it has one."""
    text = f"{value:{sign}.0f}" if abs(value) >= 9.5 else f"{value:{sign}.1f}"
    if float(text) == 0:
        return f"{value:{sign}.1g}" if abs(value) >= 1e-4 else text.replace("-0.0", "0.0")
    return text


def _printed_mean(printed: pd.DataFrame, variant: str) -> str:
    value = printed[(printed["variant"] == variant) & (printed["family"] == "mean")]["value"]
    return f" (the paper's formula: {value.iloc[0]:+.0f} %)" if len(value) and np.isfinite(value.iloc[0]) else ""


@exhibit.finding("excess", by="metric")
def excess(contrasts: pd.DataFrame, study: Study, metric: str) -> str:
    """How far harmful fine-tuning goes beyond its matched control, family by family."""
    every = contrasts.query(f"scope == '{OVERALL}' and metric == @metric and quantity == 'excess_pp' and method == 'recommended'")
    rows = every[np.isfinite(every["value"])]
    own = rows[rows["family"] != "mean"]
    if own.empty and len(every):
        why = next((note for note in every["note"] if note), "")
        return f"No excess of {METRICS[metric].name} over a matched control is finite. {safe(why)}".strip()
    if own.empty:
        return "No harmful variant of this study names a matched control, so there is no excess to report."
    lines = []
    for variant in dict.fromkeys(own["variant"]):
        parts = [f"in {family_name(study, row.family)} by {_excess(row)}" for row in own[own["variant"] == variant].itertuples()]
        mean = rows[(rows["variant"] == variant) & (rows["family"] == "mean")]
        if len(parts) > 1 and len(mean):
            parts.append(f"on average over these families by {_excess(mean.iloc[0])}")
        unlike = unlike_control(study.run(family, variant) for family in own[own["variant"] == variant]["family"])
        mark = f" Not the same fine-tuning: {unlike}." if unlike else ""
        lines.append(
            f"Beyond the matched control, {safe(variant)} changes {METRICS[metric].name} " + "; ".join(parts) + f".{mark}"
        )
    return "\n\n".join(lines)


def _excess(row: object) -> str:
    value, lo, hi = (getattr(row, name) for name in ("value", "lo", "hi"))
    if np.isnan(lo):
        return f"{whole(value, '+')} pp (no interval)"
    clear = "" if lo > 0 or hi < 0 else ", no clear difference"
    return f"{whole(value, '+')} pp [{whole(lo)}, {whole(hi)}]{clear}"


@exhibit.finding("remarks")
def remarks(found: Tables, study: Study) -> str:
    """What has to be said beside the numbers over all items: bounds, lost personas, one persona that carries an interval."""
    lines: list[str] = []
    levels = found.metrics.query(f"scope == '{OVERALL}' and method == 'recommended'")
    for row in levels.itertuples():
        if row.note:
            lines.append(f"- {safe(study.run(row.family, row.variant).name)}: {safe(row.note)}")
    rows = found.contrasts.query(f"scope == '{OVERALL}' and method == 'recommended' and family != 'mean'")
    for row in rows.itertuples():
        if row.note:
            against = f" beyond {row.control}" if row.control else ""
            lines.append(f"- {safe(study.run(row.family, row.variant).name)}{safe(against)}: {safe(row.note)}")
    lines = list(dict.fromkeys(lines))
    return "\n".join(lines) or "Nothing: no interval over all items rests on a single persona, and none lacks personas."


@exhibit.finding("collapse")
def collapse(contrasts: pd.DataFrame, style: pd.DataFrame, study: Study) -> str:
    """Under which harmful variants S rises and R falls beyond their intervals, and how much is another use of the scale."""
    rows = contrasts.query(f"scope == '{OVERALL}' and quantity == 'change_pct' and method == 'recommended'")
    at = {(row.family, row.variant, row.metric): row for row in rows.itertuples()}
    lines = []
    for run in study.runs:
        if run.variant.role != "harmful":
            continue
        s, r = (at[run.family.key, run.variant.key, metric] for metric in ("susceptibility", "robustness"))
        if np.isfinite([s.value, r.value]).all():
            said = f"S {_direction(s)} and R {_direction(r)}"
            lines.append((run.name, said, s.lo > 0 and r.hi < 0))
    if not lines:
        return "No harmful variant has a place on this map."
    if len(lines) == 1:
        name, what, moved = lines[0]
        where = "lies" if moved else "does not clearly lie"
        return f"{safe(name)} {where} up and to the left of its base: {what}.{_recoded(style, study)}"
    both = sum(moved for *_, moved in lines)
    others = [f"{safe(name)}: {what}" for name, what, moved in lines if not moved]
    rest = f" The other{'s' * (len(others) > 1)}: {'; '.join(others)}." if others else ""
    return (
        f"Under {both} of {len(lines)} harmful variants S rises and R falls, both beyond their intervals: up and to the left of "
        f"the base.{rest}{_recoded(style, study)}"
    )


def _recoded(style: pd.DataFrame, study: Study) -> str:
    """How much of what distinguishes personas is another use of the scale, by kind of variant."""
    known = style[np.isfinite(style["share"])]
    said = []
    for variant in dict.fromkeys(r.variant.key for r in study.runs if r.variant.role in ("control", "harmful")):
        own = known[known["variant"] == variant]["share"].clip(lower=0)
        if len(own):
            spread = f" ({100 * own.min():.0f} to {100 * own.max():.0f})" if len(own) > 1 else ""
            said.append(f"{100 * own.mean():.0f} %{spread} under {safe(variant)}")
    if not said:
        return ""
    return (
        f" A monotone recoding of the base's answers explains {' and '.join(said)} of what distinguishes personas "
        f"({100 * known['ceiling'].mean():.0f} % for an unchanged base). What it does not explain is another cast of characters, "
        "not another use of the scale."
    )


def _direction(row: object) -> str:
    """Where a change went, if its interval tells."""
    value, lo, hi = (getattr(row, name) for name in ("value", "lo", "hi"))
    if value == 0 and not lo < 0 < hi:
        return "shows no difference"
    if np.isnan(lo):
        return "rises (no interval)" if value > 0 else "falls (no interval)"
    return "rises" if lo > 0 else "falls" if hi < 0 else "shows no clear change"
