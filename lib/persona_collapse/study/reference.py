"""Human respondents beside the runs: the file that a study's `reference` names, as a study of its own with a single run."""

from pathlib import Path

from persona_collapse.study.study import Study
from persona_collapse.study.study_file import Family, StudyFile, Variant

#: Keys of the only run.
FAMILY, VARIANT = "reference", "people"


def people_of(study: Study) -> Study | None:
    """The imported study of one base whose personas are the respondents; None where a study names no reference."""
    named = study.file.reference
    if named is None:
        return None
    variant = Variant(key=VARIANT, role="base", label=people(study), persona=named.file, rows=named.rows)
    families = (Family(key=FAMILY, variants=(variant,)),)
    file = StudyFile(title=people(study), kind="imported", columns=named.columns, families=families)
    return Study(study.path, file, study.path.parent, study.instrument, None, None)


def people(study: Study) -> str:
    """How figures and findings call the respondents; nothing where a study names no reference."""
    return f"people of {Path(study.file.reference.file).name}" if study.file.reference else ""


def people_path(study: Study) -> Path:
    """The SQLite file with their ratings, which lie apart from those of the runs."""
    return study.outputs / "reference.sqlite"
