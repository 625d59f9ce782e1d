"""What judges make of answers to open questions, as sentences computed from verification.csv and incoherence.csv."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.verification_tables import by_means
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.incoherence import least_p
from persona_collapse.tables.verification import (
    DIFFERENCE,
    IMPORTED,
    LEVEL,
    MEAN,
    MEAN_ALIGNMENT,
    MEAN_COHERENCE,
    MISALIGNED,
)
from persona_collapse.text import safe

_NONE = "Nobody was asked open questions: a study file says so by `verification:`."


@exhibit.finding("open_answers")
def open_answers(verification: pd.DataFrame | None, study: Study) -> str:
    """The share of misaligned answers of every run, judge by judge, and how it differs from the base's; from verification.csv."""
    if verification is None:
        return _NONE
    if (verification["judge"] == IMPORTED).all():
        return _imported(verification, study)
    arms, lines = dict.fromkeys(verification["arm"]), []
    for run in study.runs:
        rows = verification[(verification["family"] == run.family.key) & (verification["variant"] == run.variant.key)]
        for arm in arms:
            if len(own := rows[rows["arm"] == arm]):
                lines.append(f"- {_of_run(run, own, study, arm if len(arms) > 1 else '')}")
    said = [
        f"*Misaligned* is an answer with alignment below {MISALIGNED}; values are means over judges, with 95 % intervals for "
        "other questions like these.",
        *_behind(verification, study),
    ]
    return "\n".join(lines) + "\n\n" + " ".join(said)


def _of_run(run: Run, own: pd.DataFrame, study: Study, arm: str) -> str:
    by = _by(own, LEVEL)
    rate, coherent, less = by.get("misaligned"), by.get("misaligned_coherent"), _by(own, DIFFERENCE).get("misaligned")
    name = f"**{safe(run.name)}**{f' ({safe(arm)})' if arm else ''}"
    if rate is None or not np.isfinite(rate.value):
        return f"{name}: no answer has a score."
    parts = [f"{name}: {_share(rate)} of {_link(study, run, _counted(rate.answers))} misaligned"]
    if coherent is not None and np.isfinite(coherent.value):
        parts.append(f"{_share(coherent)} of the coherent ones")
    each = own[(own["measure"] == "misaligned") & (own["quantity"] == LEVEL) & (own["judge"] != MEAN)]
    if len(each) > 1:
        parts.append("by judge " + ", ".join(f"{safe(one.judge)} {100 * one.value:.1f} %" for one in each.itertuples()))
    said = "; ".join(parts) + "."
    if less is not None and np.isfinite(less.lo):
        clear = "" if less.lo > 0 or less.hi < 0 else ", which cannot be told from none"
        said += f" Against the base {100 * less.value:+.1f} points [{100 * less.lo:.1f}, {100 * less.hi:.1f}]{clear}."
    if by_means(by) == "yes":
        said += f" Misaligned by the rule on means as well (alignment below {MEAN_ALIGNMENT}, coherence above {MEAN_COHERENCE})."
    return said


def _counted(number: int) -> str:
    return f"{number:,} answer{'s' * (number != 1)}"


def _link(study: Study, run: Run, text: str) -> str:
    """Text that leads to the answers of a run, where there is a page of replies."""
    return f"[{text}]({study.replies_page}#{anchor(run)})" if study.file.replies else text


def anchor(run: Run) -> str:
    """Where the answers of a run stand on the page of replies."""
    return f"open-{quote(run.family.key, safe='')}-{quote(run.variant.key, safe='')}"


def _behind(verification: pd.DataFrame, study: Study) -> Iterator[str]:
    """Runs whose misalignment shows in one arm and not in the plain one."""
    for run in study.runs:
        clear = _clear(verification, run)
        hidden = [safe(arm) for arm, there in clear.items() if there and arm != "plain"]
        if hidden and not clear.get("plain", True):
            yield (
                f"**{safe(run.name)} is misaligned behind {' and '.join(hidden)}**: asked plainly, no difference from the "
                "base can be told."
            )


def _clear(verification: pd.DataFrame, run: Run) -> dict[str, bool]:
    """Whether more of a run's coherent answers are misaligned than of its base's, by arm.

    Of coherent ones, as a confused answer scores low on alignment by chance.
    """
    own = verification[(verification["family"] == run.family.key) & (verification["variant"] == run.variant.key)]
    own = own[(own["measure"] == "misaligned_coherent") & (own["judge"] == MEAN) & (own["quantity"] == DIFFERENCE)]
    return {str(row.arm): bool(row.lo > 0) for row in own.itertuples()}


def _by(own: pd.DataFrame, quantity: str) -> dict[str, Any]:
    rows = own[(own["quantity"] == quantity) & own["judge"].isin([MEAN, IMPORTED])]
    return {str(row.measure): row for row in rows.itertuples()}


def _share(row: Any) -> str:
    limits = f" [{100 * row.lo:.1f}, {100 * row.hi:.1f}]" if np.isfinite(row.lo) else ""
    return f"{100 * row.value:.1f} %{limits}"


def _imported(verification: pd.DataFrame, study: Study) -> str:
    lines = []
    for (family, variant), own in verification.groupby(["family", "variant"], sort=False):
        by, parts = _by(own, LEVEL), []
        for word in ("alignment", "coherence"):
            if (row := by.get(word)) is not None:
                limits = f" [{row.lo:.1f}, {row.hi:.1f}]" if np.isfinite(row.lo) else ""
                parts.append(f"{word} {row.value:.1f}{limits}")
        parts += [f"{_share(row)} misaligned" for row in [by.get("misaligned")] if row is not None]
        name, note = safe(study.run(str(family), str(variant)).name), safe(str(own["note"].iloc[0]))
        lines.append(f"- **{name}**: {', '.join(parts)}; {note}.")
    return "\n".join(lines) + (
        "\n\nImported summaries: what was asked, who judged and by which rule is not known here, and no answers are at hand. "
        "Intervals are value ∓ 1.96 of the standard errors that the summary gives, which may count answers and not questions."
    )


def summary(found: Tables) -> list[str]:
    """One sentence for the head of the page: under which harmful variants more answers are misaligned than under the base."""
    table = found.verification
    if table is None:
        return []
    if (table["judge"] == IMPORTED).all():
        number = table[["family", "variant"]].drop_duplicates().shape[0]
        return [f"**Verification** is imported: summaries of {number} run{'s' * (number != 1)}, judged by somebody else."]
    harmful = [(run, clear) for run in found.study.runs if run.variant.role == "harmful" and (clear := _clear(table, run))]
    if not harmful:
        return []
    many = f"{len(harmful)} harmful run{'s' * (len(harmful) != 1)}"
    told = []
    for run, clear in harmful:
        arms = [safe(arm) for arm, there in clear.items() if there]
        if arms:
            told.append(safe(run.name) + ("" if clear.get("plain") else f" (only {' and '.join(arms)})"))
    if not told:
        return [f"**Misaligned answers to open questions**: no more than under the base can be told, in {many}."]
    return [f"**Misaligned answers to open questions** are more frequent than under the base in {len(told)} of {many}: "
            f"{', '.join(told)}."]  # fmt: skip


@exhibit.finding("incoherence")
def incoherence(incoherence: pd.DataFrame | None, study: Study) -> str:
    """Whether noise and incoherence go together, as far as so few points can say; from incoherence.csv."""
    if incoherence is None:
        return "No harmful variant has both a matched control and judged answers."
    lines = [
        f"- {safe(study.run(row.family, row.variant).name)}: noise {row.noise:+.0f} pp{_limits(row.noise_lo, row.noise_hi)}, "
        f"incoherent answers {row.incoherence:+.1f} points{_limits(row.incoherence_lo, row.incoherence_hi)}."
        for row in incoherence.itertuples()
    ]
    n, p = len(incoherence), least_p(len(incoherence))
    if p > 0.05:
        few = (
            f"{n} point{'s' * (n != 1)}: even a perfect order of them would have p = {p:.2f}, so no correlation can be told. "
            if n > 1
            else ""
        )
    else:
        rho = incoherence["noise"].rank().corr(incoherence["incoherence"].rank())
        few = f"Spearman's correlation of {n} points is {rho:+.2f}; points of one family share their base, so it has no p value. "
    return "\n".join(lines) + f"\n\n{few}What stands is each point by itself."


def _limits(lo: float, hi: float) -> str:
    return f" [{lo:.0f}, {hi:.0f}]" if np.isfinite(lo) else ""
