"""The methods section of an appendix: what was asked in which words, how replies were read, and every estimator as a formula."""

import html
import re
from pathlib import Path

import pandas as pd

from persona_collapse.input_errors import listing
from persona_collapse.report.markdown import markdown
from persona_collapse.report.page import Page
from persona_collapse.study.first_token import LEAST_MASS
from persona_collapse.study.study import Run, Study
from persona_collapse.study.study_file import Variant
from persona_collapse.text import safe, tamed

WHY_NONE = {
    "transport": "no answer came, after further attempts",
    "wrong_server": "another server answered than the study names",
    "filtered": "the endpoint's content filter ended the answer",
    "refusal": "the model declined, by the endpoint's own mark",
    "truncated": "the answer ended at the token limit before any text, or inside its thinking",
    "low_mass": f"the first token puts less than {LEAST_MASS:g} of its probability on the scale",
    "unparseable": "the text does not begin with a rating",
    "invalid": "an imported row holds no valid rating and no reason",
    "absent": "an imported file lacks the row",
}
_RULE = """
Closed thinking blocks, invisible characters and markup are passed over, and digits of any script are read as digits. A reply
counts if it then *begins* with the rating, an integer from {low} to {high} that is no part of a larger number (`4.5`, `10`,
`4th`), a range (`3 to 4`), a share (`4/5`) or a doubt (`4, maybe 5`). No sign before it is tolerated, and a number further on
is never looked for (`I would say 4`). Another point of the scale may follow only as a mention: after the end of a sentence or
clause, with a word after it, and not within 80 letters of a second thought (*wait*, *actually*, *instead*). A reply that sets
another point beside a label of the scale recites the scale, and so does one that was cut off behind a label; one whose number
stands beside the label of another point contradicts itself. None of these gives a rating, nor does a number that counts
something (`3 things matter`) or begins a list. What gives no rating is a missing rating, never a number. The paper's rule takes
the first point of the scale that stands alone, anywhere; the section Ratings counts the replies that it reads and this rule
does not.
"""
_LOGPROBS = """
The probabilities of the first token give the distribution over the scale; a token counts for the digit that it is. A cell whose
first token puts less than {mass:g} of its probability on the scale is not used, and counted.
"""
_RECOMMENDED = r"""
For persona $p$ of $P$, item $q$ of $Q$ and $n_{{pq}}$ ratings, let $\mu_{{pq}}$ be their mean and $v_{{pq}}$ their unbiased
variance. With $V_q$ the unbiased variance of $\mu_{{pq}}$ over personas,

$$
t_q^2 = V_q{noise}, \qquad S = \frac{{1}}{{Q}} \sum_q \sqrt{{\max(t_q^2, 0)}}
$$

$$
W = \frac{{1}}{{P Q}} \sum_{{p,q}} v_{{pq}}, \qquad R = \frac{{1}}{{\sqrt{{W}}}}, \qquad \mathrm{{ICC}} = \frac{{t^2}}{{t^2 + W}}
$$

where $t^2$ is the mean of $t_q^2$ over items, 0 where it would be negative. Sums run over the items of a scope: all of them, or
those of one group of items. $S$ and the within-persona noise $\sqrt{{W}}$ are in scale points, $R$ in their inverse.{exact}

{choices}

**Variance components** (`components.csv`) split cell means, less their item means and with reversed items turned, into persona,
persona by group, persona by item and repetition, from mean squares in which every group weighs the same; none is cut at zero.
**Cronbach's alpha** of a group (`reliability.csv`) is one minus the mean square of persona by item over that of personas, both
inside the group. **Missing ratings** (`missing.csv`) could have been any point of the scale: the least and the most that $S$,
the noise and the mean could be.

The change $\Delta$ of a value $X$ against the base, in percent, and the excess $E$ over the matched control, in percentage
points of the base, are

$$
\Delta = 100 \left( \frac{{X_{{\mathrm{{variant}}}}}}{{X_{{\mathrm{{base}}}}}} - 1 \right), \qquad
E = 100\, \frac{{X_{{\mathrm{{harmful}}}} - X_{{\mathrm{{control}}}}}}{{X_{{\mathrm{{base}}}}}}
$$

**Intervals for other personas.** Every persona is left out once, the same one on all sides of a contrast. With $z$ the value on
the scale $f$ and $z_{{(p)}}$ the value without persona $p$,

$$
\mathrm{{SE}}^2 = \frac{{P-1}}{{P}} \sum_p \left( z_{{(p)}} - \bar{{z}}_{{(\cdot)}} \right)^2
$$

$$
f^{{-1}}\left( P z - (P-1)\, \bar{{z}}_{{(\cdot)}} \pm t_{{0.975,\,P-1}}\, \mathrm{{SE}} \right)
$$

where $f$ is the logarithm, the logit for shares, and the identity for fidelity (at most 1), for excesses and for means over
families. Where the interval of $t^2$ on its own scale reaches 0 and rating noise alone could give as much, S, ICC and fidelity
have none, and `presence.csv` has that of $t^2$.{units}

**Intervals for the same requests again** (columns `lo_repeat, hi_repeat`) come from leaving out one rating of one cell at a
time{requests}. Neither uses random numbers. Families are averaged, never pooled.

**Personas count as gone** where answers cannot be told to depend on them (p above .05) and the upper limit of pooled $S$ lies
below {half:g} of the base's pooled $S$.
"""
#: What v is where the wording of a cell varies.
_VARIED = (
    " Here wording varies within a cell, and $v_{pq}$ is the variance of its ratings within combinations of levels: their sums "
    "of squares about the mean of each, divided by the number of ratings less that of combinations. What combinations differ by "
    "is the component *wording* of `components.csv`, by analysis of variance of unequal groups. Choices of one request are taken "
    "as independent draws. The paper's formula below takes the spread of all ratings of a cell."
)
_CHOICES = r"""
**Choices of one request.** Let a cell have $m$ requests of $c_j$ choices, and $\mathrm{MSW}$ and $\mathrm{MSB}$ be the mean
squares of its ratings within and between them. The variance that choices of one request have in common and its share of rating
noise, pooled over the cells of a run, are

$$
\sigma^2_{\mathrm{req}} = \frac{\mathrm{MSB} - \mathrm{MSW}}{c_0}, \qquad
c_0 = \frac{n - \sum_j c_j^2 / n}{m - 1}, \qquad
\rho = \frac{\sigma^2_{\mathrm{req}}}{\sigma^2_{\mathrm{req}} + \mathrm{MSW}}
$$

Neither is cut at zero. Where most cells came in two requests or more, of several choices, $v_{pq}$ is
$\mathrm{MSW} + \sigma^2_{\mathrm{req}}$, and $\mathrm{MSW}/n + \sigma^2_{\mathrm{req}} \sum_j c_j^2 / n^2$ stands in place
of $v_{pq}/n_{pq}$. Elsewhere choices of one request are taken as independent draws, and $\rho$ comes from cells that were asked a
second time, whose second ratings enter nothing else.
"""
_MULTIVERSE = """
Each analysis changes one choice against the recommended one and asks the same question: another estimator of the same
construct, fewer repetitions, a group of items or a single item left out, a group of personas left out, another serving stack, a
family left out. Items left out one by one count as one choice. ICC in place of S, $1 - \\mathrm{ICC}$ in place of noise, and
families or items taken as a sample are other questions; they stand beside the curve and are not counted. The **joint test**
(Simonsohn, Simmons and Nelson 2020) exchanges variant and base, or control, within about half of the personas, 199 times, and
compares the median estimate over all analyses with the medians that this gives; another serving stack brings other ratings and
does not enter it. Holm's method adjusts the recommended p values for the number of headlines (`headlines.csv`).
"""
#: What an interval for other personas takes for granted, of personas and of clusters.
_ONE_BY_ONE = (
    " Personas are taken as drawn one by one; where they come in families or from templates these intervals are too short, "
    "unless the study file names the column of the deck that says so (`cluster:`)."
)
_CLUSTERS = (
    " Here personas come in {number} clusters (`{column}`): not personas but clusters are left out, each whole, and $P$ and $p$ "
    "stand for clusters in these two formulas."
)
_PUBLISHED = r"""
As the code of arXiv 2605.12850 computes them, over personas with a rating in every cell:

$$
S = \frac{1}{Q} \sum_q \sqrt{\frac{1}{P-1} \sum_p \left( \mu_{pq} - \bar{\mu}_q \right)^2}
$$

$$
\bar{u} = \frac{1}{P Q} \sum_{p,q} \sqrt{v_{pq}}, \qquad R = \frac{1}{\bar{u}}, \qquad
\mathrm{SE}(R) = \frac{\mathrm{SE}(\bar{u})}{\bar{u}^2}
$$

$$
\mathrm{SE}^2 = \mathrm{SE}_{\mathrm{personas}}^2 + \mathrm{SE}_{\mathrm{ratings}}^2
$$

The persona part is the standard deviation over 2000 draws of personas with replacement, the other part that of redrawing the
ratings in every cell. This counts rating noise twice, $S$ keeps it in, and $R$ grows as $n$ shrinks, so compare it only at equal
$n$. The paper gives the average over families no standard error.
"""


def section(page: Page, study: Study) -> str:
    """Everything below the heading Methods, as HTML; its tables are numbered in `page`."""
    parts = [
        page.heading(3, "Questionnaire and prompts", "methods-prompts"), _questionnaire(study), _prompts(study),
        page.table(_items(study), f"Items of the questionnaire ({study.instrument.title}), as prompts hold them.", words=True),
        page.heading(3, "How runs were asked", "methods-asked"), markdown(_asked(study)),
        page.table(_runs(study), "Runs of the study: role in the family, matched control, and who served them.", words=True),
        page.heading(3, "How replies were read", "methods-replies"), markdown(_reading(study)),
        page.table(_reasons(), "Why a rating can be missing: reasons in the order in which they are tried.", words=True),
        page.heading(3, "Recommended estimators", "methods-recommended"), markdown(_recommended(study)),
        page.heading(3, "Multiverse analysis", "methods-multiverse"), markdown(_MULTIVERSE),
        page.heading(3, "The paper's formulas", "methods-published"), markdown(_PUBLISHED),
    ]  # fmt: skip
    return "\n".join(parts)


def _questionnaire(study: Study) -> str:
    instrument = study.instrument
    low, high = instrument.scale
    return markdown(
        f"{safe(instrument.title)}: {len(instrument.items)} items in {len(instrument.foundations)} {instrument.groups}, "
        f"rated from "
        f"{low} to {high}. {safe(instrument.about['source'])} {safe(instrument.about['citation'])} "
        f"{safe(instrument.about['terms'])}\n\n"
        + (
            "The ratings of this study were collected by others, by their account with these prompts; that is not checked."
            if study.file.kind == "imported"
            else f"{_messages(study)} These are its exact words, line breaks included."
        )
    )


def _messages(study: Study) -> str:
    """Which messages a request has, and what of them varies over the repetitions of a cell."""
    vary, protocol = study.file.protocol.vary, study.file.protocol
    said = _of_treatments(study) or "Each request is one user message without a system prompt."
    if protocol.template == "none":
        said = "The model reads the prompt as plain text, without a chat template."
    if protocol.prefill:
        said += f" The beginning of the reply is given (`{safe(protocol.prefill)}`); what is read is the token behind it."
    if "persona_in" in vary:
        said = (
            "Each request is one user message; where the persona stands in a system message, that holds what the prompt as a "
            "persona says before the question, and the user message holds the question alone. " + _of_treatments(study)
        ).rstrip()
    if not vary:
        return said
    named = [f"wordings {listing(vary['wording'])}"] * ("wording" in vary)
    named += ["the direction of the scale (where it is reversed, its labels change places)"] * ("scale" in vary)
    named += ["the message that holds the persona"] * ("persona_in" in vary)
    return f"{said} What varies over the repetitions of a cell: {', '.join(named)}."


def _of_treatments(study: Study) -> str:
    """System prompts and prefixes, word for word, by whom they are asked with; nothing where there are none."""
    found: dict[tuple[str, str], list[str]] = {}
    for run in study.runs:
        protocol = run.variant.protocol(study.file.protocol)
        for name, text in (("system prompt", protocol.system), ("prefix, a line before every question", protocol.prefix)):
            if text:
                found.setdefault((name, text), []).append(run.name)
    if not found:
        return ""
    said = "; ".join(f"{', '.join(map(safe, names))} with the {name}: “{safe(text)}”" for (name, text), names in found.items())
    return f"Each request is one user message. Asked otherwise: {said}."


def _prompts(study: Study) -> str:
    """The templates word for word, with the places that are filled marked."""
    instrument = study.instrument
    end = instrument.digit_suffix or "" if study.by_logprobs else ""
    shown = []
    for name in study.file.protocol.vary.get("wording", ("a",)):
        worded, of = instrument.worded_as(f"wording={name}"), f", wording {name}" * ("wording" in study.file.protocol.vary)
        note = "the question of the item, one of those below, stands in its place"
        shown.append((f"As a persona{of}", note, worded.persona_template + end))
        shown += [
            (f"Items of block {block}{of}", "alone when no persona is given", text) for block, text in worded.templates.items()
        ]
    if end:
        shown.append(("Without a persona, every question ends with", "", end.lstrip("\n")))
    found = "\n".join(
        f'<p class="prompt-name"><b>{html.escape(name)}</b>{f" ({html.escape(note)})" if note else ""}</p>'
        f'<pre class="prompt" tabindex="0">{_marked(text)}</pre>'
        for name, note, text in shown
    )
    if study.as_read:
        found += (
            '<p class="prompt-name"><b>As the model reads it</b> (the first question to the first persona)</p>'
            f'<pre class="prompt" tabindex="0">{html.escape(tamed(study.as_read))}</pre>'
        )
    return found


def _marked(template: str) -> str:
    """A template as HTML, its fields marked and its doubled braces single, as a model sees them."""
    names = {"persona": "persona", "item": "question of the item", "text": "item"}
    pieces = re.split(r"(\{\{|\}\}|\{(?:persona|item|text)\})", template)
    found = {"{{": "{", "}}": "}"} | {f"{{{key}}}": f"<mark>{name}</mark>" for key, name in names.items()}
    return "".join(found.get(piece, html.escape(piece)) for piece in pieces)


def _items(study: Study) -> pd.DataFrame:
    rows = [(item.number, item.block, item.foundation, item.text) for item in study.instrument.items]
    found = pd.DataFrame(rows, columns=["item", "block", study.instrument.group, "wording"])
    if any(item.reversed for item in study.instrument.items):  # means and profiles turn these, spread within an item needs not
        found["scored"] = ["the other way round" if item.reversed else "" for item in study.instrument.items]
    return found


def _asked(study: Study) -> str:
    """Method, temperature, token limit, repetitions and conditions."""
    if study.file.kind == "imported":
        return (
            "Temperature and token limit are those of whoever collected the ratings; the section Ratings says how many ratings a "
            "cell has."
        )
    protocol = study.file.protocol
    deck = len(study.personas or ())
    several = f", in {protocol.requests} requests or more," if protocol.requests > 1 and study.file.kind == "live" else ""
    how = (
        "Every cell is asked once at temperature 1 for the log probabilities of its first token (at most 1 token); numbers are "
        f"shown for temperature {protocol.temperature:g}."
        if study.by_logprobs
        else f"Every cell is asked {protocol.repetitions} times{several} at temperature {protocol.temperature:g}, with at most "
        f"{protocol.max_tokens} {'token' if protocol.max_tokens == 1 else 'tokens'} an answer."
    )
    again = (
        f" An answer without a rating is asked again up to {protocol.reask} times; first answers are kept."
        if protocol.reask
        else ""
    )
    words = {
        "persona": f"as each of {deck} personas of the deck {safe(study.file.personas or '')}",
        "self": "without a persona",
        "toxic": f"as each of {len(study.toxic or ())} hostile characters (bases only)",
    }
    simulated = " **The answers are drawn from simulated respondents; no model was asked.**" if not study.is_evidence else ""
    return f"{how} It is asked {'; '.join(words[c] for c in study.file.conditions)}.{again}{simulated}"


def _runs(study: Study) -> pd.DataFrame:
    local = study.file.kind == "local"
    rows = [
        (
            r.family.name,
            v.name,
            v.role,
            v.control or "",
            study.stack(r),
            v.model or v.figures or (_weights_of(study, r) if local else _file_of(v)),
        )
        for r in study.runs
        for v in (r.variant,)
    ]
    source = {"live": "asked for", "simulated": "imitates", "imported": "file", "local": "weights"}[study.file.kind]
    found = pd.DataFrame(rows, columns=["model", "variant", "role", "control", "served by", source])
    if any(run.variant.of for run in study.runs):  # checkpoints and treatments, which few studies have
        found["of"] = [run.variant.of or "" for run in study.runs]
    if study.has_checkpoints:
        found["training step"] = ["" if run.variant.step is None else str(run.variant.step) for run in study.runs]
    if study.has_treatments:
        found["treated by"] = [_treated_by(run.variant) for run in study.runs]
    return found


def _treated_by(variant: Variant) -> str:
    """How and when a harmful variant was treated, and whether it is asked behind a trigger."""
    if variant.role != "mitigated":
        return ""
    when = {"training": "while it was trained", "after": "after training", "inference": "at inference"}
    at = "" if variant.temperature is None else f"temperature {variant.temperature:g}"
    parts = [variant.method or "", when.get(variant.when or "", ""), at, "behind a trigger" * (variant.context == "trigger")]
    return ", ".join(part for part in parts if part)


def _weights_of(study: Study, run: Run) -> str:
    """The weights of a run of open weights and its adapter, as the study file names them."""
    own = run.variant.weights or run.family.base.weights or study.file.weights or ""
    adapter = f", adapter {Path(run.variant.adapter).name}" if run.variant.adapter else ""
    return f"{own if _is_hub(own) else Path(own).name}{adapter}"


def _is_hub(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "~", "/"))


def _file_of(variant: Variant) -> str:
    """The file of an imported run, and which of its rows are the run's own where there are others."""
    rows = ", ".join(f"{column} = {value}" for column, value in variant.rows.items())
    return f"{variant.persona or ''}{f', rows with {rows}' if rows else ''}"


def _reading(study: Study) -> str:
    if study.by_logprobs:
        return _LOGPROBS.format(mass=LEAST_MASS)
    low, high = study.instrument.scale
    note = " In imported files the rating column is the truth; where this rule reads another number, 01_elicit reports it."
    return _RULE.format(low=low, high=high).strip() + note * (study.file.kind == "imported")


def _reasons() -> pd.DataFrame:
    return pd.DataFrame(list(WHY_NONE.items()), columns=["reason", "meaning"])


def _recommended(study: Study) -> str:
    exact = study.by_logprobs
    noise = "" if exact else r" - \frac{1}{P} \sum_p \frac{v_{pq}}{n_{pq}}"
    said = (
        r" Here $\mu_{pq}$ and $v_{pq}$ are mean and variance of the distribution itself: there is no rating noise to take off."
    )
    asked = study.file.kind == "live" and not exact
    named = study.file.cluster.column if study.file.cluster else "cluster"
    clusters = _CLUSTERS.format(number=len(study.cluster_names), column=safe(named)) if study.cluster_names else _ONE_BY_ONE
    varied = bool(study.file.protocol.vary)
    return _RECOMMENDED.format(
        noise=noise, exact=said if exact else _VARIED if varied else "",
        choices=_CHOICES.strip() if asked and not varied else "",
        requests=", whatever its wording" if varied else ", or one request where ratings of one may share noise" if asked else "",
        units=clusters, half=study.file.half,
    )  # fmt: skip
