"""`colvi-edge export`, `train` and `evaluate`, from their options to what comes of them."""
