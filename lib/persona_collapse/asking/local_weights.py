"""Which weights and which adapter a run of a local study is, on this machine; needs none of the libraries that read them."""

from pathlib import Path

from persona_collapse.paths import shown
from persona_collapse.study.study import Run, Study
from persona_collapse.weights import files


def marks(study: Study, run: Run) -> tuple[str, str]:
    """Fingerprints of the weights and of the adapter of a run, the latter empty without one.

    Raises FileNotFoundError or ValueError where they are not there, or not safe to read.
    """
    adapter = adapter_of(study, run)
    return files.fingerprint(weights_of(study, run)), files.fingerprint(adapter) if adapter else ""


def weights_of(study: Study, run: Run) -> Path:
    """The folder or GGUF file of a run's weights: its own, or those of the base of its family, or those of the study."""
    own, base = run.variant.weights, run.family.base.weights
    name = own or base or study.file.weights or ""
    return files.find_weights(f"{shown(study.path)}, {run.key}, weights", name, study.path.parent)


def adapter_of(study: Study, run: Run) -> Path | None:
    """The folder of a run's adapter; None without one."""
    where = f"{shown(study.path)}, {run.key}, adapter"
    return files.find_adapter(where, run.variant.adapter, study.path.parent) if run.variant.adapter else None
