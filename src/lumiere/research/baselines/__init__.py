"""Baselines of the one-pass model."""
