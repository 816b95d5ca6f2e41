"""The state of a raw file, by which it is known again, and a change of it seen."""

import os
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Signature:
    """What tells that a file changed, from open and fstat: `stat` lags for seconds on NFS."""

    inode: Annotated[int, range(2**64)]
    bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        """Return the signature of a file's status."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
