"""Where on the scale the answers lie: profiles, ends of the scale, and what a change of noise is made of."""

from persona_collapse.exhibits import answer_sentences, normalisation_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table

SECTION = Section(
    tables=(
        Table("companions", lambda tables: tables.companions),
        Table("profiles", lambda tables: tables.profiles),
        Table("saturation", lambda tables: tables.saturation),
        Table("drift", lambda tables: tables.drift),
        Table("normalisation", lambda tables: tables.normalisation),
        Table("hostile", lambda tables: tables.hostile),
    ),
    methods=normalisation_sentences.methods,
    shown={"only-hostile": lambda tables: tables.hostile is not None},
    summary=(Summary(answer_sentences.without_persona, (exhibit_id("figure", "self_profiles"),)),),
)
