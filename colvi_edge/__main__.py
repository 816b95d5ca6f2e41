"""Where the command begins: Ctrl-C while the command line is still being loaded is no bug either."""

import sys

from colvi_edge.errors import EXIT_INTERRUPTED


def main() -> None:
    """Load the command line, and run it."""
    try:
        from colvi_edge.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        raise SystemExit(EXIT_INTERRUPTED) from None


if __name__ == "__main__":
    main()
