"""The tables a study leaves, each made from counts and written whole."""

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from persona_collapse.files import atomic_text, guarded_table
from persona_collapse.store import held
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run, Study
from persona_collapse.tables import printed_figures, recommended_rows
from persona_collapse.tables.capability import capability_table
from persona_collapse.tables.comparability import Guard
from persona_collapse.tables.components import components_table, reliability_table
from persona_collapse.tables.equivalence import equivalence_table
from persona_collapse.tables.finetunes import finetunes_table
from persona_collapse.tables.frontier import frontier_table
from persona_collapse.tables.headline_rows import headlines_table
from persona_collapse.tables.hostile import hostile_table
from persona_collapse.tables.incoherence import incoherence_table
from persona_collapse.tables.instability import instability_tables
from persona_collapse.tables.instruments import instruments_table
from persona_collapse.tables.missing import missing_table
from persona_collapse.tables.mitigation import mitigation_table
from persona_collapse.tables.multiverse import Multiverse
from persona_collapse.tables.normalisation import normalisation_table
from persona_collapse.tables.presence import presence_table
from persona_collapse.tables.published_contrasts import contrasts as published_contrasts
from persona_collapse.tables.published_levels import published_levels
from persona_collapse.tables.quality import run_quality
from persona_collapse.tables.reference import reference_table
from persona_collapse.tables.run_statistics import Analysis
from persona_collapse.tables.saturation import drift_rows, run_profiles, saturation_rows
from persona_collapse.tables.style import style_table
from persona_collapse.tables.temperature import temperature_curves
from persona_collapse.tables.trajectory import trajectory_tables
from persona_collapse.tables.validity import foundation_claims, validity_table
from persona_collapse.tables.verdict import verdict_table
from persona_collapse.tables.verification import Verified, verification_tables
from persona_collapse.tables.wordings import wordings_table
from persona_collapse.vocabulary import PUBLISHED


class Tables:
    """Everything a study's numbers amount to, each table made when it is first asked for; tables/<name>.csv holds it.

    Attributes
    ----------
    ratings, study
        What they are made of.
    metrics, contrasts, ...
        The tables, as data frames; None where a study has nothing to put into one.
    """

    def __init__(self, ratings: Ratings, **known: pd.DataFrame | None) -> None:
        """`known`: tables that are not to be made from the ratings, by name. Of several instruments they are of the first."""
        self.ratings = ratings.of_instrument(ratings.instruments[0])
        self.study = self.ratings.study
        self.__dict__.update(known)  # where a cached property looks first

    def __getstate__(self) -> dict[str, Any]:
        """What another process is told (`hold`): all but what serves only to make tables that are there already."""
        return {name: made for name, made in vars(self).items() if name not in ("_multiverse", "_along")}

    @property
    def each(self) -> "list[Tables]":
        """The tables of every instrument of the study, in their order."""
        whole = self.ratings.whole
        return [tables_of(whole.of_instrument(key)) for key in whole.instruments] if whole else [self]

    @cached_property
    def wordings(self) -> pd.DataFrame | None:
        """Changes of S and noise in each wording; None where the wording does not vary."""
        return wordings_table(self.analysis)

    @cached_property
    def instruments(self) -> pd.DataFrame | None:
        """What fine-tuning changed, questionnaire beside questionnaire; None where there is one, or of a further one."""
        return instruments_table([one.analysis for one in self.each]) if len(self.each) > 1 and self.study.of_first else None

    @cached_property
    def analysis(self) -> Analysis:
        """Recommended statistics of the runs, which most tables are made of."""
        return Analysis(self.ratings)

    @cached_property
    def guard(self) -> Guard:
        """What every contrast has to say about its sides."""
        return Guard(self.ratings, self.quality)

    @cached_property
    def quality(self) -> pd.DataFrame:
        """What was asked, what came back, and why the rest did not."""
        return pd.concat([run_quality(self.ratings, run) for run in self.study.runs], ignore_index=True)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """S, R and their companions of every run."""
        return pd.concat([run_metrics(self.ratings, run, self.analysis) for run in self.study.runs], ignore_index=True)

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """What fine-tuning changed: recommended rows, then published ones, each with what its sides differ in."""
        published = published_contrasts(self.study, self.metrics[self.metrics["method"] == PUBLISHED])
        differs = {contrast.key: self.guard.differs(contrast) for contrast in self.analysis.contrasts}
        keys = zip(published["family"], published["variant"], published["control"], strict=True)
        published["differs"] = [differs.get(key, "") for key in keys]  # means over families are no contrast
        return pd.concat([recommended_rows.contrasts(self.analysis, self.guard), published], ignore_index=True)

    @cached_property
    def temperature(self) -> pd.DataFrame | None:
        """S and R at every sampling temperature, of a study by logprobs."""
        return temperature_curves(self.ratings) if self.study.by_logprobs else None

    @cached_property
    def published_check(self) -> pd.DataFrame | None:
        """Every printed number beside the computed one, of an imported study that names printed figures."""
        if self.study.file.kind != "imported" or not self.study.file.published:
            return None
        return printed_figures.check(self.study.file.published, self.metrics, self.contrasts, self.profiles)

    @cached_property
    def companions(self) -> pd.DataFrame:
        """What changes of noise and of pooled S are made of."""
        return recommended_rows.companions(self.analysis, self.guard)

    @cached_property
    def presence(self) -> pd.DataFrame:
        """Whether the personas of every run can still be told apart."""
        return presence_table(self.analysis, self.guard)

    @cached_property
    def equivalence(self) -> pd.DataFrame:
        """Changes of S and R held against the smallest ones worth caring about."""
        return equivalence_table(self.analysis, self.guard)

    @cached_property
    def style(self) -> pd.DataFrame:
        """How much of what distinguishes personas under a variant is another use of the scale."""
        return style_table(self.analysis, self.guard)

    @cached_property
    def verdict(self) -> pd.DataFrame:
        """What may be concluded of every variant."""
        return verdict_table(self.analysis, self.guard, self.presence, self.equivalence, self.style)

    @cached_property
    def finetunes(self) -> pd.DataFrame | None:
        """Where another fine-tune of the same data would lie; None for a study without two of the same data in a family."""
        return finetunes_table(self.analysis, self.guard)

    @cached_property
    def components(self) -> pd.DataFrame:
        """Variance components of every run."""
        return components_table(self.analysis)

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """Cronbach's alpha of every group of items in every run."""
        return reliability_table(self.analysis)

    @cached_property
    def missing(self) -> pd.DataFrame | None:
        """How far the missing ratings of a run could move its numbers; None where none is missing."""
        return missing_table(self.analysis)

    @cached_property
    def profiles(self) -> pd.DataFrame:
        """Mean ratings by foundation in every condition."""
        return pd.concat([run_profiles(self.ratings, run) for run in self.study.runs], ignore_index=True)

    @cached_property
    def reference(self) -> pd.DataFrame | None:
        """S among human respondents, and their means; None where a study names none."""
        people = self.ratings.reference
        return None if people is None else reference_table(tables_of(people))

    @cached_property
    def saturation(self) -> pd.DataFrame:
        """How far answers went to the ends of the scale."""
        return saturation_rows(self.ratings, self.profiles)

    @cached_property
    def drift(self) -> pd.DataFrame:
        """How far answers without a persona moved from, or towards, the ceiling."""
        return drift_rows(self.ratings)

    @cached_property
    def hostile(self) -> pd.DataFrame | None:
        """How far answers without a persona lie from the base as hostile characters; None where no base played one."""
        return hostile_table(self.ratings, self.profiles)

    @cached_property
    def normalisation(self) -> pd.DataFrame:
        """What is left of every change of S and noise after a monotone recoding of the scale."""
        return normalisation_table(self.analysis, self.guard)

    @cached_property
    def validity(self) -> pd.DataFrame:
        """Every headline under every defensible choice."""
        return validity_table(self._multiverse, self.contrasts)

    @cached_property
    def headlines(self) -> pd.DataFrame:
        """Every headline with its p values, over all headlines and over all of its choices."""
        return headlines_table(self._multiverse, self.validity)

    @cached_property
    def _multiverse(self) -> Multiverse:
        return Multiverse(self.analysis, self.guard)

    @cached_property
    def foundation_claims(self) -> pd.DataFrame:
        """Changes in single foundations, with Holm's adjustment for their number."""
        return foundation_claims(self.analysis, self.guard)

    @cached_property
    def trajectory(self) -> pd.DataFrame | None:
        """What answers are like at every step of a training; None for a study without checkpoints."""
        return None if self._along is None else self._along[0]

    @cached_property
    def peaks(self) -> pd.DataFrame | None:
        """Whether S rises and then falls along the steps of a training; None for a study without checkpoints."""
        return None if self._along is None else self._along[1]

    @cached_property
    def _along(self) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        return trajectory_tables(self.ratings, self.guard)

    @cached_property
    def mitigation(self) -> pd.DataFrame | None:
        """What treatments of a harmful fine-tune recover, and what they cost; None for a study without treatments."""
        return mitigation_table(self.analysis, self.guard, self.open_questions, self.capability)

    @cached_property
    def capability(self) -> pd.DataFrame | None:
        """Accuracy, form and steadiness of answers to tasks; None where no task was given."""
        return capability_table(self.ratings, self.guard)

    @cached_property
    def _unsteady(self) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        return instability_tables(self.ratings, self.guard)

    @property
    def instability(self) -> pd.DataFrame | None:
        """How far repeated answers differ as personas, without a persona and on tasks; None where no task was given."""
        return None if self._unsteady is None else self._unsteady[0]

    @property
    def selective(self) -> pd.DataFrame | None:
        """How far instability rises more as personas than on tasks; None where no task was given."""
        return None if self._unsteady is None else self._unsteady[1]

    @cached_property
    def verified(self) -> Verified | None:
        """The tables of answers to open questions; None where there are none."""
        return verification_tables(self.ratings)

    @property
    def verification(self) -> pd.DataFrame | None:
        """Scores and shares of answers to open questions, judge by judge."""
        return None if self.verified is None else self.verified.verification

    @property
    def agreement(self) -> pd.DataFrame | None:
        """How far judges agree, and how often each gave a number."""
        return None if self.verified is None else self.verified.agreement

    @property
    def open_questions(self) -> pd.DataFrame | None:
        """Counts of judged answers by question."""
        return None if self.verified is None else self.verified.questions

    @cached_property
    def incoherence(self) -> pd.DataFrame | None:
        """Excess of noise beside excess of incoherent answers, by family; None without controls or answers."""
        return incoherence_table(self.study, self.contrasts, self.open_questions)

    @cached_property
    def frontier(self) -> pd.DataFrame | None:
        """Where every run lies among the published frontier models, of a study that names them."""
        return frontier_table(self.study, self.metrics)


def tables_of(ratings: Ratings) -> Tables:
    """The tables of these ratings, of several instruments those of the first; of one `Ratings` they are made once."""
    return _made_once(ratings.of_instrument(ratings.instruments[0]))


@lru_cache(maxsize=8)
def _made_once(ratings: Ratings) -> Tables:
    for given in _HELD:
        if ratings is given.ratings:
            return given
    return Tables(ratings)


#: Tables that this process was given.
_HELD: list[Tables] = []


def hold(tables: Tables) -> None:
    """Give these tables, and the ratings that they are made of, to whoever asks for them in this process.

    For a kernel of a report, where they have been made already.
    """
    held.hold(tables.ratings.whole or tables.ratings)
    _HELD.extend(tables.each)


def write(study: Study, tables: Mapping[str, pd.DataFrame | None]) -> list[Path]:
    """Write each table as tables/<name>.csv, at full precision, in one step each; returns the files.

    A text that a spreadsheet would run as a formula has an apostrophe before it. The file of a table that is None goes.
    """
    folder = study.outputs / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        if table is None:
            path.unlink(missing_ok=True)
            continue
        atomic_text(path, guarded_table(table).to_csv(index=False, lineterminator="\n"))
        written.append(path)
    return written


def run_metrics(ratings: Ratings, run: Run, analysis: Analysis | None = None) -> pd.DataFrame:
    """Rows of metrics.csv for one run, overall and by foundation: the recommended method, then the published one."""
    analysis = analysis or Analysis(ratings)
    return pd.concat([recommended_rows.levels(analysis, run), published_levels(analysis, run)], ignore_index=True)


def levels(ratings: Ratings) -> pd.DataFrame:
    """S, R and their companions of every run, as in tables/metrics.csv.

    Returns
    -------
    DataFrame
        One row a metric of a run and scope: family, variant, scope (`overall` or a group of items), metric (susceptibility,
        robustness, within_rms, icc, fidelity, ...; `vocabulary` has them), method (`recommended` or `published`), value, se, lo,
        hi (95 % interval for other personas), sizes, lo_repeat, hi_repeat (for the same requests again), note.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> table = pc.levels(pc.open_study("mini"))
    >>> sorted(table["method"].unique())
    ['published', 'recommended']
    """
    return _each(ratings, lambda tables: tables.metrics)


def contrasts(ratings: Ratings) -> pd.DataFrame:
    """What fine-tuning changed, as in tables/contrasts.csv: every variant against its base, and beyond its matched control.

    Returns
    -------
    DataFrame
        One row a metric of a contrast and scope: family (`mean` for the average over families), variant, control, scope,
        metric, quantity (`change_pct` of base, or `excess_pp` over the control in points of base), method, value, se, lo, hi
        and what else stands beside it.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> table = pc.contrasts(pc.open_study("mini"))
    >>> sorted(table["quantity"].unique())
    ['change_pct', 'excess_pp']
    """
    return _each(ratings, lambda tables: tables.contrasts)


def _each(ratings: Ratings, made: Callable[[Tables], pd.DataFrame]) -> pd.DataFrame:
    """A table of the ratings, with a column `instrument` where they are of several."""
    if len(ratings.instruments) == 1:
        return made(tables_of(ratings)).copy()
    return with_instrument({key: made(tables_of(ratings.of_instrument(key))) for key in ratings.instruments})


def with_instrument(found: Mapping[str, pd.DataFrame | None]) -> pd.DataFrame:
    """A table of several instruments, by their keys, as one with a column `instrument`, first where it has none of its own."""
    there = {key: table for key, table in found.items() if table is not None}
    named = [table if "instrument" in table else table.assign(instrument=key) for key, table in there.items()]
    table = pd.concat([one for one in named if len(one)] or named[:1], ignore_index=True)
    return table[["instrument", *table.columns.drop("instrument")]]
