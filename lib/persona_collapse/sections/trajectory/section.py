"""Along the training: every checkpoint between a base and its fine-tune, and whether S rises and then falls on the way."""

from persona_collapse.exhibits import trajectory_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table

SECTION = Section(
    tables=(
        Table("trajectory", lambda tables: tables.trajectory),
        Table("peaks", lambda tables: tables.peaks),
    ),
    summary=(Summary(trajectory_sentences.summary, (exhibit_id("figure", "steps", "susceptibility"),)),),
    methods=trajectory_sentences.methods,
)
