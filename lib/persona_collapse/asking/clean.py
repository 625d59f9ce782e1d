"""Removing what can be rebuilt: ratings that were bought stay."""

import shutil
import sqlite3
from pathlib import Path

from persona_collapse import paths
from persona_collapse.asking.ledger import JOURNAL
from persona_collapse.paths import shown


def clean() -> list[str]:
    """Remove from outputs/ what can be made again for nothing; returns what was removed and what was kept, a line each."""
    kept, gone = [], []
    for folder in sorted(p for p in paths.OUTPUTS.iterdir() if p.is_dir()):
        bought = _bought(folder)
        if not bought:
            shutil.rmtree(folder)
            gone.append(f"{shown(folder)}/")
            continue
        for path in sorted(folder.iterdir()):
            if path.name.startswith(("ratings.sqlite", JOURNAL)) or path.name == "batch":
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            gone.append(shown(path))
        kept.append(shown(folder / "ratings.sqlite"))
    said = [f"{what} {', '.join(names)}" for what, names in (("removed", gone), ("kept", kept)) if names]
    return said if kept else [*said, "outputs/ is empty"]


def _bought(folder: Path) -> bool:
    """Whether a study's ratings cannot be made again for nothing: those of simulated studies can, all others stay."""
    store = folder / "ratings.sqlite"
    if (folder / "batch").is_dir():
        return True  # results may lie there, or be on their way
    if not store.is_file():
        return False
    try:
        with sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True) as db:
            return bool(db.execute("SELECT count(*) FROM slots WHERE served_model IS NOT 'simulated'").fetchone()[0])
    except sqlite3.DatabaseError:
        return True
