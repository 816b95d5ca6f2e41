"""The publisher as a process: `python -m colvi_edge.watch.publisher`, started by the supervisor."""

from colvi_edge.watch.publisher.process import main

main()
