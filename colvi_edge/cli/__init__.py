"""The command line: parse, delegate, report. Heavy imports stand inside the commands."""

from colvi_edge.cli.command_line import app, main

__all__ = ["app", "main"]
