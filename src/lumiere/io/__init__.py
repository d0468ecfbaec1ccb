"""Files: videos, pictures, bundles, checkpoints of others, and pixels."""
