"""The worker as a process: `python -m colvi_edge.watch.worker`, started by the supervisor."""

from colvi_edge.watch.worker.process import main

main()
