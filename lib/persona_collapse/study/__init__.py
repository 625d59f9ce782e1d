"""What is asked, and how an answer is read.

In: params/ and a study file. Out: a checked, immutable `Study`; readers that turn a reply or a first token into ratings.
"""

__all__ = [
    "clusters",
    "endpoint",
    "first_token",
    "instrument",
    "load_study",
    "personas",
    "rating_parser",
    "reference",
    "respondent_parameters",
    "scopes",
    "study",
    "study_file",
    "treatment",
    "wording",
]
