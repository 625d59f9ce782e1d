"""A small study of two personas, asked of a server by the project's own command, and what its store holds afterwards."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from persona_collapse.paths import INSTRUMENTS, ROOT

#: Seconds that one command may take.
_COMMAND_SECONDS = 400
#: The command line with outputs in a folder of the check's own: its first argument.
_COMMAND = (
    "import sys; from pathlib import Path; from persona_collapse import paths; paths.OUTPUTS = Path(sys.argv[1]); "
    "from persona_collapse.__main__ import main; sys.exit(main(sys.argv[2:]))"
)


class Slot(NamedTuple):
    """A slot of the store; `logprobs` are [token, logprob] pairs, where the study asked for them."""

    model: str
    persona: int
    item: int
    repetition: int
    rating: int | None
    reason: str | None
    reply: str | None
    logprobs: list[list[Any]] | None


class Said(NamedTuple):
    """How a command ended: its status, and its last line."""

    status: int
    line: str


@dataclass(frozen=True)
class Study:
    """A study of two personas and the first `items` of a questionnaire, at one endpoint; `models` become base and variants."""

    folder: Path
    name: str
    url: str
    models: Sequence[str]
    protocol: Mapping[str, Any]
    items: int = 30
    in_flight: int = 4
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    instrument: str = "mfq30"
    more: Mapping[str, Any] = field(default_factory=dict)  #: further keys of the study file; endpoints beside its own

    @property
    def questionnaire(self) -> dict[str, Any]:
        """The shipped file of the questionnaire."""
        found: dict[str, Any] = yaml.safe_load((INSTRUMENTS / f"{self.instrument}.yaml").read_text(encoding="utf-8"))
        return found

    @property
    def scale(self) -> str:
        """The points of its scale, as a reply of one token spells them."""
        scale = self.questionnaire["scale"]
        return "".join(map(str, range(scale["low"], scale["high"] + 1)))

    def write(self, **changes: Any) -> Path:
        """The study file, with changes of its protocol."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = self.questionnaire
        whole.pop("yardstick", None)  # speaks of every group of items
        (self.folder / f"{self.name}-items.yaml").write_text(
            yaml.safe_dump(whole | {"items": whole["items"][: self.items], "short": {}}, sort_keys=False), encoding="utf-8"
        )
        variants = [
            {"key": f"v{place}", "role": "harmful" if place else "base", "endpoint": "here", "model": model}
            for place, model in enumerate(self.models)
        ]
        content = {
            "title": self.name,
            "kind": "live",
            "instrument": f"./{self.name}-items.yaml",
            "conditions": ["persona"],
            # Cells asked a second time are stored aside, and cannot be held against the ratings.
            "protocol": {"personas": 2, "request_probe": 0} | dict(self.protocol) | changes,
            "endpoints": {
                "here": {"base_url": f"{self.url}/v1", "max_in_flight": self.in_flight, "timeout": 120} | dict(self.endpoint)
            },
            "families": [{"key": "f", "variants": variants}],
        }
        content["endpoints"] |= self.more.get("endpoints", {})
        content |= {key: value for key, value in self.more.items() if key != "endpoints"}
        path = self.folder / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    def elicit(self, **changes: Any) -> Said:
        """Ask what is missing."""
        return self.command("elicit", "--study", str(self.write(**changes)))

    def command(self, *arguments: str) -> Said:
        """Run `python -m persona_collapse` on this study's outputs."""
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, str(self.folder / "outputs"), *arguments],
            capture_output=True, text=True, cwd=ROOT, timeout=_COMMAND_SECONDS,
            env=os.environ | {"PYTHONPATH": str(ROOT / "lib"), "NO_PROXY": "127.0.0.1"},
        )  # fmt: skip
        lines = [line.strip() for line in (done.stderr if done.returncode else done.stdout).splitlines() if line.strip()]
        return Said(done.returncode, lines[-1].removeprefix("error: ") if lines else "")

    @property
    def outputs(self) -> Path:
        """The folder of everything that the study leaves."""
        return self.folder / "outputs" / self.name

    def texts(self) -> list[tuple[str, str | None, str | None]]:
        """Every answer in words of the store: its purpose, its text, and the reason for none."""
        path = self.outputs / "ratings.sqlite"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return db.execute("SELECT purpose, reply, reason FROM answers").fetchall()

    def slots(self) -> list[Slot]:
        """Every slot of the store, none where there is no store."""
        path = self.outputs / "ratings.sqlite"
        if not path.is_file():
            return []
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT variant, persona, item, repetition, rating, reason, reply, logprobs FROM ratings")
            slots = [Slot(*row) for row in rows]
        return [
            slot._replace(model=self.models[int(slot.model[1:])], logprobs=json.loads(str(slot.logprobs or "null")))
            for slot in slots
        ]
