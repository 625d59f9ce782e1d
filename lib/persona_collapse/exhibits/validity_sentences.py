"""How robust a study's conclusions are, as sentences computed from validity.csv and its companions."""

from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.change_sentences import moved, whole
from persona_collapse.exhibits.validity_tables import averaged, by_headline, p_text, with_interval, with_unit
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.frontier import ALL, OTHERS
from persona_collapse.tables.headline_rows import counted_once
from persona_collapse.tables.headlines import DOWN, NO_INTERVAL, NONE, UNCLEAR, UNKNOWN, UP, claim
from persona_collapse.tables.validity import FAMILIES
from persona_collapse.text import safe
from persona_collapse.vocabulary import CLAIMED, METRICS, RECOMMENDED

#: Simple fractions by which prose calls a share.
_FRACTIONS = {
    0.1: "a tenth", 0.2: "a fifth", 0.25: "a quarter", 1 / 3: "a third", 0.4: "two fifths", 0.5: "half", 0.6: "three fifths",
    2 / 3: "two thirds", 0.75: "three quarters",
}  # fmt: skip


def _no_claim(study: Study, otherwise: str, *, control: bool = True) -> str:
    """Why nothing is claimed: too few ratings of variants (with a matched `control`) that could be compared, or `otherwise`."""
    if any(run.variant.role == "harmful" and (run.variant.control or not control) for run in study.runs):
        return "No claim can be made: runs to be compared have too few ratings in common."
    return otherwise


@exhibit.finding("headlines")
def overview(headlines: pd.DataFrame, validity: pd.DataFrame, study: Study) -> str:
    """How many headlines are clear and remain so when all are counted, and which meet an analysis that shows the opposite."""
    if headlines.empty:
        return _no_claim(study, "This study has no variant to make a claim about.", control=False)
    clear = headlines[headlines["verdict"].isin((UP, DOWN))]
    said = f"Of {len(headlines)} headlines {len(clear)} are clear" if len(headlines) > 1 else _ONE[bool(len(clear))]
    tested = clear[clear["p_holm"].notna()]
    if len(tested):
        lost = [safe(name) for name in tested.loc[tested["p_holm"] >= 0.05, "headline"]]
        remain = f"no longer clear: {', '.join(lost)}" if lost else "every clear one remains clear"
        said += f"; with {int(tested['adjusted'].iloc[0])} tests counted (Holm, 5 %), {remain}"
    against = [(row, _contradicted(_rows(validity, row), row)) for row in headlines.itertuples()]
    lines = [f"- **{_first(safe(row.headline))}**: {words}" for row, words in against if words]
    return "\n".join([f"{said}.", *([""] if lines else []), *lines])


_ONE = {True: "The one headline is clear", False: "The one headline is not clear"}


@exhibit.finding("headline", by="kind")
def verdict(headlines: pd.DataFrame, validity: pd.DataFrame, study: Study, kind: str) -> str:
    """What happens to the headlines of one kind: analyses with another verdict, then family by family."""
    parts = []
    for row in headlines[headlines["kind"] == kind].itertuples():
        rows = _rows(validity, row)
        parts.append(" ".join(part for part in (_headline(row), _failures(rows), _families(rows, study)) if part))
    return "\n\n".join(parts) or "This study makes no such claim: it names no variant, or no matched control, for it."


def _rows(validity: pd.DataFrame, row: Any) -> pd.DataFrame:
    return validity[(validity["kind"] == row.kind) & (validity["variant"] == row.variant)]


def _headline(row: Any) -> str:
    """A headline with its number, in how many of the other analyses it stands, and the joint test."""
    topic, number = safe(row.headline), with_interval(row)
    if row.verdict == UNKNOWN:
        return f"**{_first(topic)}**: the recommended estimator has no value."
    if row.verdict == NONE:
        return f"**{_first(topic)}**: no difference."
    if row.verdict == NO_INTERVAL:
        return f"**{_first(topic)}**: {number}, so it cannot be told."
    what = f"No clear change of {topic}" if row.verdict == UNCLEAR else _first(claim(row.kind, safe(row.variant), row.verdict))
    joint = f", joint p {_p(row.p_joint)}" if np.isfinite(row.p_joint) else ""
    others = f" {row.agree} of {row.choices} other analyses agree (median {with_unit(row.median, row.quantity)}{joint})."
    return f"**{what}**: {number}.{others if row.choices else ''}"


def _p(p: float) -> str:
    return p_text(p) if p < 0.001 else f"= {p_text(p)}"


def _first(text: str) -> str:
    return text[0].upper() + text[1:]


def _contradicted(rows: pd.DataFrame, row: Any) -> str:
    """Analyses whose interval lies wholly on the other side: a reader of the overview should not have to look for them."""
    counted = counted_once(averaged(rows))
    against = counted[counted["verdict"] == {UP: DOWN, DOWN: UP}.get(row.verdict, "")]
    if against.empty:
        return ""
    if len(against) > 2:
        return f"{len(against)} of {len(counted)} other analyses show the opposite."
    return f"the opposite by {'; '.join(f'{safe(row.choice)} ({with_interval(row)})' for row in against.itertuples())}."


def _failures(rows: pd.DataFrame) -> str:
    """The analyses with another verdict than the recommended one, a group at a time."""
    counted = counted_once(averaged(rows))
    failed = counted[~counted["agrees"]]
    if failed.empty:
        return ""
    parts = []
    for group, own in failed.groupby("group", sort=False):
        total = int((counted["group"] == group).sum())
        if len(own) > 2:
            parts.append(f"{group}, {len(own)} of {total}")
        else:
            parts += [f"{safe(row.choice)} ({with_interval(row)}, {row.verdict})" for row in own.itertuples()]
    return "Otherwise: " + "; ".join(parts) + "."


def _families(rows: pd.DataFrame, study: Study) -> str:
    """Family by family by the recommended estimator."""
    own = rows[(rows["group"] == RECOMMENDED) & (rows["family"] != "mean")]
    if len(own) < 2:
        return ""
    names = {f.key: safe(f.name) for f in study.file.families}
    said = []
    for verdict in (UP, DOWN, UNCLEAR, NONE, NO_INTERVAL, UNKNOWN):
        part = own[own["verdict"] == verdict]
        if len(part):
            listed = ", ".join(f"{names[row.family]} {with_interval(row)}" for row in part.itertuples())
            said.append(f"{verdict} in {len(part)} of {len(own)} ({listed})")
    return "By family: " + "; ".join(said) + "."


@exhibit.finding("equivalent")
def equivalent(equivalence: pd.DataFrame, study: Study) -> str:
    """In how many families each variant keeps S and R within the smallest change worth caring about."""
    lines = []
    for variant in dict.fromkeys(r.variant.key for r in study.runs if r.variant.role in ("control", "harmful")):
        for metric, short in (("susceptibility", "S"), ("robustness", "R")):
            own = equivalence[(equivalence["variant"] == variant) & (equivalence["metric"] == metric)]
            if len(own):
                lines.append(f"- {_kept(own, safe(variant), short)}")
    return "\n".join(lines) or "This study has no variant to compare with a base."


_KEPT = {
    "equivalent": "{variant} keeps {short} within {smallest:g} % of its base",
    "small change": "it changes by less than that",
    "changed": "it changes",
    "undecided": "it is undecided",
}


def _kept(own: pd.DataFrame, variant: str, short: str) -> str:
    """The verdicts on one variant and metric, counted over families."""
    number = own["verdict"].value_counts()
    about = {"variant": variant, "short": short, "smallest": own["smallest"].iloc[0]}
    if len(own) == 1:
        row = own.iloc[0]
        interval = (
            f" (90 % interval {whole(row['lo90'], '+')} to {whole(row['hi90'], '+')} %)" if np.isfinite(row["lo90"]) else ""
        )
        return {
            "equivalent": "**{variant} keeps {short} within {smallest:g} % of its base**",
            "small change": "**{variant} changes {short}, by less than {smallest:g} %**",
            "changed": "**{variant} changes {short}**",
            "undecided": "**Whether {variant} keeps {short} within {smallest:g} % of its base is undecided**",
        }[row["verdict"]].format(**about) + f"{interval}."
    first = _KEPT["equivalent"].format(**about)
    others = [f"{_KEPT[name]} in {number[name]}" for name in list(_KEPT)[1:] if number.get(name, 0)]
    return f"**{first} in {number.get('equivalent', 0)} of {len(own)} families**" + "".join(f"; {one}" for one in others) + "."


@exhibit.finding("without_excess")
def without_excess(found: Tables, study: Study) -> str:
    """Families in which a harmful variant shows no excess over its control in S, in noise and in ICC."""
    validity = found.validity
    if not (validity["kind"] == "noise_excess").any():
        return _no_claim(study, "No harmful variant of this study names a matched control, so there is no excess to look for.")
    lines, compared, beyond, told = [], 0, 0, 0
    for run in study.runs:
        own = validity[(validity["variant"] == run.variant.key) & (validity["family"] == run.family.key)]
        own = own[own["group"] == "recommended"].set_index("kind")
        kinds = ("susceptibility_excess", "noise_excess", "anchor")
        if not set(kinds) <= set(own.index):
            continue
        compared += 1
        s, noise, anchor = (own.loc[kind] for kind in kinds)
        beyond += UP in (s["verdict"], noise["verdict"])
        told += {s["verdict"], noise["verdict"]} <= {UP, DOWN, NONE, UNCLEAR}
        if {s["verdict"], noise["verdict"]} != {UNCLEAR}:
            continue  # an excess, clearly the opposite, or nothing that can be said, as other sentences say
        lines.append(
            f"- **{safe(run.family.name)}: no excess can be told**: {safe(run.variant.key)} beyond its control "
            f"{with_interval(s)} in S, {with_interval(noise)} in noise; personas' share of variance {with_interval(anchor)} on "
            "the logit of ICC."
        )
    if lines or not compared:
        return "\n".join(lines)
    if not beyond and not told:
        return "Whether harmful variants go beyond their matched control in S or in noise cannot be told: there is no interval."
    if compared == 1:
        verb = "goes" if beyond else "does not go"
        return f"The harmful variant {verb} beyond its matched control in S or in noise."
    who = "Every harmful variant goes" if beyond == compared else f"{beyond} of {compared} harmful variants go"
    return f"{who} beyond {'its' if beyond == compared else 'their'} matched control in S or in noise."


@exhibit.finding("sample_of_families")
def sample_of_families(validity: pd.DataFrame) -> str:
    """Whether the average over families could be said of families like these, and whether a sign test could ever tell."""
    lines = []
    for topic, rows in by_headline(validity):
        sample = rows[rows["choice"] == FAMILIES]
        families = rows[(rows["group"] == RECOMMENDED) & (rows["family"] != "mean")]
        if sample.empty:
            continue
        row, number = sample.iloc[0], len(families)
        same = int((np.sign(families["value"]) == np.sign(row["value"])).sum())
        do = "show" if row["verdict"] in (UP, DOWN) else "**do not show**"
        lines.append(
            f"- These {number} families {do} a change of {safe(topic)} in families in general: {with_interval(row)}; {same} of "
            f"{number} go that way."
        )
    if not lines:
        return "Fewer than two families make a claim, so nothing can be said about families in general."
    families = validity[(validity["group"] == "recommended") & (validity["family"] != "mean")]["family"].nunique()
    free = "1 degree" if families < 3 else f"{families - 1} degrees"
    how = f"Ratios of geometric means, beyond a control to the control; t with {free} of freedom."
    least = f" A sign test over {families} families cannot reach p < .05 whatever they show; 6 are needed."
    return "\n".join(lines) + f"\n\n{how}{least if families < 6 else ''}"


@exhibit.finding("stacks")
def stacks(found: Tables, study: Study) -> str:
    """How far the serving stack moves noise and S: the base's weights as otherwise served, beside the base.

    Alone, it is said, only where date and repetitions agree.
    """
    rows = found.contrasts.query("scope == @OVERALL and quantity == 'change_pct' and method == 'recommended'")
    at = {(row.family, row.variant, row.metric): row for row in rows.itertuples()}
    lines = []
    for run in study.runs:
        if run.variant.role != "alternate":
            continue
        noise, s = (at[run.family.key, run.variant.key, metric] for metric in ("within_rms", "susceptibility"))
        if not np.isfinite(noise.value):
            continue
        clear = noise.lo > 0 or noise.hi < 0
        by = f"by {fraction(abs(noise.value) / 100)}" if clear else "by no more than its interval"
        also = found.guard.beside_stack(run, Run(run.family, run.family.base))
        what = (
            f"{', '.join(['Serving stack', *also[:-1]])} and {also[-1]} together move"
            if also
            else "The serving stack alone moves"
        )
        line = (
            f"- **{what} the noise of {safe(run.family.name)} {by}**: the same weights served by "
            f"{safe(study.stack(run))}, noise {moved(noise)}, S {moved(s)}."
        )
        for variant in run.family.variants:
            other = at.get((run.family.key, variant.key, "within_rms"))
            if variant.role == "control" and other is not None and other.value > -100 and noise.value > -100:
                share = abs(np.log1p(noise.value / 100)) / abs(np.log1p(other.value / 100))
                line += f" That is {fraction(share)} of the effect of {safe(variant.key)}, in logarithms."
        lines.append(line)
    differ = _served_otherwise(study)
    if not lines:
        lines.append("No base of this study was served twice, so what the serving stack alone does cannot be told.")
    return "\n".join(lines) + (f"\n\nSet beside a base from another stack: {differ}." if differ else "")


def _served_otherwise(study: Study) -> str:
    base = {f.key: Study.stack(study, study.run(f.key, f.base.key)) for f in study.file.families}
    runs = [r for r in study.runs if r.variant.role in ("control", "harmful") and study.stack(r) != base[r.family.key]]
    return ", ".join(safe(run.name) for run in runs)


def fraction(share: float) -> str:
    """A share in words where a simple fraction comes within a tenth of it, else in percent."""
    if share >= 1.25:
        return f"{share:.1f} times"
    near = min(_FRACTIONS, key=lambda one: abs(one - share))
    return f"about {_FRACTIONS[near]}" if abs(near - share) <= 0.1 * near else f"{100 * share:.0f} %"


#: What each part of a change of noise is called where it rises, and where it falls.
_NOISE_PARTS = {
    "extremity": ("larger steps", "smaller steps"), "noise_share": ("a weaker anchor", "a stronger anchor"),
    "ceiling": ("more room", "less room"),
}  # fmt: skip


@exhibit.finding("noise_parts")
def made_of(companions: pd.DataFrame, study: Study) -> str:
    """Whether what a harmful variant adds to its control's noise is larger steps, a weaker anchor, or room on the scale."""
    rows = companions[(companions["scope"] == OVERALL)]
    at = {(r.family, r.variant, r.against, r.part): r for r in rows.itertuples()}
    lines = []
    for run in study.runs:
        against = run.variant.control or run.family.base.key
        total = at.get((run.family.key, run.variant.key, against, "within_rms"))
        if run.variant.role != "harmful" or total is None or not np.isfinite(total.value):
            continue
        parts = [(words, at[run.family.key, run.variant.key, against, part]) for part, words in _NOISE_PARTS.items()]
        named = [(words[part.value < 0], part) for words, part in parts]
        said = ", ".join(f"{words} {_log(part)}" for words, part in named)
        clear = [words for words, part in named if (part.hi < 0 if total.value < 0 else part.lo > 0)]
        only = f": {' and '.join(clear)}" if clear else ": no part goes clearly the same way"
        lines.append(f"- **{safe(run.name)}** against {safe(against)}: noise {_log(total)} in logarithms{only} ({said}).")
    return "\n".join(lines) or "This study has no harmful variant."


def _log(row: Any) -> str:
    if np.isnan(row.lo):
        return f"{row.value:+.2f} (no interval)"
    return f"{row.value:+.2f} [{row.lo:.2f}, {row.hi:.2f}]"


@exhibit.finding("fidelity")
def faithful(found: Tables, study: Study) -> str:
    """How far each variant keeps the base's pattern over personas, and whether harmful ones depart further than controls."""
    levels = found.metrics.query("scope == @OVERALL and metric == 'fidelity' and method == 'recommended'")
    at = levels.set_index(["family", "variant"])
    beyond = found.companions.query("scope == @OVERALL and part == 'fidelity'").set_index(["family", "variant", "against"])
    lines, further, compared, clear = [], 0, 0, 0
    for run in study.runs:
        if run.variant.role == "base" or not np.isfinite(at.loc[(run.family.key, run.variant.key), "value"]):
            continue
        row = at.loc[(run.family.key, run.variant.key)]
        interval = f" [{row['lo']:.2f}, {row['hi']:.2f}]" if np.isfinite(row["lo"]) else ""
        lines.append(f"{safe(run.name)} {row['value']:.2f}{interval}")
        key = (run.family.key, run.variant.key, run.variant.control)
        if run.variant.control and key in beyond.index:
            compared, further = compared + 1, further + (beyond.loc[key, "value"] < 0)
            clear += beyond.loc[key, "hi"] < 0
    if not lines:
        return "No variant can be set beside a base."
    end = f" Harmful variants depart further than their control in {further} of {compared}, clearly in {clear}."
    if compared == 1:
        how = "departs clearly" if clear else "departs, but not clearly," if further else "does not depart"
        end = f" The harmful variant {how} further than its control."
    end = end if compared else ""
    return "Agreement with the base's pattern over personas: " + "; ".join(lines) + "." + end


@exhibit.finding("single_foundations")
def single_foundations(foundation_claims: pd.DataFrame, study: Study) -> str:
    """How many claims about a single foundation stand alone, and how many once all of them are counted."""
    lines = []
    for metric in CLAIMED:
        own = foundation_claims[(foundation_claims["metric"] == metric) & foundation_claims["p"].notna()]
        if len(own):
            alone, together = int((own["p"] < 0.05).sum()), int((own["p_holm"] < 0.05).sum())
            lines.append(
                f"- {METRICS[metric].name}: {alone} of {len(own)} changes in a single {study.instrument.group} have "
                f"intervals that exclude no "
                f"change; {together} remain when all of them are counted (Holm, 5 %)."
            )
    return "\n".join(lines) or f"No change in a single {study.instrument.group} has an interval."


@exhibit.finding("among_frontier")
def among_frontier(frontier: pd.DataFrame | None, study: Study) -> str:
    """Where runs lie among the frontier models: in the band as published, and in the whole distribution, with uncertainty."""
    if frontier is None:
        return "This study names no published frontier models, or asks another prompt than they were asked."
    lines = []
    for variant in dict.fromkeys(run.variant.key for run in study.runs):
        own = frontier[frontier["variant"] == variant]
        every, others = own[own["reference"] == ALL], own[own["reference"] == OTHERS]
        inside = int(every["value"].between(every["band_lo"], every["band_hi"]).sum())
        runs = f"{inside} of {len(every)} runs inside" if len(every) > 1 else "inside" if inside else "not inside"
        line = f"- **{safe(variant)}**: {runs} the published band"
        for rows, what in ((every, "all of them"), (others, "those of other makers")):
            line += f"; beside {what}, {_places(rows)}"
        lines.append(line + ".")
    first = frontier.iloc[0]
    head = (
        f"The published band ({first['band_lo']:g} to {first['band_hi']:g}) leaves out the models that lie outside it. One more "
        f"model like all {int(first['models'])} would lie between {first['expected_lo']:.2f} and {first['expected_hi']:.2f} "
        "with 95 % probability. A run counts as above only with its whole interval."
    )
    return head + "\n\n" + "\n".join(lines)


def _places(rows: pd.DataFrame) -> str:
    counted = rows["place"].value_counts()
    if len(rows) == 1:
        return str(rows["place"].iloc[0])
    return ", ".join(f"{int(number)} {place}" for place, number in counted.items())
