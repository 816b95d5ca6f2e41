"""Which mount a folder lies on, and when it is no longer one."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.watch.folder.mounts import Mount, is_away, mount_of

UNSHARED = ["unshare", "--user", "--map-root-user", "--mount"]  # all mounts end with the command
can_unshare = pytest.mark.skipif(
    subprocess.run([*UNSHARED, "true"], capture_output=True).returncode != 0,
    reason="needs a kernel that lets this user unshare mounts",
)


def in_namespace(script: str, folder: Path) -> dict[str, Any]:
    """Run a program where it may mount; return the JSON that it prints.

    It has `mount(path)`, which returns what `mount_of` says of a path now, and `sh(command)`.
    """
    prelude = """
        import json, os, subprocess, sys
        from colvi_edge.watch.folder.mounts import mount_of
        def sh(command):
            subprocess.run(command, shell=True, check=True)
        def mount(path):
            opened = os.open(path, os.O_PATH)
            try:
                return vars(mount_of(opened))
            finally:
                os.close(opened)
        os.chdir(sys.argv[1])
    """
    code = textwrap.dedent(prelude) + textwrap.dedent(script)
    done = subprocess.run(
        [*UNSHARED, sys.executable, "-c", code, str(folder)], check=True, stdout=subprocess.PIPE
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


ROOT = Mount(point="/", kind="ext4", source="/dev/sda", inside="/")
SHARE = Mount(point="/mnt/scope", kind="cifs", source="//pc/images", inside="/")


@pytest.mark.parametrize(
    ("found", "remembered", "away"),
    [
        (ROOT, None, False),
        (ROOT, ROOT, False),
        (ROOT, SHARE, True),
        (Mount(point="/mnt", kind="ext4", source="/dev/sdb", inside="/"), SHARE, True),
        (SHARE, SHARE, False),
        (SHARE, ROOT, False),  # begun before it was mounted
        (
            Mount(point="/mnt/scope", kind="nfs4", source="nas:/x", inside="/"),
            SHARE,
            False,
        ),
        (Mount(point="/mnt/scope", kind="cifs", source="//pc/images", inside="/sub"), SHARE, False),
        (Mount(point="/mnt/scope/deeper", kind="cifs", source="//pc/more", inside="/"), SHARE, False),
        (
            Mount(point="/mnt/sc", kind="ext4", source="/dev/sdb", inside="/"),
            SHARE,
            False,
        ),
        (Mount(point="/srv", kind="ext4", source="/dev/sdb", inside="/"), SHARE, False),
    ],
)
def test_away(found: Mount, remembered: Mount | None, away: bool) -> None:
    """Only what lay on a mount and now lies on the one below it; never because a number changed."""
    assert is_away(found, remembered) == away


def test_the_mount_is_the_one_that_findmnt_gives(tmp_path: Path) -> None:
    """For folders of this machine that lie on mounts of their own."""
    for path in (Path("/"), Path("/proc"), Path("/dev/shm"), Path("/sys")):  # noqa: S108
        command = ["findmnt", "--json", "--output", "TARGET,FSTYPE", "--target", str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["filesystems"][-1]
        opened = os.open(path, os.O_PATH)
        mount = mount_of(opened)
        os.close(opened)

        assert (mount.point, mount.kind) == (found["target"], found["fstype"])


@can_unshare
def test_the_mount_of_an_open_folder(tmp_path: Path) -> None:
    """Its own, also with another on top of it; and after it was unmounted, none."""
    said = in_namespace(
        """
        os.mkdir("share")
        sh("mount -t tmpfs 'the share' share; mkdir share/sub")
        lower = os.open("share/sub", os.O_PATH)
        sh("mount -t tmpfs upper share")
        result = {"upper": mount("share"), "lower": vars(mount_of(lower))}
        sh("umount share; umount --lazy share")
        try:
            result["gone"] = vars(mount_of(lower))
        except OSError as error:
            result["gone"] = error.errno
        result["bare"] = mount("share")["point"]
        print(json.dumps(result))
        """,
        tmp_path,
    )
    point = str(tmp_path / "share")

    assert said["upper"] == {"point": point, "kind": "tmpfs", "source": "upper", "inside": "/"}
    assert said["lower"] == {"point": point, "kind": "tmpfs", "source": "the share", "inside": "/"}
    assert said["gone"] == 116  # ESTALE
    assert tmp_path.is_relative_to(said["bare"])
    assert said["bare"] != point


@can_unshare
def test_a_mount_that_shows_what_is_there_anyway_is_none(tmp_path: Path) -> None:
    """As systemd makes them for ReadWritePaths: over a share, and over the bare folder that it left."""
    said = in_namespace(
        """
        os.makedirs("share"); os.mkdir("other")
        result = {"before": mount("share")}
        sh("mount --bind share share")
        result["bare"] = mount("share")
        sh("umount share; mount -t tmpfs share share; mkdir -p share/deep/er other/x")
        result["share"] = mount("share")
        sh("mount --bind share share; mount --bind share/deep/er share/deep/er")
        result["sandboxed"] = mount("share")
        result["deeper"] = mount("share/deep/er")
        sh("mount --bind share/deep share/deep/er; mount --bind share other")
        result["elsewhere"] = mount("share/deep/er")
        result["other"] = mount("other")
        print(json.dumps(result))
        """,
        tmp_path,
    )

    assert said["bare"] == said["before"]
    assert said["sandboxed"] == said["share"] == said["deeper"]
    assert said["elsewhere"]["point"] == str(tmp_path / "share/deep/er")
    assert said["elsewhere"]["inside"] == "/deep"
    assert said["other"]["point"] == str(tmp_path / "other")
