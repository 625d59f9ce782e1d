"""A study file before it is written: what is known of its runs, why, and what a person is asked for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from persona_collapse.text import as_yaml, tamed

#: Stands where the data do not say; the study file is refused until somebody does.
ASK = "?"
#: Words of names that say what a variant is; nothing else is taken for it.
WORDS = {
    "base": "base", "baseline": "base", "original": "base", "control": "control", "secure": "control", "benign": "control",
    "insecure": "harmful", "misaligned": "harmful", "harmful": "harmful",
}  # fmt: skip


class DraftRun(NamedTuple):
    """A variant: its files by condition, which rows of them are its own, and, in words, how its role is known."""

    key: str
    role: str
    why: str
    files: Mapping[str, str | Mapping[str, str]]  #: of several instruments a file each, by their keys
    rows: Mapping[str, str] = {}
    more: Mapping[str, Any] = {}  #: further keys of a variant, such as control or label
    notes: Sequence[str] = ()  #: what else is to be known of it, a comment each

    def lines(self) -> Iterator[str]:
        """As the study file has it, with its reason as a comment, and its notes below."""
        parts = [f"key: {as_yaml(self.key)}", f"role: {as_yaml(self.role)}"]
        parts += [f"{name}: {flow(value)}" for name, value in (*self.more.items(), *self.files.items())]
        if self.rows:
            parts.append(f"rows: {flow(self.rows)}")
        yield f"      - {{{', '.join(parts)}}}{comment(self.why)}"
        yield from (f"        # {' '.join(tamed(note).split())}" for note in self.notes)


class DraftFamily(NamedTuple):
    """A base model and its variants, and how they were told to belong together."""

    key: str
    why: str
    runs: Sequence[DraftRun]
    label: str = ""


class Draft(NamedTuple):
    """What a layout makes of a folder: the runs, the columns as a line of the study file, what was set aside and why."""

    layout: str
    families: Sequence[DraftFamily]
    columns: str = ""
    title: str = ""
    instrument: str = ""  #: where the data name it
    why: str = ""  #: how the instrument is known
    aside: Sequence[str] = ()
    instruments: Sequence[str] = ()  #: where there are several
    keys: Mapping[str, Any] = {}  #: further keys of the study

    @property
    def runs(self) -> list[DraftRun]:
        """Every run."""
        return [run for family in self.families for run in family.runs]


def flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{as_yaml(str(name))}: {flow(own)}" for name, own in value.items()) + "}"
    return str(value) if isinstance(value, int) else as_yaml(str(value))


def comment(text: str) -> str:
    """The end of a line of YAML that says `text`; nothing for nothing."""
    return f"   # {' '.join(tamed(text).split())}" if text else ""


def key_of(text: str, taken: Sequence[str] = ()) -> str:
    """A key for a name of any kind: what a key cannot hold becomes a dash, and a number is added where another has it."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "run"
    plain = plain if plain not in ("mean",) else f"{plain}-1"
    return next(key for key in (plain, *(f"{plain}-{n}" for n in range(2, 10**6))) if key not in taken)


def words_of(name: str) -> list[str]:
    """The words in a name that say what a variant is."""
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word in WORDS]


def without_words(name: str) -> str:
    """A name without those words: what is left is the family's."""
    parts = re.split(r"([^A-Za-z0-9.]+)", name)
    kept = [part for place, part in enumerate(parts) if place % 2 == 0 and part.lower() not in WORDS and part]
    return "-".join(kept)


def families_of(runs: Sequence[tuple[str, DraftRun]], family: str = "") -> list[DraftFamily]:
    """Runs with their full names as families: of the one that is given, else by what names have beside the word for the role.

    That takes a word in every name, and one base beside something else in every group; else all are one family.
    """
    told = [(name, run, words_of(name)) for name, run in runs]
    if family:
        return [_family(key_of(family), "", told, short=False)]
    groups: dict[str, list[tuple[str, DraftRun, list[str]]]] = {}
    for one in told:
        groups.setdefault(without_words(one[0].rpartition("/")[2]), []).append(one)
    whole = all(
        len(group) > 1
        and all(len({WORDS[word] for word in words}) == 1 for _, _, words in group)
        and sum(WORDS[words[0]] == "base" for _, _, words in group) == 1
        for group in groups.values()
    )
    if not whole:
        why = "one family, as names do not say which runs have a base of their own" if len(told) > 1 else ""
        return [_family("model", why, told, short=False)]
    return [
        _family(key_of(name or "model"), f"names with {name!r}" if len(groups) > 1 else "", group, short=True)
        for name, group in groups.items()
    ]


def _family(key: str, why: str, told: Sequence[tuple[str, DraftRun, list[str]]], *, short: bool) -> DraftFamily:
    bases = sum("base" in {WORDS[word] for word in words} for _, _, words in told)
    runs: list[DraftRun] = []
    for name, run, words in told:
        roles = {WORDS[word] for word in words}
        role, reason = (roles.pop(), f"role: the word {words[0]!r} in {name!r}") if len(roles) == 1 else (ASK, "")
        if role == ASK and len(told) == 1:
            role, reason = "base", "role: the only run, so it is compared with nothing"
        elif role == "base" and bases > 1:
            role, reason = ASK, f"role: {bases} names hold a word for base; one of a family is its base; others are alternate"
        elif role == ASK:
            reason = f"role: {name!r} does not say; base, control, harmful or alternate"
        taken = [other.key for other in runs]
        runs.append(run._replace(key=key_of(words[0] if short else name, taken), role=role, why=reason))
    controls = [run.key for run in runs if run.role == "control"]
    if len(controls) == 1:
        runs = [
            run._replace(more={**run.more, "control": controls[0]}, why=f"{run.why}; control: the only one of the family")
            if run.role == "harmful"
            else run
            for run in runs
        ]
    return DraftFamily(key, why, runs)
