"""Capability: does a variant lose tasks with a right answer, and is it unsteady as personas alone or in everything?"""

from persona_collapse.exhibits import capability_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table

SECTION = Section(
    tables=(
        Table("capability", lambda tables: tables.capability),
        Table("instability", lambda tables: tables.instability),
        Table("selective", lambda tables: tables.selective),
    ),
    summary=(Summary(capability_sentences.summary, (exhibit_id("figure", "tasks"), exhibit_id("figure", "instability"))),),
    shown={"instability": lambda tables: tables.instability is not None},
    methods=capability_sentences.methods,
)
