"""Can it be undone? What treatments of a harmful fine-tune recover, what comes back behind a trigger, and what they cost."""

from persona_collapse.exhibits import mitigation_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table

SECTION = Section(
    tables=(Table("mitigation", lambda tables: tables.mitigation),),
    summary=(Summary(mitigation_sentences.summary, (exhibit_id("figure", "mitigation_map"), exhibit_id("table", "mitigation"))),),
    methods=mitigation_sentences.methods,
)
