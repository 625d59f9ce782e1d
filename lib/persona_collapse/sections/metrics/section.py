"""Susceptibility and robustness of one run: its rows of metrics.csv."""

from persona_collapse.sections.record import Section, Table

SECTION = Section(tables=(Table("metrics", lambda tables: tables.metrics),))
