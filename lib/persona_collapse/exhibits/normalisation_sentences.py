"""What is left of every change of S and of noise after a monotone recoding of the scale: one sentence a variant."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.study.study import Study
from persona_collapse.tables.normalisation import LEFT, MEASURED
from persona_collapse.text import safe

_PANELS = {"susceptibility": "S", "within_rms": "noise"}


@exhibit.finding("normalisation")
def left(normalisation: pd.DataFrame, study: Study) -> str:
    """Of every variant: how much of its changes of S and noise a recoding of the scale makes, and whether one is left."""
    lines = []
    for (family, variant), rows in normalisation.groupby(["family", "variant"], sort=False):
        run = study.run(str(family), str(variant))
        by = {(row.metric, row.part): row for row in rows.itertuples()}
        said = [_of(by[metric, MEASURED], by[metric, LEFT], name) for metric, name in _PANELS.items() if (metric, LEFT) in by]
        lines.append(f"- **{safe(run.name)}**: {'; '.join(said)}.")
    return "\n".join(lines) or "This study has no variant to compare with a base."


def _of(measured: Any, rest: Any, name: str) -> str:
    if not np.isfinite(rest.value):
        return f"of the change of {name} nothing can be said ({safe(str(rest.why or measured.why)).rstrip('.')})"
    if not np.isfinite(rest.lo):
        return f"{name} {whole(measured.value, '+')} %, of which {whole(rest.value, '+')} % is left, without an interval"
    number = f"{whole(rest.value, '+')} % [{whole(rest.lo)}, {whole(rest.hi)}]"
    clear = measured.lo > 0 or measured.hi < 0
    if rest.lo > 0 or rest.hi < 0:
        same = rest.value * measured.value > 0
        turned = "" if same or not clear else ", the other way round"
        return f"{name} {whole(measured.value, '+')} %, after recoding {number}{turned}"
    what = "another use of the scale makes what can be told of it" if clear else "neither can be told from none"
    return f"{name} {whole(measured.value, '+')} %, after recoding {number}: {what}"


def methods(study: Study) -> str:
    """How the scales are equated, for the methods of a page."""
    return """### Normalisation

A fine-tune that only uses the scale otherwise changes S and noise without another cast. For every item the scale of the base is
equated with the variant's (equipercentile equating): each point gets the mean of the other's ratings over the same band of
percentiles, which is an increasing recoding. As recoding cannot split a point, the base is recoded to the variant and the variant
to the base, and what the recoding makes is

$$
\\tfrac12 [\\log (X_{b \\to v} / X_b) - \\log (X_{v \\to b} / X_v)]
$$

with $X$ either S or noise; the rest of $\\log (X_v / X_b)$ is left. The recoding is found anew without each persona. Relative
susceptibility and noise are the other normalisation: shares of the largest standard deviation that the item means allow.
"""
