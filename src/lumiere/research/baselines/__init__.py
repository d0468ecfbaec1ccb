"""What the one-pass model is compared with."""
