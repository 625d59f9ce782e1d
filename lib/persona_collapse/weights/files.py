"""Files of weights and of adapters: where they are, whether they are safe to read, and a fingerprint of what is in them."""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from persona_collapse.input_errors import listing
from persona_collapse.paths import shown

#: What says how weights are asked, beside the weights themselves.
_BESIDE = ("config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "chat_template.jinja", "vocab.json")
#: A file is read whole up to this size; of a larger one this many pieces of a part each, evenly spread from beginning to end.
_WHOLE, _PIECES, _PIECE = 64 << 20, 64, 64 << 10
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_NEEDED = ("torch", "transformers", "peft", "safetensors", "gguf")


def check_installed() -> None:
    """Refuse where the libraries for open weights are not installed: RuntimeError, one line."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"open weights: {listing(missing)} {'is' if len(missing) == 1 else 'are'} not installed; run `make local STUDY=...`, "
            "which installs requirements-local.txt once, then the same command again"
        )


def find_weights(where: str, name: str, beside: Path) -> Path:
    """The folder or GGUF file that a study file names: a path relative to it, or an id of the Hugging Face Hub.

    Raises FileNotFoundError or ValueError, one line, where there are none, or none that is safe to read: `where` names the place.
    """
    path = (beside / Path(name).expanduser()).resolve()
    if not path.exists() and _HUB.fullmatch(name):
        path = _of_hub(where, name)
    if path.is_file() and path.suffix == ".gguf":
        return path
    if path.is_file():
        raise ValueError(f"{where}: {name!r} is a file that is no GGUF file; expected a folder with safetensors, or a .gguf file")
    if not path.is_dir():
        raise FileNotFoundError(
            f"{where}: {name!r} does not exist; expected a folder with config.json and safetensors, a .gguf file, both relative "
            "to the study file, or an id of the Hugging Face Hub such as org/model"
        )
    if not list(path.glob("*.safetensors")):
        raise ValueError(f"{where}: {_unsafe(path) or _holds(path)}; expected safetensors, or the name of a .gguf file")
    if not (path / "config.json").is_file():
        adapter = (path / "adapter_config.json").is_file()
        raise ValueError(
            f"{where}: {name!r} has no config.json"
            + ("; it holds an adapter: give it as `adapter:`" if adapter else "; expected a folder as transformers saves a model")
        )
    return path


def find_adapter(where: str, name: str, beside: Path) -> Path:
    """The folder of a LoRA adapter as peft saves it; FileNotFoundError or ValueError, one line, otherwise."""
    path = (beside / Path(name).expanduser()).resolve()
    if not path.is_dir():
        raise FileNotFoundError(
            f"{where}: {name!r} does not exist; expected a folder with adapter_config.json and adapter_model.safetensors, "
            "relative to the study file; `make finetune` trains those that have `training:`"
        )
    if not (path / "adapter_model.safetensors").is_file():
        raise ValueError(f"{where}: {_unsafe(path) or _holds(path)}; expected adapter_model.safetensors")
    try:
        config = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{where}: {name}/adapter_config.json cannot be read ({type(error).__name__}); expected peft's"
        ) from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        found = config.get("peft_type") if isinstance(config, dict) else None
        raise ValueError(f"{where}: {name} is an adapter of type {found!r}; expected LORA")
    return path


def _of_hub(where: str, name: str) -> Path:
    """A snapshot of the Hub, from its cache or fetched: safetensors and what belongs to them, never a pickle."""
    check_installed()
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
    try:
        try:
            return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
        except OSError:
            return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # the Hub's, the network's, the disk's: all mean that the weights are not here
        why = " ".join(str(error).split())[:160] or type(error).__name__
        raise FileNotFoundError(
            f"{where}: {name!r} is no path beside the study file, and as an id of the Hugging Face Hub it could not be had "
            f"({why}); correct it, or download it to a folder and name that"
        ) from None


def _unsafe(folder: Path) -> str:
    """What there is in place of safetensors that runs code when it is read; empty without such."""
    pickles = sorted(p.name for kind in ("bin", "pt", "pth", "ckpt", "pkl") for p in folder.glob(f"*.{kind}"))
    pickles = [name for name in pickles if name != "training_args.bin"]
    return (
        f"{pickles[0]} in {shown(folder)} is a pickle, which can run code when it is read, and is not read; save it as "
        "safetensors (`save_pretrained(..., safe_serialization=True)`)"
        if pickles
        else ""
    )


def _holds(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return f"{shown(folder)} has no weights: it holds {listing(names[:6]) if names else 'nothing'}"


def fingerprint(path: Path) -> str:
    """A short hash of what weights or an adapter are, wherever they lie: it changes when they are trained or converted anew.

    Of a large file 64 evenly spread pieces are read, which is enough to tell any training, and not to tell a forgery.
    """
    return _fingerprint(tuple((file, *_state(file)) for file in _files(path)))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    yield from sorted(path.glob("*.safetensors"))
    names = ("adapter_config.json",) if (path / "adapter_config.json").is_file() else _BESIDE
    yield from (path / name for name in names if (path / name).is_file())


def _state(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=256)
def _fingerprint(files: tuple[tuple[Path, int, int], ...]) -> str:
    found = hashlib.sha256()
    for path, size, _ in files:
        name = "weights" if path.suffix == ".gguf" else path.name
        found.update(f"{name} {size}\n".encode())
        with path.open("rb") as file:
            if size <= _WHOLE:
                found.update(file.read())
                continue
            for piece in range(_PIECES):
                file.seek((size - _PIECE) * piece // (_PIECES - 1))
                found.update(file.read(_PIECE))
    return found.hexdigest()[:24]
