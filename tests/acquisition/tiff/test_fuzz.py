"""Whatever bytes a file holds: it is read, or refused with a sentence, and it ends.

The mutations are read in a process of their own, so that a reader that hangs or dies is seen.
"""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

MUTATIONS = 3000
NUMBERS = (0, 1, 2, 7, 8, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)

READER = """
import faulthandler, pathlib, sys
from colvi_edge.acquisition.tiff.reader import read_tiff
from colvi_edge.acquisition.model import Limits
from colvi_edge.errors import AcquisitionError

read = refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    faulthandler.dump_traceback_later(20, exit=True)
    try:
        read_tiff(path.read_bytes(), path.name, None, Limits(pixels=2**24, decoded_bytes=2**25))
        read += 1
    except AcquisitionError:
        refused += 1
    except BaseException:
        print(path.name, file=sys.stderr)
        raise
print(read, refused)
"""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a few changes, most of them in the head, the directories or the tail."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        near = rng.choice((0, len(data), data.find(b"\x01\x01\x03\x00") % len(data)))
        place = min(max(near + rng.randint(-300, 300), 0), len(changed) - 1)
        kind = rng.random()
        if kind < 0.4:
            changed[place] = rng.randrange(256)
        elif kind < 0.8:
            width = rng.choice((2, 4, 8))
            number = rng.choice((*NUMBERS, rng.randrange(len(data)))) % 256**width
            changed[place : place + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif kind < 0.9:
            del changed[place : place + rng.randrange(1, 30)]
        else:
            other = rng.randrange(len(changed))
            changed[place : place + 12] = changed[other : other + 12]
    return bytes(changed)


def test_mutations_end_in_pixels_or_a_sentence(kinds: dict[str, Any], tmp_path: Path) -> None:
    """No change to a file makes the reader hang, die, warn, or raise anything but our errors."""
    rng = random.Random(2019)  # noqa: S311 - seeded, so that a failure can be repeated
    seeds = [kind.data for kind in kinds.values()]
    for index in range(MUTATIONS):
        (tmp_path / f"{index:05}.tif").write_bytes(mutated(rng.choice(seeds), rng))

    command = [sys.executable, "-W", "error", "-c", READER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    read, refused = map(int, done.stdout.split())
    assert read + refused == MUTATIONS
    assert min(read, refused) > MUTATIONS // 10
