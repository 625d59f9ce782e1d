"""Changes of S and noise in each wording, of a study in which the wording varies: does the headline hold in another one?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from persona_collapse.tables.instruments import side_by_side
from persona_collapse.tables.run_statistics import Analysis, of_role


class WordingRow(NamedTuple):
    """A row of wordings.csv; `difference` is the change less that at the factor's first level, empty in its own row."""

    family: str
    variant: str
    factor: str
    level: str
    metric: str
    value: float
    lo: float
    hi: float
    difference: float = np.nan
    difference_lo: float = np.nan
    difference_hi: float = np.nan
    personas: int = 0
    families: int = 1


def wordings_table(analysis: Analysis) -> pd.DataFrame | None:
    """Changes against the base at each level of each factor, all on the same personas; None where nothing varies.

    Returns
    -------
    DataFrame
        One row a variant, factor, level and metric: the change in percent of the base among ratings at this level alone, with its
        95 % interval, and its difference from the change at the factor's first level in percentage points, the same personas left
        out of all. `family` is `mean` for the average over families with that variant.
    """
    vary = analysis.study.file.protocol.vary
    if not vary:
        return None
    rows: list[WordingRow] = []
    for factor, levels in vary.items():
        cut = {level: Analysis(analysis.ratings.at_level(factor, level)) for level in levels}
        rows += _of_factor(analysis, factor, cut)
    return pd.DataFrame(rows, columns=list(WordingRow._fields))


def _of_factor(analysis: Analysis, factor: str, cut: dict[str, Analysis]) -> Iterator[WordingRow]:
    groups = [[contrast.variant] for contrast in analysis.contrasts if contrast.control is None]
    for key in of_role(analysis.study, "control", "harmful"):
        runs = [run for run in analysis.study.runs if run.variant.key == key and not run.variant.of]
        groups += [runs] if len(runs) > 1 else []
    for runs in groups:
        for row in side_by_side(cut, runs):
            about = row.family, row.variant, factor, row.instrument, row.metric, row.value, row.lo, row.hi
            beside = row.difference, row.difference_lo, row.difference_hi, row.personas, row.families
            yield WordingRow(*about, *beside)
