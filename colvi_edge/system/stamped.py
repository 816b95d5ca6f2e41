"""Files behind their SHA-256, for what can be made again: a damaged one is as good as none."""

from hashlib import sha256
from pathlib import Path

from colvi_edge.system.atomic import write_whole

_DIGEST_BYTES = 32


def write_stamped(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, that `read_stamped` reads; its folder is there.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(path, sha256(content).digest() + content)


def read_stamped(path: Path) -> bytes | None:
    """Return the content; None if there is no such file, or not every byte is as it was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if sha256(content).digest() == digest else None
