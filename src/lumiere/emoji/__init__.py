"""The embedded example: its data, caption grammar, recogniser, evaluation and weights."""
