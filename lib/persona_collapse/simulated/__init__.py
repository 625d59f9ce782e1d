"""Respondents that imitate published figures, and an endpoint that answers as they do.

In: a study and a seed, or requests of the OpenAI protocol. Out: probabilities, ratings, replies; evidence of nothing.
"""

__all__ = ["faults", "fitting", "response_model", "server", "task_replies", "text_replies"]
