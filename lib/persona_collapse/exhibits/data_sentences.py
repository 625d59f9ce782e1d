"""What was asked and what came back, as sentences computed from quality.csv, as a notebook runs for every model."""

from collections.abc import Iterable, Mapping
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.asking.import_files import describe
from persona_collapse.asking.supported_parameters import Supported
from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.persona_sentences import near_duplicates_line
from persona_collapse.exhibits.request_sentences import independence
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.first_token import LEAST_MASS
from persona_collapse.study.rating_parser import unrated
from persona_collapse.study.respondent_parameters import assumed, assumptions
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.comparability import differences, nobody_shared, trained_otherwise, unshared
from persona_collapse.tables.plan import plan_lines
from persona_collapse.tables.quality import MISSING, run_reasked
from persona_collapse.text import safe

#: Characters of a reply that a sentence quotes.
_QUOTED = 80
#: Standard errors below which answers cannot be told from the base's.
_APART = 3.0


def simulated(study: Study) -> str:
    """The banner of simulated ratings; empty for real ones."""
    if study.is_evidence:
        return ""
    if study.simulated and (said := assumptions([study.instrument])):
        return f"> **Simulated ratings.** They are evidence of nothing about any model. {safe(said)}"
    return (
        "> **Simulated ratings.** They are made to look like the figures that arXiv 2605.12850 publishes, and are evidence of "
        "nothing about any model."
    )


def how_made(study: Study) -> str:
    """How simulated ratings were made, where they imitate no published figures; empty for others."""
    return "made by stated assumptions" if study.simulated and assumed(study.instrument) else ""


_NOT_IMPORTED = "Nothing was imported: this run was asked rating by rating."


@exhibit.finding("run")
def run_line(study: Study, run: Run, run_quality: pd.DataFrame) -> str:
    """Which model and variant a notebook is about, and how much there is of it."""
    row = run_quality[run_quality["condition"] == "persona"].iloc[0]
    low, high = row["min_repetitions"], row["max_repetitions"]
    repetitions = f"{high} repetitions" if low == high else f"{low} to {high} repetitions"
    if study.by_logprobs:
        repetitions = (
            f"one request, for the distribution of the answer (logprobs, shown at T = {study.file.protocol.temperature:g})"
        )
    personas = row["personas_used"] + row["personas_dropped"]
    line = (
        f"**{safe(run.name)}** of *{safe(study.file.title)}* ({study.file.kind}): {personas} personas × "
        f"{len(study.instrument.items)} items × {repetitions}."
    )
    return "\n\n".join(part for part in (line, simulated(study)) if part)


@exhibit.finding("study")
def study_line(study: Study) -> str:
    """Which study a notebook is about, and how much there is of it."""
    families, runs = len(study.file.families), len(study.runs)
    line = (
        f"**{safe(study.file.title)}** ({study.file.kind}): {families} famil{'y' if families == 1 else 'ies'}, "
        f"{runs} run{'s' * (runs > 1)}, instrument {safe(study.instrument.title)}"
        + (f", asked by logprobs and shown at T = {study.file.protocol.temperature:g}." if study.by_logprobs else ".")
    )
    return "\n\n".join(part for part in (line, simulated(study)) if part)


@exhibit.finding("quality")
def quality(quality: pd.DataFrame) -> str:
    """How many slots have a rating, and why the others have none."""
    slots, valid = int(quality["slots"].sum()), int(quality["valid"].sum())
    reasons = quality[list(MISSING)].sum()
    reasons = reasons[reasons > 0]
    sentence = f"{valid:,} of {slots:,} requested ratings were given"
    if len(reasons):
        sentence += " (" + ", ".join(f"{name}: {number:,}" for name, number in reasons.items()) + ")"
    if alone := int(quality["published_alone"].sum()):
        sentence += f"; {alone:,} {'reply' if alone == 1 else 'replies'} the paper's rule would read and ours does not"
    if quality["mean_mass"].notna().any():
        sentence += f"; {mass_line(quality)}"
    dropped = int(quality.loc[quality["condition"] == "persona", "personas_dropped"].sum())
    who = "persona lacks a rating for some item and is" if dropped == 1 else "personas lack a rating for some item and are"
    end = f"; **{dropped}** {who} left out of S and R." if dropped else "."
    if valid == 0:
        runs = len(quality[["family", "variant"]].drop_duplicates())
        who = (
            "This run never gave a rating**: S and R do not exist for it"
            if runs == 1
            else (f"None of these {runs} runs gave a rating**: S and R do not exist for them")
        )
        return f"{sentence}. **{who}, which is itself the result."
    return sentence + end


def commonest_replies(ratings: Ratings) -> str:
    """What runs said whose replies are in doubt, as a list; empty where there is none.

    Those of which fewer than half of the answers are ratings, and those that recite the scale once they have room for it.
    """
    lines, instrument = [], ratings.study.instrument
    for run in ratings.runs:
        probe = ratings.of(run).asked.probe
        if unread := unrated(probe, instrument.scale, instrument.labels):
            lines.append(
                f"- **{safe(run.key)}**: {len(unread)} of {len(probe)} replies gave no rating when they had room for more "
                f"tokens, such as “{safe(shorten(unread[0], _QUOTED, placeholder=' …'))}”. A reply that begins with a "
                "number was read as that all the same."
            )
        for condition in ratings.study.conditions(run):
            if said := ratings.of(run, condition).asked.commonest:
                quoted = ", ".join(
                    f"“{safe(shorten(reply, _QUOTED, placeholder=' …'))}” ({times:,} times)" for reply, times in said
                )
                lines.append(f"- **{safe(run.key)}**, condition {condition}: most answers are no ratings; commonest: {quoted}.")
    return "\n".join(lines)


def mass_line(rows: pd.DataFrame) -> str:
    """How much probability the first tokens of a study asked by logprobs put on the scale; `rows` are of quality.csv."""
    seen = rows[rows["mean_mass"].notna()]
    if seen.empty:
        return "no reply came with usable logprobs"
    low = int(rows["low_mass"].sum())
    unused = f"{low:,} of them {'lies' if low == 1 else 'lie'}" if low else "none lies"
    mean = np.average(seen["mean_mass"], weights=seen["valid"] + seen["low_mass"])
    return (
        f"the first token puts {mean:.3f} of its probability on the scale, mean over cells, and "
        f"{seen['least_mass_seen'].min():.3f} in the least sure one; {unused} "
        f"below {LEAST_MASS:g}, the mass under which a cell is not used"
    )


@exhibit.finding("asked")
def asked(study: Study, run: Run, known: Supported | None, run_quality: pd.DataFrame) -> str:
    """How a live run was asked and what its endpoint says of itself, `known`; or that no endpoint was asked."""
    if study.file.kind == "local":
        return f"No endpoint was asked: weights were read on the machine that made this report, in {study.file.local.dtype}."
    if known is None:
        return f"No endpoint was asked: the ratings are {study.file.kind}."
    endpoint, model = study.file.endpoints[run.variant.endpoint or ""], run.variant.model or ""
    parts = [f"{safe(model)} was asked at {safe(endpoint.base_url)}"]
    if known.choices:
        parts.append("one rating a request" if known.choices == 1 else f"up to {known.choices} ratings a request")
    if known.alternatives:
        parts.append(f"{known.alternatives} logprobs of the first token")
    parts.append(f"{known.told} set by the request" if known.told else "top_p left to the endpoint")
    if known.limit != "max_tokens":
        parts.append(f"length limited by `{known.limit}`")
    if known.fingerprint:
        parts.append(f"fingerprint {safe(known.fingerprint)}")
    retries, lost = int(run_quality["retries"].sum()), int(run_quality["lost"].sum())
    sentence = ", ".join(parts) + f". {retries:,} requests were sent again"
    sentence += f", {lost} of them after a killed process may have paid for them." if lost else "."
    warnings = [f"> **Warning.** {safe(line)}." for line in known.warnings(model)]
    return "\n\n".join(part for part in (sentence, independence(run_quality, study), *warnings) if part)


@exhibit.finding("imported")
def imported(report: Mapping[str, Any]) -> str:
    """What the importer found in a run's files, as a list; `report` is by condition."""
    return "\n".join(f"- {safe(line)}" for line in describe(report)) or _NOT_IMPORTED


@exhibit.finding("asked_again")
def asked_again(ratings: Ratings, run: Run) -> str:
    """Whether answers of a run were asked again for want of a rating."""
    return "" if len(run_reasked(ratings, run)) else "No answer was asked again."


@exhibit.finding("plan")
def plan(study: Study, target: float = 0.05) -> str:
    """Personas and repetitions for a standard error of `target` (0.05 is 5 %) in the changes, by each way of asking."""
    return "\n\n".join(plan_lines(study, target))


@exhibit.finding("cautions")
def cautions(beside: pd.DataFrame, study: Study, ratings: Ratings | None = None) -> str:
    """What differs between a base and its variants besides fine-tuning, what choices share, and personas that are copies.

    `beside` is quality.csv.
    """
    lines = [f"- {safe(run.name)}: {safe('; '.join(found))}" for run, found in differing(beside, study, ratings)]
    said = [unchanged(beside, study)]
    if lines:
        said.append("**Besides fine-tuning, these contrasts also differ in:**\n\n" + "\n".join(lines))
    else:
        said.append(
            f"Base and variants agree in stack, date{' and personas' if study.by_logprobs else ', personas and repetitions'}."
        )
    if unlike := unlike_control([run for run in study.runs if run.family.key in set(beside["family"])]):
        said.append(f"**These fine-tunes were not trained as the control that they name:** {unlike}.")
    said.append(independence(beside, study))
    if ratings is not None:
        said.append(near_duplicates_line(ratings.only(families_of(beside, study))))
    return "\n\n".join(part for part in said if part)


def unchanged(beside: pd.DataFrame, study: Study) -> str:
    """Fine-tunes whose answers cannot be told from their base's, and what that means; empty where there is none."""
    rows = beside[(beside["condition"] == "persona") & (beside["apart_from_base"] < _APART)]
    lines = []
    for row in rows.itertuples():
        name = safe(study.run(row.family, row.variant).name)
        if row.apart_from_base < -_APART:
            lines.append(
                f"- **The answers of {name} are copies of its base's**, or nearly: two draws of one model differ more than these "
                "do. The same files, a cache or a fixed seed does that."
            )
            continue
        lines.append(
            f"- **The answers of {name} cannot be told from its base's**: as personas they differ by "
            f"{row.apart_from_base:+.1f} standard errors more than two draws of one model do, which chance gives as well. An "
            "adapter that is not applied does that: see that the server has loaded it under the name that the study asks for. "
            "So does a small change with few ratings."
        )
    return "\n".join(lines)


def unlike_control(runs: Iterable[Run]) -> str:
    """Which of these runs were not fine-tuned as the control that they name, and how, in words; empty where all were."""
    found = []
    for run in runs:
        control = next((Run(run.family, v) for v in run.family.variants if v.key == run.variant.control), None)
        if control is not None and (unlike := trained_otherwise(run, control)):
            found.append(f"{safe(run.name)} ({safe('; '.join(unlike))})")
    return ", ".join(found)


def families_of(beside: pd.DataFrame, study: Study) -> list[Run]:
    """Runs that rows of quality.csv are about, and the others of their families."""
    return [run for run in study.runs if run.family.key in set(beside["family"])]


def differing(beside: pd.DataFrame, study: Study, ratings: Ratings | None = None) -> list[tuple[Run, list[str]]]:
    """Variants that differ from their base in more than fine-tuning, and in what, in words; `beside` is quality.csv.

    With `ratings` also in which personas by id.
    """
    rows = beside[beside["condition"] == "persona"].set_index(["family", "variant"])
    found = []
    for run in study.runs:
        base = run.family.key, run.family.base.key
        if run.keys != base and run.keys in rows.index and base in rows.index:
            differs = differences(rows.loc[run.keys], rows.loc[base], samples=not study.by_logprobs)
            if ratings is not None:
                pair = run, study.run(*base)
                differs += [said for said in (unshared(ratings, *pair), nobody_shared(ratings, *pair)) if said]
            found += [(run, differs)] if differs else []
    return found


def family_name(study: Study, key: str) -> str:
    return safe(next((f.name for f in study.file.families if f.key == key), key))
