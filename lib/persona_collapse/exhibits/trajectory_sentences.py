"""Whether S rises and then falls along a training, as sentences computed from peaks.csv and trajectory.csv."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.statistics.trajectory import DRAWS
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.trajectory import ALL, SHARED
from persona_collapse.text import safe
from persona_collapse.vocabulary import METHODS, PUBLISHED, RECOMMENDED

_NO_PATH = "No run has checkpoints: a variant with `of`, the fine-tune, and `step`, of its training."


@exhibit.finding("steps")
def steps(peaks: pd.DataFrame | None, trajectory: pd.DataFrame | None, study: Study) -> str:
    """Whether S rises and then falls on the way from each base to its fine-tune, and whether it falls with the ceiling."""
    if peaks is None or trajectory is None or peaks.empty:
        return _NO_PATH
    return "\n".join(f"- {line}" for line in _lines(peaks, trajectory, study))


def summary(found: Tables) -> list[str]:
    """One sentence for the head of the page: of how many paths S rises and then falls, and where."""
    peaks = found.peaks
    if peaks is None or peaks.empty:
        return []
    own = peaks[peaks["method"] == RECOMMENDED]
    told = [row for row in own.itertuples() if row.told]
    names = [f"{_name(row, found.study)} (highest at step {_where(row)})" for row in told]
    if not told:
        return [f"**No rise and fall of S along the training** can be told, in {_counted(len(own))}."]
    where = f": {', '.join(names)}"
    return [f"**S rises and then falls along the training** in {len(told)} of {_counted(len(own))}{where}."]


def _counted(number: int) -> str:
    return f"{number} path{'s' * (number != 1)} of checkpoints"


def _lines(peaks: pd.DataFrame, trajectory: pd.DataFrame, study: Study) -> list[str]:
    lines = []
    for (family, of), rows in peaks.groupby(["family", "of"], sort=False):
        path = trajectory[(trajectory["family"] == family) & (trajectory["of"] == of)]
        by = {row.method: row for row in rows.itertuples()}
        own, printed = by[RECOMMENDED], by[PUBLISHED]
        said = [_told(own, path, study) if own.told else _not_told(own, path, study)]
        if not own.why:
            said.append(_by_the_paper(own, printed))
        if own.other_stack:
            said.append(_served(own, path, study))
        lines.append(" ".join(said))
    return lines


def _told(row: Any, path: pd.DataFrame, study: Study) -> str:
    return (
        f"**{_name(row, study)}: S rises and then falls.** It is highest at step {_where(row)}, {_number(row, 'rise')} above "
        f"{_first(path)}, and from there falls by {_number(row, 'fall', -1)} to {_last(path)}. {_with_ceiling(row)}"
    )


def _with_ceiling(row: Any) -> str:
    """Whether the fall goes with answers at the top of the scale."""
    top = f"the share of ratings at the top of the scale changes by {row.top_pp:+.0f} pp [{row.top_lo:.0f}, {row.top_hi:.0f}]"
    relative = f"{whole(row.relative, '+')} % [{whole(row.relative_lo)}, {whole(row.relative_hi)}]"
    if not np.isfinite(row.relative_lo):
        return f"On the way down {top}; S relative to the room that item means leave has no interval."
    if row.with_ceiling:
        return (
            f"**The fall goes with the ceiling**: on the way down {top}, and S relative to the room that item means leave does "
            f"not clearly fall ({relative})."
        )
    if row.top_lo > 0:
        return (
            f"The ceiling is not all of the fall: on the way down {top}, but S relative to the room that item means leave falls "
            f"as well ({relative})."
        )
    return f"The fall does not go with the ceiling: on the way down {top}, and S relative to its room changes by {relative}."


def _not_told(row: Any, path: pd.DataFrame, study: Study) -> str:
    name = _name(row, study)
    if row.why:
        return f"**{name}: no peak of S can be told**: {safe(row.why)}."
    first, last = _first(path), _last(path)
    if row.variant in (path.iloc[0]["variant"], path.iloc[-1]["variant"]):
        return (
            f"**{name}: no peak of S can be told.** S is highest at {'the base' if row.step == 0 else 'the end'} "
            f"(step {_where(row)}); from {first} to {last} it changes by {_number(row, 'change', sign='+')}."
        )
    lacks = [f"its {what}" for what, clear in (("rise", row.rise_lo > 0), ("fall", row.fall_hi < 0)) if not clear]
    return (
        f"**{name}: no peak of S can be told.** S is highest at step {_where(row)}, but {' and '.join(lacks)} cannot be told "
        f"from none: {_number(row, 'rise', sign='+')} from {first}, then {_number(row, 'fall', sign='+')} to {last}."
    )


def _by_the_paper(own: Any, printed: Any) -> str:
    if own.told == printed.told:
        what = f"highest at step {_where(printed)}" if own.told else "no peak can be told either"
        return f"By the {METHODS[PUBLISHED]}: {what}."
    return f"By the {METHODS[PUBLISHED]} {'a peak can be told' if printed.told else 'no peak can be told'}: {_where(printed)}."


def _served(row: Any, path: pd.DataFrame, study: Study) -> str:
    main = path.loc[path["other_stack"] == "", "stack"].iloc[0]
    base = path[(path["step"] == 0) & (path["other_stack"] != "")]
    beyond = ", such as the rise from the base," if len(base) else ""
    return (
        f"Served otherwise: step {safe(row.other_stack)}; the other steps by {safe(main)}. What differs between "
        f"them{beyond} may be the serving stack's."
    )


def _name(row: Any, study: Study) -> str:
    return safe(study.run(row.family, row.of).name)


def _where(row: Any) -> str:
    """The highest step with its interval."""
    return f"{row.step:g} [{row.lo:g}, {row.hi:g}]"


def _number(row: Any, what: str, turn: int = 1, sign: str = "") -> str:
    """A difference with its interval; `turn` is -1 for a fall that is said as a number above 0."""
    value, *limits = (turn * float(getattr(row, f"{what}{end}")) for end in ("", "_lo", "_hi"))
    lo, hi = sorted(limits)
    if row.unit == "%":
        return f"{whole(value, sign)} % [{whole(lo)}, {whole(hi)}]"
    return f"{value:{sign}.2f} scale points [{lo:.2f}, {hi:.2f}]"


def _first(path: pd.DataFrame) -> str:
    row = path.iloc[0]
    return "the base" if row["step"] == 0 else f"step {row['position']:g}"


def _last(path: pd.DataFrame) -> str:
    row = path.iloc[-1]
    return "the end" if np.isnan(row["step"]) else f"step {row['position']:g}"


@exhibit.finding("steps_personas")
def steps_personas(trajectory: pd.DataFrame | None, peaks: pd.DataFrame | None, study: Study) -> str:
    """On how many personas the steps of each path are compared, and which steps are not."""
    if trajectory is None or peaks is None or trajectory.empty:
        return _NO_PATH
    lines = []
    for (family, of), path in trajectory.groupby(["family", "of"], sort=False):
        row = next(peaks[(peaks["family"] == family) & (peaks["of"] == of)].itertuples())
        each = path[(path["on"] == ALL) & (path["metric"] == "susceptibility") & (path["method"] == RECOMMENDED)]
        shared = path.loc[path["on"] == SHARED, "personas"]
        number = int(shared.iloc[0]) if len(shared) else 0
        if set(each["personas"]) == {number}:
            said = f"all {len(each)} steps have the same {number} personas"
        else:
            sizes = ", ".join(f"{position:g}: {size}" for position, size in zip(each["position"], each["personas"], strict=True))
            said = f"{row.steps} steps are compared on the {number} personas that all of them share; personas by step: {sizes}"
        left = f" Left out of the comparison: {safe(row.left)}" if row.left else ""
        lines.append(f"- {_name(row, study)}: {said}.{left}")
    return "\n".join(lines)


def methods(study: Study) -> str:
    """Formulas of a path and its peak, for the methods of a page."""
    return f"""### Along the training

A path leads from the base (step 0) over the checkpoints of a fine-tune to the fine-tune itself. A persona counts at a step that
rated most of its items for it; steps are compared on the personas that all of them share (`on` is `shared` in
`tables/trajectory.csv`, `all` on all of each step's own). The entropy of all ratings, in bits, is $-\\sum_c p_c \\log_2 p_c$
with $p_c$ the share of category $c$.

**A peak of S.** With $z_k = \\log S_k$ at step $k$ of $0, \\dots, K$ and $z_{{k(p)}}$ the same without persona $p$, left out of
all steps at once,

$$
C_{{kl}} = \\frac{{P-1}}{{P}} \\sum_p (z_{{k(p)}} - \\bar{{z}}_{{k(\\cdot)}})(z_{{l(p)}} - \\bar{{z}}_{{l(\\cdot)}})
$$

{DRAWS:,} paths are drawn from a multivariate $t$ distribution with covariance $C$ and $P - 1$ degrees of freedom. The interval
of the highest step holds the highest step of 95 % of the paths drawn about the values. Intervals of the rises $z_k - z_0$ hold
for all steps between the first and the last together, and so do those of the falls $z_K - z_k$: they reach as many standard
errors as the largest of them does in 95 % of the paths drawn about zero. S *rises and then falls* where both intervals at the
highest step leave out 0; on paths that are flat, only rise, or rise to a plateau, that is so in fewer than one in twenty. The
fall goes with the ceiling where, from the highest step to the last, the share of ratings at the top of the scale rises and S
relative to the room that item means leave does not clearly fall. All of this is also done for S by the paper's formula.
"""
