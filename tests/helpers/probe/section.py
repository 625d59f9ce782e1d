"""A section that a test adds to a copy of the project: a table, a figure, a finding, and their place in the summary."""

from typing import Any

import altair as alt
import pandas as pd

from persona_collapse.exhibits import exhibit
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.exhibits.theme import figure
from persona_collapse.sections.record import Section, Summary, Table
from persona_collapse.study.study import Study
from persona_collapse.tables.build import Tables


def probes(tables: Tables) -> pd.DataFrame:
    """How many personas every run has: probes.csv."""
    rows = [(*run.keys, len(tables.ratings.counts(run))) for run in tables.study.runs]
    return pd.DataFrame(rows, columns=["family", "variant", "probed"])


@exhibit.figure("probe")
def probe(found: Tables, study: Study) -> Any:
    """Personas of every run, as bars."""
    chart = alt.Chart(probes(found)).mark_bar().encode(x="probed:Q", y="variant:N")
    return figure(chart, study, title="Probe", caption="Probed personas of every run.", description="Bars of personas.")


@exhibit.table("probe", "Personas that were probed, by run.")
def probe_table(found: Tables) -> pd.DataFrame:
    """Personas of every run."""
    return probes(found)


@exhibit.finding("probe")
def probed(found: Tables) -> str:
    """How many personas were probed."""
    return f"**{probes(found)['probed'].max()}** personas were probed."


SECTION = Section(
    tables=(Table("probes", probes),),
    summary=(Summary(lambda found: [probed(found)], (exhibit_id("figure", "probe"), exhibit_id("table", "probe"))),),
    methods=lambda study: "### The probe\n\nPersonas were counted.",
)
