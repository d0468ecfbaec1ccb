"""How well a model of this domain does on prompts held out from training."""
