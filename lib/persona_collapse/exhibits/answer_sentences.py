"""The answer of a study in sentences that can be quoted: what each kind of fine-tuning came to, and answers without a persona."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.exhibits import exhibit, verdict_sentences
from persona_collapse.exhibits.change_sentences import whole
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.build import Tables
from persona_collapse.tables.frontier import references
from persona_collapse.tables.verdict import UNDECIDED
from persona_collapse.text import safe
from persona_collapse.vocabulary import HEADLINES, METRICS, RECOMMENDED

#: Runs without variants that get a sentence each.
_MOST = 3
#: Roles of the variants that the answer speaks of, the first of them first.
_ROLES = ("harmful", "control")
_NOUNS = {"harmful": "harmful variants", "control": "controls"}
#: Kind of headline, the column of verdict.csv, and what answers do more or less.
_SAID = (("susceptibility", "s", "differ {} between personas"), ("noise", "noise", "vary {} for the same persona"))


@exhibit.finding("answer")
def answer(found: Tables) -> str:
    """What fine-tuning came to, and what answers without a persona do, as a list; empty for a study of bases alone."""
    return "\n".join(f"- {line}" for line in [*fine_tuned(found), *without_persona(found)])


def fine_tuned(found: Tables) -> list[str]:
    """A sentence on harmful variants, and one on their controls; each counts where there are several variants of a kind.

    Of a study of bases alone, up to three: how far each tells personas apart, and how its S stands among frontier models.
    """
    if found.verdict.empty:
        return [_alone(found, run) for run in found.study.runs[:_MOST]]
    return [line for role in _ROLES for line in _of_role(found, role)]


def _alone(found: Tables, run: Run) -> str:
    """What one run comes to that has nothing beside it."""
    presence, levels = (
        table[(table["family"] == run.family.key) & (table["variant"] == run.variant.key) & (table["scope"] == OVERALL)]
        for table in (found.presence, found.metrics)
    )
    (present,) = presence["verdict"]
    at = {row.metric: row for row in levels[levels["method"] == RECOMMENDED].itertuples()}
    said = [
        f"{METRICS[name].name} is {row.value:.2f}" + (f" [{row.lo:.2f}, {row.hi:.2f}]" if np.isfinite(row.lo) else "")
        for name in HEADLINES[:2]
        if (row := at.get(name)) is not None and np.isfinite(row.value)
    ]
    lower = among_frontier(found).get(run.keys)
    beside = f" {lower[0]} of {lower[1]} published frontier models have a lower S, by the paper's formula." if lower else ""
    return f"**{safe(run.name)}**: personas are {present}. {', '.join(said)}{'.' * bool(said)}{beside}".rstrip()


def among_frontier(found: Tables) -> dict[tuple[str, str], tuple[int, int]]:
    """How many of the published frontier models have a lower S than each run, and how many there are; by the paper's formula."""
    if found.frontier is None:
        return {}
    models = references(found.study)["value"]
    return {(r.family, r.variant): (int((models < r.value).sum()), len(models)) for r in found.frontier.itertuples()}


def _of_role(found: Tables, role: str) -> Iterator[str]:
    keys = _keys(found.study, role)
    own = found.verdict[found.verdict["variant"].isin(keys)]
    if own.empty:
        return
    number = own["verdict"].value_counts()  # the commonest first
    called = [f"{verdict_sentences.called(str(name))} in {n}" for name, n in number.items()]
    families = own["family"].nunique()
    of = f" of {len(own)}{f' {_NOUNS[role]}' if len(keys) > 1 else ' families'}"
    verdict = f"{called[0]}{of}{''.join(f'; {more}' for more in called[1:])}" if len(own) > 1 else called[0].removesuffix(" in 1")
    if len(keys) > 1:
        yield f"**{verdict[0].upper()}{verdict[1:]}.** {_counted(own)}."
        return
    why = f" {safe(own.iloc[0]['why'])}" if len(own) == 1 and own.iloc[0]["verdict"] == UNDECIDED and own.iloc[0]["why"] else ""
    yield f"**{safe(keys[0])} ({_kind(found.study, role, keys[0])}): {verdict}.**{why}{_changed(found, own, keys[0], families)}"


def _kind(study: Study, role: str, key: str) -> str:
    """What the only variant of a role is: a control is a matched one where a harmful variant names it."""
    matched = any(run.variant.control == key for run in study.runs)
    return "harmful fine-tuning" if role == "harmful" else f"{'the matched' if matched else 'a'} control"


def _keys(study: Study, role: str) -> list[str]:
    return list(dict.fromkeys(run.variant.key for run in study.runs if run.variant.role == role and not run.variant.of))


def _changed(found: Tables, own: pd.DataFrame, variant: str, families: int) -> str:
    """What answers do under a variant, on average over families where there are several."""
    at = {row.kind: row for row in found.headlines[found.headlines["variant"] == variant].itertuples()}
    known = [(at[kind], column, words) for kind, column, words in _SAID if kind in at and np.isfinite(at[kind].lo)]
    if not known:
        return ""
    said = " and ".join(_clause(row, words, own[column].astype(float)) for row, column, words in known)
    return f" {f'On average over {families} families answers' if families > 1 else 'Answers'} {said}."


def _clause(row: Any, words: str, each: pd.Series) -> str:
    """A change with its interval, the least and most of the families where there are several, and how many analyses agree."""
    if row.value == row.lo == row.hi == 0:
        return words.format("exactly as much")
    what = words.format("more" if row.lo > 0 else "less" if row.hi < 0 else "neither clearly more nor clearly less")
    spread = f"; by family {whole(each.min(), '+')} to {whole(each.max(), '+')}" if each.notna().sum() > 1 else ""
    others = f"; {row.agree} of {row.choices} alternative analyses agree" if row.choices else ""
    return f"{what} ({whole(row.value, '+')} % [{whole(row.lo)}, {whole(row.hi)}]{spread}{others})"


def _counted(own: pd.DataFrame) -> str:
    """Among how many variants answers clearly differ more, or less, and vary more, or less."""

    def of(what: str) -> str:
        more, less = int((own[f"{what}_lo"] > 0).sum()), int((own[f"{what}_hi"] < 0).sum())
        return f"clearly more in {more} and clearly less in {less}"

    return f"Answers differ between personas {of('s')}, and vary for the same persona {of('noise')}"


def without_persona(found: Tables) -> list[str]:
    """Under which kinds of variants answers without a persona are nearer to the ceiling; nothing where nobody was asked so."""
    keys = {role: _keys(found.study, role) for role in _ROLES}
    many = any(len(own) > 1 for own in keys.values())
    groups = [([key], key) for own in keys.values() for key in own]
    if many:
        groups = [(own, _NOUNS[role]) for role, own in keys.items()]
    rows = [(safe(name), found.drift[found.drift["variant"].isin(own)]) for own, name in groups]
    rows = [(name, table) for name, table in rows if len(table)]
    return [f"**Without a persona**, {_nearer(rows, many=many)}."] if rows else []


def _nearer(each: Sequence[tuple[str, pd.DataFrame]], *, many: bool = False) -> str:
    """Under which variants answers are clearly nearer to the ceiling, counted where there are several families or variants."""
    found = [(name, int((rows["hi"] < 0).sum()), len(rows)) for name, rows in each]
    what = "answers are clearly nearer to the ceiling than the base's"
    if many:
        return f"{what} in {' and '.join(f'{number} of {of} {name}' for name, number, of in found)}"
    if max(of for *_, of in found) > 1:
        counted = [f"{number} of {of}{' families' * (not place)} under {name}" for place, (name, number, of) in enumerate(found)]
        return f"{what} in {' and '.join(counted)}"
    yes, no = ([name for name, number, _ in found if bool(number) == told] for told in (True, False))
    if not yes:
        return f"no {what} (under {' and '.join(no)})"
    return f"{what} under {' and '.join(yes)}" + (f", not under {' and '.join(no)}" if no else "")
