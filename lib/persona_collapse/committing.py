"""Executing the committed notebooks in place, as one fresh run each on the small study that they name."""

import os
from collections.abc import Iterator

from persona_collapse.paths import NOTEBOOKS
from persona_collapse.runner import Job, execute


def execute_all(only: str | None = None) -> Iterator[str]:
    """Execute notebooks/*.ipynb with their default parameters and store the outputs, pictures included."""
    import nbformat

    os.environ["PERSONA_COLLAPSE_PICTURES"] = "1"
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if only and path.stem != only:
            continue
        done = path.with_name(f".{path.stem}.done.ipynb")
        execute(Job(path.stem, {}, done, ""))
        notebook = nbformat.read(done, as_version=4)
        notebook.metadata.pop("persona_collapse", None)
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, path)
        done.unlink()
        yield path.name
