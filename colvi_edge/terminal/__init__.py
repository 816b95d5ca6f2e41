"""Helpers for whoever prints on a terminal: consoles, streams, tables, progress bars."""
