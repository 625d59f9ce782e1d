"""What a treatment undoes, what it costs, and what comes back behind a trigger, as sentences computed from mitigation.csv."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.mitigation import (
    CAPABILITY,
    COST,
    FIDELITY,
    FIDELITY_GAINED,
    GAP,
    MISALIGNED,
    RECOVERY,
    SPREAD,
    STYLE,
)
from persona_collapse.text import safe

#: Metrics of which recovery is told, as sentences call them.
NAMED = {
    "susceptibility": "S", "within_rms": "noise", STYLE: "the style share", MISALIGNED: "the rate of misaligned answers",
}  # fmt: skip
_NONE = "No run is a treatment: a variant of role mitigated with `of`, the harmful variant that was treated."
#: Treatments that a sentence at the head of a page names one by one.
_FEW = 3


class Told(NamedTuple):
    """The rows of one treatment, by quantity, metric and what it is set beside."""

    name: str
    harmful: str
    base: str
    control: str
    rows: dict[tuple[str, str, str], Any]

    def at(self, quantity: str, metric: str, against: str) -> Any:
        """A row, None where there is none."""
        return self.rows.get((quantity, metric, against))

    @property
    def refused(self) -> str:
        """Why its runs cannot be compared at all; nothing where they can."""
        return next((row.why for row in self.rows.values() if row.why.startswith("Not compared")), "")

    def recovery(self, metric: str) -> Any:
        """Recovery towards the base."""
        return self.at(RECOVERY, metric, self.base)


def told(mitigation: pd.DataFrame, study: Study, context: str) -> list[Told]:
    """Every treatment looked at in a context, in the order of the table."""
    found = []
    several = len(study.file.families) > 1
    own = mitigation[mitigation["context"] == context]
    for (family, variant), rows in own.groupby(["family", "variant"], sort=False):
        run, of = study.run(str(family), str(variant)), study.run(str(family), str(rows["of"].iloc[0]))
        by = {(row.quantity, row.metric, row.against): row for row in rows.itertuples()}
        base = run.family.base.key
        control = next((row.against for row in by.values() if row.quantity == RECOVERY and row.against != base), "")
        name = safe(run.name if several else run.variant.name)
        found.append(Told(name, safe(of.name if several else of.variant.name), base, control, by))
    return found


@exhibit.finding("mitigation")
def mitigation(mitigation: pd.DataFrame | None, study: Study) -> str:
    """Of every treatment: what it recovers, what its characters are like, and what it costs."""
    if mitigation is None or mitigation.empty:
        return _NONE
    lines = [f"- **{one.name}**, of {one.harmful}: {' '.join(_about(one, study))}" for one in told(mitigation, study, "none")]
    return "\n".join(lines)


@exhibit.finding("mitigation_trigger")
def trigger(mitigation: pd.DataFrame | None, study: Study) -> str:
    """Of every treatment that was looked at behind a trigger: what comes back there."""
    if mitigation is None or mitigation.empty:
        return _NONE
    lines = [f"- **{one.name}**, of {one.harmful}: {_behind(one)}" for one in told(mitigation, study, "trigger")]
    return "\n".join(lines) or (
        "No treatment was looked at behind a trigger, so nothing says whether one only hides what was trained: a variant with "
        "`context: trigger` does."
    )


def summary(found: Tables) -> list[str]:
    """Three sentences for the head of the page: what is undone, what is left of the characters, what comes back."""
    table = found.mitigation
    if table is None or table.empty:
        return []
    plain, hidden = (told(table, found.study, context) for context in ("none", "trigger"))
    return [_undone(plain, found.study), _kept(plain, found.study), _back(hidden)]


# --- what is undone ------------------------------------------------------------------------------------------------------


def _about(one: Told, study: Study) -> Iterator[str]:
    if refused := one.refused:
        yield f"nothing can be told. {safe(refused)}"
        return
    yield f"it {recovers(one, tuple(NAMED))}."
    if one.control:
        beside = [
            share(row, what)
            for metric, what in NAMED.items()
            if (row := one.at(RECOVERY, metric, one.control)) is not None and np.isfinite(row.lo)
        ]
        if beside:
            yield f"With the control {safe(one.control)} in place of the base: {'; '.join(beside)}."
        else:
            yield f"With the control {safe(one.control)} in place of the base nothing can be said to be recovered."
    yield _characters(one, study)
    yield from _capability(one)
    if differs := next((row.differs for row in one.rows.values() if row.differs), ""):
        yield f"Served otherwise: {safe(differs)}; a difference may be the stack's."


def recovers(one: Told, metrics: Sequence[str]) -> str:
    """What a treatment recovers of these numbers, and of which of them nothing can be told, in words."""
    rows = [(NAMED[metric], row) for metric in metrics if (row := one.recovery(metric)) is not None]
    known = [share(row, what) for what, row in rows if not row.why]
    said = [f"recovers {_list(known)}" if known else "recovers nothing that can be told"]
    return "; ".join([*said, *(f"of {what} nothing can be told ({safe(row.why)})" for what, row in rows if row.why)])


def share(row: Any, what: str) -> str:
    """A recovery in words, in percent with its interval."""
    number = f"{_percent(row)}"
    if row.lo > 1:
        return f"more than all of {what} ({number})"
    if row.hi < 0:
        return f"none of {what}, which gets worse ({number})"
    if row.lo <= 0:
        return f"none of {what} that can be told ({number})"
    return f"{number} of {what}"


def _percent(row: Any) -> str:
    value, lo, hi = (100 * float(part) for part in (row.value, row.lo, row.hi))
    return f"{whole(value)} % [{whole(lo)}, {whole(hi)}]" if np.isfinite(lo) else f"{whole(value)} %"


def _undone(plain: list[Told], study: Study) -> str:
    """What treatments recover of noise and S; the most is that of one that keeps characters."""
    if len(plain) <= _FEW:
        each = [f"of what {one.harmful} did {one.name} {recovers(one, ('within_rms', 'susceptibility'))}" for one in plain]
        return f"**Mitigation**: {'; '.join(each)}."
    said = []
    for metric in ("within_rms", "susceptibility"):
        rows = {one.name: row for one in plain if (row := one.recovery(metric)) is not None and not row.why}
        clear = {name: row for name, row in rows.items() if row.lo > 0}
        characters = [one.name for one in plain if one.name in clear and not alike(one, study)]
        best = max(characters, key=lambda name: clear[name].value, default="")
        most = f", most {best} ({_percent(clear[best])})" if best else ""
        said.append(f"{len(clear)} of {len(rows)} treatments recover some of {NAMED[metric]}{most}")
    return f"**Mitigation**: {'; '.join(said)}."


# --- what is left of the characters --------------------------------------------------------------------------------------


def alike(one: Told, study: Study) -> bool:
    """Whether everybody answers alike: pooled S lies below the study's `half` of the base's, by its interval."""
    row = one.at(COST, SPREAD, one.base)
    return row is not None and bool(row.hi < study.file.half)


def _characters(one: Told, study: Study) -> str:
    spread, fidelity = one.at(COST, SPREAD, one.base), one.at(COST, FIDELITY, one.base)
    gained = next((row for (quantity, metric, _), row in one.rows.items() if (quantity, metric) == (COST, FIDELITY_GAINED)), None)
    if spread is None or not np.isfinite(spread.value):
        return "Nothing can be said of its characters."
    if alike(one, study):
        return (
            f"**It answers alike as everybody**: personas differ {_percent(spread)} as much as under the base, so that what it "
            "recovers of noise is bought with the characters."
        )
    if fidelity is None or not np.isfinite(fidelity.lo) or gained is None:
        return f"Personas differ {_percent(spread)} as much as under the base; their pattern cannot be set beside the base's."
    before = fidelity.value - gained.value
    nearer = "nearer than" if gained.lo > 0 else "further than" if gained.hi < 0 else "no nearer that can be told than"
    return (
        f"Its persona pattern correlates with the base's at {_correlation(fidelity)}, {nearer} that of {one.harmful} "
        f"({before:.2f}); personas differ {_percent(spread)} as much as under the base."
    )


def _correlation(row: Any) -> str:
    return f"{row.value:.2f} [{row.lo:.2f}, {row.hi:.2f}]"


def _capability(one: Told) -> Iterator[str]:
    rows = [row for (quantity, metric, _), row in one.rows.items() if quantity == COST and metric.startswith(CAPABILITY)]
    if not rows:
        yield "Its capability was not measured."
    for row in rows:
        task = safe(row.metric.removeprefix(f"{CAPABILITY}, "))
        yield f"Accuracy on {task} against the base: {100 * row.value:+.1f} pp [{100 * row.lo:.1f}, {100 * row.hi:.1f}]."


def _kept(plain: list[Told], study: Study) -> str:
    """What the head of a page says of the characters."""
    gone = [one.name for one in plain if alike(one, study)]
    rest = [one for one in plain if one.name not in gone]
    said = []
    if gone:
        said.append(f"{_list(gone)} answer{'s' * (len(gone) == 1)} alike as everybody, so that no characters are left")
    known = [(one, row) for one in rest if (row := one.at(COST, FIDELITY, one.base)) is not None and np.isfinite(row.lo)]
    if 0 < len(known) <= _FEW:
        said.append(
            f"the base's persona pattern is kept at {', '.join(f'{_correlation(row)} by {one.name}' for one, row in known)}"
        )
    elif known:
        low, high = (f(row.value for _, row in known) for f in (min, max))
        said.append(f"the others keep the base's persona pattern at {low:.2f} to {high:.2f}")
    measured = any(metric.startswith(CAPABILITY) for one in plain for _, metric, _ in one.rows)
    said += [] if measured else ["capability was not measured"]
    text = "; ".join(said) or "nothing can be said of the characters"
    return f"**What it costs**: {text}."


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# --- what comes back -----------------------------------------------------------------------------------------------------


def hides(one: Told, metric: str) -> bool:
    """Whether a treatment only hides a change: behind the trigger no recovery can be told, and without it more."""
    gap, left = one.at(GAP, metric, one.base), one.recovery(metric)
    return bool(gap is not None and gap.lo > 0 and left is not None and left.lo <= 0)


def _behind(one: Told) -> str:
    """What comes back behind a trigger, of every metric, against what was done."""
    if one.refused:
        return f"nothing can be told. {safe(one.refused)}"
    rows = [(metric, what, row) for metric, what in NAMED.items() if (row := one.at(GAP, metric, one.base)) is not None]
    parts, hidden = [], [what for metric, what, _ in rows if hides(one, metric)]
    for _, what, row in rows:
        if row.why:
            parts.append(f"of {what} nothing can be told ({safe(row.why)})")
        elif row.lo > 0:
            parts.append(f"{_percent(row)} of the change of {what} is back")
        else:
            parts.append(f"no change of {what} that can be told ({_percent(row)})")
    only = f" **It only hides {_list(hidden)}**: nothing that can be told is recovered there." if hidden else ""
    return f"behind the trigger {'; '.join(parts)}.{only}"


def _back(hidden: list[Told]) -> str:
    """What the head of a page says of triggers."""
    if not hidden:
        return "**Behind a trigger** no treatment was looked at, so that one may only hide what was trained."
    only = [(one, [NAMED[metric] for metric in NAMED if hides(one, metric)]) for one in hidden]
    named = [f"{one.name} shows that its treatment only hides {_list(what)}" for one, what in only if what]
    rest = [one for one, what in only if not what]
    for one in rest[:_FEW]:
        row = one.at(GAP, "within_rms", one.base)
        if row is not None and not row.why:
            clear = (
                "of the change of noise is back"
                if row.lo > 0
                else "of the change of noise is back, which is none that can be told"
            )
            named.append(f"under {one.name} {_percent(row)} {clear}")
    text = "; ".join(named) or f"nothing can be told of {len(hidden)} treatment{'s' * (len(hidden) != 1)}"
    return f"**Behind a trigger**: {text}."


def methods(study: Study) -> str:
    """Formulas of recovery and conditional gap, for the methods of a page."""
    return f"""### Mitigation

With $f$ the logarithm of S or of noise, the style share, or the logit of the rate of misaligned answers, of the base $b$, the
harmful fine-tune $h$ and its treatment $m$,

$$
\\rho = \\frac{{f_m - f_h}}{{f_b - f_h}}
$$

is what the treatment recovers: 0 where nothing is undone, 1 where all is, above 1 where more is. The same is computed with the
control in place of the base. The style share of the base is that of an unchanged model at as many ratings (the ceiling).
Numerator and denominator are jackknifed as a pair, the same persona left out of all runs (of the rate, to which half an answer is
added on either side, the same question), and the interval is the set of $\\rho$ with

$$
(a - \\rho d)^2 \\le t^2 (\\operatorname{{Var}} a - 2 \\rho \\operatorname{{Cov}}(a, d) + \\rho^2 \\operatorname{{Var}} d)
$$

(Fieller). Where $d$ cannot be told from 0 at the level of the interval that set is not bounded: there is nothing to recover, and
no number is given. Behind a trigger the conditional gap is $(f_\\text{{none}} - f_\\text{{trigger}}) / (f_b - f_h)$, with the
denominator without the trigger. A treatment *only hides* a change where the gap is above 0 and no recovery can be told behind the
trigger. It *answers alike as everybody* where the interval of its pooled S lies below {study.file.half:.0%} of the base's:
a model without characters is steady, and recovers noise. Fidelity is the correlation of cell means with the base's.
"""
