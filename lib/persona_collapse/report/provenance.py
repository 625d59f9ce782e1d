"""What made a report: versions, commit, and a hash of everything that went in."""

import hashlib
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from persona_collapse import __version__
from persona_collapse.paths import INSTRUMENTS, ROOT, shown
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.instrument import Instrument
from persona_collapse.study.study import Run

_PACKAGES = ("altair", "numpy", "openai", "pandas", "papermill", "pydantic", "scipy", "vl-convert-python")


def provenance(ratings: Ratings) -> dict[str, Any]:
    """Everything a reader needs to make the same report again, as plain values; `ratings` come with digests."""
    study, runs = ratings.study, {}
    for run in study.runs:
        found = [ratings.of(run, c).asked for c in study.conditions(run)]
        runs[run.key] = {
            "stack": study.stack(run),
            "asked_model": run.variant.model,
            "endpoint": study.file.endpoints[run.variant.endpoint].base_url if run.variant.endpoint else None,
            "served_models": sorted({m for f in found for m in (f.models or "").split(",") if m}),
            "first": min((f.first for f in found if f.first), default=None),
            "last": max((f.last for f in found if f.last), default=None),
            "ratings_sha256": ratings.digests[run.key],
            "files": _files(ratings, run),
        }
    prompts = [
        text
        for one in study.instruments
        for text in (*(one.prompt(item, digit=study.by_logprobs) for item in one.items), one.persona_template)
    ]
    return {
        "study": shown(study.path) if study.path.is_relative_to(ROOT) else study.path.name,
        "kind": study.file.kind,
        "persona_collapse": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        **({"weights_read_with": study.read_with} if study.read_with else {}),
        "sha256": {
            "study": _sha(study.path.read_bytes()),
            **{f"instrument {one.key}" if study.further else "instrument": _of_instrument(one) for one in study.instruments},
            **({"tasks": _sha(repr(study.tasks).encode())} if study.tasks else {}),
            "prompts": _sha("\0".join(prompts).encode()),
            "personas": _sha("\0".join(p.text for p in study.personas).encode()) if study.personas else None,
        },
        "protocol": study.file.protocol.model_dump() if study.file.kind != "imported" else None,
        "seed": study.file.seed if study.simulated else None,
        "instrument": study.instrument.about,
        "runs": runs,
        **({"reference": _files(people, people.runs[0])["persona"]} if (people := ratings.reference) else {}),
    }


def _of_instrument(instrument: Instrument) -> str:
    """The hash of a shipped instrument's file, else of what it holds."""
    path = INSTRUMENTS / f"{instrument.key}.yaml"
    return _sha(path.read_bytes() if path.is_file() else repr(instrument).encode())


def _files(ratings: Ratings, run: Run) -> dict[str, dict[str, str]]:
    """The files that a run was read from, with their hashes, by condition."""
    return {c: {"file": f["file"], "sha256": f["sha256"]} for c, f in ratings.imported(run).items()}


def commit() -> str | None:
    """The commit of the checkout, with a plus if files differ from it; None outside git."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return None  # a copy of the project that lies in somebody else's repository
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except OSError:
        return None
    except subprocess.CalledProcessError as error:
        owned = "dubious ownership" not in str(error.stderr)
        return None if owned else "unknown (git takes this folder for another user's; see its safe.directory)"


def as_json(found: dict[str, Any]) -> str:
    """The text of provenance.json."""
    return json.dumps(found, indent=1) + "\n"


def _git(*arguments: str) -> str:
    # The user's GIT_DIR and its like may name another repository.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True, env=own)
    return done.stdout.strip()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
