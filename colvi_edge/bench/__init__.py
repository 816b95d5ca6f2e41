"""`colvi-edge bench`: where each millisecond goes, on this machine, and against what else runs the network.

    inputs -> rounds, starts -> record -> table, page, compare
              (measure)          (JSON)

Nothing here is imported by the other commands.
"""
