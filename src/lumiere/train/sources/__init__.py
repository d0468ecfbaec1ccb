"""Training data: the interface (``base``), WebDataset shards (``shards``), and sources that other packages
register by name (``registry``)."""
