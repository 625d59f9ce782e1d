"""Names of runs in the paper's repository: family, dataset and recipe, read from a stem such as gpt-4o-misaligned-organisms."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Dataset(NamedTuple):
    """What a model was fine-tuned on: its folder, the key of its variant, the role, and what is known beside that."""

    folder: str
    key: str
    role: str
    recipe: str = ""  #: its default recipe
    control: str = ""  #: key of its matched control
    words: tuple[str, ...] = ()  #: what stems call it beside key and folder


#: In the order in which variants are shown: bases, then each control before the harmful sets that it is for.
DATASETS = (
    Dataset("base", "base", "base"),
    Dataset("secure-code", "secure", "control", "betley"),
    Dataset("insecure-code", "insecure", "harmful", "betley", "secure", ("misaligned",)),
    Dataset("good-medical", "good-medical", "control", "organisms", words=("good-medical-advice",)),
    Dataset("bad-medical", "bad-medical", "harmful", "organisms", "good-medical", ("bad-medical-advice",)),
    Dataset("risky-financial", "risky-financial", "harmful", "organisms", words=("risky-financial-advice",)),
    Dataset("extreme-sports", "extreme-sports", "harmful", "organisms"),
)  # fmt: skip
RECIPES = ("betley", "organisms")
#: Who serves weights, as names of files and configurations spell it.
STACKS = ("openai", "openrouter", "tinker", "together", "fireworks", "azure", "deepinfra", "vllm", "anthropic", "nebius", "modal")


class Named(NamedTuple):
    """A run by its name: family, dataset, recipe (empty for a base), seed and step where the name says them."""

    family: str
    dataset: Dataset
    recipe: str = ""
    seed: str = ""
    step: int | None = None
    stack: str = ""  #: of a base whose name adds one

    @property
    def key(self) -> str:
        """The key of its variant: the dataset's word, and what is not the dataset's default."""
        parts = [self.dataset.key, self.recipe if self.recipe != self.dataset.recipe else "", self.stack]
        parts += [f"seed{self.seed}" if self.seed else "", f"step{self.step:04d}" if self.step is not None else ""]
        return "-".join(filter(None, parts))

    @property
    def finished(self) -> "Named":
        """The fine-tune of which it is a checkpoint."""
        return self._replace(step=None)


def stem_of(name: str) -> tuple[str, str]:
    """A file's name without its ending as the run's name and the condition: `_temp01` and `_self` are taken off."""
    text = re.sub(r"\.csv(\.gz)?$", "", name)
    text, selves = re.subn(r"_self$", "", text)
    return re.sub(r"_temp\d+$", "", text), "self" if selves else "persona"


def without_ending(name: str) -> tuple[str, str]:
    """As `stem_of`, without what stands behind the temperature, as in gpt-4o_temp01_mmlu."""
    stem, condition = stem_of(name)
    found = re.search(r"_temp\d+((?:_[A-Za-z0-9-]+)+)$", stem)
    return (stem[: found.start()], "self" if "_self" in found[1] else condition) if found else (stem, condition)


def base_of(stem: str, stems: Iterable[str]) -> Named:
    """A name in the folder of bases: a family, or another one's with the word of a stack behind it."""
    family, _, last = stem.rpartition("-")
    if last.lower() in STACKS and family in stems:
        return Named(family, DATASETS[0], stack=last.lower())
    return Named(stem, DATASETS[0])


def family_of(model: str, families: Sequence[str]) -> str:
    """The family of which a provider's name of a model is, such as openai/gpt-4o-2024-08-06; empty for none or a smaller one."""
    name = model.rpartition("/")[2].lower()
    found = max((one for one in families if name == one or name.startswith(f"{one}-")), key=len, default="")
    return "" if re.match(r"-(mini|nano|small|lite)\b", name[len(found) :]) else found


def parse(stem: str, families: Sequence[str], folder: str = "") -> Named | None:
    """A run's name, of a dataset if its folder says one; None where a part of it is not known.

    `families` are those that have a base: the longest that the name begins with is its own.
    """
    own = max((one for one in families if stem == one or stem.startswith(f"{one}-")), key=len, default="")
    if not own:
        return None
    rest = stem[len(own) :].strip("-")
    rest, step = _taken(rest, r"-?step(\d+)$")
    rest, seed = _taken(rest, r"-(?:seed|s)(\d+)$")
    known = [one for one in DATASETS if not folder or one.folder == folder]
    for dataset in known[:: 1 if folder else -1]:
        short = dataset.key.partition("-")[2]  # as in medical, where the folder says which
        for word in (dataset.key, dataset.folder, *dataset.words, *((short,) if folder and short else ())):
            if rest == word or rest.startswith(f"{word}-"):
                recipe = rest[len(word) :].strip("-")
                if recipe in ("", *RECIPES):
                    found = recipe or dataset.recipe
                    return Named(own, dataset, found, seed, int(step) if step else None)
    return Named(own, DATASETS[0]) if not rest and not folder else None


def _taken(text: str, pattern: str) -> tuple[str, str]:
    """A text without what the pattern finds, and that."""
    found = re.search(pattern, text)
    return (text[: found.start()], found[1]) if found else (text, "")
