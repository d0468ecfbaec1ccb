"""Text-to-image checkpoints, read from disk to be inflated."""
