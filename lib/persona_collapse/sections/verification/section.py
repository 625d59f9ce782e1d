"""Verification: is a variant misaligned in answers to open questions, by several judges and the rules of the field."""

from persona_collapse.exhibits import judge_sentences, verification_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table
from persona_collapse.tables.build import Tables
from persona_collapse.tables.verification import IMPORTED


def _judged(tables: Tables) -> bool:
    """Whether answers were judged here, and not in an imported summary."""
    table = tables.verification
    return table is not None and not (table["judge"] == IMPORTED).all()


SECTION = Section(
    tables=(
        Table("verification", lambda tables: tables.verification),
        Table("agreement", lambda tables: tables.agreement),
        Table("open_questions", lambda tables: tables.open_questions),
        Table("incoherence", lambda tables: tables.incoherence),
    ),
    summary=(Summary(verification_sentences.summary, (exhibit_id("figure", "open_answers", "misaligned"),)),),
    shown={"judged": _judged, "incoherence": lambda tables: tables.incoherence is not None},
    methods=judge_sentences.methods,
)
