"""S and R of one run."""
