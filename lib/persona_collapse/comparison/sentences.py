"""What two studies side by side say, as sentences computed from their tables."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.comparison.build import StudyTables
from persona_collapse.comparison.differences import ALIKE, CHANGE, COUNTED, EFFECT, EXCESS, LEVEL, RAREFIED
from persona_collapse.comparison.pair import Pair
from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.statistics import persona_jackknife, repeat_interval
from persona_collapse.study.scopes import OVERALL
from persona_collapse.text import safe
from persona_collapse.vocabulary import METRICS, RECOMMENDED

#: From this correlation on, personas are said to answer as alike as the noise lets tell.
_AS_ALIKE = 0.995
#: What a study claims, in words, and the difference between studies that belongs to it.
_CLAIMS = (("change_pct", "changes against the base", EFFECT), ("excess_pp", "excesses over the control", EXCESS))
_OTHERS = {
    "only": "Cannot be told from no difference for other personas, though more than noise for these",
    "untold": "Cannot be told from no difference",
    "bare": "No interval",
    "refused": "Not compared",
    "same": "The same ratings on both sides, cell by cell, so that there is nothing to compare",
}
#: What is said of two runs that are one.
_ONE_SET = "The ratings are the same on both sides, cell by cell: one set of ratings, not two."
_COUNTED_NAMES = {LEVEL: "Levels", EFFECT: "Effects", EXCESS: "Excesses over the control", CHANGE: "Mean changes"}


@exhibit.finding("pair")
def pair_line(pair: Pair) -> str:
    """Which two studies stand side by side, how many runs they have in common, and what is simulated."""
    a, b = (f"**{safe(s.name)}** (*{safe(s.file.title)}*, {s.file.kind})" for s in pair.studies)
    both, alone = len(pair.together), len(pair.matches) - len(pair.together)
    line = f"{b} beside {a}: {_runs(both)} in both, {_runs(alone)} in one of them."
    return "\n\n".join(part for part in (line, simulated(pair)) if part)


def simulated(pair: Pair) -> str:
    """The banner of simulated ratings, which names the studies that have them; empty if none does."""
    if pair.is_evidence:
        return ""
    names = " and ".join(safe(name) for name in pair.simulated)
    return (
        f"> **Simulated ratings in {names}.** They are made to look like the figures that arXiv 2605.12850 publishes, and are "
        "evidence of nothing about any model."
    )


@exhibit.finding("matched")
def matched(tables: StudyTables, pair: Pair) -> str:
    """Which runs were matched by their role, and which stand on one side only."""
    by = tables.matches["matched_by"].value_counts()
    lines = [f"- {_runs(int(by.get('key', 0)))} matched by family and variant key."]
    for match in pair.together:
        if match.by == "role":
            own, other = match.both
            lines.append(
                f"- {safe(own.name)} matched with {safe(other.variant.name)} of {safe(pair.names[1])} by role: each side "
                f"has one {own.variant.role} variant left."
            )
    for side, name in enumerate(pair.names):
        alone = [match.either for match in pair.matches if match[side] and not match[1 - side]]
        if alone:
            lines.append(f"- Only in {safe(name)}: {', '.join(safe(run.name) for run in alone)}.")
    return "\n".join(lines)


@exhibit.finding("shared")
def shared(tables: StudyTables, pair: Pair) -> str:
    """Whether the same personas answered the same items, and so what differences stand on."""
    if pair.shared.refusal:
        return (
            f"**No difference is taken.** {safe(pair.shared.refusal)} The values of both studies stand side by side all the same."
        )
    used = tables.matches[tables.matches["items"] > 0]
    if used.empty:
        return "**No difference is taken**: no pair of runs can be compared; the reasons stand below."
    items = int(used["items"].max())
    if pair.shared.paired:
        said = (
            f"The same {int(used['personas_a'].max())} personas answered the same {items} items in both studies, so every "
            "difference is paired: a persona who answers in an unusual way does so on both sides."
        )
    else:
        numbers = (int(used[f"personas_{side}"].max()) for side in "ab")
        sizes = (f"{number} personas in {safe(name)}" for number, name in zip(numbers, pair.names, strict=True))
        said = (
            f"Differences are those of **independent runs** on the same {items} items ({', '.join(sizes)}): variances are added, "
            "intervals are wider, and part of a difference may be that of the personas."
        )
    return f"{said} {safe(pair.shared.note)}".strip()


@exhibit.finding("intervals")
def intervals(tables: StudyTables, pair: Pair) -> str:
    """What the intervals of differences are intervals for."""
    used = tables.matches[tables.matches["items"] > 0]
    if used.empty:
        return "There is no difference, so there is no interval."
    personas, others, items = (int(used[name].max()) for name in ("personas_a", "personas_b", "items"))
    if pair.shared.paired:
        clusters = len(pair.studies[0].cluster_names) or None
        first = persona_jackknife.sentence(personas, items, paired=True, model="these two fine-tuned models", clusters=clusters)
    else:
        first = _of_others(pair, personas, others, items)
    said = ["In brackets: " + first]
    if not pair.studies[0].by_logprobs:
        rows = pd.concat([t.quality for t in pair.tables]).query("condition == 'persona' and valid > 0")
        n = int(rows["min_repetitions"].min()), int(rows["max_repetitions"].max())
        again = repeat_interval.sentence(str(personas) if pair.shared.paired else f"{personas} and {others}", items, n)
        said.append(f"In differences.csv beside it (`lo_repeat`, `hi_repeat`) and pale in the figures: {again}")
        said.append(
            "A difference within that cannot be told from repeating the same requests; one beyond it but within the first holds "
            "for these personas only."
        )
    return " ".join(said)


def _of_others(pair: Pair, personas: int, others: int, items: int) -> str:
    """What intervals are intervals for where each study has personas, or clusters, of its own."""
    here, there = (len(study.cluster_names) for study in pair.studies)
    whom = f"personas drawn like these {personas} and those {others}"
    if here or there:
        whom = f"{f'clusters like these {here}' if here else f'personas drawn like these {personas}'} in the first study and "
        whom += f"{f'clusters like those {there}' if there else f'personas drawn like those {others}'} in the second"
    unit = "cluster" if here and there else "unit" if here or there else "persona"
    said = (
        f"95 % interval for other {whom}, on these {items} items; leave-one-{unit}-out on the log scale in each study, their "
        "variances added (Satterthwaite's degrees of freedom)."
    )
    return f"{said} {persona_jackknife.few(min(here or personas, there or others))}".strip()


@exhibit.finding("levels", by="metric")
def levels(tables: StudyTables, pair: Pair, metric: str) -> str:
    """Which runs have more or less of a metric in the second study, with the values of both, and which cannot be told."""

    def clear(row: Any, name: str) -> str:
        values = f"{row.value_b:.2f} against {row.value_a:.2f}"
        return f"{METRICS[metric].name} of {name} is **{_much(row, ' %')}** in {_than(pair)} ({values})"

    return _sentences(_rows(tables, LEVEL, metric), pair, clear)


@exhibit.finding("effects", by="metric")
def effects(tables: StudyTables, pair: Pair, metric: str) -> str:
    """Whether fine-tuning did more in the second study: the ratio of variant to base there over that in the first."""

    def clear(row: Any, name: str) -> str:
        changed = f"change {whole(row.value_b, '+')} % against {whole(row.value_a, '+')} %"
        return f"relative to its base, {METRICS[metric].name} of {name} is **{_much(row, ' %')}** in {_than(pair)} ({changed})"

    def clear_mean(row: Any, name: str) -> str:
        values = f"{whole(row.value_b, '+')} % against {whole(row.value_a, '+')} %"
        return f"the change of {METRICS[metric].name} under {name} is **{_much(row, ' points')}** in {_than(pair)} ({values})"

    means = _rows(tables, CHANGE, metric)
    found = _sentences(_rows(tables, EFFECT, metric), pair, clear)
    return found if means.empty else f"{found}\n{_sentences(means, pair, clear_mean, ' points')}"


@exhibit.finding("excesses", by="metric")
def excesses(tables: StudyTables, pair: Pair, metric: str) -> str:
    """Whether harmful variants go further beyond their control in the second study, in points of base."""

    def clear(row: Any, name: str) -> str:
        values = f"{whole(row.value_b, '+')} against {whole(row.value_a, '+')}"
        return f"the excess of {name} in {METRICS[metric].name} is **{_much(row, ' points')}** in {_than(pair)} ({values})"

    return _sentences(_rows(tables, EXCESS, metric), pair, clear, " points")


@exhibit.finding("agreement")
def agreement(tables: StudyTables, pair: Pair) -> str:
    """Whether the second study finds what the first found: each clear change and excess of the first, and what became of it."""
    if pair.shared.refusal:
        return f"That cannot be asked. {safe(pair.shared.refusal)}"
    a, b = (safe(name) for name in pair.names)
    own = _where(tables.changes, scope=OVERALL, method=RECOMMENDED)
    own = own[(own["family"] != "mean") & own["metric"].isin(COUNTED)]
    own = own[np.isfinite(own[["value_a", "value_b"]].astype(float)).all(axis=1)]
    if own.empty:
        return "No change of S or noise has a value in both studies."
    lines = []
    for quantity, what, unlike in _CLAIMS:
        rows = own[(own["quantity"] == quantity) & ((own["lo_a"] > 0) | (own["hi_a"] < 0))]
        if rows.empty:
            continue
        same = int((np.sign(rows["value_a"]) == np.sign(rows["value_b"])).sum())
        clear = int((((rows["lo_a"] > 0) & (rows["lo_b"] > 0)) | ((rows["hi_a"] < 0) & (rows["hi_b"] < 0))).sum())
        go = _verb(same, "goes", "go")
        lines.append(
            f"- Of {len(rows)} {what} of S and noise that are clear in {a}, **{same}** {go} the same way in {b}, {clear} "
            f"clearly{_apart(tables, unlike, rows)}."
        )
    if (copies := int(tables.matches["same_ratings"].sum())) and lines:
        lines.append(f"- This tells nothing of {_runs(copies)} whose ratings are the same in both, cell by cell.")
    return "\n".join(lines) or f"No change of S or noise that both studies have is clear in {a}."


def _apart(tables: StudyTables, quantity: str, rows: pd.DataFrame) -> str:
    """How many of these differ in size between the studies."""
    keys = set(zip(rows["family"], rows["variant"], rows["metric"], strict=True))
    found = pd.concat([_rows(tables, quantity, metric) for metric in COUNTED])
    found = found[[key in keys for key in zip(found["family"], found["variant"], found["metric"], strict=True)]]
    known = found[np.isfinite(found["lo"])]
    if known.empty:
        return "; their sizes cannot be compared"
    apart = int(((known["lo"] > 0) | (known["hi"] < 0)).sum())
    return f"; {apart} of {len(known)} {_verb(apart, 'differs', 'differ')} in size beyond the interval"


@exhibit.finding("counted")
def counted(tables: StudyTables) -> str:
    """How many differences stand alone, and how many once all of them are counted."""
    lines = []
    for quantity, what in _COUNTED_NAMES.items():
        own = pd.concat([_rows(tables, quantity, metric) for metric in COUNTED])
        own = own[(own["family"] != "mean") & own["p_holm"].notna() & ~own["same_ratings"]]
        if len(own):
            alone, left = int((own["p"] < 0.05).sum()), int((own["p_holm"] < 0.05).sum())
            are, remain = _verb(alone, "is", "are"), _verb(left or 1, "remains", "remain")
            lines.append(
                f"- {what}: {alone} of {len(own)} differences in S and noise {are} clear by the interval, where chance alone "
                f"would give about {0.05 * len(own):.1f}; {left or 'none'} {remain} when all runs are counted (Holm, each metric "
                "by itself)."
            )
    return "\n".join(lines) or "No difference between two sets of ratings has an interval."


@exhibit.finding("alike")
def alike(tables: StudyTables, pair: Pair) -> str:
    """Whether the same personas answer alike in both studies, item by item, apart from noise."""
    rows = _where(tables.differences, scope=OVERALL, quantity=ALIKE)
    rows = rows[np.isfinite(rows["value"].astype(float))]
    if rows.empty:
        return "Personas are not the same in both studies, or not compared, so whether each answers alike cannot be asked."
    as_alike = [row for row in rows.itertuples() if row.value >= _AS_ALIKE]
    lines = []
    if as_alike:
        lines.append(f"- As alike as noise lets tell (correlation {_AS_ALIKE:g} or more): {_names(as_alike, pair)}.")
    for row in rows.itertuples():
        if row.value < _AS_ALIKE:
            interval = f" [{row.lo:.2f}, {row.hi:.2f}]" if np.isfinite(row.lo) else " (no interval)"
            lines.append(f"- {_name(row, pair)}: correlation {row.value:.2f}{interval}.")
    return "\n".join(lines)


@exhibit.finding("at_equal_repetitions")
def at_equal_repetitions(tables: StudyTables, pair: Pair) -> str:
    """How the published R compares once both sides have equally many ratings a cell."""
    rows = _where(tables.differences, scope=OVERALL, metric="robustness", method=RAREFIED)
    rows = rows[np.isfinite(rows["value"].astype(float))]
    if rows.empty:
        return "R by the paper's formula depends on the number of repetitions and cannot be compared here."
    first = rows["note"].iloc[0]
    found = _sentences(
        rows, pair, lambda row, name: f"{name} **{_much(row, ' %')}** ({row.value_b:.2f} against {row.value_a:.2f})"
    )
    return f"{first} R there, {safe(pair.names[1])} against {safe(pair.names[0])}:\n\n{found}"


@exhibit.finding("otherwise")
def otherwise(tables: StudyTables, pair: Pair) -> str:
    """What else differs between the sides, runs that differ in the same together; and which are refused."""
    runs = tables.matches
    together = runs[(runs["variant"] != "") & (runs["variant_b"] != "")]
    lines = []
    for differs, rows in together[together["differs"] != ""].groupby("differs", sort=False):
        who = "all runs" if len(rows) == len(together) else _names(rows.itertuples(), pair)
        lines.append(f"- {who}: {safe(differs)}.")
    for note, rows in together[together["note"] != ""].groupby("note", sort=False):
        who = "all runs" if len(rows) == len(together) else _names(rows.itertuples(), pair)
        lines.append(f"- {who}: {safe(note)}")
    if (same := together[together["same_ratings"]]).size:
        lines.append(f"- {'all runs' if len(same) == len(together) else _names(same.itertuples(), pair)}: {_ONE_SET}")
    return "\n".join(lines) or "Matched runs agree in what was asked, by whom it was served, when, and how often."


@exhibit.finding("remarks")
def remarks(tables: StudyTables, pair: Pair) -> str:
    """What has to be said beside the differences over all items."""
    rows = _where(tables.differences, scope=OVERALL, method=RECOMMENDED)
    rows = rows[rows["metric"].isin(COUNTED) & np.isfinite(rows["value"])]
    if rows.empty:
        return "There is no difference to say anything beside."
    noted = rows[rows["note"] != ""].itertuples()
    lines = [f"- {_name(row, pair)}, {_COUNTED_NAMES[row.quantity].lower()}: {safe(row.note)}" for row in noted]
    return "\n".join(dict.fromkeys(lines)) or "Nothing: no difference over all items depends on lost ratings or on one persona."


def _where(table: pd.DataFrame, **equal: str) -> pd.DataFrame:
    """Rows with these values in these columns."""
    return table[np.logical_and.reduce([table[name] == value for name, value in equal.items()])]


def _rows(tables: StudyTables, quantity: str, metric: str) -> pd.DataFrame:
    return _where(tables.differences, scope=OVERALL, quantity=quantity, metric=metric, method=RECOMMENDED)


def _sentences(rows: pd.DataFrame, pair: Pair, clear: Callable[[Any, str], str], unit: str = " %") -> str:
    """A sentence for every clear difference, then those that cannot be told, then those without an interval or a number."""
    lines: list[str] = []
    others: dict[str, list[str]] = {kind: [] for kind in _OTHERS}
    for row in rows.itertuples():
        name = _name(row, pair)
        if row.same_ratings:
            others["same"].append(name)
        elif np.isnan(row.value):
            others["refused"].append(name)
        elif np.isnan(row.lo):
            others["bare"].append(f"{name} ({whole(row.value, '+')}{unit})")
        elif row.lo > 0 or row.hi < 0:
            said = clear(row, name)
            lines.append(f"- {said[0].upper()}{said[1:]}.")
        else:
            beyond = row.lo_repeat > 0 or row.hi_repeat < 0
            interval = f"{whole(row.value, '+')}{unit} [{whole(row.lo)}, {whole(row.hi)}]"
            others["only" if beyond else "untold"].append(f"{name} ({interval})")
    lines += [f"- {_OTHERS[kind]} ({len(n)} of {len(rows)}): {'; '.join(n)}." for kind, n in others.items() if n]
    return "\n".join(lines) or "There is nothing to set against each other."


def _much(row: Any, unit: str) -> str:
    """How much higher or lower, with its interval."""
    lo, hi = sorted(abs(limit) for limit in (row.lo, row.hi))
    return f"{whole(abs(row.value))}{unit} [{whole(lo)}, {whole(hi)}] {'higher' if row.value > 0 else 'lower'}"


def _than(pair: Pair) -> str:
    return f"{safe(pair.names[1])} than in {safe(pair.names[0])}"


def _name(row: Any, pair: Pair) -> str:
    name = safe(pair.name_of(row.family, row.variant, row.variant_b))
    return name if row.family != "mean" else f"{name} ({row.families})"


def _names(rows: Iterable[Any], pair: Pair) -> str:
    return ", ".join(_name(row, pair) for row in rows)


def _verb(number: int, one: str, more: str) -> str:
    return one if number == 1 else more


def _runs(number: int) -> str:
    return f"{number or 'no'} run{'s' * (number != 1)}"
