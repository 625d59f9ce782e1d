"""The verdict on every variant: what may be concluded, from rules of which the first that matches holds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import noise_bounds, persona_jackknife
from persona_collapse.statistics.common_cells import MANY_PERSONAS
from persona_collapse.statistics.equivalence import EQUIVALENT, SMALL
from persona_collapse.statistics.presence import GONE, TOLD_APART
from persona_collapse.statistics.recommended_estimators import METRICS, LeaveOneOut
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.contrast import CHANGE, Contrast
from persona_collapse.tables.equivalence import smallest
from persona_collapse.tables.presence import unchecked_requests
from persona_collapse.tables.run_statistics import Analysis

UNDECIDED, UNCHANGED, NOISIER, OTHERWISE = "undecided", "unchanged", "noisier", "changed otherwise"
HOMOGENISED = "collapse: homogenised"
DYSREGULATED, WITHOUT_CONTROL = "collapse: dysregulated", "collapse: dysregulated (no control to compare)"
NOT_BEYOND = "dysregulated, not beyond its control"
CAST, USE = "another cast (same spread, other people)", "another use of the scale"
#: Probability of any change of S or noise being found where neither changed.
TOGETHER = 0.05
#: Fewest personas of which a mean has an interval.
FEWEST = 3
#: Share of the ceiling that a style share is judged against.
OF_CEILING = 0.9


#: Share of the noise that choices of one request may have in common where nothing tells: a judgement.
SHARED = 1 / 3
_NOTHING = "No change of S or noise stands where both are counted, and neither is shown to be none."
_UNSURE = "A style share this low may be other people, or choices of one request that share noise, which this study cannot check."


class Range(NamedTuple):
    """A number with its 95 % interval, NaN where it does not exist."""

    value: float = np.nan
    lo: float = np.nan
    hi: float = np.nan

    @property
    def known(self) -> bool:
        """Whether there is an interval, or one limit of it."""
        return not (np.isnan(self.lo) and np.isnan(self.hi))

    @property
    def excludes_zero(self) -> bool:
        """Whether it lies wholly on one side."""
        return self.lo > 0 or self.hi < 0


class Inputs(NamedTuple):
    """What the verdict on one variant rests on; changes are in percent of the base, excesses in points of it."""

    base_presence: str = TOLD_APART  #: verdicts of presence.csv
    presence: str = TOLD_APART
    single: bool = False  #: one rating a cell, on either side
    identical: bool = False  #: no rating differs
    susceptibility: Range = Range()
    pooled: Range = Range()
    relative: Range = Range()  #: S as a share of what the scale allows at these item means
    noise: Range = Range()
    changed: bool = True  #: whether a change of S or of noise stands where both are counted (Holm)
    same_susceptibility: bool = False  #: the 90 % interval lies within the smallest change
    same_noise: bool = False
    icc: Range = Range()  #: change of the logit
    share: Range = Range()  #: style share
    ceiling: float = np.nan
    level: Range = Range()  #: change of the mean rating, in percent of S of the base
    cast_below: float = np.nan  #: style share below which other people answer
    smallest: Mapping[str, float] = MappingProxyType({"susceptibility": 0.1, "robustness": 0.1})  #: as shares
    control: str = ""
    excess_susceptibility: Range = Range()
    excess_noise: Range = Range()


class Verdict(NamedTuple):
    """What may be concluded, and why no more: inputs that are lacking, or what decided."""

    verdict: str
    why: str = ""


def verdict(given: Inputs) -> Verdict:
    """The verdict on one variant: rules in their order, the first match wins.

    What follows goes beyond the plain order of rules, because simulated truths were called by other names without it (`make
    verdicts`; 60 personas and 5 repetitions, or 30 and 3):

    - A squeeze of the scale lowers S in every form, as homogenised personas do, and was called that always. It lowers noise as
      well and leaves the style share at its ceiling; personas that merely become alike keep their noise.
    - A shift leaves S and noise as they were, and was called unchanged. The answers moved: a mean rating off by the smallest
      change, in units of S, is another use of the scale.
    - Few personas leave the style share too wide to tell a stretch from a weaker anchor; one in nine stretches was called
      dysregulated. Where it does not tell, the verdict is undecided.
    - With two tests of no change, of S and of noise, one in twelve redraws of a base was found changed. Both are counted.
    """
    before = _of_presence(given)
    if before:
        return before
    d, d_noise = (100 * given.smallest[metric] for metric in ("susceptibility", "robustness"))
    down = -100 * d / (100 + d)
    lacking = _lacking(given)
    recoded = given.share.lo > OF_CEILING * given.ceiling
    if _all_down(given, down):
        return _fallen(given, -100 * d_noise / (100 + d_noise), lacking)
    if given.same_susceptibility and given.same_noise:
        return _same(given, d, recoded, lacking)
    changed = given.changed and (given.susceptibility.excludes_zero or given.noise.excludes_zero)
    if recoded and given.icc.known and not given.icc.hi < 0 and (changed or _moved(given, d)):
        return Verdict(USE, lacking)
    if given.noise.lo > d_noise:
        return _noisier(given, d, lacking)
    if changed:
        return Verdict(OTHERWISE, " ".join(filter(None, (_what(given), lacking))))
    return Verdict(UNDECIDED, lacking or _NOTHING)


def _of_presence(given: Inputs) -> Verdict | None:
    if given.identical:
        return Verdict(UNCHANGED, "No rating differs from the base's.")
    if given.single:
        return Verdict(UNDECIDED, "One rating a cell: noise does not exist.")
    if given.base_presence != TOLD_APART:
        return Verdict(UNDECIDED, "The personas of the base are not told apart.")
    if given.presence == GONE:
        return Verdict(HOMOGENISED, " ".join(filter(None, ("The personas are gone.", _pooled(given)))))
    return None if given.presence == TOLD_APART else Verdict(UNDECIDED, "Whether the personas are still there cannot be told.")


def _all_down(given: Inputs, down: float) -> bool:
    """Whether S fell in every form; of personas that are hardly left pooled S alone has an interval."""
    if given.susceptibility.known:
        return all(one.hi < down for one in (given.susceptibility, given.pooled, given.relative))
    return given.pooled.hi < down


def _fallen(given: Inputs, down_noise: float, lacking: str) -> Verdict:
    """Where S fell in every form: a squeeze of the scale takes noise along and leaves the style share at its ceiling."""
    mark = OF_CEILING * given.ceiling
    if not given.noise.hi < down_noise or not given.share.hi > mark:
        return Verdict(HOMOGENISED, lacking)
    if given.share.lo > mark:
        return Verdict(USE, lacking)
    either = "S and noise fall, as by a squeeze of the scale or with personas more alike: the style share does not tell which."
    return Verdict(UNDECIDED, " ".join(filter(None, (either, lacking))))


def _same(given: Inputs, d: float, recoded: bool, lacking: str) -> Verdict:
    """Where S and noise are equivalent: the same people, who may answer at another place of the scale, or others."""
    if np.isnan(given.share.hi) or np.isnan(given.ceiling):
        return Verdict(UNDECIDED, lacking)
    if given.share.hi < OF_CEILING * given.ceiling:
        if not given.share.hi >= given.cast_below:
            return Verdict(CAST, lacking)
        return Verdict(UNDECIDED, " ".join(filter(None, (_UNSURE, lacking))))
    if not _moved(given, d):
        return Verdict(UNCHANGED, lacking)
    moved = f"Answers move along the scale, by {_signed(given.level)} of S of the base on average."
    return Verdict(USE if recoded else UNDECIDED, " ".join(filter(None, (moved, lacking))))


def _moved(given: Inputs, d: float) -> bool:
    """Whether answers moved along the scale, by more than the smallest change in units of S."""
    return given.level.lo > d or given.level.hi < -d


def _noisier(given: Inputs, d: float, lacking: str) -> Verdict:
    """Where noise rose: with S it is a loss of anchor only if it cannot be a stretch of the scale."""
    if not given.susceptibility.lo > d:
        return Verdict(NOISIER, lacking)
    mark = OF_CEILING * given.ceiling
    if given.share.lo <= mark < given.share.hi and given.icc.known and not given.icc.hi < 0:
        either = "S and noise rise, as by a stretch of the scale or with a weaker anchor: the style share does not tell which."
        return Verdict(UNDECIDED, " ".join(filter(None, (either, lacking))))
    return Verdict(_dysregulated(given), lacking)


def _pooled(given: Inputs) -> str:
    return f"Pooled S changes by {_signed(given.pooled)}." if given.pooled.known else ""


def _signed(one: Range) -> str:
    return f"{one.value:+.0f} % [{one.lo:.0f}, {one.hi:.0f}]"


def _dysregulated(given: Inputs) -> str:
    excesses = given.excess_susceptibility, given.excess_noise
    if any(one.known and not one.lo > 0 for one in excesses):
        return NOT_BEYOND
    # A control without an interval beside it, as one that was not asked, is none to compare with.
    return DYSREGULATED if given.control and all(one.known for one in excesses) else WITHOUT_CONTROL


def _what(given: Inputs) -> str:
    """What changed, of a verdict that does not say it."""
    said = [
        f"{name} {'rises' if one.lo > 0 else 'falls'} by {abs(one.value):.0f} % [{one.lo:.0f}, {one.hi:.0f}]"
        for name, one in (("S", given.susceptibility), ("noise", given.noise))
        if one.excludes_zero
    ]
    return f"{', '.join(said)}." if said else ""


def _lacking(given: Inputs) -> str:
    """Inputs without an interval, which no rule that needs them can match."""
    ranges = {
        "the change of S": given.susceptibility, "the change of pooled S": given.pooled,
        "the change of relative S": given.relative, "the change of noise": given.noise,
        "the change of the ICC": given.icc, "the style share": given.share,
    }  # fmt: skip
    if given.control:
        ranges |= {"the excess of S": given.excess_susceptibility, "the excess of noise": given.excess_noise}
    names = [name for name, one in ranges.items() if not one.known]
    return f"No interval for {', '.join(names)}." if names else ""


# --- the table ---------------------------------------------------------------------------------------------------------

#: Prefix of the columns of each input with an interval.
_COLUMNS = {
    "s": "susceptibility", "s_pool": "pooled", "s_rel": "relative", "noise": "noise", "icc_logit": "icc", "level": "level",
    "share": "share",
    "excess_s": "excess_susceptibility", "excess_noise": "excess_noise",
}  # fmt: skip


def verdict_table(
    analysis: Analysis, guard: Guard, presence: pd.DataFrame, equivalence: pd.DataFrame, style: pd.DataFrame
) -> pd.DataFrame:
    """The verdict on every variant against its base, with every input; the tables are those of the same study."""
    found = {table: frame.set_index(["family", "variant"]) for table, frame in (("presence", presence), ("style", style))}
    same = equivalence.set_index(["family", "variant", "metric"])
    rows: list[dict[str, object]] = []
    for contrast in analysis.contrasts:
        if contrast.quantity != CHANGE:
            continue
        key = contrast.key[:2]
        about: dict[str, object] = {"family": key[0], "variant": key[1], "instrument": analysis.study.instrument.key}
        if refused := guard.refusal(*contrast.runs):
            rows.append(about | {"verdict": UNDECIDED, "why": refused})
            continue
        own, base = (found["presence"].loc[run.keys] for run in contrast.runs)
        style_row = found["style"].loc[key]
        given = _given(analysis, guard, contrast)._replace(
            base_presence=base["verdict"], presence=own["verdict"],
            same_susceptibility=_within(same.loc[(*key, "susceptibility")]), same_noise=_within(same.loc[(*key, "robustness")]),
            share=Range(style_row["share"], style_row["lo"], style_row["hi"]), ceiling=style_row["ceiling"],
        )  # fmt: skip
        given = given._replace(cast_below=_cast_below(analysis, contrast, given.ceiling, base["icc"]))
        if not given.susceptibility.known:  # near zero: presence.csv has what a logarithm has not
            given = given._replace(pooled=Range(own["change_pct"], own["change_lo"], own["change_hi"]))
        found_out, lost = verdict(given), _lost(analysis, contrast)
        why = " ".join(filter(None, (found_out.why, lost)))
        rows.append(about | found_out._replace(why=why)._asdict() | _columns(given))
    return pd.DataFrame(rows, columns=["family", "variant", "instrument", "verdict", "why", *_columns(Inputs())])


def _lost(analysis: Analysis, contrast: Contrast) -> str:
    """What left, where many personas are not common to both sides: the verdict is on the others."""
    common, personas = analysis.together(*contrast.runs).common, len(analysis.counts(contrast.base))
    many = personas - len(common.personas) > MANY_PERSONAS * personas
    return common.note if many and len(common.personas) else ""


def _given(analysis: Analysis, guard: Guard, contrast: Contrast) -> Inputs:
    """What is worked out here: changes and excesses."""
    together = analysis.together(*contrast.runs)
    variant, base = together.loo
    changed = persona_jackknife.change(variant, base)
    noise, bound = _range(changed, "within_rms"), analysis.bounds(together, 1)[0]
    if not noise.known and bound is not None:  # of a steady base: no interval, but a lower limit
        own = persona_jackknife.level(variant).of("within_rms").lo[0]
        noise = Range(noise.value, float(noise_bounds.change_at_least(own, bound)), np.inf)
    given = Inputs(
        single=min(variant.repetitions[1], base.repetitions[1]) == 1,
        identical=len(base.personas) > 0 and np.array_equal(together.sides[0].counts, together.sides[1].counts),
        level=_level(variant, base),
        changed=_stands(variant, base),
        susceptibility=_range(changed, "susceptibility"),
        pooled=_range(changed, "susceptibility_pooled"),
        relative=_range(changed, "relative_susceptibility"),
        noise=noise,
        icc=_range(persona_jackknife.shift(variant, base), "icc"),
        smallest=smallest(analysis),
    )
    control = analysis.control(contrast.variant)
    if control is None:
        return given
    given, beyond = given._replace(control=control.variant.key), Contrast(contrast.variant, contrast.base, control)
    if guard.refusal(*beyond.runs):
        return given
    found = persona_jackknife.excess(*analysis.together(*beyond.runs).loo)
    return given._replace(excess_susceptibility=_range(found, "susceptibility"), excess_noise=_range(found, "within_rms"))


def _cast_below(analysis: Analysis, contrast: Contrast, ceiling: float, icc: float) -> float:
    """The style share below which other people answer: that of an unchanged model whose choices of one request share noise.

    Where nothing tells whether they do, `SHARED` of the noise is common to the choices of a cell. Then W SHARED / (1 - SHARED) of
    the persona variance found is such noise, with W the noise within requests, and the share falls by the square of what is left.
    """
    if not unchecked_requests(analysis, contrast.variant):
        return OF_CEILING * ceiling
    taken = SHARED / (1 - SHARED) * (1 - icc) / icc
    return float(OF_CEILING * ceiling * max(0, 1 - taken) ** 2)


def _level(variant: LeaveOneOut, base: LeaveOneOut) -> Range:
    """Change of the mean rating over all items in percent of S of the base; its interval is that of a mean over personas."""
    susceptibility = float(base.of("susceptibility")[0, 0])
    if variant.means is None or len(base.personas) < FEWEST or not susceptibility > 0:
        return Range()
    moved = 100 * (variant.parts.own.mean - base.parts.own.mean).mean(axis=1) / susceptibility  # (persona,)
    found = persona_jackknife.estimate(variant.parts.units.means(moved[:, None]), carried=False)
    return Range(*(float(number[0]) for number in (found.value, *persona_jackknife.limits(found))))


def _stands(variant: LeaveOneOut, base: LeaveOneOut) -> bool:
    """Whether the smaller p value of no change, of S and of noise, is below half of 5 %: two tests, at 5 % together (Holm)."""
    p = [persona_jackknife.p_value(variant, base)[METRICS.index(metric), 0] for metric in ("susceptibility", "within_rms")]
    known = [one for one in p if not np.isnan(one)]
    return len(known) < len(p) or min(known) * len(p) <= TOGETHER


def _range(found: persona_jackknife.Interval, metric: str) -> Range:
    one = found.of(metric).at(0)
    return Range(float(one.value), float(one.lo), float(one.hi))


def _within(row: pd.Series) -> bool:
    """Whether the 90 % interval lies within the smallest change."""
    return bool(row["verdict"] in (EQUIVALENT, SMALL))


def _columns(given: Inputs) -> dict[str, object]:
    """Every input as a row has it."""
    numbers = {
        f"{prefix}{end}": number
        for prefix, field in _COLUMNS.items()
        for end, number in zip(("", "_lo", "_hi"), getattr(given, field), strict=True)
    }
    marks = {
        "base_presence": given.base_presence, "presence": given.presence,
        "smallest_s": round(100 * given.smallest["susceptibility"], 10),
        "smallest_r": round(100 * given.smallest["robustness"], 10),
        "changed": given.changed, "same_s": given.same_susceptibility, "same_noise": given.same_noise,
    }  # fmt: skip
    return marks | numbers | {"ceiling": given.ceiling, "cast_below": given.cast_below, "control": given.control}
