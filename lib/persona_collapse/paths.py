"""Where things are: every folder of the project, named once, independent of the working directory."""

from pathlib import Path

#: The library: this folder, its rooms below it.
PACKAGE = Path(__file__).resolve().parent
#: The checkout: the folder that holds README.md.
ROOT = PACKAGE.parents[1]
NOTEBOOKS = ROOT / "notebooks"
PARAMS = ROOT / "params"
STUDIES = PARAMS / "studies"
INSTRUMENTS = PARAMS / "instruments"
PERSONAS = PARAMS / "personas"
QUESTIONS = PARAMS / "questions"
TASKS = PARAMS / "tasks"
PUBLISHED = PARAMS / "published"
OUTPUTS = ROOT / "outputs"
#: Where `make published` puts the ratings it fetches; ignored by git.
FETCHED = ROOT / "published-data"


def shown(path: Path) -> str:
    """How a path is named to a person: relative to the checkout where it lies inside it."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
