"""Training data: what a stage asks of it (``base``), WebDataset shards (``shards``), and sources that other
packages register by name (``registry``)."""
