"""What is done, over restarts and power cuts."""
