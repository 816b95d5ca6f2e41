"""Diagnoses what the supervisor gives it, one file after the other."""
