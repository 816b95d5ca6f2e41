"""The networks of the paper and of the published code."""
