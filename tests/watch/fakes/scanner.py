"""A scanner that says what the test writes into `scanner.in`, and that it lives until a file forbids it."""

import select
import sys
import time

from colvi_edge.watch.ipc.channel import decode
from colvi_edge.watch.ipc.messages import Alive
from tests.watch.fakes.child import Obedient


def main() -> None:
    """Obey until the supervisor ends."""
    child = Obedient("scanner")
    slow, silence = (child.here / name for name in ("slow", "silence"))
    if slow.exists():
        time.sleep(float(slow.read_text()))
    child.line.send(Alive())
    rest, alive_at = "", 0.0
    with (child.here / "scanner.in").open() as orders:
        while True:
            if select.select([child.line], [], [], 0.01)[0]:
                messages = child.line.receive()
                if messages is None:
                    return
                for message in messages:
                    child.note(say=type(message).__name__)
            if silence.exists():
                time.sleep(0.05)
                continue
            if time.monotonic() > alive_at + 0.1:
                alive_at = time.monotonic()
                child.line.send(Alive())
            rest += orders.read()
            *said, rest = rest.split("\n")
            for text in said:
                if text == "exit":
                    sys.exit(5)
                if text == "be silent":
                    silence.touch()
                    break
                if text.startswith("raw "):
                    child.raw.sendall(text[4:].encode() + b"\n")
                else:
                    child.line.send(decode(text.encode()))


if __name__ == "__main__":
    main()
