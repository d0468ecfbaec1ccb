"""Animated emoji, fetched and composed into captioned scenes."""
