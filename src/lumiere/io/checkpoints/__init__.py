"""Text-to-image models as people have them, read from disk and inflated."""
