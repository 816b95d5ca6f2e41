"""Starts and watches the other processes, carries work between them, and tells how things are."""
