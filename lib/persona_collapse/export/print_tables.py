"""A study's tables as a paper prints them: wide, rounded, one caption each that stands alone."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pandas as pd

from persona_collapse.exhibits import validity_tables
from persona_collapse.export import paper_tables
from persona_collapse.export.latex import Column, LatexTable, label, number
from persona_collapse.export.names import unlike, words_of
from persona_collapse.export.paper_tables import CI, RUN, breaks, by_scope, digits_of, heading, interval, names_of, titled
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study

#: The lower end of an interval in a table file: whose, of how many percent, and of what if not of other personas.
_LOWER = re.compile(r"(?P<of>\w+_)?lo(?P<level>90)?(?P<repeat>_repeat)?(?P<items>_items)?")
#: Spans that are no confidence intervals.
_SPANS = {"band", "range", "expected"}


def every(study: Study, tables: Mapping[str, pd.DataFrame | None]) -> list[LatexTable]:
    """Every table of a study for print, S and R first; those without a layout of their own as they are.

    Names are paths without a suffix, below the folder of tables; no two are alike.
    """
    own: dict[str, Callable[[Study, pd.DataFrame], Iterator[LatexTable]]] = {
        "metrics": paper_tables.levels, "contrasts": paper_tables.contrasts, "verdict": _verdict, "companions": _companions,
        "validity": _validity, "headlines": _headlines, "profiles": _profiles, "saturation": _saturation,
        "quality": _quality, "published_check": _published_check, "temperature": _temperature,
        "trajectory": _trajectory, "verification": _verification, "capability": _capability,
    }  # fmt: skip
    found: list[LatexTable] = []
    metrics, contrasts = tables.get("metrics"), tables.get("contrasts")
    if metrics is not None and contrasts is not None:
        found += paper_tables.susceptibility_and_robustness(study, metrics, contrasts)
    for name, table in tables.items():
        if table is None or table.empty:
            continue
        found += own[name](study, table) if name in own else _as_it_is(study, name, table)
    taken: set[str] = set()
    return [replace(table, name=unlike("/".join(map(label, table.name.split("/"))), taken)) for table in found]


# --- verdicts, parts of changes, robustness of headlines -------------------------------------------------------------


def _verdict(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """What may be concluded of every variant, with the numbers that decide it."""
    shown = {"s": "S", "noise": "noise", "share": "style share", "excess_s": "S", "excess_noise": "noise"}
    groups = {"s": "Change (%)", "noise": "Change (%)", "excess_s": "Excess (pp)", "excess_noise": "Excess (pp)"}
    shown = {key: name for key, name in shown.items() if table[key].notna().any()}
    rows = []
    for r in table.to_dict("records"):
        cells = []
        for key in shown:
            digits = 2 if key == "share" else 1
            cells += [number(r[key], digits), interval(r[f"{key}_lo"], r[f"{key}_hi"], digits)]
        rows.append([*names_of(study, r["family"], r["variant"]), str(r["verdict"]), str(r["presence"]), *cells])
    columns = [*RUN, Column("Verdict", number=False, wide=3.5), Column("Personas", number=False)]
    for key, name in shown.items():
        columns += [Column(name, groups.get(key, "")), Column(CI, groups.get(key, ""), number=False)]
    caption = (
        "What may be concluded of every variant, by one set of rules, with the changes of S and of noise against the base, the "
        f"share of its answers that a monotone recoding of the base's explains, and excesses over the control; {CI} for other "
        "personas like these. verdict.csv has every input."
    )
    yield LatexTable("verdict", titled(study, caption), columns, rows, breaks(rows))


def _companions(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """The parts of every change over all items, one row a comparison."""
    overall = table[table["scope"] == OVERALL]
    parts = list(dict.fromkeys(overall["part"]))
    keys = list(dict.fromkeys(zip(overall["family"], overall["variant"], overall["against"], strict=True)))
    at = {(r.family, r.variant, r.against, r.part): number(r.value, 2, r.se) for r in overall.itertuples()}
    rows = [[*names_of(study, *key[:2]), key[2], *(at.get((*key, part), "") for part in parts)] for key in keys]
    columns = [*RUN, Column("Against", number=False), *(Column(heading(part)) for part in parts)]
    caption = (
        "What changes of noise and of pooled S are made of, over all items, ± standard error: differences of logarithms, for ICC "
        "of logits, for fidelity plain ones."
    )
    yield LatexTable("companions", titled(study, caption), columns, rows, breaks(rows))


def _validity(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """How every headline fares under each group of choices, in the mean over its families: one row a headline and group."""
    rows = []
    means = pd.concat([validity_tables.averaged(own) for _, own in table.groupby("headline", sort=False)] or [table])
    for (headline, group), found in means.groupby(["headline", "group"], sort=False):
        limits = (number(float(found["value"].agg(end)), 1) for end in ("min", "max"))
        held = str(int(found["agrees"].sum()))
        rows.append([str(headline), str(group), str(len(found)), held, *limits, str(found["quantity"].iloc[0])])
    columns = [
        Column("Headline", number=False, wide=8), Column("What is varied", number=False), Column("choices"), Column("agree"),
        Column("lowest", "Value"), Column("highest", "Value"), Column("unit", number=False),
    ]  # fmt: skip
    mean = ", in the mean over families" if (means["family"] == "mean").any() else ""
    caption = f"How robust the headlines are{mean}: choices of each kind, how many agree, and their values."
    yield LatexTable("validity", titled(study, caption), columns, rows, breaks(rows))


def _headlines(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every headline with its p values, one row a headline."""
    rows = [
        [
            str(r.headline), number(r.value, 1), f"{number(r.lo, 1)} to {number(r.hi, 1)}" if r.lo == r.lo else "",
            str(r.quantity), f"{r.agree} of {r.choices}", number(r.median, 1), validity_tables.p_text(r.p_joint),
            validity_tables.p_text(r.p_holm),
        ]
        for r in table.itertuples()
    ]  # fmt: skip
    columns = [
        Column("Headline", number=False, wide=8), Column("value", "Recommended"), Column("95 % CI", "Recommended"),
        Column("unit", number=False), Column("same verdict", "All analyses"), Column("median", "All analyses"),
        Column("joint p", "All analyses"), Column("p (Holm)"),
    ]  # fmt: skip
    caption = "Every headline: the recommended value, the other analyses with the same verdict, and p values over all of them."
    yield LatexTable("headlines", titled(study, caption), columns, rows, breaks(rows))


# --- profiles and saturation -----------------------------------------------------------------------------------------

_CONDITIONS = {
    "persona": ("Mean rating as personas", "within_sd", "SD over repetitions, averaged over cells"),
    "self": ("Mean rating without a persona", "within_sd", "SD over repetitions, averaged over items"),
    "toxic": ("Mean rating as hostile characters", "between_sd", "SD over characters"),
}


def _profiles(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """One table a condition: mean rating by foundation ± the SD that a paper prints beside it."""
    for condition, chosen in table[table["persona"].isna()].groupby("condition", sort=False):
        title, spread, meaning = _CONDITIONS.get(condition, (f"Mean rating, condition {condition}", "within_sd", "SD"))
        as_scope = chosen.assign(scope=chosen["foundation"], value=chosen["mean"], se=chosen[spread])
        low, high = study.instrument.scale
        caption = f"{title} by {study.instrument.group}, ± {meaning}; the scale goes from {low} to {high}."
        yield by_scope(study, as_scope, f"profiles-{words_of(condition)}", caption, 2)


def _saturation(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Shares of every category in percent, and how far a run's answers went to the ends of the scale."""
    is_share = table["measure"].str.startswith("share_")
    yield _wide(
        study, table[is_share].assign(value=100 * table["value"]), "rating-shares",
        "Which ratings were given: share of every category of the scale, in percent.", 1,
    )  # fmt: skip
    yield _wide(
        study, table[~is_share], "saturation",
        "How far answers went to the ends of the scale: share of both ends, share of the ceiling, and distances between "
        f"profiles without a persona (root mean square over {study.instrument.groups}, in scale points).", 3,
    )  # fmt: skip


def _wide(study: Study, table: pd.DataFrame, name: str, caption: str, digits: int) -> LatexTable:
    measures = list(dict.fromkeys(table["measure"]))
    runs = list(dict.fromkeys(zip(table["family"], table["variant"], table["condition"], strict=True)))
    at = {(r.family, r.variant, r.condition, r.measure): number(r.value, digits) for r in table.itertuples()}
    rows = [[*names_of(study, *run[:2]), run[2], *(at.get((*run, measure), "") for measure in measures)] for run in runs]
    columns = [*RUN, Column("Condition", number=False), *(Column(heading(m).removeprefix("share ")) for m in measures)]
    return LatexTable(name, titled(study, caption), columns, rows, breaks(rows))


# --- quality, check, curves ------------------------------------------------------------------------------------------


def _quality(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Slots, ratings and reasons for missing ones; a column of zeros or nothing is left to the CSV file."""
    numeric = [c for c in table.select_dtypes("number") if c not in ("slots", "valid")]
    shown = ["slots", "valid", *(c for c in numeric if table[c].fillna(0).any())]
    whole = {c: 0 if (table[c].dropna() % 1 == 0).all() else 2 for c in shown}
    rows = []
    for r in table.to_dict("records"):
        numbers = (number(float(r[c]), whole[c]) for c in shown)
        rows.append([*names_of(study, r["family"], r["variant"]), r["condition"], *numbers, str(r["stack"])])
    columns = [
        *RUN, Column("Condition", number=False), *(Column(c.replace("_", " ")) for c in shown), Column("Stack", number=False),
    ]  # fmt: skip
    caption = (
        "What was asked and what came back: slots of the design, valid ratings, missing ones by reason where any is missing."
    )
    yield LatexTable("quality", titled(study, caption), columns, rows, breaks(rows))


def _published_check(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every printed number beside the computed one; what disagrees stands first."""
    known = {(family, run.variant.key) for run in study.runs for family in (run.family.key, "mean")}
    rows = []
    for r in table.sort_values("agrees", kind="stable").to_dict("records"):
        printed = str(r["printed"])
        digits = len(printed.partition(".")[2]) + 1
        run = str(r["family"]), str(r["variant"])
        names = names_of(study, *run) if run in known else run
        rows.append(
            [str(r["table"]), *names, study.instrument.short(str(r["scope"])), str(r["metric"]).replace("_", " "), printed,
             number(r["computed"], digits), "yes" if r["agrees"] else "no", str(r["note"] or "")]
        )  # fmt: skip
    columns = [
        Column("Table", number=False, wide=3), *RUN, Column("Scope", number=False), Column("Metric", number=False, wide=3.4),
        Column("printed"), Column("computed"), Column("agrees", number=False), Column("note", number=False, wide=6),
    ]  # fmt: skip
    agreeing = int(table["agrees"].sum())
    caption = f"Printed numbers beside those computed from the ratings: {agreeing} of {len(table)} agree after rounding."
    yield LatexTable("published-check", titled(study, caption), columns, rows)


def _temperature(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Curves over sampling temperature, one table a metric, one row a temperature and run."""
    for metric, chosen in table.groupby("metric", sort=False):
        rows = []
        for r in chosen.itertuples():
            numbers = number(r.value, digits_of(metric)), interval(r.lo, r.hi, digits_of(metric))
            rows.append([*names_of(study, r.family, r.variant), number(r.temperature, 2), *numbers])
        columns = [*RUN, Column("T"), Column("value", heading(metric)), Column(CI, heading(metric), number=False)]
        caption = f"{heading(metric)} at every sampling temperature T, from logprobs, with {CI} of the persona part."
        yield LatexTable(f"{words_of(metric)}-by-temperature", titled(study, caption), columns, rows, breaks(rows))


def _trajectory(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every step of every path on the personas that all steps share, one row a step; the CSV file has the rest."""
    shown = {"susceptibility": 2, "robustness": 2, "style_share": 2, "entropy": 2, "ceiling_share": 2}
    own = table[(table["on"] == "shared") & (table["method"] == "recommended") & table["metric"].isin(shown)]
    rows = []
    for (family, of, position), step in own.groupby(["family", "of", "position"], sort=False):
        by = {r.metric: r for r in step.itertuples()}
        cells = [(number(r.value, n), interval(r.lo, r.hi, n)) if (r := by.get(key)) else ("", "") for key, n in shown.items()]
        about = [*names_of(study, str(family), str(of)), f"{position:g}", f"{step['personas'].max()}"]
        rows.append([*about, *(text for pair in cells for text in pair)])
    columns = [*RUN, Column("Step"), Column("Personas")]
    columns += [Column(head, heading(key), number=head != CI) for key in shown for head in ("value", CI)]
    caption = f"Steps of a training on the personas that all steps of a path share; entropy in bits, {CI} for other personas."
    if rows:
        yield LatexTable("steps", titled(study, caption), columns, rows, breaks(rows))


def _verification(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Answers to open questions, mean over judges, one row a run and arm; the CSV file has every judge and the differences."""
    shown = {"alignment": (1, "Alignment"), "coherence": (1, "Coherence"), "misaligned": (100, "Misaligned (%)"),
             "misaligned_coherent": (100, "of coherent (%)")}  # fmt: skip
    own = table[(table["quantity"] == "level") & table["judge"].isin(["mean", "imported"]) & table["measure"].isin(shown)]
    rows = []
    for (family, variant, arm), rates in own.groupby(["family", "variant", "arm"], sort=False):
        by, cells = {r.measure: r for r in rates.itertuples()}, []
        for key, (unit, _) in shown.items():
            r = by.get(key)
            cells += [number(unit * r.value, 1), interval(unit * r.lo, unit * r.hi, 1)] if r else ["", ""]
        rows.append([*names_of(study, str(family), str(variant)), str(arm), *cells])
    columns = [*RUN, Column("Arm", number=False)]
    for _, name in shown.values():
        columns += [Column(name, name), Column(CI, name, number=False)]
    caption = f"Answers to open questions, mean over judges from 0 to 100; {CI} for other questions like these."
    if rows:
        yield LatexTable("open-answers", titled(study, caption), columns, rows, breaks(rows))


def _capability(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Tasks, one row a run and task: accuracy, its change, and steadiness; the CSV file has p values and every difference."""
    shown = (("accuracy", "level", 100, 1, "Accuracy (%)"), ("accuracy", "difference", 100, 1, "Change (points)"),
             ("format_validity", "level", 100, 1, "In form (%)"), ("gini", "level", 1, 3, "Gini"))  # fmt: skip
    rows = []
    for (family, variant, task), own in table.groupby(["family", "variant", "task"], sort=False):
        by, cells = {(r.measure, r.quantity): r for r in own.itertuples()}, []
        for measure, quantity, unit, digits, _ in shown:
            r = by.get((measure, quantity))
            cells += [number(unit * r.value, digits), interval(unit * r.lo, unit * r.hi, digits)] if r else ["", ""]
        rows.append([*names_of(study, str(family), str(variant)), str(task), *cells])
    columns = [*RUN, Column("Task", number=False)]
    for *_, name in shown:
        columns += [Column(name, name), Column(CI, name, number=False)]
    caption = f"Tasks with a right answer; {CI} for other items like these. A reply that cannot be read is a wrong one."
    yield LatexTable("tasks", titled(study, caption), columns, rows, breaks(rows))


def _as_it_is(study: Study, name: str, table: pd.DataFrame) -> Iterator[LatexTable]:
    """A table without a layout of its own: its columns, numbers to four significant digits, both ends of intervals in one."""
    columns, cells = [], []
    ends = {str(column): match for column in table.columns if (match := _LOWER.fullmatch(str(column)))}
    ends = {column: match for column, match in ends.items() if _upper(column) in table}
    named = {"family", "variant"} <= set(table.columns)
    keys = zip(table["family"], table["variant"], strict=True) if named else ()
    names = [names_of(study, *key) if _is_of(study, *key) else key for key in keys]
    for column in table.columns:
        if column in map(_upper, ends):
            continue
        if named and column in ("family", "variant"):
            columns.append(RUN[column == "variant"])
            cells.append([name[column == "variant"] for name in names])
            continue
        if match := ends.get(column):
            digits = max(_four_digits(table[end]) for end in (column, _upper(column)))
            columns.append(Column(_headed(match), number=False))
            cells.append([interval(lo, hi, digits) for lo, hi in zip(table[column], table[_upper(column)], strict=True)])
            continue
        numeric = pd.api.types.is_numeric_dtype(table[column]) and not pd.api.types.is_bool_dtype(table[column])
        long = not numeric and table[column].astype(str).str.len().max() > 24
        columns.append(Column(str(column).replace("_", " "), number=numeric, wide=5 if long else None))
        digits = _four_digits(table[column]) if numeric else 0
        cells.append([number(float(v), digits) if numeric and pd.notna(v) else _text(v) for v in table[column]])
    yield LatexTable(name, titled(study, f"{heading(name).capitalize()}."), columns, list(zip(*cells, strict=True)))


def _upper(lower: str) -> str:
    """The column with the upper end: that of s_lo is s_hi, that of lo90 hi90."""
    return re.sub(r"(?<![a-z])lo(?![a-z])", "hi", lower)


def _headed(match: re.Match[str]) -> str:
    """How the column of an interval is headed: 95 % CI, and of what where that is not plain."""
    of = (match["of"] or "").strip("_").replace("_", " ")
    if of in _SPANS:
        return of
    kind = ", same requests again" if match["repeat"] else ", items" if match["items"] else ""
    return f"{of} {match['level'] or 95} % CI{kind}".strip()


def _is_of(study: Study, family: str, variant: str) -> bool:
    return family == "mean" or (family, variant) in {(run.family.key, run.variant.key) for run in study.runs}


def _text(value: object) -> str:
    return "" if pd.isna(value) else str(value)


def _four_digits(values: pd.Series) -> int:
    """Digits after the point that give the largest number four significant ones; none for whole numbers."""
    finite = [abs(float(v)) for v in values.dropna() if math.isfinite(v)]
    if not finite or all(v == int(v) for v in finite):
        return 0
    return max(0, 3 - math.floor(math.log10(max(max(finite), 1e-9))))
