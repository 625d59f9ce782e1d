"""The exhibits as a researcher calls them: ratings in place of the tables and counts that the functions themselves take.

A function of `exhibits`, `comparison`, `lesson` or a section that is marked as an exhibit (`exhibits.exhibit`) is found here by
its name. What it takes by one of the names of `OfStudy` comes from the ratings; what else it takes is its caller's to say.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from persona_collapse.asking.collect import support_of
from persona_collapse.asking.supported_parameters import Supported
from persona_collapse.comparison.build import StudyTables, build_comparison, write_comparison
from persona_collapse.comparison.pair import Pair
from persona_collapse.exhibits.exhibit import EXHIBITS, Exhibit
from persona_collapse.lesson.explore_answers import Explored
from persona_collapse.sections.record import SECTIONS, all_tables
from persona_collapse.store.ratings import Ratings
from persona_collapse.study.study import Run
from persona_collapse.tables import cell_replies, printed_figures, quality, saturation
from persona_collapse.tables.build import run_metrics, tables_of, write
from persona_collapse.tables.headlines import ABOUT
from persona_collapse.vocabulary import METRICS

#: Modules with exhibits of each kind; those of sections are found by their folder.
_MODULES = {
    "figure": (
        "exhibits.capability_figures",
        "exhibits.study_figures", "exhibits.run_figures", "exhibits.cell_figures", "exhibits.persona_figures",
        "exhibits.profile_figures", "exhibits.component_figures", "exhibits.instrument_exhibits", "exhibits.hostile_exhibits",
        "exhibits.mitigation_figures", "exhibits.normalisation_figures", "exhibits.trajectory_figures",
        "exhibits.validity_figures", "exhibits.verdict_figures", "exhibits.verification_figures",
        "comparison.figures",
        "lesson.explore_figures",
    ),
    "table": (
        "exhibits.data_tables", "exhibits.finetune_exhibits", "exhibits.mitigation_tables", "exhibits.reading_tables",
        "exhibits.trajectory_tables", "exhibits.validity_tables", "exhibits.capability_tables", "exhibits.verification_tables",
        "comparison.reading_tables",
        "exhibits.wording_exhibits", "lesson.explore_answers",
    ),
    "finding": (
        "exhibits.answer_sentences", "exhibits.capability_sentences", "exhibits.data_sentences",
        "exhibits.change_sentences", "exhibits.level_sentences", "exhibits.component_sentences",
        "exhibits.finetune_exhibits", "exhibits.glossary", "exhibits.hostile_exhibits", "exhibits.instrument_exhibits",
        "exhibits.missing_sentences", "exhibits.mitigation_sentences", "exhibits.normalisation_sentences",
        "exhibits.reference_sentences", "exhibits.trajectory_sentences", "exhibits.validity_sentences",
        "exhibits.wording_exhibits", "comparison.sentences", "exhibits.judge_sentences", "exhibits.verification_sentences",
        "lesson.explore_answers",
    ),
}  # fmt: skip
_ABOUT = {
    "figure": """Figures of a study, or of two side by side, as Altair charts with a caption and an alternative text.

    To ask for one makes Altair draw in the project's look, in JupyterLab without a network; `altair.renderers.enable("default")`
    undoes that. `chart.save("map.html", inline=True)` makes a page that opens offline.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> chart = pc.figures.collapse_map(pc.open_study("mini"))
    >>> chart.usermeta["id"]
    'figure-collapse-map'
    """,
    "table": """Tables of a study for reading: wide, rounded, in words; `levels` and `contrasts` have the numbers.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> list(pc.tabulate.headlines(pc.open_study("mini")).columns[:2])
    ['recommended', 'verdict']
    """,
    "finding": """What the numbers of a study say, as Markdown that is computed from them.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> pc.say.collapse(pc.open_study("mini"))[:50]
    'Under 2 of 2 harmful variants S rises and R falls,'
    """,
}
_KINDS = {"figures": "figure", "tabulate": "table", "say": "finding"}
#: For the example of a function: what stands for an argument of this name.
_SAMPLES = {
    "metric": "susceptibility", "condition": "persona", "what": "mean", "kind": "noise", "quantity": "effect_pct",
    "method": "recommended", "measure": "misaligned",
}  # fmt: skip


#: What an argument of this name may be.
_KNOWN = {
    "metric": [key for key, metric in METRICS.items() if metric.method],
    "condition": ["persona", "self", "toxic"],
    "what": ["mean", "sd"],
    "kind": list(ABOUT),
}


#: Tables of a study that exhibits take whole, under their own names.
_TABLES = (
    "agreement", "capability", "companions", "components", "contrasts", "drift", "equivalence", "finetunes",
    "foundation_claims", "frontier", "headlines", "hostile", "incoherence", "instability", "instruments", "missing",
    "mitigation", "normalisation", "open_questions", "peaks", "profiles", "reference", "reliability", "saturation", "selective",
    "style", "temperature", "trajectory", "validity", "verdict", "verification", "wordings",
)  # fmt: skip


class OfStudy:
    """What exhibits of a study are made of, by the names under which they take it; with a run, the rows of that run."""

    def __init__(self, ratings: Ratings, run: Run | str | None) -> None:
        self.found = tables_of(ratings)
        self.ratings, self.study = self.found.ratings, self.found.study
        self._run = self.ratings.run(run) if run is not None else None

    def __getattr__(self, name: str) -> Any:
        """A table that is taken whole."""
        if name not in _TABLES:
            raise AttributeError(f"a study has nothing called {name!r} for an exhibit")
        return getattr(self.found, name)

    @property
    def run(self) -> Run:
        """The run that is asked for, or the only one."""
        if self._run is None and len(self.ratings.runs) != 1:
            known = ", ".join(run.key for run in self.ratings.runs)
            raise ValueError(f"run: none named; expected one of {known}, as in run={self.ratings.runs[0].key!r}")
        return self._run or self.ratings.runs[0]

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """metrics.csv, or its rows of the run."""
        return self.found.metrics if self._run is None else self.run_metrics

    @cached_property
    def quality(self) -> pd.DataFrame:
        """quality.csv, or its rows of the run."""
        return self.found.quality if self._run is None else self.run_quality

    @cached_property
    def beside(self) -> pd.DataFrame:
        """quality.csv, or its rows of the run and of its base."""
        return self.found.quality if self._run is None else quality.run_and_base_quality(self.ratings, self._run)

    @cached_property
    def shares(self) -> pd.DataFrame:
        """saturation.csv, or the shares of the run."""
        return self.found.saturation if self._run is None else self.run_shares

    @property
    def study_metrics(self) -> pd.DataFrame:
        """metrics.csv, whichever run is asked for."""
        return self.found.metrics

    @property
    def run_metrics(self) -> pd.DataFrame:
        """The rows of metrics.csv of the run."""
        return run_metrics(self.ratings, self.run, self.found.analysis)

    @property
    def run_quality(self) -> pd.DataFrame:
        """The rows of quality.csv of the run."""
        return quality.run_quality(self.ratings, self.run)

    @property
    def run_shares(self) -> pd.DataFrame:
        """The rows of saturation.csv of the run."""
        return saturation.run_shares(self.ratings, self.run)

    @property
    def counts(self) -> np.ndarray:
        """Ratings of the run as personas (persona, item, category)."""
        return self.ratings.counts(self.run)

    @property
    def by_run(self) -> dict[Run, np.ndarray]:
        """Ratings as personas of every run, or of the one that is asked for."""
        return {run: self.ratings.counts(run) for run in ([self._run] if self._run else self.ratings.runs)}

    @property
    def band(self) -> printed_figures.Band | None:
        """The published band of frontier models."""
        return printed_figures.band(self.study)

    @property
    def toxic(self) -> dict[str, tuple[np.ndarray, str]]:
        """The base's profile as hostile characters, and whether it was measured or printed, by family."""
        families = (family.key for family in self.study.file.families)
        return {key: saturation.toxic_profile(self.study, self.found.profiles, key) for key in families}

    @property
    def people(self) -> Ratings | None:
        """The ratings of human respondents that the study names."""
        return self.ratings.reference

    @property
    def known(self) -> Supported | None:
        """What the endpoint of the run is known to take."""
        return support_of(self.ratings, self.run)

    @property
    def report(self) -> Mapping[str, Mapping[str, Any]]:
        """What the importer found in the files of the run."""
        return self.ratings.imported(self.run)

    @property
    def said(self) -> cell_replies.CellReplies:
        """The replies of every cell of the run."""
        return cell_replies.replies_of_cells(self.ratings, self.run)


class OfPair:
    """What exhibits of two studies side by side are made of."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    @property
    def tables(self) -> StudyTables:
        """The tables of the comparison."""
        return build_comparison(self.pair)


class OfExplored:
    """What exhibits of explore.ipynb are made of."""

    def __init__(self, explored: Explored) -> None:
        self.explored = explored


_GIVEN = {
    "ratings": (Ratings, {name for name in vars(OfStudy) if not name.startswith("_")} | {"ratings", "study", "found", *_TABLES}),
    "pair": (Pair, {"pair", "tables"}),
    "explored": (Explored, {"explored"}),
}
#: What hangs on the run that is asked for.
_OF_RUN = {"run", "counts", "known", "report", "said", "run_metrics", "run_quality", "run_shares"}
_MAY_BE_OF_RUN = _OF_RUN | {"quality", "beside", "shares", "by_run"}


def __getattr__(name: str) -> ModuleType:
    """`figures`, `tabulate` and `say`, made when they are first asked for."""
    if name not in _KINDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _shelf(name)


@cache
def _shelf(name: str) -> ModuleType:
    """All exhibits of a kind as the functions of a module, in which `help` lists them."""
    kind = _KINDS[name]
    load(kind)
    if kind == "figure":
        from persona_collapse.exhibits import theme

        theme.use_theme()
    found: dict[str, dict[str, Exhibit]] = {}
    for exhibit in EXHIBITS:
        if exhibit.kind == kind and (subject := _subject(exhibit)):
            found.setdefault(exhibit.name, {})[subject] = exhibit
    module = ModuleType(f"{__package__}.{name}", inspect.cleandoc(_ABOUT[kind]))
    functions = {called: _public(name, called, of) for called, of in sorted(found.items())}
    vars(module).update(functions, __all__=list(functions))
    return module


def load(*kinds: str) -> None:
    """Import every module with exhibits of these kinds (default: of all)."""
    for kind in kinds or _MODULES:
        for place in _MODULES[kind]:
            import_module(f"{__package__}.{place}")
    for entry in SECTIONS:
        for place in entry.modules:
            import_module(place)


def explore(ratings: Ratings) -> Explored:
    """What the questions of explore.ipynb are asked of: a study's runs, the variants that can be compared, the noisiest run.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> pc.explore(pc.open_study("mini")).noisiest.key
    'qwen3-235b/insecure'
    """
    found = tables_of(ratings)
    return Explored(found.ratings, found)


def write_tables(ratings: Ratings | Pair, *names: str) -> None:
    """Write the tables of a study, or of two side by side, to tables/ of its outputs: those named, or all of them.

    Raises
    ------
    ValueError
        A name is none of a table, or the ratings are a data frame's, which has no folder.

    Examples
    --------
    >>> import persona_collapse as pc
    >>> pc.write_tables(pc.open_study("mini"), "metrics", "contrasts")
    """
    if isinstance(ratings, Pair):
        write_comparison(ratings, build_comparison(ratings))
        return
    if not ratings.study.path.is_file():
        raise ValueError(
            "tables: these ratings are a data frame's, which has no folder; expected those of a study; write levels(ratings) and "
            "contrasts(ratings) where you like"
        )
    write(ratings.study, all_tables(tables_of(ratings), names))


def _subject(exhibit: Exhibit) -> str:
    """What an exhibit is of: ratings, a pair, or explored ratings; nothing for one that takes what none of them has."""
    takes = inspect.signature(exhibit.make).parameters
    if "explored" in takes:
        return "explored"
    if "pair" in takes or "tables" in takes:
        return "pair"
    return "ratings" if next(iter(takes)) in _GIVEN["ratings"][1] else ""


def _public(module: str, name: str, of: dict[str, Exhibit]) -> Callable[..., Any]:
    """One function for all exhibits of a name, whatever they are of."""

    def call(*args: Any, **kwargs: Any) -> Any:
        what, *rest = args
        for subject, exhibit in of.items():
            if isinstance(what, _GIVEN[subject][0]):
                return _made(exhibit, subject, what, rest, kwargs)
        wanted = " or ".join(_GIVEN[subject][0].__name__ for subject in of)
        raise TypeError(f"{module}.{name}: found {type(what).__name__}; expected {wanted}, as open_study gives it")

    first = next(iter(of.values()))
    subject = next(iter(of))
    call.__name__ = call.__qualname__ = name
    call.__module__ = f"{__package__}.{module}"
    call.__signature__ = _signature(first, subject)  # type: ignore[attr-defined]
    call.__doc__ = f"{inspect.getdoc(first.make)}\n\nExamples\n--------\n{_example(module, name, of)}"
    return call


def _made(exhibit: Exhibit, subject: str, what: Any, rest: list[Any], kwargs: dict[str, Any]) -> Any:
    run = kwargs.pop("run", None) if subject == "ratings" else None
    source: Any = OfStudy(what, run) if subject == "ratings" else OfPair(what) if subject == "pair" else OfExplored(what)
    own = _own(exhibit, subject)
    _check(dict(zip(own, rest, strict=False)) | kwargs)
    given = {name: getattr(source, name) for name in exhibit.parameters if name not in own and name not in kwargs}
    assert exhibit.shown is not None
    return exhibit.shown(**given, **dict(zip(own, rest, strict=False)), **kwargs)


def _check(arguments: dict[str, Any]) -> None:
    """Refuse what no exhibit knows, by the name of the argument."""
    for name, value in arguments.items():
        if value not in _KNOWN.get(name, [value]):
            raise ValueError(f"{name}: found {value!r}; expected one of {', '.join(map(repr, _KNOWN[name]))}")


def _own(exhibit: Exhibit, subject: str) -> list[str]:
    """Parameters that a caller gives."""
    return [name for name in exhibit.parameters if name not in _GIVEN[subject][1]]


def _signature(exhibit: Exhibit, subject: str) -> inspect.Signature:
    known = inspect.signature(exhibit.make).parameters
    kinds = inspect.Parameter
    found = [kinds(subject, kinds.POSITIONAL_ONLY), *(known[name] for name in _own(exhibit, subject))]
    if subject == "ratings" and _MAY_BE_OF_RUN & set(known):
        found.append(kinds("run", kinds.KEYWORD_ONLY, default=None))
    return inspect.Signature(found)


def _example(module: str, name: str, of: dict[str, Exhibit]) -> str:
    """A line that runs, for each thing that the function is of."""
    lines = [">>> import persona_collapse as pc"]
    for subject, exhibit in of.items():
        what = {
            "ratings": 'pc.open_study("mini")', "pair": 'pc.open_pair("mini", "mini-again")',
            "explored": 'pc.explore(pc.open_study("mini"))',
        }[subject]  # fmt: skip
        taken = inspect.signature(exhibit.make).parameters
        arguments = [repr(_SAMPLES[own]) for own in _own(exhibit, subject) if taken[own].default is inspect.Parameter.empty]
        if subject == "ratings" and _OF_RUN & set(taken):
            arguments.append('run="gpt-4o/insecure"')
        lines.append(f">>> shown = pc.{module}.{name}({', '.join([what, *arguments])})")
    return "\n".join(lines)
