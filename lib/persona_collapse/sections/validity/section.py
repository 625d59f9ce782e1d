"""How robust the conclusions are: every headline under every defensible choice."""

from persona_collapse.sections.record import Section, Table

SECTION = Section(
    tables=(
        Table("validity", lambda tables: tables.validity),
        Table("headlines", lambda tables: tables.headlines),
        Table("foundation_claims", lambda tables: tables.foundation_claims),
        Table("frontier", lambda tables: tables.frontier),
        Table("wordings", lambda tables: tables.wordings),
    ),
    shown={
        "only-frontier": lambda tables: tables.frontier is not None,
        "only-wordings": lambda tables: tables.wordings is not None,
    },
)
