"""What fine-tuning did to tasks with a right answer, and whether a model is unsteady as personas alone, in computed sentences."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.capability import DIFFERENCE, LEVEL, RATIO
from persona_collapse.tables.instability import LESS, MORE
from persona_collapse.text import safe

_NONE = "No task was given: a study file says so by `tasks:`."
#: Of Holm's p below which a difference is told.
_ALPHA = 0.05
#: The measure that sentences speak of; the other one stands in the tables.
_MEASURE = "gini"


@exhibit.finding("tasks")
def tasks(capability: pd.DataFrame | None, study: Study) -> str:
    """How many replies of each base are right, and what every variant differs from it by; from capability.csv."""
    if capability is None:
        return _NONE
    own = capability[capability["measure"] == "accuracy"]
    tests = int(own["p"].notna().sum())
    lines = [f"- {line}" for run in study.runs for line in _of_run(run, own, study)]
    few = _unanswered(capability)
    holm = f" p by Holm over {tests} differences." if tests > 1 else ""
    said = "A reply that cannot be read is a wrong one. Intervals are for other items like these."
    return "\n".join(lines) + f"\n\n{said}{holm}{few}"


def _of_run(run: Run, own: pd.DataFrame, study: Study) -> Iterator[str]:
    rows = own[(own["family"] == run.family.key) & (own["variant"] == run.variant.key)]
    levels = {row.task: row for row in rows[rows["quantity"] == LEVEL].itertuples()}
    changes = list(rows[rows["quantity"] == DIFFERENCE].itertuples())
    if not levels:
        return
    each = ", ".join(f"{safe(task)} {_percent(row)}" for task, row in levels.items())
    if run.variant.role == "base":
        yield f"**{safe(run.name)}** answers rightly: {each}."
        return
    told = [_moved(row) for row in changes]
    said = f"accuracy {'; '.join(told)}" if told else f"no base to compare with; {each}"
    differs = next((row.differs for row in changes if row.differs), "")
    yield f"**{safe(run.name)}**: {said}." + (f" Its sides differ in more: {safe(differs)}." if differs else "")


def _percent(row: Any) -> str:
    limits = f" [{100 * row.lo:.0f}, {100 * row.hi:.0f}]" if np.isfinite(row.lo) else ""
    return f"{100 * row.value:.0f} %{limits}"


def _moved(row: Any) -> str:
    on = f"on {safe(row.task)}"
    if np.isnan(row.lo):
        same = f"{on} shows no difference in any item"
        return same if row.value == 0 else f"{on} differs by {100 * row.value:+.1f} points (no interval)"
    limits = f"{100 * row.value:+.1f} points [{100 * row.lo:.1f}, {100 * row.hi:.1f}]"
    p = f"p {_p(row.p_holm)}"
    if row.p_holm < _ALPHA:
        return f"{on} {'falls' if row.value < 0 else 'rises'} ({limits}, {p})"
    return f"{on} shows no clear difference ({limits}, {p})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}" if value < 0.095 else f"= {value:.2f}"


def _unanswered(capability: pd.DataFrame) -> str:
    lost = capability[(capability["measure"] == "accuracy") & (capability["quantity"] == LEVEL)]["missing"].sum()
    return f" {lost:,} replies never came and count nowhere." if lost else ""


@exhibit.finding("selective")
def selective(selective: pd.DataFrame | None, study: Study) -> str:
    """Whether instability rises more as personas than on tasks, by difference and by ratio; from selective.csv."""
    if selective is None:
        return "Nothing was asked twice, so that nobody can tell whether answers are steady."
    lines = []
    for run in study.runs:
        by = _by(selective, run)
        if by:
            lines.append(f"- **{safe(run.name)}: {_verdict(by)}.** {_numbers(by)}")
    return "\n".join(lines) or "No variant has answers both as personas and to tasks, with a base to compare with."


def _by(selective: pd.DataFrame, run: Run) -> dict[str, Any]:
    """Rows of a run by quantity, of the measure that sentences speak of."""
    own = selective[(selective["family"] == run.family.key) & (selective["variant"] == run.variant.key)]
    return {str(row.quantity): row for row in own[own["measure"] == _MEASURE].itertuples()}


def is_selective(row: Any) -> bool:
    """Whether instability rises as personas, and more so than on tasks."""
    return bool(row.told == MORE and row.persona_lo > (1 if row.quantity == RATIO else 0))


def _verdict(by: dict[str, Any]) -> str:
    yes = {quantity: is_selective(row) for quantity, row in by.items()}
    less = {quantity: row.told == LESS for quantity, row in by.items()}
    if all(yes.values()):
        return "selective, in differences and in ratios"
    for one, other in ((DIFFERENCE, RATIO), (RATIO, DIFFERENCE)):
        if yes.get(one):
            words = f"selective in {one}s, not in {other}s"
            if less.get(other):
                return f"{words}, where it is the reverse"
            return words if not by[other].note else f"selective in {one}s; {other}s do not exist"
    if any(less.values()):
        where = " and in ".join(f"{quantity}s" for quantity, told in less.items() if told)
        return f"not selective; tasks suffer more than personas, in {where}"
    if not by[DIFFERENCE].persona_lo > 0:
        return "not selective; no rise of instability as personas can be told"
    return "whether it is selective cannot be told"


def _numbers(by: dict[str, Any]) -> str:
    said, row = [], by[DIFFERENCE]
    said.append(
        f"Gini impurity changes by {_signed(row, 'persona')} as personas and by {_signed(row, 'tasks')} on tasks: "
        f"{_signed(row, 'beyond')} beyond it."
    )
    row = by.get(RATIO)
    if row is not None and not row.note:
        said.append(
            f"In ratios {_times(row, 'persona')} as personas and {_times(row, 'tasks')} on tasks: {_times(row, 'beyond')} of it."
        )
    elif row is not None:
        said.append(f"No ratio: {safe(row.note)}.")
    return " ".join(said)


def _signed(row: Any, name: str) -> str:
    value, lo, hi = (getattr(row, f"{name}{end}") for end in ("", "_lo", "_hi"))
    return f"{value:+.2f} [{lo:.2f}, {hi:.2f}]" if np.isfinite(lo) else f"{value:+.2f}"


def _times(row: Any, name: str) -> str:
    value, lo, hi = (getattr(row, f"{name}{end}") for end in ("", "_lo", "_hi"))
    return f"× {value:.2f} [{lo:.2f}, {hi:.2f}]" if np.isfinite(lo) else f"× {value:.2f}"


def summary(found: Tables) -> list[str]:
    """One sentence for the head of the page: which variants lost accuracy, and which are unsteady as personas above all."""
    table = found.capability
    if table is None:
        return []
    runs = [run for run in found.study.runs if run.variant.role != "base"]
    own = table[(table["measure"] == "accuracy") & (table["quantity"] == DIFFERENCE)]
    fell = {(r.family, r.variant) for r in own.itertuples() if r.p_holm < _ALPHA and r.value < 0}
    lost = [safe(run.name) for run in runs if run.keys in fell]
    many = f"{len(runs)} variant{'s' * (len(runs) != 1)}"
    said = f"**Capability**: accuracy on tasks falls in {len(lost)} of {many}" + (f" ({', '.join(lost)})" if lost else "")
    if found.selective is None:
        return [f"{said}."]
    told: dict[str, list[str]] = {}
    for run in runs:
        yes = [row.quantity for row in _by(found.selective, run).values() if is_selective(row)]
        if yes:
            words = "by difference and by ratio" if len(yes) > 1 else f"by {yes[0]} alone"
            told.setdefault(words, []).append(safe(run.name))
    if not told:
        return [f"{said}; under none instability is told to rise more as personas than on tasks."]
    where = "; ".join(f"under {', '.join(names)} {words}" for words, names in told.items())
    return [f"{said}; instability rises more as personas than on tasks {where}."]


def methods(study: Study) -> str:
    """How replies are read, what is counted and how intervals are made, for the methods of a page."""
    return f"""### Tasks with a right answer

{_asked(study)}Invalid replies are wrong; only a reply that never came is missing. With $s_i$ right of $m_i$ replies to item
$i$, accuracy is $\\sum_i s_i / \\sum_i m_i$. Its standard error takes items as the sample within their groups: with $e_i$ the
part of item $i$ less the mean, $SE^2 = \\sum_g \\frac{{n_g}}{{n_g - 1}} \\sum_{{i \\in g}} (e_i - \\bar{{e}}_g)^2$, intervals are
value $\\pm$ t SE with Satterthwaite's degrees of freedom. A variant is compared with its base on the items that both answered,
by the difference of their $e_i$; p values are adjusted by Holm over all differences of a measure.

**Instability.** Of a cell (a persona and an item, an item without a persona, or an item of a task) with shares $p_k$ of its
answers, the Gini impurity is $1 - \\sum_k p_k^2$; the cell is not unanimous if its repetitions are not all alike. Both are taken
as expected from as many answers a cell as every condition has, drawn without replacement. As personas the units are personas,
else items by group. Instability is *selective* where it rises as personas and more so than on all tasks together: the
difference of the two differences lies above 0, or the ratio of the two ratios above 1, with independent standard errors. Both
are said because a condition in which the base hardly ever differs rises by little and by a large ratio.
"""


def _asked(study: Study) -> str:
    rules = {
        "whole": "the whole reply is the answer", "marker": "the answer stands behind the last marker `Answer:`",
        "boxed": "the answer stands in the last box",
    }  # fmt: skip
    each = [
        f"`{safe(task.key)}`: {len(task.items)} items, {task.repetitions} repetitions at T = {task.temperature:g}, "
        f"{task.max_tokens} tokens; {rules[task.read]}"
        for task in study.tasks
    ]
    return f"Asked without a persona: {'; '.join(each)}. " if each else "Answers are imported as their files read them. "
