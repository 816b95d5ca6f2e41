"""Reads trained networks from files of any common kind, ours and those of others."""
