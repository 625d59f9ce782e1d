"""Did fine-tuning break a model's ability to play characters? The library behind the notebooks."""

__version__ = "0.1.0"
