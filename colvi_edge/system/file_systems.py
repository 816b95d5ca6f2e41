"""The table of file systems: whether inotify hears other machines on them, and whether locks hold."""

from typing import NamedTuple


class Promises(NamedTuple):
    """What a kind of file system can be trusted with.

    Attributes:
        hears_others: whoever writes there does it through this kernel, so that inotify tells of it.
        locks_hold: a lock on a file depends on this machine alone.
    """

    hears_others: bool
    locks_hold: bool


_LOCAL = Promises(hears_others=True, locks_hold=True)
# Its writers may be anywhere; many are local, as an NTFS disk (fuseblk) or a layered folder (fuse-overlayfs).
_FUSE = Promises(hears_others=False, locks_hold=True)
# Of a microscope's writes, inotify gave not one on CIFS and NFS; locks depend on the server.
_ELSEWHERE = Promises(hears_others=False, locks_hold=False)

_KINDS = {
    "fuse": _FUSE,
    "fuseblk": _FUSE,
    # Of a server, or of several machines at once.
    **dict.fromkeys(
        [
            *("9p", "afs", "beegfs", "ceph", "ceph-fuse", "cifs", "coda", "curlftpfs", "davfs"),
            *("gcsfuse", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs"),
            *("rclone", "s3fs", "smb3", "smbfs", "sshfs"),
        ],
        _ELSEWHERE,
    ),
    # A virtual machine's folder of its host.
    **dict.fromkeys(["prl_fs", "vboxsf", "virtiofs", "vmhgfs", "vmhgfs-fuse"], _ELSEWHERE),
}


def promises(kind: str) -> Promises:
    """Return what a kind promises.

    Args:
        kind: as the table of mounts has it, such as "ext4", "cifs" or "fuse.sshfs".
    """
    if kind.startswith("fuse."):
        return _KINDS.get(kind.removeprefix("fuse."), _FUSE)
    return _KINDS.get(kind, _LOCAL)
