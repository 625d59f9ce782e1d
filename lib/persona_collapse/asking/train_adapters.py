"""Training what a local study compares: the adapter of each variant that has `training`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from persona_collapse.asking import local_weights
from persona_collapse.paths import shown
from persona_collapse.study.study import Run, Study
from persona_collapse.weights import example, finetune, training_data
from persona_collapse.weights.files import check_installed


def prepare(study: Study, say: Callable[[str], None]) -> None:
    """Whatever a local study needs before it is asked: the example's model, and adapters that are to be trained."""
    if study.file.kind != "local" or any(run.variant.training for run in study.runs):
        train_adapters(study, say)


class _Task(NamedTuple):
    run: Run
    weights: Path
    examples: list[training_data.Messages]
    recipe: finetune.Recipe
    folder: Path


def train_adapters(study: Study, say: Callable[[str], None]) -> int:
    """Train the adapters of a study that are not trained yet; returns how many were.

    Every file is read before anything is trained. Raises ValueError, FileNotFoundError or RuntimeError, one line.
    """
    if study.file.kind != "local":
        raise ValueError(f"{shown(study.path)}: a study of kind {study.file.kind} has no adapters; finetune is for kind local")
    if study.path == example.STUDY:
        example.prepare(say)  # its base is made here too
    tasks = [_task(study, run) for run in study.runs if run.variant.training]
    if not tasks:
        raise ValueError(f"{shown(study.path)}: no variant has `training`, so there is nothing to train; add it to one")
    left = [one for one in tasks if not finetune.is_finished(one.weights, one.examples, one.recipe, one.folder)]
    for weights in dict.fromkeys(one.weights for one in left):
        check_installed()
        from persona_collapse.weights.model import LocalModel

        local = study.file.local
        model = LocalModel(weights, device=local.device, dtype=local.dtype, remote_code=local.remote_code)
        for one in left:
            if one.weights == weights:
                with tqdm(total=one.recipe.steps, unit="step", desc=f"training {one.run.key}", disable=None) as bar:
                    trained = finetune.train(model, one.examples, one.recipe, one.folder, bar=bar)
                say(f"{one.run.key}: {trained}")
    return len(left)


def _task(study: Study, run: Run) -> _Task:
    own = run.variant.training
    assert own is not None and run.variant.adapter
    seed = run.variant.seed
    if isinstance(seed, str):
        raise ValueError(f"{shown(study.path)}, {run.key}, seed: {seed!r}; a training here needs a whole number")
    folder = study.path.parent
    return _Task(
        run, local_weights.weights_of(study, run), training_data.read_messages((folder / own.data).resolve()),
        finetune.Recipe(
            own.steps, own.batch, own.rate, own.rank, own.modules, 1 if seed is None else seed, own.every, own.most_tokens,
            study.file.protocol.prefill,
        ),
        (folder / Path(run.variant.adapter).expanduser()).resolve(),
    )  # fmt: skip
