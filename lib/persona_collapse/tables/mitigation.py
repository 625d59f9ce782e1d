"""Can it be undone? What every treatment of a harmful fine-tune recovers, what comes back behind a trigger, and what it costs."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import persona_jackknife, presence
from persona_collapse.statistics.presence import NOTHING, Limits
from persona_collapse.statistics.recovery import Recovered, logit_rates, share_of
from persona_collapse.statistics.style import ceiling, folds, style_shares
from persona_collapse.study.study import Run
from persona_collapse.study.treatment import treatment
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.run_statistics import Analysis, Together

#: Quantities of mitigation.csv.
RECOVERY, GAP, COST = "recovery", "conditional_gap", "cost"
#: Metrics of which recovery is told: two on the logarithm, the style share on itself, the rate of misaligned answers as a logit.
LOGS, STYLE, MISALIGNED = ("susceptibility", "within_rms"), "style_share", "misaligned"
#: What a treatment may cost: the base's persona pattern (`FIDELITY_GAINED`: beside the harmful fine-tune's), how
#: far personas differ at all (`SPREAD`: pooled S as a share of the base's), and capability.
FIDELITY, FIDELITY_GAINED, SPREAD, CAPABILITY = "fidelity", "fidelity_gained", "persona_spread", "accuracy"

#: Answers to open questions that count as misaligned, and all that were scored, (question,) each, by the key of the run.
Rates = Mapping[str, tuple[np.ndarray, np.ndarray]]
#: The arm of open questions in which they are asked as they are.
_PLAIN = "plain"


class MitigationRow(NamedTuple):
    """A row of mitigation.csv: a share of a gap, or a cost."""

    family: str
    variant: str
    of: str
    method: str
    when: str
    seed: str
    context: str
    quantity: str
    metric: str
    against: str
    value: float
    lo: float
    hi: float
    gap: float
    gap_lo: float
    gap_hi: float
    units: int
    differs: str = ""
    why: str = ""


class Treated(NamedTuple):
    """A treatment with the runs that it is set beside."""

    own: Run
    harmful: Run
    base: Run
    control: Run | None
    without: Run | None  #: behind a trigger: the same treatment without one

    @property
    def about(self) -> tuple[str, str, str, str, str, str, str]:
        """The first columns of its rows."""
        variant = self.own.variant
        seed = "" if variant.seed is None else str(variant.seed)
        return (*self.own.keys, self.harmful.variant.key, variant.method or "", variant.when or "", seed, variant.context)


def treatments(analysis: Analysis) -> list[Treated]:
    """Every treatment of the study, in its order; of runs that a cut of the ratings left out none is known."""
    found = []
    for run in analysis.study.runs:
        if run.variant.role != "mitigated":
            continue
        family = {variant.key: Run(run.family, variant) for variant in run.family.variants}
        harmful = family.get(run.variant.of or "")
        if harmful is None:
            continue
        named = run.variant.control or harmful.variant.control or ""
        own = [
            one for one in family.values()
            if one.variant.role == "mitigated" and one.variant.context == "none"
            and treatment(one.variant) == treatment(run.variant)
        ]  # fmt: skip
        without = own[0] if run.variant.context == "trigger" and own else None
        found.append(Treated(run, harmful, Run(run.family, run.family.base), family.get(named), without))
    return found


def mitigation_table(
    analysis: Analysis, guard: Guard, open_questions: pd.DataFrame | None = None, capability: pd.DataFrame | None = None
) -> pd.DataFrame | None:
    """mitigation.csv; None for a study without treatments.

    Parameters
    ----------
    open_questions : DataFrame, optional
        open_questions.csv, of a study that verified; recovery of the rate of misaligned answers has no row without.
    capability : DataFrame, optional
        capability.csv, of a study with tasks; a treatment's cost in accuracy has no row without.
    """
    if not analysis.study.has_treatments:
        return None
    rows: list[MitigationRow] = []
    styles, rates = Styles(analysis), misaligned(open_questions)
    for one in treatments(analysis):
        rows += _shares(analysis, guard, one, styles)
        rows += _of_answers(one, rates)
        rows += _fidelity(analysis, guard, one)
        rows += _accuracy(one, capability)
    return pd.DataFrame(rows, columns=list(MitigationRow._fields))


# --- shares of a gap -----------------------------------------------------------------------------------------------------


class Styles:
    """Style shares against a base, and those of an unchanged base, each computed once for the same personas and items."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._shares: dict[tuple[str, str, bytes, bytes], np.ndarray] = {}

    def of(self, run: Run, base: Run, together: Together, places: Mapping[Run, int]) -> np.ndarray:
        """The share of a run (1 + unit,); of the base itself that of a redraw, with as many ratings as the first of the runs."""
        common = together.common
        first = next(iter(places)).key if run == base else base.key
        key = run.key, first, common.personas.tobytes(), common.items.tobytes()
        if key not in self._shares:
            answers = self._analysis.ratings.of(base)
            fold = folds([answers.persona_id(row) for row in range(answers.shape[0])])[common.personas]
            own, other = (together.loo[places[one]].parts for one in (run, base))
            if run == base:
                n = together.loo[0].parts.own.n
                unchanged = ceiling(other, n, fold, exact=self._analysis.study.by_logprobs)
                self._shares[key] = np.full(len(together.loo[0].units) + 1, unchanged)
            else:
                self._shares[key] = style_shares(own, other, fold)
        return self._shares[key]


class Aside:
    """A treatment, its fine-tune and what the gap is measured to, on the personas and items common to all of them."""

    def __init__(self, analysis: Analysis, one: Treated, to: Run, styles: Styles) -> None:
        self.one, self.to, self._styles = one, to, styles
        runs = [one.own, one.harmful, one.base, *([to] if to != one.base else []), *([one.without] if one.without else [])]
        self._together = analysis.together(*runs)
        self._place = {run: place for place, run in enumerate(runs)}

    @property
    def units(self) -> int:
        """Personas, or clusters, that are left out in turn."""
        return len(self._together.loo[0].units) if len(self._together.common.personas) else 0

    def log(self, run: Run, metric: str) -> np.ndarray:
        """Logarithm of a metric of all, then without each unit (1 + unit,); not finite where there is none."""
        loo = self._together.loo[self._place[run]]
        near = metric == "susceptibility" and bool(persona_jackknife.near_zero(loo)[0])
        with np.errstate(divide="ignore"):
            return np.full(len(loo.of(metric)), -np.inf) if near else np.log(loo.of(metric)[:, 0])

    def style(self, run: Run) -> np.ndarray:
        """Style share against the base (1 + unit,): of the base itself that of an unchanged one."""
        return self._styles.of(run, self.one.base, self._together, self._place)

    def share(self, metric: str, quantity: str) -> Recovered:
        """Recovery, or the conditional gap, of one metric."""
        if not self.units:
            return Recovered(NOTHING, NOTHING, "no persona has a rating for every item on all sides")
        of = self.style if metric == STYLE else lambda run: self.log(run, metric)
        with np.errstate(invalid="ignore"):
            gap = of(self.to) - of(self.one.harmful)
            if quantity == GAP and self.one.without:
                moved = of(self.one.without) - of(self.one.own)
            else:
                moved = of(self.one.own) - of(self.one.harmful)
        return share_of(moved, gap, corrected=metric != STYLE)

    def why(self, metric: str, found: Recovered) -> str:
        """Why there is no share, with the side that a metric does not exist on."""
        if not found.why or np.isfinite(found.gap.value) or not self.units or metric not in LOGS:
            return found.why
        lacks = [run for run in self._place if not np.isfinite(self.log(run, metric)).all()]
        what = "personas cannot be told apart" if metric == "susceptibility" else "no rating varies"
        return f"{what} under {lacks[0].variant.key}" if lacks else found.why


def _shares(analysis: Analysis, guard: Guard, one: Treated, styles: Styles) -> Iterator[MitigationRow]:
    sides = [one.base, *([one.control] if one.control else [])]
    for to in sides:
        runs = [run for run in (one.own, one.harmful, to, one.base, one.without) if run]
        refused = guard.refusal(*dict.fromkeys(runs))
        aside = None if refused else Aside(analysis, one, to, styles)
        for quantity in (RECOVERY, GAP) if one.without and to == one.base else (RECOVERY,):
            for metric in (*LOGS, STYLE):
                found = aside.share(metric, quantity) if aside else Recovered(NOTHING, NOTHING, refused)
                why = aside.why(metric, found) if aside else refused
                yield _row(one, quantity, metric, to, found._replace(why=why), aside.units if aside else 0)


def misaligned(open_questions: pd.DataFrame | None) -> Rates:
    """Misaligned and scored answers of every run by question, asked plainly, in the mean over judges, on the questions that all
    runs were asked; nothing without answers."""
    if open_questions is None:
        return {}
    plain = open_questions[open_questions["arm"] == _PLAIN]
    plain = plain.assign(run=plain["family"] + "/" + plain["variant"])
    found = {}
    for name in ("misaligned", "with_alignment"):
        found[name] = plain.pivot_table(index="question", columns="run", values=name, aggfunc="mean", sort=False).dropna()
    return {
        str(run): (found["misaligned"][run].to_numpy(float), found["with_alignment"][run].to_numpy(float))
        for run in found["misaligned"]
    }


def _of_answers(one: Treated, rates: Rates) -> Iterator[MitigationRow]:
    """The same of the rate of misaligned answers, jackknifed over the questions that all of them were asked."""
    for to in (one.base, one.control):
        runs = [run for run in (one.own, one.harmful, to) if run]
        if to is None or not all(run.key in rates for run in runs):
            continue
        own, harmful, other = (logit_rates(*rates[run.key]) for run in runs)
        yield _row(one, RECOVERY, MISALIGNED, to, share_of(own - harmful, other - harmful), len(own) - 1)
        if to == one.base and one.without and one.without.key in rates:
            moved = logit_rates(*rates[one.without.key]) - own
            yield _row(one, GAP, MISALIGNED, to, share_of(moved, other - harmful), len(own) - 1)


def _row(one: Treated, quantity: str, metric: str, to: Run, found: Recovered, units: int) -> MitigationRow:
    why = found.why
    return MitigationRow(
        *one.about, quantity, metric, to.variant.key, *found.share, *found.gap, units, differs=_differs(one, to), why=why
    )


def _differs(one: Treated, to: Run) -> str:
    """Who served the sides, where it was not the same stack: what is recovered may then be the stack's."""
    family = {run: run.variant.stack or run.variant.endpoint or "" for run in (one.own, one.harmful, to)}
    return (
        "" if len(set(family.values())) == 1 else "; ".join(f"{run.variant.key} by {who or '?'}" for run, who in family.items())
    )


# --- costs ---------------------------------------------------------------------------------------------------------------


def _fidelity(analysis: Analysis, guard: Guard, one: Treated) -> Iterator[MitigationRow]:
    """How far every persona keeps its place among the others as the base has it, whether further than before the treatment, and
    how far personas differ at all."""
    refused = guard.refusal(one.own, one.harmful, one.base)
    together = None if refused else analysis.together(one.own, one.harmful, one.base)
    if together is None or not len(together.common.personas):
        why = refused or "no persona has a rating for every item on all sides"
        for metric, against in ((FIDELITY, one.base), (FIDELITY_GAINED, one.harmful), (SPREAD, one.base)):
            yield _row(one, COST, metric, against, Recovered(NOTHING, NOTHING, why), 0)
        return
    own, harmful, base = together.loo
    units = len(own.units)
    at = persona_jackknife.level(own).of(FIDELITY).at(0)
    found = Limits(float(at.value), float(at.lo), float(at.hi))
    gained = persona_jackknife.difference(own, harmful).of(FIDELITY).at(0)
    more = Limits(float(gained.value), float(gained.lo), float(gained.hi))
    spread = Limits(*(1 + number / 100 for number in presence.change(own, base)))
    for metric, against, limits in (
        (FIDELITY, one.base, found), (FIDELITY_GAINED, one.harmful, more), (SPREAD, one.base, spread),
    ):  # fmt: skip
        none = "" if np.isfinite(limits.value) else "personas cannot be told apart on some side, so that nobody has a place"
        yield _row(one, COST, metric, against, Recovered(limits, NOTHING, none), units)


def _accuracy(one: Treated, capability: pd.DataFrame | None) -> Iterator[MitigationRow]:
    """Change of accuracy against the base, one row a task, of a study with tasks."""
    if capability is None or "quantity" not in capability:
        return
    own = capability[(capability["family"] == one.own.family.key) & (capability["variant"] == one.own.variant.key)]
    for row in own[(own["measure"] == CAPABILITY) & (own["quantity"] == "difference")].itertuples():
        limits = Limits(float(row.value), float(row.lo), float(row.hi))
        found = _row(one, COST, f"{CAPABILITY}, {row.task}", one.base, Recovered(limits, NOTHING), 0)
        yield found
