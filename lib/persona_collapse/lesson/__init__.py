"""The tour for a class, and the questions of explore.ipynb.

In: small ratings, published figures, or `Ratings` with their tables. Out: figures, exercises that check themselves, answers.
"""

__all__ = ["blackboard", "exercises", "explore_answers", "explore_figures", "figures", "quoted_figures"]
