"""Changes of S and noise questionnaire beside questionnaire: relative to the base of the same one, on the same personas."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.statistics import persona_jackknife
from persona_collapse.statistics.recommended_estimators import LeaveOneOut
from persona_collapse.study.study import Run
from persona_collapse.tables.run_statistics import Analysis, of_role

#: What is set side by side; levels are not, as they are in points of different scales.
COMPARED = ("susceptibility", "within_rms", "robustness")


class InstrumentRow(NamedTuple):
    """A row of instruments.csv; `difference` is the change less that with the study's first instrument, empty in its own row."""

    family: str
    variant: str
    metric: str
    instrument: str
    value: float
    lo: float
    hi: float
    difference: float = np.nan
    difference_lo: float = np.nan
    difference_hi: float = np.nan
    personas: int = 0
    families: int = 1


def instruments_table(analyses: Sequence[Analysis]) -> pd.DataFrame:
    """Changes against the base with every instrument, and how much they differ from those with the first.

    Parameters
    ----------
    analyses : sequence of Analysis
        Of the same study, an instrument each, the first one first.

    Returns
    -------
    DataFrame
        One row a variant, metric and instrument that the variant and its base were asked: the change in percent of the base, with
        its 95 % interval, and its difference from that with the first instrument in percentage points. Both are of the personas
        that answered all items of all of these instruments, the same ones left out of all. `family` is `mean` for the average
        over families with that variant. A pair of runs that cannot be compared is left out.
    """
    first, named = analyses[0], {one.study.instrument.key: one for one in analyses}
    rows = [row for contrast in first.contrasts if contrast.control is None for row in side_by_side(named, [contrast.variant])]
    for key in of_role(first.study, "control", "harmful"):
        runs = [run for run in first.study.runs if run.variant.key == key and not run.variant.of]
        rows += side_by_side(named, runs) if len(runs) > 1 else []
    return pd.DataFrame(rows, columns=list(InstrumentRow._fields))


def side_by_side(analyses: Mapping[str, Analysis], runs: Sequence[Run]) -> Iterator[InstrumentRow]:
    """Rows of one variant of one family, or of the mean of several, in every analysis that has all of them, by its name.

    The name, such as that of an instrument, stands as `instrument`; the first one is what the others are held against.
    """
    named = {name: one for name, one in analyses.items() if all(_asked(one, run) for run in runs)}
    asked = list(named.values())
    if len(asked) < 2:
        return
    common = _common(asked, runs)
    pairs = [[_pair(one, run, common) for run in runs] for one in asked]
    if not len(common):
        return
    for own, (name, one) in zip(pairs, named.items(), strict=True):
        changes = persona_jackknife.change(*own[0]) if len(own) == 1 else persona_jackknife.mean_change(own)
        apart = persona_jackknife.difference_of_changes(own, pairs[0])
        for metric in COMPARED:
            found, differs = changes.of(metric).at(0), apart.of(metric).at(0)
            row = InstrumentRow(
                runs[0].family.key if len(runs) == 1 else "mean", runs[0].variant.key, metric, name,
                float(found.value), float(found.lo), float(found.hi), personas=len(common), families=len(runs),
            )  # fmt: skip
            if one is not asked[0]:
                value, _, lo, hi = map(float, differs[:4])
                row = row._replace(difference=value, difference_lo=lo, difference_hi=hi)
            yield row


def _asked(analysis: Analysis, run: Run) -> bool:
    """Whether a run and its base have ratings of this instrument."""
    return any(one.key == run.key for one in analysis.study.runs) and all(
        len(analysis.counts(one)) for one in (run, analysis.base(run))
    )


def _common(analyses: Sequence[Analysis], runs: Sequence[Run]) -> np.ndarray:
    """Rows of the personas that answered everything of all these runs and their bases, with all instruments."""
    found = None
    for one in analyses:
        every = list(dict.fromkeys(side for run in runs for side in (run, one.base(run))))
        own = one.together(*every).common.personas
        found = own if found is None else np.intersect1d(found, own)
    return np.empty(0, int) if found is None else found


def _pair(analysis: Analysis, run: Run, personas: np.ndarray) -> tuple[LeaveOneOut, LeaveOneOut]:
    """A run and its base on these personas."""
    own, base = analysis.restricted(personas).together(run, analysis.base(run)).loo
    return own, base
