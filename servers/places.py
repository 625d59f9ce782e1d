"""Where the check keeps what it makes, and what a server's environment is."""

import os
from pathlib import Path

from persona_collapse.paths import ROOT

REQUIREMENTS = ROOT / "requirements-servers.txt"
FIXTURES = ROOT / "tests" / "fixtures" / "servers"
#: Ignored by git: the environment and the models are made once, studies and logs anew each time.
FOLDER = ROOT / ".cache" / "servers"
VENV = FOLDER / "venv"
MODELS = FOLDER / "models"
WORK = FOLDER / "work"
TABLE = FOLDER / "table.csv"
PYTHON = VENV / "bin" / "python"
SCRIPTS = Path(__file__).parent
#: Of the model that llama.cpp serves, in its package.
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def clean_environment(**more: str) -> dict[str, str]:
    """The environment of a server: without paths of Python's, proxies and account data of the user's shell, and offline."""
    others = ("PYTHON", "PIP_USER", "OPENAI_", "VLLM_", "LITELLM_", "HF_")
    own = {name: value for name, value in os.environ.items() if not (name.startswith(others) or name.lower().endswith("_proxy"))}
    return own | {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "NO_PROXY": "127.0.0.1"} | more
