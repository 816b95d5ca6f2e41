"""The lock of a state folder, on a disk that is full."""

import resource
from contextlib import closing
from pathlib import Path

from colvi_edge.watch.state_folder import DaemonLock, is_held


def test_on_a_full_disk_it_holds_without_words(tmp_path: Path) -> None:
    """Nothing can be written, and nothing fails: who asks is told "?" of its holder, and others wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(DaemonLock(tmp_path / "lock")) as lock, closing(DaemonLock(tmp_path / "lock")) as other:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # Python ignores SIGXFSZ
        try:
            assert lock.take(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        assert (tmp_path / "lock").read_bytes() == b""
        assert lock.holder() == "?"
        assert is_held(tmp_path / "lock")
        assert not other.take(tmp_path)
