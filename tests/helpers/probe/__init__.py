"""A section for a test; see `tests/sections/test_sections.py`."""
