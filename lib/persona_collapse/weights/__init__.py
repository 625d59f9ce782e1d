"""Open weights: models in a folder, their adapters, and what their first token says.

In: a folder or file of weights, prompts. Out: alternatives of a reply's first token as method logprobs reads them; adapters.
"""

__all__ = ["example", "files", "finetune", "model", "training_data"]
