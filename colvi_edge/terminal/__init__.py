"""Helpers for whoever prints on a terminal: consoles, tables, progress. They know nothing of images."""
