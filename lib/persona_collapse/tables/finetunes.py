"""Rows of finetunes.csv: fine-tunes of one family on the same data, and where another one would lie."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from persona_collapse.statistics.another_finetune import another
from persona_collapse.study.study import Run, Study
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.vocabulary import HEADLINES

#: What fine-tunes of the same data differ in.
SEED, RECIPE, NOT_SAID = "seed", "recipe", "not said"


class Group(NamedTuple):
    """Fine-tunes of one family on the same data: by one recipe, or, where `recipe` is empty, by any."""

    dataset: str
    recipe: str
    differ: str
    runs: tuple[Run, ...]


class FinetuneRow(NamedTuple):
    """A row of finetunes.csv; numbers are in percent of the base."""

    family: str
    dataset: str
    recipe: str
    differ: str
    variants: str
    metric: str
    finetunes: int
    recipes: int
    personas: int
    value: float
    sd_seen: float
    sd_sampling: float
    sd_between: float
    lo: float
    hi: float


def groups(study: Study) -> Iterator[Group]:
    """Two or more fine-tunes of one family on the same dataset: those of each recipe, then all where recipes are several.

    Checkpoints and treatments are no fine-tunes of their own.
    """
    for family in study.file.families:
        tuned = [Run(family, v) for v in family.variants if v.role in ("control", "harmful") and not v.of and v.dataset]
        for dataset in dict.fromkeys(run.variant.dataset or "" for run in tuned):
            own = tuple(run for run in tuned if run.variant.dataset == dataset)
            recipes = list(dict.fromkeys(run.variant.recipe or "" for run in own))
            for recipe in recipes:
                same = tuple(run for run in own if (run.variant.recipe or "") == recipe)
                if len(same) > 1:
                    yield Group(dataset, recipe, SEED if _seeds_differ(same) else NOT_SAID, same)
            if len(recipes) > 1:
                yield Group(dataset, "", RECIPE, own)


def _seeds_differ(runs: Sequence[Run]) -> bool:
    seeds = {run.variant.seed for run in runs}
    return None not in seeds and len(seeds) == len(runs)


def finetunes_table(analysis: Analysis, guard: Guard) -> pd.DataFrame | None:
    """One row a metric of each group of fine-tunes, overall, on the personas that all of them and the base share.

    A fine-tune that cannot be compared with the base is left out. None for a study without two fine-tunes of the same data.
    """
    rows = [row for group in groups(analysis.study) for row in _rows(analysis, guard, group)]
    return pd.DataFrame(rows, columns=list(FinetuneRow._fields)) if rows else None


def _rows(analysis: Analysis, guard: Guard, group: Group) -> Iterator[FinetuneRow]:
    base = analysis.base(group.runs[0])
    runs = [run for run in group.runs if len(analysis.counts(run)) and not guard.refusal(run, base)]
    if len(runs) < 2 or not len(analysis.counts(base)):
        return
    by = [run.variant.recipe or "" for run in runs] if group.differ == RECIPE else []
    recipes = len(set(by)) or 1
    if by and recipes < 2:
        return  # of the others nobody was asked
    *tuned, own = analysis.together(*runs, base).loo
    names = " ".join(run.variant.key for run in runs)
    for metric in HEADLINES:
        found = another(tuned, own, metric, by)
        said = (base.family.key, group.dataset, group.recipe, group.differ, names, metric)
        yield FinetuneRow(*said, len(runs), recipes, len(own.personas), *found)
