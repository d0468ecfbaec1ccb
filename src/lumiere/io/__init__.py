"""Files: videos, images, bundles, and image-model checkpoints."""
