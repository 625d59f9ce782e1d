"""What was asked of a run and what came back."""
