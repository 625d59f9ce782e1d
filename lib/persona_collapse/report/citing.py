"""How to cite what a page shows: software and method from CITATION.cff, questionnaire and ratings from the study."""

from typing import Any

import yaml

from persona_collapse.paths import ROOT
from persona_collapse.study.study import Study
from persona_collapse.text import safe


def how(study: Study) -> str:
    """How to cite, as a Markdown list; everything from files is escaped."""
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    year = str(found["date-released"])[:4]
    number = f"version {found['version']} ({year}), {found['license']}"
    lines = [f"- **Software.** {_names(found['authors'])}, *{safe(found['title'])}*, {safe(number)}."]
    lines += [f"- **Method.** {_reference(reference)}" for reference in found.get("references", [])]
    lines.append(f"- **Questionnaire.** {safe(study.instrument.about['citation'])} {safe(study.instrument.about['terms'])}")
    if study.file.source:
        commit = f", commit {safe(study.file.source.commit)}" if study.file.source.commit else ""
        lines.append(f"- **Ratings.** Collected by others and theirs: {safe(study.file.source.git)}{commit}.")
    if not study.is_evidence:
        lines.append("- **Ratings.** Simulated; they are evidence of nothing about any model, and there is nothing to cite.")
    return "\n".join(lines)


def _reference(reference: dict[str, Any]) -> str:
    number = ", ".join(str(found["value"]).replace("arXiv:", "arXiv ") for found in reference.get("identifiers", []))
    return f"{_names(reference['authors'])}, *{safe(reference['title'])}*, {safe(number)} ({reference['year']})."


def _names(authors: list[dict[str, str]]) -> str:
    names = [safe(a["name"] if "name" in a else f"{a['given-names']} {a['family-names']}") for a in authors]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
