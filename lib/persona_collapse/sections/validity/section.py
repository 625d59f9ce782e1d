"""How robust the conclusions are: every headline under every defensible choice."""

from persona_collapse.exhibits import validity_sentences
from persona_collapse.exhibits.exhibit import exhibit_id
from persona_collapse.sections.record import Section, Summary, Table
from persona_collapse.tables.build import Tables


def _hanging(tables: Tables) -> str:
    """Which headlines survive, and what these numbers cannot show, as one list."""
    found = [
        validity_sentences.overview(tables.headlines, tables.validity, tables.study),
        validity_sentences.equivalent(tables.equivalence, tables.study),
        validity_sentences.without_excess(tables, tables.study),
        validity_sentences.stacks(tables, tables.study).partition("\n\n")[0],
    ]
    return "\n".join(line if line.startswith("- ") else f"- {line}" for line in found)


SECTION = Section(
    tables=(
        Table("validity", lambda tables: tables.validity),
        Table("headlines", lambda tables: tables.headlines),
        Table("foundation_claims", lambda tables: tables.foundation_claims),
        Table("frontier", lambda tables: tables.frontier),
    ),
    summary=(
        Summary(
            "How robust are the conclusions?",
            _hanging,
            (
                exhibit_id("table", "headlines"),
                exhibit_id("figure", "specification_curve", "susceptibility"),
                exhibit_id("figure", "specification_curve", "noise"),
            ),
        ),
    ),
    shown={"only-frontier": lambda tables: tables.frontier is not None},
)
