"""Where this machine keeps what it can make again: built engines and the like."""

import os
import re
from pathlib import Path

from colvi_edge.errors import OutputError

_NETWORK = re.compile(
    r"(fuse\.)?(9p|afs|beegfs|ceph|cifs|coda|curlftpfs|davfs|gcsfuse|glusterfs|gpfs|lustre|ncpfs|nfs4?|"
    r"ocfs2|orangefs|rclone|s3fs|smb3|smbfs|sshfs)"
)


def state_directory() -> Path:
    """Return the state directory: $STATE_DIRECTORY, else $XDG_STATE_HOME/colvi-edge, else the home's.

    It need not exist. systemd sets the first; where a unit has several, the first of them counts.

    Raises:
        OutputError: it lies on a network file system, or there is no home.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    path = Path(given) if given else _user_state() / "colvi-edge"
    kind = file_system(path, Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    if _NETWORK.fullmatch(kind):
        # Locks there depend on the server, and two machines with one home would undo each other's engines.
        raise OutputError(
            f"{path} lies on {kind}, expected a local disk; set STATE_DIRECTORY or XDG_STATE_HOME to one"
        )
    return path


def file_system(path: Path, mountinfo: str) -> str:
    """Return the type of the file system that a path lies on, such as "ext4", or would if it existed.

    Args:
        path: any.
        mountinfo: text of /proc/self/mountinfo.
    """
    real = path.resolve()
    kind, depth = "", -1
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split(" ")[4]))
        # Of two mounts on one point the later lies on top.
        if real.is_relative_to(mount) and len(mount.parts) >= depth:
            kind, depth = after.split(" ")[0], len(mount.parts)
    return kind


def _user_state() -> Path:
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    if given.is_absolute():  # the XDG specification has relative ones ignored
        return given
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OutputError("this user has no home folder; set STATE_DIRECTORY to a local folder") from error
