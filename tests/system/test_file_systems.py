"""One table says of each kind of file system whether it is polled, and whether state may lie there."""

import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from colvi_edge.system.file_systems import promises
from colvi_edge.watch.folder.paths import FolderPaths
from colvi_edge.watch.ipc.settings import ScannerSettings, Scanning
from colvi_edge.watch.ledger.ledger import Ledger
from colvi_edge.watch.ledger.reader import LedgerReader
from colvi_edge.watch.scanner.claimed_folders import ClaimedFolders
from colvi_edge.watch.scanner.session import FolderSession

NETWORK = [
    *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "curlftpfs", "davfs", "gcsfuse"),
    *("glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "rclone"),
    *("s3fs", "smb3", "smbfs", "sshfs"),
]
OF_A_HOST = ["prl_fs", "vboxsf", "virtiofs", "vmhgfs", "fuse.vmhgfs-fuse"]


@pytest.mark.parametrize("kind", [*NETWORK, *(f"fuse.{kind}" for kind in NETWORK), *OF_A_HOST])
def test_of_other_machines(kind: str) -> None:
    """Others write there unseen by this kernel, and a lock is what the server makes of it."""
    assert promises(kind) == (False, False)


@pytest.mark.parametrize("kind", ["fuse", "fuseblk", "fuse.fuse-overlayfs", "fuse.ntfs-3g"])
def test_of_a_program_of_this_machine(kind: str) -> None:
    """Writers unseen as likely as not, but a disk in this machine."""
    assert promises(kind) == (False, True)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "vfat", "exfat", "ntfs3", "f2fs", ""]
)
def test_local_disks(kind: str) -> None:
    """Whoever writes there does it through this kernel, which tells."""
    assert promises(kind) == (True, True)


@pytest.mark.parametrize(("kind", "listens"), [("ext4", True), ("davfs", False), ("vboxsf", False)])
def test_the_scanner_listens_where_others_are_heard(kind: str, listens: bool, tmp_path: Path) -> None:
    """Events come in a thread of their own; where there are none worth having, there is no such thread."""
    Ledger(tmp_path / "ledger.sqlite").close()
    root = tmp_path / "scope"
    root.mkdir()
    folders = ClaimedFolders(FolderPaths(root), None, None)
    folders.mount = replace(folders.mount, kind=kind)
    settings = ScannerSettings(FolderPaths(root), Scanning(), tmp_path / "ledger.sqlite")
    with closing(folders), closing(LedgerReader(tmp_path / "ledger.sqlite")) as ledger:
        threads = threading.active_count()
        session = FolderSession(folders, settings, {}, ledger, lambda message: None, lambda: None)
        with closing(session):
            session.step()
            assert (threading.active_count() > threads) == listens
