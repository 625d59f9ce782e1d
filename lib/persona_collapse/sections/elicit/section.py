"""Ratings of one run: quality.csv, which all else stands on."""

from persona_collapse.sections.record import Section, Table

SECTION = Section(tables=(Table("quality", lambda tables: tables.quality),))
