"""What is asked, and how an answer is read.

In: params/ and a study file. Out: a checked, immutable `Study`; readers that turn a reply or a first token into ratings.
"""

__all__ = [
    "clusters",
    "endpoint",
    "first_token",
    "instrument",
    "load_study",
    "open_questions",
    "personas",
    "rating_parser",
    "reference",
    "respondent_parameters",
    "scopes",
    "score_parser",
    "study",
    "study_file",
    "task_reader",
    "tasks",
    "treatment",
    "verification",
    "wording",
]
