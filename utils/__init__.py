"""What the notebooks built, word for word, and a few helpers that are not taught."""
