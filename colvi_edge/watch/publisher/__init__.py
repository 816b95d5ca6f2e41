"""Writes the report's page each time that the supervisor asks for it."""
