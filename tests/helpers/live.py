"""Live studies against the simulated endpoint, asked in this process or by the command in one of its own."""

import os
import subprocess
import sys

import yaml

from persona_collapse.paths import ROOT
from persona_collapse.store.store import open_store
from persona_collapse.study.load_study import load_study

KEY = "sk-sentinel-0123456789abcdef"
#: Runs the command line with outputs in a folder of the test's own: its first argument.
_COMMAND = (
    "import sys; from pathlib import Path; from persona_collapse import paths; paths.OUTPUTS = Path(sys.argv[1]); "
    "from persona_collapse.__main__ import main; sys.exit(main(sys.argv[2:]))"
)


def variant(key="base", role="base", endpoint="here", model="gpt-4o/base", **more):
    return {"key": key, "role": role, "endpoint": endpoint, "model": model} | more


def live(folder, url, *, name="live", variants=None, endpoint=None, protocol=None, **changes):
    """A study of `variants` (default: one base) at one endpoint `here`: (2 personas + self) x 30 items = 90 cells a run."""
    content = {
        "title": "Live",
        "kind": "live",
        "protocol": {"repetitions": 1, "personas": 2, "probe": 0, "request_probe": 0} | (protocol or {}),
        "endpoints": {"here": {"base_url": url, "api_key_env": "TEST_KEY", "max_in_flight": 8} | (endpoint or {})},
        "families": [{"key": "gpt-4o", "variants": variants or [variant()]}],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return load_study(path)


def rows(study, columns="rating, reason", source="ratings"):
    """Columns of every slot of the study's store."""
    with open_store(study.store_path) as store:
        return store._db.execute(f"SELECT {columns} FROM {source}").fetchall()


def traffic(study):
    """Requests by what they came to, over all runs and conditions."""
    return dict(rows(study, "outcome, sum(requests)", "traffic GROUP BY outcome"))


def command(outputs, *arguments):
    """`python -m persona_collapse ...` in a process of its own, with the key in its environment."""
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, str(outputs), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"TEST_KEY": KEY, "PYTHONPATH": str(ROOT / "lib")},
    )  # fmt: skip


def live_study(tmp_path, url, **changes):
    """A study of one base `m-1` at a server that answers anything, few at a time; 90 cells as in `live`."""
    content = {
        "title": "Live",
        "kind": "live",
        "protocol": {"repetitions": 1, "personas": 2},
        "endpoints": {"here": {"base_url": url, "api_key_env": "TEST_KEY", "max_in_flight": 4}},
        "families": [{"key": "f", "variants": [{"key": "base", "role": "base", "endpoint": "here", "model": "m-1"}]}],
    }
    path, changes = tmp_path / "live.yaml", {"protocol": content["protocol"]} | changes
    changes["protocol"] = {"probe": 0, "request_probe": 0} | changes[
        "protocol"
    ]  # what it costs is tested where it is what is tested
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return load_study(path)
