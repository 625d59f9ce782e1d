"""The appendix: a study's executed notebooks as one HTML file that opens without a network."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from persona_collapse.exhibits.data_sentences import how_made
from persona_collapse.exhibits.glossary import glossary
from persona_collapse.exhibits.taught_sentences import taught
from persona_collapse.report import citing, methods
from persona_collapse.report.answer import answer
from persona_collapse.report.markdown import markdown
from persona_collapse.report.notebook_section import notebook
from persona_collapse.report.page import Page, assemble
from persona_collapse.report.page_sections import described, made_of, ratings_section, runs_section
from persona_collapse.sections.record import STUDY, of_study, sections
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables
from persona_collapse.text import safe

_STORE = "; every rating with its reply in <code>ratings.sqlite</code>"


def render_report(tables: Tables, built: Mapping[str, pd.DataFrame | None], provenance: dict[str, Any]) -> str:
    """The appendix of a study as the text of one HTML file; `built` are all of its tables, by name.

    Everything from a study file, a deck or a model is escaped; figures are drawn by one inlined Vega bundle, with a static
    picture for print and for readers without script. The same ratings give the same bytes, but for the line with id ``made``:
    the day of rendering (that of SOURCE_DATE_EPOCH where it is set) and the commit.
    """
    study = tables.study
    answered = [run.key for run in study.runs if len(tables.ratings.counts(run))]
    page = Page(replies=answered if study.file.replies else (), replies_page=study.replies_page)
    body = _body(page, tables, built, provenance)
    return assemble(
        page,
        body,
        answer=answer(page, tables),  # last, as it refers to figures by number
        title=study.file.title + ("" if study.of_first else f": {study.instrument.name}"),
        kind=f"Appendix: persona-model collapse, {_sort(study)}{_answered(provenance)}",
        simulated="" if study.is_evidence else "Simulated ratings",
        like=how_made(study),
        measured="\n\n".join(
            filter(None, [_measured(study, tables) + _beside(tables), taught(tables), safe(study.file.about or "")])
        ),
        made=provenance,
        families=[family.name for family in study.file.families],
    )


def _body(page: Page, tables: Tables, built: Mapping[str, pd.DataFrame | None], provenance: dict[str, Any]) -> list[str]:
    """The sections, in the order in which their tables and figures are numbered."""
    study, left = tables.study, _left_out(tables)
    notebooks = [
        notebook(
            page, study.notebooks / f"{entry.notebook}.ipynb", left,
            headed=entry.section().alone if tables.verdict.empty else None,
        )
        for entry in of_study(study, STUDY)
    ]  # fmt: skip

    def of_methods() -> str:
        return methods.section(page, study) + "".join(markdown(own.methods(study)) for own in sections(study) if own.methods)

    return [
        *notebooks,
        page.section("Ratings", "ratings", lambda: ratings_section(page, tables), lead=_RATINGS),
        page.section("Every run", "runs", lambda: runs_section(page, study, tables), lead=_RUNS),
        page.section("Methods", "methods", of_methods, lead=_METHODS),
        page.section(
            "Glossary",
            "glossary",
            lambda: markdown(glossary(study)),
            lead=_GLOSSARY,
        ),
        page.section("Data dictionary", "dictionary", lambda: described(page, built, also=_STORE), lead=_DICTIONARY),
        page.section("Provenance", "provenance", lambda: made_of(page, provenance, {"": provenance}), lead=_PROVENANCE),
        page.section("How to cite", "cite", lambda: markdown(citing.how(study))),
    ]


_RATINGS = "What was asked, what came back, and why the rest did not. A missing rating is never a number."
_RUNS = "S, R, noise and ICC of every run, overall and by group of items, as tables."
_METHODS = "What was asked in which words, how replies were read, and every estimator as a formula."
_GLOSSARY = "Every word that this page uses in a sense of its own."
_DICTIONARY = "Every column of the files in tables/."
_PROVENANCE = "What went in, so that the same report can be made again."


# --- sections of the page's own --------------------------------------------------------------------------------------


_QUESTION = "Did fine-tuning break this model's ability to play characters"


def _measured(study: Study, tables: Tables) -> str:
    """What was measured and on what, in the words of the page's head, computed from study and ratings."""
    rows = tables.quality[tables.quality["condition"] == "persona"]
    personas = (rows["personas_used"] + rows["personas_dropped"]).max()
    low, high = rows["min_repetitions"].min(), rows["max_repetitions"].max()
    times = ("once" if high == 1 else f"{high} times") if low == high else f"{low} to {high} times"
    how = "without one rating" if high == 0 else "once, for the probabilities of its answer" if study.by_logprobs else times
    families = ", ".join(safe(family.name) for family in study.file.families)
    question = "How well does this model play characters" if tables.verdict.empty else _QUESTION
    return (
        f"*{question}?* "
        f"{_who(study)} ({families}) answered the questionnaire "
        f"*{safe(study.instrument.title)}* as {personas} different people, each item {how}."
    )


def _beside(tables: Tables) -> str:
    """Links to the pages of the study's other questionnaires."""
    others = [one.study for one in tables.each if one.study.instrument != tables.study.instrument]
    if not others:
        return ""
    pages = ", ".join(f"[{safe(one.instrument.name)}]({one.page})" for one in others)
    return f" {'Also asked' if tables.study.of_first else 'Other questionnaires of the study'}: {pages}."


def _who(study: Study) -> str:
    """How many base models and variants a study has."""
    bases, variants = len(study.file.families), len(study.runs) - len(study.file.families)
    base = "A base model" if bases == 1 else f"{bases} base models"
    return base + (f" and {variants} variant{'s' * (variants != 1)} of {'it' if bases == 1 else 'them'}" if variants else "")


def _sort(study: Study) -> str:
    """What sort of study it is; a live one may have asked the simulated endpoint, an imported one hold what it answered."""
    article, whose = ("an", "simulated respondents") if study.file.kind == "imported" else ("a", "the simulated endpoint")
    return f"{article} {study.file.kind} study{f' of {whose}' if study.served_simulated else ''}"


def _answered(provenance: dict[str, Any]) -> str:
    """When answers came, as the end of a sentence; empty where none carries a time."""
    found = dates(provenance)
    return f", answered {found}" if found else ""


def dates(provenance: dict[str, Any]) -> str:
    """When answers of a study came, from first to last day; empty where none carries a time."""
    days = sorted(str(run[name])[:10] for run in provenance["runs"].values() for name in ("first", "last") if run[name])
    return "" if not days else days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


# --- notebooks -------------------------------------------------------------------------------------------------------


def _left_out(tables: Tables) -> set[str]:
    """Tags of the cells that have nothing to show for this study."""
    return {tag for section in sections(tables.study) for tag, there in section.shown.items() if not there(tables)}
