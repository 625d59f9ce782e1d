"""What the conclusions hang on."""
