"""The state folder is local, and where the operating system wants it; the table of mounts is read right."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.errors import OutputError
from colvi_edge.system.mount_table import Mounted, file_system, mountinfo, read_mounts
from colvi_edge.system.state_directory import state_directory


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/colvi-edge"}, "/var/lib/colvi-edge"),
        ({"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}, "/var/lib/one"),
        ({"STATE_DIRECTORY": "/var/lib/a", "XDG_STATE_HOME": "/var/x"}, "/var/lib/a"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/var/x"}, "/var/x/colvi-edge"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/lab"}, "/home/lab/.local/state/colvi-edge"),
        ({"HOME": "/var/home/lab"}, "/var/home/lab/.local/state/colvi-edge"),
    ],
)
def test_the_state_directory(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd's, else the XDG one, else the home's; empty and relative ones do not count."""
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert state_directory() == Path(expected)


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:2 master:3 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/lab\\040one rw - xfs /dev/sdb rw
32 22 0:42 / /mnt/share rw - ext4 /dev/sdc rw
33 32 0:43 / /mnt/share rw - cifs //server/share rw
34 22 0:44 / /mnt/ssh rw - fuse.sshfs user@host: rw
35 22 0:45 / /mnt/ssh/usb rw - fuseblk /dev/sdd rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/colvi-edge", "ext4"),
        ("/home/anna/.local/state", "nfs4"),
        ("/homely/state", "ext4"),
        ("/home/lab one/state", "xfs"),
        ("/mnt/share/state", "cifs"),
        ("/mnt/ssh/state", "fuse.sshfs"),
        ("/mnt/ssh/usb/state", "fuseblk"),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    """The innermost mount counts, of two on one point the upper one; names hold spaces; fields vary."""
    assert file_system(Path(path), MOUNTS) == kind


@pytest.mark.skipif(shutil.which("findmnt") is None, reason="needs findmnt of util-linux")
def test_the_file_system_is_the_one_that_findmnt_gives(tmp_path: Path) -> None:
    """On this machine's mounts, as they are."""
    for path in (tmp_path, Path("/"), Path("/proc/self"), Path("/dev/shm"), Path("/sys"), Path("/dev")):  # noqa: S108
        command = ["findmnt", "--noheadings", "--first-only", "--output", "FSTYPE", "--target", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)

        assert file_system(path, mountinfo()) == done.stdout.split()[-1], path


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "virtiofs", "vboxsf"]
)
def test_network_file_systems_are_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, with the remedy, as is a virtual machine's folder of its host; local ones, FUSE or not, pass."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    real = Path.read_text

    def mounted(self: Path, *args: Any, **kwargs: Any) -> str:
        line = f"99 1 0:9 / {tmp_path} rw - {found} x rw\n"
        return real(self, *args, **kwargs) + (line if self == Path("/proc/self/mountinfo") else "")

    monkeypatch.setattr(Path, "read_text", mounted)
    found = "fuse.fuse-overlayfs"
    assert state_directory() == tmp_path / "state"
    found = kind
    with pytest.raises(OutputError, match=f"lies on {kind}, expected a local disk; set STATE_DIRECTORY"):
        state_directory()


def test_a_line_of_the_table() -> None:
    """Octal escapes are undone, fields that may be there or not are passed over, odd bytes survive."""
    before = "36 35 98:0 /in\\134side /mnt/a\\040b\\012c\udcff\x85 rw,noatime shared:1 master:2"
    line = f"{before} - ext3 /dev/ro\\011ot rw\n"

    assert read_mounts(line) == [
        Mounted(36, 35, "98:0", "/in\\side", "/mnt/a b\nc\udcff\x85", "ext3", "/dev/ro\tot")
    ]
