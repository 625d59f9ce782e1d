"""The list of sections, and what each of them is: a notebook, its tables, its sentences at the head of the page, its methods.

A section is a folder beside this module: `section.py` with a `SECTION`, `dictionary.csv` with the columns of its tables, and
the notebook, where notebooks/ does not have it. A folder and a line in `SECTIONS` are all that a new one needs; its figures,
tables for reading and findings are found by their marks (`exhibits.exhibit`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from persona_collapse.paths import NOTEBOOKS
from persona_collapse.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

    from persona_collapse.tables.build import Tables

#: What a notebook is executed for.
RUN, STUDY = "run", "study"


class Table(NamedTuple):
    """A table of a section: tables/<name>.csv; `make` gives None where a study has nothing to put into it."""

    name: str
    make: Callable[["Tables"], "pd.DataFrame | None"]


class Summary(NamedTuple):
    """What a section says at the head of a page: sentences of its tables, Markdown, and the ids of exhibits that show it."""

    say: Callable[["Tables"], Sequence[str]]
    see: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """What a notebook adds to the pages that it stands on.

    Attributes
    ----------
    tables : tuple of Table
        Written to tables/, described in the dictionary and exported.
    summary : tuple of Summary
        What the head of the page says of it; a page has room for three sentences.
    shown : mapping
        Cells with one of these tags are on the page only where the tables say so.
    methods : function, optional
        Markdown for the methods of a study's page.
    alone : tuple of str, optional
        Heading and question on the page of a study without variants, where the notebook's own speak of them.
    """

    tables: tuple[Table, ...] = ()
    summary: tuple[Summary, ...] = ()
    shown: Mapping[str, Callable[["Tables"], bool]] = field(default_factory=dict)
    methods: Callable[[Study], str] | None = None
    alone: tuple[str, str] | None = None


@dataclass(frozen=True)
class Entry:
    """A line of the list: a notebook by name, what it is executed for, and of which studies."""

    notebook: str
    per: str = STUDY
    of: Callable[[Study], bool] = lambda study: True

    @property
    def name(self) -> str:
        """Its folder: the notebook's name without the number."""
        return self.notebook.partition("_")[2]

    @property
    def folder(self) -> Path:
        """Where its parts lie."""
        return Path(__file__).parent / self.name

    @property
    def source(self) -> Path:
        """The committed notebook: the section's own, or one of notebooks/."""
        own = self.folder / f"{self.notebook}.ipynb"
        return own if own.is_file() else NOTEBOOKS / own.name

    @property
    def modules(self) -> list[str]:
        """Its modules, by their full names."""
        return [f"{__package__}.{self.name}.{path.stem}" for path in sorted(self.folder.glob("*.py")) if path.stem != "__init__"]

    def section(self) -> Section:
        """The record; imports what it is made of, which takes a moment."""
        found: Section = import_module(f"{__package__}.{self.name}.section").SECTION
        return found


#: Every section, in the order of the pages.
SECTIONS = (
    Entry("01_elicit", RUN),
    Entry("02_metrics", RUN),
    Entry("03_compare_variants"),
    Entry("04_saturation"),
    Entry("05_validity"),
    Entry("07_verification", of=lambda study: study.has_verification),
    Entry("08_capability", of=lambda study: study.has_tasks),
    Entry("09_trajectory", of=lambda study: study.has_checkpoints),
    Entry("11_mitigation", of=lambda study: study.has_treatments),
)


def of_study(study: Study, *per: str) -> list[Entry]:
    """The sections of a study's report, in their order: those executed for a run, for the study, or both."""
    return [entry for entry in SECTIONS if entry.per in (per or (RUN, STUDY)) and entry.of(study)]


def sections(study: Study) -> list[Section]:
    """The records of a study's sections."""
    return [entry.section() for entry in of_study(study)]


def all_tables(tables: "Tables", only: Iterable[str] = ()) -> dict[str, "pd.DataFrame | None"]:
    """Every table of a study by name, or those named; None for one that it has nothing to put into."""
    known = {table.name: table for section in sections(tables.study) for table in section.tables}
    if unknown := [name for name in only if name not in known]:
        raise ValueError(f"tables: no table {unknown[0]!r}; expected one of {', '.join(known)}")
    return {name: _of_each(tables, table) for name, table in known.items() if not only or name in only}


def _of_each(tables: "Tables", table: Table) -> "pd.DataFrame | None":
    """A table of the study's instrument; of several with a column that names it, None where none has anything to put in."""
    if len(tables.each) == 1:
        return table.make(tables)
    from persona_collapse.tables.build import with_instrument

    found = {one.study.instrument.key: table.make(one) for one in tables.each}
    return with_instrument(found) if any(made is not None for made in found.values()) else None
