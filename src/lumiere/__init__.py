"""Lumiere: text-to-video with a Space-Time U-Net."""
