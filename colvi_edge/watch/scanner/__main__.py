"""The scanner as a process: `python -m colvi_edge.watch.scanner`, started by the supervisor."""

from colvi_edge.watch.scanner.process import main

main()
