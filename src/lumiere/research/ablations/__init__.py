"""Ablations of parts of the method."""
