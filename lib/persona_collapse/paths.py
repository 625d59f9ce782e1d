"""Where things are: every folder of the project, named once, independent of the working directory; files written whole."""

import os
from pathlib import Path

#: The checkout: the folder that holds README.md.
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PARAMS = ROOT / "params"
STUDIES = PARAMS / "studies"
INSTRUMENTS = PARAMS / "instruments"
PERSONAS = PARAMS / "personas"
PUBLISHED = PARAMS / "published"
OUTPUTS = ROOT / "outputs"
#: Where `make published` puts the ratings it fetches; ignored by git.
FETCHED = ROOT / "published-data"


def shown(path: Path) -> str:
    """How a path is named to a person: relative to the checkout where it lies inside it."""
    path = Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def atomic_text(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all, even when killed or out of disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
