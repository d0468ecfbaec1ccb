"""Other video models, and the clips they generate for comparison."""
