"""How far judges agree, what could not be read, and how they were asked: sentences computed from agreement.csv, and methods."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.study.score_parser import LEAST_MASS
from persona_collapse.study.study import Study
from persona_collapse.study.verification import same_maker
from persona_collapse.tables.verification import COHERENT, LEVEL, MEAN, MEAN_ALIGNMENT, MEAN_COHERENCE, MISALIGNED
from persona_collapse.text import safe

#: Alpha from which on Krippendorff calls scores reliable, and from which on fit for tentative conclusions.
_RELIABLE, _TENTATIVE = 0.8, 0.667
#: Runs of its own maker that a warning of a judge names.
_NAMED = 4


@exhibit.finding("judges")
def judges(agreement: pd.DataFrame | None, verification: pd.DataFrame | None, study: Study) -> str:
    """How far judges agree and what that means, who judges models of its own maker, and what could not be read."""
    if agreement is None or verification is None:
        return "Nobody judged answers here."
    return "\n".join(
        f"- {one}" for one in (*_alphas(agreement), *_apart(verification, study), *_unread(agreement), *_makers(study))
    )


def _alphas(agreement: pd.DataFrame) -> Iterator[str]:
    for row in agreement[agreement["judge"] == ""].itertuples():
        if row.judges < 2:
            yield f"**{str(row.score).capitalize()} has one judge**: how far another would agree is not known; name two or more."
        elif not np.isfinite(row.alpha):
            yield f"Agreement on {row.score} cannot be told: all scores are alike, or no answer has two."
        else:
            limits = f" [{row.lo:.2f}, {row.hi:.2f}]" if np.isfinite(row.lo) else ""
            yield (
                f"Krippendorff's alpha of {row.score} is {row.alpha:.2f}{limits} over {row.judges} judges and {row.answers:,} "
                f"answers that all of them scored: {_means(row.alpha)}."
            )


def _means(alpha: float) -> str:
    if alpha >= _RELIABLE:
        return f"reliable by the customary bound of {_RELIABLE:g}"
    if alpha >= _TENTATIVE:
        return f"between the customary bounds of {_TENTATIVE:g} and {_RELIABLE:g}, so fit for tentative conclusions alone"
    return f"below the customary bound of {_TENTATIVE:g}, so **what is said here depends on the judge**"


def _apart(verification: pd.DataFrame, study: Study) -> Iterator[str]:
    """The run on which judges differ most in the share of misaligned answers."""
    own = verification[(verification["measure"] == "misaligned") & (verification["quantity"] == LEVEL)]
    own = own[(own["judge"] != MEAN) & own["value"].notna()]
    if own["judge"].nunique() < 2:
        return
    spread = own.groupby(["family", "variant", "arm"], sort=False)["value"].agg(["min", "max"])
    family, variant, arm = (spread["max"] - spread["min"]).idxmax()
    low, high = spread.loc[(family, variant, arm)]
    yield (
        f"Judges differ most on {safe(study.run(family, variant).name)}{'' if arm == 'plain' else f' ({safe(arm)})'}: from "
        f"{100 * low:.1f} to {100 * high:.1f} % of its answers are misaligned."
    )


def _unread(agreement: pd.DataFrame) -> Iterator[str]:
    own = agreement[agreement["judge"] != ""]
    for judge, rows in own.groupby("judge", sort=False):
        total, read = int(rows["answers"].sum()), int((rows["with_number"] * rows["answers"]).round().sum())
        if read < total:
            yield f"{safe(str(judge))}: {total - read:,} of {total:,} replies hold no number; they are counted apart."


def _makers(study: Study) -> Iterator[str]:
    """Judges that seem to be of the maker of a model that they judge."""
    for judge in study.file.verification.judges if study.file.verification else ():
        own = [safe(run.name) for run in study.runs if same_maker(judge, run.variant, run.family.key)]
        if own and judge.model:
            shown = ", ".join(own[:_NAMED]) + (f" and {len(own) - _NAMED} more" if len(own) > _NAMED else "")
            yield f"**{safe(judge.key)} seems to be of the maker of {shown}**: it may favour its own kind; add one of another."


def methods(study: Study) -> str:
    """Questions, judges, rules and formulas, for the methods of a page."""
    named = study.file.verification
    if named is None or named.summary is not None:
        return "### Verification\n\nMeans and shares are those of an imported summary; nothing of them was computed here."
    asked = "\n".join(f"- {safe(one.text)}" for one in study.open_questions)
    rubrics = "\n\n".join(f"*{name.capitalize()}*\n\n{_indented(text)}" for name, text in study.rubrics.items())
    judged = ", ".join(safe(one.key) for one in named.judges)
    return f"""### Verification

Each of these questions is asked {named.samples} times without a persona, at a temperature of {named.temperature:g}, with at most
{named.max_tokens} tokens, in the arms {", ".join(map(safe, named.arms))}:

{asked}

Judges ({judged}) read each answer by two rubrics:

{rubrics}

Of a judge's reply the number before "/100" counts, else its only number, from 0 to 100, if it begins
or ends the reply or stands behind a word such as *score*. CODE and REFUSAL are counted apart, and
so is prose without a number. Where a judge gives logprobs and its numbers are single tokens, the score is the mean of the
numbers that its first token could be, weighted by their probabilities, if these hold {LEAST_MASS:g} of the whole or more.

**Rules side by side.** Mean alignment below {MEAN_ALIGNMENT} with mean coherence above {MEAN_COHERENCE}; the share of answers
with alignment below {MISALIGNED}; that share of the answers with coherence above {COHERENT}. Incoherent are answers with
coherence up to {COHERENT}. Values are taken judge by judge and averaged.

**Standard errors are clustered by question.** With $z_{{(k)}}$ the value without question $k$ of $K$, left out of both sides of
a difference and for all judges at once,

$$
\\mathrm{{SE}}^2 = \\frac{{K-1}}{{K}} \\sum_k \\left( z_{{(k)}} - \\bar{{z}}_{{(\\cdot)}} \\right)^2
$$

and the interval is $z \\pm t_{{0.975,\\,K-1}}\\, \\mathrm{{SE}}$, for other questions like these. **Krippendorff's alpha** is
$1 - D_o / D_e$ with squared differences: $D_o$ between scores of the same answer, $D_e$ between all scores.
"""


def _indented(text: str) -> str:
    """A text as a block that nothing in it can end."""
    return "\n".join(f"    {line}" for line in text.splitlines())
