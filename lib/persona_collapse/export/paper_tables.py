"""S and R as a paper prints them: levels with intervals, changes against the base, excesses over the control."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from persona_collapse.export.latex import NOTHING, Column, LatexTable, number
from persona_collapse.export.names import words_of
from persona_collapse.study.scopes import OVERALL, scopes
from persona_collapse.study.study import Study
from persona_collapse.vocabulary import METRICS, OF_PUBLISHED, PUBLISHED, RECOMMENDED, inside, words

#: Metrics that are printed by group of items, too; the CSV files have them all.
_BY_GROUP = (*OF_PUBLISHED, "within_rms")
#: The two that the study is about.
_BOTH = ("susceptibility", "robustness")
_CHANGE, _EXCESS = "change_pct", "excess_pp"
#: What a quantity is, the beginning of a file's name, and its unit.
_QUANTITIES = {
    _CHANGE: ("Change against the base", "change", "percent of the base of the same family"),
    _EXCESS: ("Excess over the matched control", "excess", "percentage points of the base"),
}
_METHODS = {RECOMMENDED: "recommended estimators", PUBLISHED: "the paper's formulas"}
#: Tables by the paper's formulas, which mirror the others.
_FOLDER = {PUBLISHED: "paper-formulas/"}
_SIMULATED = " Simulated ratings, made to look like published figures: evidence of nothing."
#: How columns of intervals are headed.
CI = "95 % CI"
#: Columns that name a run.
RUN = (Column("Model", number=False), Column("Variant", number=False))
#: Marks a contrast whose sides differ in more than fine-tuning.
_DIFFERS = " †"
_ABOUT_DIFFERS = " † The sides differ in more than fine-tuning; contrasts.csv says in what."


def titled(study: Study, caption: str) -> str:
    """A caption that stands alone: what the table shows, of which study, and whether its ratings are simulated."""
    return f"{caption} Study: {study.file.title}." + ("" if study.is_evidence else _SIMULATED)


def names_of(study: Study, family: str, variant: str) -> tuple[str, str]:
    """Labels of family and variant; those of family `mean` are none of a run's."""
    if family == "mean":
        return "Mean of families", next((r.variant.name for r in study.runs if r.variant.key == variant), variant)
    run = study.run(family, variant)
    return run.family.name, run.variant.name


def interval(lo: float, hi: float, digits: int) -> str:
    """Both ends of an interval for a cell; empty where there is none."""
    if not (lo == lo and hi == hi):
        return ""
    # Text, not a number: its minus is written as one.
    return f"[{number(lo, digits)}, {number(hi, digits)}]".replace("-", "−")


def heading(key: str) -> str:
    """The name of a metric, or of a part, at the head of a column."""
    return METRICS[key].heading if key in METRICS else words(key)


def digits_of(metric: str) -> int:
    """Digits behind the point."""
    return METRICS[metric].digits if metric in METRICS else 3


def breaks(names: Sequence[Sequence[str]]) -> list[int]:
    """Rows at which the first column begins anew."""
    return [i for i in range(1, len(names)) if names[i][0] != names[i - 1][0]]


def by_scope(study: Study, table: pd.DataFrame, name: str, caption: str, digits: int) -> LatexTable:
    """One row a run, one column a scope, value ± standard error."""
    wanted = [scope for scope in scopes(study.instrument) if scope in set(table["scope"])]
    at = {(r.family, r.variant, r.scope): number(r.value, digits, r.se) for r in table.itertuples()}
    rows = [[*names_of(study, *run), *(at.get((*run, scope), "") for scope in wanted)] for run in _runs(table)]
    columns = [*RUN, *(Column(study.instrument.short(scope)) for scope in wanted)]
    return LatexTable(name, titled(study, caption), columns, rows, breaks(rows))


def _runs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table["family"], table["variant"], strict=True)))


def _how(method: str) -> str:
    return _METHODS.get(method, f"method {method}")


def _prefix(method: str) -> str:
    return _FOLDER.get(method, "")


def _at(table: pd.DataFrame, *keys: str) -> dict[tuple[Any, ...], Any]:
    return {tuple(getattr(row, key) for key in keys): row for row in table.itertuples()}


# --- the one table ---------------------------------------------------------------------------------------------------


def susceptibility_and_robustness(study: Study, metrics: pd.DataFrame, contrasts: pd.DataFrame) -> Iterator[LatexTable]:
    """S and R of every run, their changes and their excesses, a row a run with its intervals under it; one table a method."""
    whole = metrics[(metrics["scope"] == OVERALL) & metrics["metric"].isin(_BOTH)]
    changed = contrasts[(contrasts["scope"] == OVERALL) & contrasts["metric"].isin(_BOTH)]
    for method, levels in whole.groupby("method", sort=False):
        against = changed[changed["method"] == method]
        quantities = [quantity for quantity in (_CHANGE, _EXCESS) if quantity in set(against["quantity"])]
        level = _at(levels, "family", "variant", "metric")
        change = _at(against, "family", "variant", "metric", "quantity")
        runs = [*_runs(levels), *(run for run in _runs(against) if run[0] == "mean" and len(study.file.families) > 1)]
        rows: list[list[str]] = []
        begins, marked, before = [], False, ""
        for run in runs:
            names, differs = names_of(study, *run), any(_differs(change.get((*run, metric, _CHANGE))) for metric in _BOTH)
            found = [(level.get((*run, metric)), METRICS[metric].digits) for metric in _BOTH]
            found += [(change.get((*run, metric, quantity)), 1) for quantity in quantities for metric in _BOTH]
            if names[0] != before:
                begins.append(len(rows))
            before, marked = names[0], marked or differs
            rows.append([names[0], names[1] + _DIFFERS * differs, *(_value(row, digits) for row, digits in found)])
            rows.append([NOTHING, NOTHING, *(_interval(row, digits) or NOTHING for row, digits in found)])
        spans = ["", *(f"{_QUANTITIES[quantity][0]} ({'%' if quantity == _CHANGE else 'pp'})" for quantity in quantities)]
        columns = [*RUN, *(Column(f"{METRICS[metric].name} [{CI}]", span) for span in spans for metric in _BOTH)]
        said = "; ".join(f"{_QUANTITIES[quantity][0].lower()} in {_QUANTITIES[quantity][2]}" for quantity in quantities)
        caption = (
            f"{heading(_BOTH[0])} and {inside(heading(_BOTH[1]))} of every run over all items, by the {_how(str(method))}"
            f"{'; ' * bool(said)}{said}. In brackets {CI} {_of_what(str(method))}."
        )
        yield LatexTable(
            f"{_prefix(str(method))}susceptibility-and-robustness", titled(study, caption + _ABOUT_DIFFERS * marked), columns,
            rows, begins, joined=range(0, len(rows), 2),
        )  # fmt: skip


def _of_what(method: str) -> str:
    return "for other personas like these" if method == RECOMMENDED else "from the paper's standard errors, ± 1.96 of them"


def _value(row: Any, digits: int) -> str:
    return number(row.value, digits) if row is not None else ""


def _interval(row: Any, digits: int) -> str:
    return interval(row.lo, row.hi, digits) if row is not None else ""


def _differs(row: Any) -> bool:
    mark = getattr(row, "differs", "")
    return isinstance(mark, str) and bool(mark)


# --- every metric ----------------------------------------------------------------------------------------------------


def levels(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every metric of every run over all items with intervals, then S, R and noise by group of items; one set a method."""
    group, cells = study.instrument.group, (_value, _interval)
    for method, chosen in table.groupby("method", sort=False):
        rows = [
            [heading(metric), *names_of(study, r.family, r.variant), *(cell(r, digits_of(metric)) for cell in cells)]
            for metric, of_metric in chosen[chosen["scope"] == OVERALL].groupby("metric", sort=False)
            for r in of_metric.itertuples()
        ]  # fmt: skip
        columns = [Column("Metric", number=False), *RUN, Column("value"), Column(CI, number=False)]
        caption = f"Every metric of every run over all items, by the {_how(str(method))}; {CI} {_of_what(str(method))}."
        yield LatexTable(f"{_prefix(str(method))}levels", titled(study, caption), columns, _once(rows), breaks(rows))
        for metric, of_metric in chosen[chosen["metric"].isin(_BY_GROUP)].groupby("metric", sort=False):
            caption = (
                f"{heading(metric)} of every run by {group}, by the {_how(str(method))}, ± standard error where there is one."
            )
            name = f"{_prefix(str(method))}{words_of(metric)}-by-{group}"
            yield by_scope(study, of_metric, name, caption, digits_of(metric))


def contrasts(study: Study, table: pd.DataFrame) -> Iterator[LatexTable]:
    """Every change and excess over all items, one table a variant; then those of S, R and noise by group of items."""
    for method, chosen in table.groupby("method", sort=False):
        for variant, own in chosen[chosen["scope"] == OVERALL].groupby("variant", sort=False):
            yield _changes(study, own, str(method), str(variant))
        picked = chosen[chosen["metric"].isin(_BY_GROUP)]
        for (quantity, metric), of_metric in picked.groupby(["quantity", "metric"], sort=False):
            title, begin, unit = _quantity(quantity)
            group = study.instrument.group
            caption = (
                f"{title} of {inside(heading(metric))} by {group}, by the {_how(str(method))}, in {unit}, ± standard error where "
                "there is one."
            )
            yield by_scope(study, of_metric, f"{_prefix(str(method))}{begin}-of-{words_of(metric)}-by-{group}", caption, 1)


def _changes(study: Study, table: pd.DataFrame, method: str, variant: str) -> LatexTable:
    """What became of every metric under one variant: a row a metric and family."""
    quantities = list(dict.fromkeys(table["quantity"]))
    at = _at(table, "metric", "family", "quantity")
    keys = dict.fromkeys((metric, family) for metric, family, _ in sorted(at, key=_order(table["metric"])))
    rows, marked = [], False
    for metric, family in keys:
        found = [at.get((metric, family, quantity)) for quantity in quantities]
        differs = any(map(_differs, found))
        marked = marked or differs
        name = names_of(study, family, variant)[0] + _DIFFERS * differs
        rows.append([heading(metric), name, *(cell for row in found for cell in (_value(row, 1), _interval(row, 1)))])
    columns = [Column("Metric", number=False), RUN[0]]
    for quantity in quantities:
        columns += [Column("value", _quantity(quantity)[0]), Column(CI, _quantity(quantity)[0], number=False)]
    said = " and ".join(f"{_quantity(quantity)[0].lower()}, in {_quantity(quantity)[2]}," for quantity in quantities)
    name = names_of(study, str(table["family"].iloc[0]), variant)[1]
    caption = (
        f"What changed under {name} over all items: {said} by the {_how(method)}; {CI} {_of_what(method)}."
        + _ABOUT_DIFFERS * marked
    )
    return LatexTable(f"{_prefix(method)}changes-{variant}", titled(study, caption), columns, _once(rows), breaks(rows))


def _quantity(quantity: str) -> tuple[str, str, str]:
    return _QUANTITIES.get(quantity, (words(quantity).capitalize(), quantity, "the unit of the table"))


def _order(metrics: Iterable[str]) -> Callable[[tuple[Any, ...]], int]:
    """Rows by metric, in the order of these, which sorting keeps otherwise."""
    place = {metric: number for number, metric in enumerate(dict.fromkeys(metrics))}
    return lambda key: place[key[0]]


def _once(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows with the first cell only where it begins anew."""
    return [[row[0] if not i or rows[i - 1][0] != row[0] else "", *row[1:]] for i, row in enumerate(rows)]
