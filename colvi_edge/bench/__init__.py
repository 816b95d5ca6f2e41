"""`colvi-edge bench`: where each millisecond goes, on this machine, and against what else runs the network.

    measuring/, peers/ -> record (JSON) -> figures, compare -> page, and the table of cli.show.bench

Nothing here is imported by the other commands.
"""
