"""Where on the scale the answers lie."""
