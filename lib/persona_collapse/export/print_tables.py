"""A study's tables as a paper prints them: wide, rounded, one caption each that stands alone."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from persona_collapse.exhibits import validity_tables
from persona_collapse.export.latex import Column, LatexTable, label, number
from persona_collapse.study.scopes import OVERALL, scopes
from persona_collapse.study.study import Study
from persona_collapse.vocabulary import METRICS, OF_PUBLISHED, inside, words

#: Metrics that are printed by foundation, too; the CSV files have them all.
_HEADLINE = (*OF_PUBLISHED, "within_rms")
_QUANTITIES = {
    "change_pct": ("Change against base", "percent of the base of the same family"),
    "excess_pp": ("Excess over the matched control", "percentage points of the base"),
}
#: Metrics that fit side by side with their intervals.
_ABREAST = 3
_SIMULATED = " Simulated ratings, made to look like published figures: evidence of nothing."


def every(study: Study, tables: Mapping[str, pd.DataFrame | None]) -> list[LatexTable]:
    """Every table of a study for print, in the order of the files; those without a layout of their own as they are."""
    own: dict[str, Callable[[Study, pd.DataFrame], Iterator[LatexTable]]] = {
        "metrics": _levels, "contrasts": _contrasts, "companions": _companions, "validity": _validity, "headlines": _headlines,
        "profiles": _profiles, "saturation": _saturation,
        "quality": _quality, "published_check": _published_check, "temperature": _temperature,
    }  # fmt: skip
    found: list[LatexTable] = []
    for name, table in tables.items():
        if table is None or table.empty:
            continue
        found += own[name](study, table) if name in own else _as_it_is(study, name, table)
    return found


def _titled(study: Study, caption: str) -> str:
    return f"{caption} Study: {study.file.title}." + ("" if study.is_evidence else _SIMULATED)


def _names(study: Study, family: str, variant: str) -> tuple[str, str]:
    """Labels of family and variant; those of family `mean` are none of a run's."""
    if family == "mean":
        return "Mean of families", next((r.variant.name for r in study.runs if r.variant.key == variant), variant)
    run = study.run(family, variant)
    return run.family.name, run.variant.name


def _words(key: str) -> str:
    return METRICS[key].heading if key in METRICS else words(key)


def _inside(key: str) -> str:
    """The name of a metric inside a sentence."""
    return inside(_words(key))


def _method(method: str) -> str:
    return {"published": "the paper's formulas", "recommended": "recommended estimators"}.get(method, f"method {method}")


def _digits(metric: str) -> int:
    return METRICS[metric].digits if metric in METRICS else 3


def _parts(names: Sequence[Sequence[str]]) -> list[int]:
    """Rows at which a new family begins."""
    return [i for i in range(1, len(names)) if names[i][0] != names[i - 1][0]]


#: Marks a contrast whose sides differ in more than fine-tuning.
_DIFFERS = " †"
_RUN = (Column("Model", number=False), Column("Variant", number=False))


# --- S and R ---------------------------------------------------------------------------------------------------------


def _levels(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every run's metrics, overall with intervals, then by foundation with standard errors."""
    for method, of_method in table.groupby("method", sort=False):
        caption = f"{{metrics}} of every run over all items, by the {_method(method)}, with 95 % intervals."
        overall = of_method[of_method["scope"] == OVERALL]
        yield from _with_intervals(study, overall, f"levels-{method}", caption, _digits)
        for metric, of_metric in of_method[of_method["metric"].isin(_HEADLINE)].groupby("metric", sort=False):
            caption = (
                f"{_words(metric)} of every run by {study.instrument.group}, by the {_method(method)}, ± standard error where "
                "there is one."
            )
            yield _by_scope(study, of_metric, f"{metric}-by-foundation-{method}", caption, _digits(metric))


def _contrasts(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every change against base and excess over control, overall with intervals, then by foundation."""
    for (method, quantity), chosen in table.groupby(["method", "quantity"], sort=False):
        title, unit = _QUANTITIES.get(quantity, (_words(quantity).capitalize(), "in the unit of the table"))
        caption = f"{title} over all items of {{metrics}}, by the {_method(method)}, in {unit}, with 95 % intervals."
        overall = chosen[chosen["scope"] == OVERALL]
        yield from _with_intervals(study, overall, f"{quantity}-{method}", caption, lambda metric: 1)
        for metric, of_metric in chosen[chosen["metric"].isin(_HEADLINE)].groupby("metric", sort=False):
            caption = (
                f"{title} of {_inside(metric)} by {study.instrument.group}, by the {_method(method)}, in {unit}, "
                "± standard error where there is one."
            )
            yield _by_scope(study, of_metric, f"{quantity}-{metric}-by-foundation-{method}", caption, 1)


def _with_intervals(
    study: Study, table: pd.DataFrame, name: str, caption: str, digits: Callable[[str], int]
) -> Iterator[LatexTable]:  # fmt: skip
    """One row a run; value and both ends of the interval of every metric, a few metrics a table.

    ``{metrics}`` in the caption stands for those that a table holds.
    """
    metrics = list(dict.fromkeys(table["metric"]))
    runs = list(dict.fromkeys(zip(table["family"], table["variant"], strict=True)))
    at = {(r.family, r.variant, r.metric): r for r in table.itertuples()}
    differing = {(r.family, r.variant) for r in table.itertuples() if isinstance(mark := getattr(r, "differs", ""), str) and mark}
    if differing:
        caption += " † The sides differ in more than fine-tuning; contrasts.csv says in what."
    for start in range(0, len(metrics), _ABREAST):
        shown = metrics[start : start + _ABREAST]
        columns = [*_RUN, *(Column(h, _words(m)) for m in shown for h in ("value", "low", "high"))]
        named = ", ".join([_words(shown[0]), *map(_inside, shown[1:])])
        rows = []
        for family, variant in runs:
            names = _names(study, family, variant)
            cells = [names[0], names[1] + _DIFFERS if (family, variant) in differing else names[1]]
            for metric in shown:
                row = at.get((family, variant, metric))
                cells += [number(getattr(row, part), digits(metric)) if row else "" for part in ("value", "lo", "hi")]
            rows.append(cells)
        place = f"-{start // _ABREAST + 1}" if len(metrics) > _ABREAST else ""
        yield LatexTable(label(name + place), _titled(study, caption.replace("{metrics}", named)), columns, rows, _parts(rows))


def _by_scope(study: Study, table: pd.DataFrame, name: str, caption: str, digits: int) -> LatexTable:
    """One row a run, one column a scope, value ± standard error."""
    wanted = [scope for scope in scopes(study.instrument) if scope in set(table["scope"])]
    runs = list(dict.fromkeys(zip(table["family"], table["variant"], strict=True)))
    at = {(r.family, r.variant, r.scope): number(r.value, digits, r.se) for r in table.itertuples()}
    rows = [[*_names(study, *run), *(at.get((*run, scope), "") for scope in wanted)] for run in runs]
    columns = [*_RUN, *(Column(study.instrument.short(scope)) for scope in wanted)]
    return LatexTable(label(name), _titled(study, caption), columns, rows, _parts(rows))


def _companions(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """The parts of every change over all items, one row a comparison."""
    overall = table[table["scope"] == OVERALL]
    parts = list(dict.fromkeys(overall["part"]))
    keys = list(dict.fromkeys(zip(overall["family"], overall["variant"], overall["against"], strict=True)))
    at = {(r.family, r.variant, r.against, r.part): number(r.value, 2, r.se) for r in overall.itertuples()}
    rows = [[*_names(study, *key[:2]), key[2], *(at.get((*key, part), "") for part in parts)] for key in keys]
    columns = [*_RUN, Column("Against", number=False), *(Column(_words(part)) for part in parts)]
    caption = (
        "What changes of noise and of pooled S are made of, over all items, ± standard error: differences of logarithms, for ICC "
        "of logits, for fidelity plain ones."
    )
    yield LatexTable("companions", _titled(study, caption), columns, rows, _parts(rows))


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
    yield LatexTable("validity", _titled(study, caption), columns, rows, _parts(rows))


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
    yield LatexTable("headlines", _titled(study, caption), columns, rows, _parts(rows))


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
        yield _by_scope(study, as_scope, f"profiles-{condition}", caption, 2)


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
    rows = [[*_names(study, *run[:2]), run[2], *(at.get((*run, measure), "") for measure in measures)] for run in runs]
    columns = [*_RUN, Column("Condition", number=False), *(Column(_words(m).removeprefix("share ")) for m in measures)]
    return LatexTable(label(name), _titled(study, caption), columns, rows, _parts(rows))


# --- quality, check, curves ------------------------------------------------------------------------------------------


def _quality(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Slots, ratings and reasons for missing ones; a column of zeros or nothing is left to the CSV file."""
    numeric = [c for c in table.select_dtypes("number") if c not in ("slots", "valid")]
    shown = ["slots", "valid", *(c for c in numeric if table[c].fillna(0).any())]
    whole = {c: 0 if (table[c].dropna() % 1 == 0).all() else 2 for c in shown}
    rows = []
    for r in table.to_dict("records"):
        numbers = (number(float(r[c]), whole[c]) for c in shown)
        rows.append([*_names(study, r["family"], r["variant"]), r["condition"], *numbers, str(r["stack"])])
    columns = [
        *_RUN, Column("Condition", number=False), *(Column(c.replace("_", " ")) for c in shown), Column("Stack", number=False),
    ]  # fmt: skip
    caption = (
        "What was asked and what came back: slots of the design, valid ratings, missing ones by reason where any is missing."
    )
    yield LatexTable("quality", _titled(study, caption), columns, rows, _parts(rows))


def _published_check(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every printed number beside the computed one; what disagrees stands first."""
    known = {(family, run.variant.key) for run in study.runs for family in (run.family.key, "mean")}
    rows = []
    for r in table.sort_values("agrees", kind="stable").to_dict("records"):
        printed = str(r["printed"])
        digits = len(printed.partition(".")[2]) + 1
        run = str(r["family"]), str(r["variant"])
        names = _names(study, *run) if run in known else run
        rows.append(
            [str(r["table"]), *names, study.instrument.short(str(r["scope"])), str(r["metric"]).replace("_", " "), printed,
             number(r["computed"], digits), "yes" if r["agrees"] else "no", str(r["note"] or "")]
        )  # fmt: skip
    columns = [
        Column("Table", number=False, wide=3), *_RUN, Column("Scope", number=False), Column("Metric", number=False, wide=3.4),
        Column("printed"), Column("computed"), Column("agrees", number=False), Column("note", number=False, wide=6),
    ]  # fmt: skip
    agreeing = int(table["agrees"].sum())
    caption = f"Printed numbers beside those computed from the ratings: {agreeing} of {len(table)} agree after rounding."
    yield LatexTable("published-check", _titled(study, caption), columns, rows)


def _temperature(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Curves over sampling temperature, one table a metric, one row a temperature and run."""
    for metric, chosen in table.groupby("metric", sort=False):
        rows = []
        for r in chosen.itertuples():
            numbers = (number(v, _digits(metric)) for v in (r.value, r.lo, r.hi))
            rows.append([*_names(study, r.family, r.variant), number(r.temperature, 2), *numbers])
        columns = [*_RUN, Column("T"), *(Column(h, _words(metric)) for h in ("value", "low", "high"))]
        caption = f"{_words(metric)} at every sampling temperature T, from logprobs, with 95 % intervals of the persona part."
        yield LatexTable(label(f"temperature-{metric}"), _titled(study, caption), columns, rows, _parts(rows))


def _as_it_is(study: Study, name: str, table: pd.DataFrame) -> Iterator[LatexTable]:
    """A table without a layout of its own: its columns, numbers to four significant digits."""
    columns, cells = [], []
    for column in table.columns:
        numeric = pd.api.types.is_numeric_dtype(table[column]) and not pd.api.types.is_bool_dtype(table[column])
        long = not numeric and table[column].astype(str).str.len().max() > 24
        columns.append(Column(str(column).replace("_", " "), number=numeric, wide=5 if long else None))
        digits = _four_digits(table[column]) if numeric else 0
        cells.append([number(float(v), digits) if numeric and pd.notna(v) else _text(v) for v in table[column]])
    yield LatexTable(label(name), _titled(study, f"{_words(name).capitalize()}."), columns, list(zip(*cells, strict=True)))


def _text(value: object) -> str:
    return "" if pd.isna(value) else str(value)


def _four_digits(values: pd.Series) -> int:
    """Digits after the point that give the largest number four significant ones; none for whole numbers."""
    finite = [abs(float(v)) for v in values.dropna() if math.isfinite(v)]
    if not finite or all(v == int(v) for v in finite):
        return 0
    return max(0, 3 - math.floor(math.log10(max(max(finite), 1e-9))))
