"""Ablations, baselines, rivals, the user study, and a report of them."""
