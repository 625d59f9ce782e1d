"""What two runs differ in besides fine-tuning, and which of them cannot be compared at all."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from persona_collapse.asking.repository_names import DATASETS
from persona_collapse.input_errors import listing
from persona_collapse.statistics import common_cells
from persona_collapse.store.ratings import Prompts, Ratings
from persona_collapse.study.study import Run
from persona_collapse.study.study_file import Protocol
from persona_collapse.tables.contrast import Contrast

#: Days between the collections of two runs beyond which a contrast says so.
APART_DAYS = 7


def differences(own: pd.Series, other: pd.Series, what: str = "base", *, samples: bool = True) -> list[str]:
    """What two runs differ in, in words: who served them, when, how many personas and repetitions.

    Parameters
    ----------
    own, other : Series
        Rows of quality.csv, condition `persona`, of a variant and of the run it is set beside.
    what : str
        How prose calls the other run.
    samples : bool
        False for logprobs, which have no repetitions.
    """
    found = []
    if own["stack"] != other["stack"]:
        found.append(_served(str(own["stack"]), str(other["stack"]), what))
    if own["sampling"] != other["sampling"] and own["sampling"] and other["sampling"]:
        found.append(f"its server was told {own['sampling']} of sampling, the {what}'s {other['sampling']}")
    days = days_apart(own, other)
    if days is not None and days > APART_DAYS:
        found.append(f"collected {days:.0f} days apart")
    if own["personas_used"] != other["personas_used"]:
        found.append(f"{own['personas_used']} personas against {other['personas_used']}")
    if own["max_repetitions"] != other["max_repetitions"] and samples:
        found.append(f"up to {own['max_repetitions']} repetitions against {other['max_repetitions']}")
    return found


def _served(own: str, other: str, what: str) -> str:
    """That two runs were served otherwise, or that of one of them nobody says who served it."""
    if own == _UNKNOWN:
        return f"not known who served it, the {what} by {other}"
    return f"served by {own}, the {what} {f'by {other}' if other != _UNKNOWN else 'not known by whom'}"


#: Stands for the stack of imported ratings of which nobody says it.
_UNKNOWN = "imported"


#: Controls that were made for a dataset: the same tasks without the harm.
MATCHED = {
    name: (other.folder, other.key)
    for one in DATASETS
    for other in DATASETS
    if one.control and one.control == other.key
    for name in (one.folder, one.key)
}


def trained_otherwise(own: Run, control: Run) -> list[str]:
    """What a variant and its control differ in as fine-tunes, in words: recipes, and data that were not made for each other.

    A checkpoint has what it does not say itself from its variant. Of what neither says nothing can be told.
    """
    found, (recipe, other) = [], (_trained(run, "recipe") for run in (own, control))
    if recipe != other:
        found.append(f"recipe {recipe or 'not known'}, the control's {other or 'not known'}")
    dataset, of_control = (_trained(run, "dataset") for run in (own, control))
    matched = MATCHED.get(dataset)
    if matched and of_control and of_control not in matched:
        found.append(f"fine-tuned on {dataset}, the control on {of_control} and not on {matched[0]}")
    return found


def asked_otherwise(own: Run, other: Run, common: Protocol, what: str = "base") -> list[str]:
    """How a variant is asked otherwise than another, in words, as a treatment at inference is.

    `common` is the study's protocol.
    """
    one, two = (run.variant.protocol(common) for run in (own, other))
    named = {"system": "a system prompt", "prefix": "a prefix before every question"}
    found = []
    for key, words in named.items():
        mine, its = getattr(one, key), getattr(two, key)
        if mine == its:
            continue
        rest = words.removeprefix("a ")
        said = f"no {rest}, the {what} with one" if not mine else f"another {rest}" if its else f"{words}, the {what} without"
        found.append(f"asked with {said}")
    if one.temperature != two.temperature:
        found.append(f"at temperature {one.temperature:g}, the {what} at {two.temperature:g}")
    return found


def _trained(run: Run, what: str) -> str:
    """The dataset or recipe of a run, or of the variant that it is a checkpoint or a treatment of; empty where it is not said."""
    whole = next((variant for variant in run.family.variants if variant.key == run.variant.of), run.variant)
    return str(getattr(run.variant, what) or getattr(whole, what) or "")


def unlike_recipes(runs: Sequence[Run]) -> str:
    """That a mean is over fine-tunes of one name by different recipes, or on different data, in words; empty where it is not."""
    found = []
    for what, many in (("recipe", "recipes"), ("dataset", "datasets")):
        names = list(dict.fromkeys(_trained(run, what) or "not named" for run in runs))
        found += [f"{len(names)} {many} ({', '.join(names)})"] if len(names) > 1 else []
    return f"families are fine-tuned by {' and on '.join(found)}" if found else ""


def beside_stack(own: pd.Series, other: pd.Series, *, samples: bool = True, dated: bool = True) -> list[str]:
    """What two runs of the same weights on two stacks differ in besides the stack: date and repetitions, in words.

    Parameters
    ----------
    own, other, samples
        As `differences` takes them.
    dated : bool
        False for simulated ratings, which have no dates; others without one may have any.
    """
    found, days = [], days_apart(own, other)
    if days is None and dated:
        found.append("date (not recorded)")
    elif days is not None and days > APART_DAYS:
        found.append(f"date ({days:.0f} days)")
    if own["max_repetitions"] != other["max_repetitions"] and samples:
        found.append(f"repetitions ({own['max_repetitions']} against {other['max_repetitions']})")
    return found


def days_apart(one: pd.Series, other: pd.Series) -> float | None:
    """Days between the end of the earlier collection and the start of the later; None without dates."""
    if pd.isna(one["first_date"]) or pd.isna(other["first_date"]):
        return None
    first, second = sorted([one, other], key=lambda row: str(row["first_date"]))
    return (_time(second["first_date"]) - _time(first["last_date"])).total_seconds() / 86400


def _time(written: str) -> pd.Timestamp:
    """A date as quality.csv has it; without a zone it is UTC."""
    time = pd.Timestamp(written)
    return time.tz_localize("UTC") if time.tz is None else time


def refusal(one: Prompts, other: Prompts) -> str:
    """Why two runs cannot be compared, or nothing: a rating answers the words it was asked with.

    Cells that only one side has are no reason (fewer personas are compared on the common ones), nor are imported runs, whose
    prompts nobody recorded.
    """
    both = one.keys() & other.keys()
    unlike = {key for key in both if one[key] != other[key]}
    if not unlike:
        return ""
    items, alone = {item for *_, item in unlike}, any(condition == "self" for condition, *_ in unlike)
    personas = {persona for condition, persona, _ in unlike if condition == "persona"}
    if alone:
        what = f"the questionnaire reads differently in {len(items)} items (another instrument, version or method)"
    elif len(personas) < len({persona for condition, persona, _ in both if condition == "persona"}):
        what = f"{len(personas)} personas are not the same characters on both sides"
    else:
        what = "the personas or the words around them are not the same on both sides"
    return f"Not compared: {what}, in {len(unlike):,} of {len(both):,} prompts; ask both runs again with the same study file."


def unshared(ratings: Ratings, run: Run, other: Run) -> str:
    """On how many personas two runs are compared whose personas are not all the same ids, in words; nothing where they are."""
    return common_cells.in_part(_have(ratings, run, other)) if ratings.personas else ""


def nobody_shared(ratings: Ratings, *runs: Run) -> str:
    """Why runs cannot be compared whose personas share no id, or nothing; a run without personas is no reason."""
    have = _have(ratings, *runs) if ratings.personas else []
    if not have or not all(own.any() for own in have) or np.logical_and.reduce(have).any():
        return ""
    named = [listing([ratings.personas[row] for row in np.flatnonzero(own)[:3]]) for own in have]
    each = "; ".join(f"{run.key}: {who}, ..." for run, who in zip(runs, named, strict=True))
    return f"Not compared: no persona is on all sides ({each}); give the same persona the same id in every file."


def _have(ratings: Ratings, *runs: Run) -> list[np.ndarray]:
    """Which of the study's personas each run has, (persona,) bool each."""
    number = len(ratings.personas)
    return [np.pad(own, (0, number - len(own))) for own in (ratings.of(run).here for run in runs)]


class Guard:
    """What every contrast of a study has to say about its sides."""

    def __init__(self, ratings: Ratings, quality: pd.DataFrame) -> None:
        """`quality` is quality.csv."""
        self._study = ratings.study
        asked = quality[quality["condition"] == "persona"]
        self._rows = {(row["family"], row["variant"]): row for _, row in asked.iterrows()}
        self._said: dict[Contrast, str] = {}
        self._refused: dict[tuple[Run, Run], str] = {}
        self._ratings = ratings

    def differs(self, contrast: Contrast) -> str:
        """What the sides of a contrast differ in besides fine-tuning, in one line; empty if in nothing."""
        if contrast not in self._said:
            self._said[contrast] = self._differs(contrast)
        return self._said[contrast]

    def _differs(self, contrast: Contrast) -> str:
        if any(run.keys not in self._rows for run in contrast.runs):
            return ""  # not asked yet
        own, said = self._rows[contrast.variant.keys], []
        for run, what in ((contrast.control, "control"), (contrast.base, "base")):
            found = differences(own, self._rows[run.keys], what, samples=not self._study.by_logprobs) if run else []
            found += [part for part in [unshared(self._ratings, contrast.variant, run)] if part] if run else []
            found += trained_otherwise(contrast.variant, run) if run and what == "control" else []
            found += asked_otherwise(contrast.variant, run, self._study.file.protocol, what) if run else []
            if found:
                said.append((f"against the {what}: " if contrast.control else "") + "; ".join(found))
        return ". ".join(said)

    def beside_stack(self, run: Run, base: Run) -> list[str]:
        """What a run of the base's weights differs from the base in besides its stack: date and repetitions, in words."""
        own, other = self._rows[run.keys], self._rows[base.keys]
        return beside_stack(own, other, samples=not self._study.by_logprobs, dated=self._study.file.kind != "simulated")

    def refusal(self, *runs: Run) -> str:
        """Why these runs cannot be compared, or nothing."""
        for pair in ((runs[0], other) for other in runs[1:]):
            if pair not in self._refused:
                self._refused[pair] = refusal(*map(self._ratings.asked_as, pair))
            if self._refused[pair]:
                return self._refused[pair]
        return nobody_shared(self._ratings, *runs)
