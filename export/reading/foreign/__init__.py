"""Graphs and weights of others: what a file holds is known to be harmless before anything of it runs."""
