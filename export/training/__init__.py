"""Trains the paper's network."""
