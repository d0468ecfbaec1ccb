"""Other people's video models, and the clips that they are asked for."""
