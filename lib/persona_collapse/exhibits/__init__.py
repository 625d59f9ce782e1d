"""What a reader sees of a table: a figure, a table for reading, or a sentence.

In: a table of `tables`, or counts. Out: Altair charts, wide and rounded frames, sentences computed from numbers.
"""

__all__ = [
    "answer_sentences",
    "cell_figures",
    "change_sentences",
    "chart_data",
    "component_figures",
    "component_sentences",
    "data_sentences",
    "data_tables",
    "exhibit",
    "finetune_exhibits",
    "glossary",
    "instrument_exhibits",
    "level_sentences",
    "missing_sentences",
    "persona_figures",
    "persona_sentences",
    "pictures",
    "profile_figures",
    "reading_tables",
    "reference_sentences",
    "run_figures",
    "study_figures",
    "theme",
    "trajectory_figures",
    "trajectory_sentences",
    "trajectory_tables",
    "validity_figures",
    "validity_sentences",
    "validity_tables",
    "verdict_figures",
    "verdict_sentences",
    "wording_exhibits",
]
