"""What human respondents beside a study can say, as sentences computed from reference.csv."""

import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.reference import people as name_of
from persona_collapse.study.scopes import OVERALL
from persona_collapse.study.study import Study
from persona_collapse.tables.reference import once
from persona_collapse.text import safe
from persona_collapse.vocabulary import PUBLISHED, RECOMMENDED


@exhibit.finding("reference")
def reference(reference: pd.DataFrame | None, people: Ratings | None, study: Study) -> str:
    """S among the human respondents that a study names, alpha of each group of items, and what both can and cannot say.

    `reference` is reference.csv, `people` the respondents' ratings.
    """
    if study.file.reference is None:
        return "This study names no reference file of human respondents."
    if reference is None or people is None:
        return f"The reference file {safe(study.file.reference.file)} has not been read yet; `make report` reads it."
    if not people.counts(people.runs[0]).any():
        return f"{_capital(safe(name_of(study)))}: no item is rated."
    return " ".join(filter(None, [
        _who(reference, people, study), _susceptibility(reference, once(people)), _alpha(reference, study),
        "S of a model is over personas that the study chose, S among people over whoever answered: these are not the same "
        "population, so the grey line is no test, and no verdict depends on it.",
    ]))  # fmt: skip


def _who(reference: pd.DataFrame, people: Ratings, study: Study) -> str:
    counts = people.counts(people.runs[0])
    row = _overall(reference).iloc[0]
    left, rated = len(counts) - row["personas"], counts.sum(axis=-1)
    least, most = rated[rated > 0].min(), rated.max()
    times = "once" if most == 1 else f"{most} times" if least == most else f"{least} to {most} times"
    who = f"{len(counts):,} respondent{'s' * (len(counts) != 1)}"
    said = f"{_capital(safe(name_of(study)))}: {who} rated {row['items']} items, each {times}."
    if not people.study.is_evidence:
        said = f"**The reference file says that its ratings are of simulated respondents: no people at all.** {said}"
    if left:
        said += f" {left:,} of them left an item out and count in means alone, not in S and alpha."
    return said


def _susceptibility(reference: pd.DataFrame, once: bool) -> str:
    rows = _overall(reference).set_index(["metric", "method"])
    bound, own = rows.loc["susceptibility", PUBLISHED], rows.loc["susceptibility", RECOMMENDED]
    if pd.isna(bound["value"]):
        return "Too few of them rated every item for S."
    if once:
        return (
            f"S among them is **at most {_interval(bound)}** scale points (the paper's formula): one rating a cell cannot tell "
            "rating noise from differences between people, and the spread of single answers holds both. So this is an upper "
            "bound, and R does not exist. A run whose S lies above it sets its personas further apart than these people are; "
            "of a run below it, that cannot be said or denied."
        )
    r = rows.loc["robustness", RECOMMENDED]
    return f"S among them is **{_interval(own)}** scale points, without rating noise, and R is {_interval(r)}."


def _alpha(reference: pd.DataFrame, study: Study) -> str:
    rows = reference[(reference["metric"] == "alpha") & reference["value"].notna()]
    if rows.empty:
        return ""
    each = ", ".join(f"{safe(study.instrument.short(row.scope))} {row.value:.2f}" for row in rows.itertuples())
    return (
        f"Cronbach's alpha, the share of the variance of their means over a {safe(study.instrument.group)} that holds across its "
        f"items: {each}; the rest is rating noise and what single items add."
    )


def _overall(reference: pd.DataFrame) -> pd.DataFrame:
    return reference[reference["scope"] == OVERALL]


def _interval(row: pd.Series) -> str:
    return f"{row['value']:.2f}" + ("" if pd.isna(row["lo"]) else f" [{row['lo']:.2f}, {row['hi']:.2f}]")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
