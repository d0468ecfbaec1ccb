"""The fixtures of evaluations."""

from evaluation_fixtures import data, labels, run, tiny_recogniser  # noqa: F401
