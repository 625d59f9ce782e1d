"""The README of an export: what it is, how to cite it, under which licence, how it was made."""

from typing import Any

from persona_collapse import __version__
from persona_collapse.study.study import Study
from persona_collapse.text import escape_markdown as md

_METHOD = (
    "D. B. Costa and R. Vicente, Persona-Model Collapse in Emergent Misalignment, arXiv 2605.12850 (2026); "
    "D. B. Costa, F. Alves and R. Vicente, Moral Susceptibility and Robustness under Persona Role-Play in Large Language "
    "Models, arXiv 2511.08565"
)


def cite(study: Study) -> str:
    """How the data are cited, in one sentence without the authors, whom the study file does not name."""
    source = f", from ratings published at {study.file.source.git}" if study.file.source else ""
    return f"{study.file.title}{source}; made with persona-collapse {__version__}. Method: {_METHOD}."


def readme(study: Study, made: dict[str, Any], *, licence: str, ratings: bool) -> str:
    """The text of README.md; everything from the study file is escaped."""
    warning = (
        "> **Simulated ratings.** They are made to look like published figures and are evidence of nothing.\n\n"
        if not study.is_evidence
        else ""
    )
    rows = [(md(r.family.name), md(r.variant.name), r.variant.role, md(study.stack(r))) for r in study.runs]
    runs = "| model | variant | role | served by |\n|---|---|---|---|\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"# {md(study.file.title)}\n\n{warning}{_what(study)}\n\n{runs}\n\n"
        f"{_contents(study, made, ratings)}\n\n{_licence(study, made, licence, ratings)}\n\n"
        f"## How to cite\n\n{md(cite(study))} Put your own names before it. "
        f"The questionnaire: {md(study.instrument.about['citation'])}\n\n"
        f"{_provenance(made)}\n"
    )


def _what(study: Study) -> str:
    return (
        f"Language models answered *{md(study.instrument.title)}* as many different personas. Susceptibility S says how "
        "differently they answer as different people, robustness R how steadily as the same one; base models are compared with "
        "their fine-tuned variants."
    )


def _contents(study: Study, made: dict[str, Any], ratings: bool) -> str:
    rows = [
        ("`tables/*.csv`", "every number of the study at full precision"),
        ("`tables/susceptibility-and-robustness.tex`", "for a paper: S and R of every run, changes, excesses, all with 95 % CI"),
        (
            "`tables/*.tex`",
            "all tables for print, rounded, `changes-<variant>.tex` among them; those by the paper's formulas below "
            "`paper-formulas/`; `all-tables.tex` compiles by itself (booktabs, longtable, siunitx)",
        ),
        (
            "`figures/`",
            "every figure as SVG, PDF with embedded fonts, and PNG of 300 dpi: those of the study, the curves of all analyses "
            "below `specification-curves/`, those of each run below `runs/`; `figures.csv` has what each shows and its caption",
        ),
        ("`data/runs.csv`, `data/items.csv`", "what the keys stand for, and the questionnaire with its prompts"),
    ]  # fmt: skip
    if study.personas:
        rows.append(("`data/personas.csv`", "the personas that were played"))
    if ratings:
        replies = "with" if made["export"]["replies"] else "without"
        rows.append(("`data/ratings.csv.gz`", f"one row a slot, {replies} the texts of replies; perhaps also as Parquet"))
        if made["export"]["replies"] and study.file.replies:
            rows.append(
                ("`replies.html`", "every reply for reading, by run, persona and item, with a search; opens in a browser")
            )
    if made["export"].get("respondents"):
        rows.append(("`data/respondents.csv`", "one row a rating of human respondents, who go by number"))
    rows += [
        ("`data/data-dictionary.csv`, `.md`", "what every column means, its unit and type, and what empty means"),
        ("`croissant.json`", "all of this for machines (Croissant 1.0)"),
        ("`study.yaml`, `provenance.json`", "what was asked of whom, and what made this: versions, commit, hashes, dates"),
        ("`SHA256SUMS`", "check with `sha256sum -c SHA256SUMS`"),
    ]
    return "## What is here\n\n| file | what it is |\n|---|---|\n" + "\n".join(f"| {name} | {what} |" for name, what in rows)


def _licence(study: Study, made: dict[str, Any], licence: str, ratings: bool) -> str:
    parts = [f"Tables, figures and descriptions: {md(licence)}." if licence else "No licence was given when this was exported."]
    if study.file.kind == "imported":
        parts.append(
            "The ratings were collected by others"
            + (f" ({md(study.file.source.git)})" if study.file.source else "")
            + (" and are theirs; they are included because this was asked for." if ratings else " and are not included.")
        )
    if study.file.reference:
        included = "included because this was asked for" if made["export"].get("respondents") else "not included"
        parts.append(f"Ratings of human respondents are of whoever collected them, and are {included}.")
    parts.append(f"The questionnaire: {md(study.instrument.about['terms'])}")
    if study.personas:
        parts.append("Personas that come with persona-collapse: MIT.")
    return "## Licence\n\n" + " ".join(parts)


def _provenance(made: dict[str, Any]) -> str:
    dates = sorted(run[name][:10] for run in made["runs"].values() for name in ("first", "last") if run[name])
    when = f" Answers came from {dates[0]} to {dates[-1]}." if dates else ""
    return (
        f"## Provenance\n\nMade by persona-collapse {made['persona_collapse']}, commit {md(str(made['commit']))}, "
        f"Python {made['python']}, from a study of kind {made['kind']}.{when} Hashes of everything that went in are in "
        "`provenance.json`."
    )
