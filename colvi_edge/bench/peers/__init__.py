"""What else runs the network, for a comparison in the same run."""
