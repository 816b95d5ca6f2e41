"""What an operator asks about is found, whoever watches it; else a sentence says what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from colvi_edge.errors import OutputError, UsageError
from colvi_edge.watch import state_folder
from colvi_edge.watch.folder.pinned import PinnedFolder
from colvi_edge.watch.folder.share_lock import ShareLock
from colvi_edge.watch.service.lookup import find_state_folder
from colvi_edge.watch.service.paths import Service
from colvi_edge.watch.state_folder import DaemonLock, StateFolder
from tests.tools.asking import tell_retry, tell_status
from tests.tools.watched_folder import Place


def test_a_folder_that_was_never_watched(place: Place, tmp_path: Path) -> None:
    """The sentence says where a state was expected, and how one begins."""
    (tmp_path / "other").mkdir()
    with pytest.raises(
        UsageError, match=r"other was never watched .*state or .*service; start with"
    ) as error:
        tell_status(tmp_path / "other", as_json=False)

    assert str(error.value).count(str(tmp_path)) == 4
    assert str(error.value).endswith(f"start with: colvi-edge watch {tmp_path}/other --bundle BUNDLE")


def test_a_service_that_was_not_started_yet(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is begun as a service, by its name as systemd and a shell take it."""
    (tmp_path / "a folder").mkdir()
    name = Service(tmp_path / "a folder").name
    (tmp_path / f"system/etc/systemd/system/{name}.d").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        find_state_folder(Path("a folder"), tmp_path / "system")

    assert str(error.value).endswith(
        f"start with: sudo systemctl enable --now '{name.removesuffix('.service')}'"
    )


def test_a_daemon_whose_state_was_removed_runs_all_the_same(place: Place, tmp_path: Path) -> None:
    """Its lock in the watched folder shows that it lives, also when nothing else does."""
    place.root.mkdir()
    shutil.rmtree(place.state.path)
    with pytest.raises(UsageError, match="was never watched"):
        find_state_folder(place.root)
    with PinnedFolder(place.root) as pinned:
        lock = ShareLock(pinned)
        with pytest.raises(
            OutputError, match=r"^a daemon watches .*scope, but what it keeps is not in .*state"
        ):
            find_state_folder(place.root)
        lock.close()
    with pytest.raises(UsageError, match="was never watched"):
        find_state_folder(place.root)


def test_the_state_of_the_service_is_found(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asks has another state directory than the service; the one that runs counts."""
    monkeypatch.setattr(state_folder, "SERVICE_STATE", tmp_path / "state")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "mine"))
    assert tell_status(place.root, as_json=False) == 0
    StateFolder.of(place.root)
    mine = StateFolder.of(place.root)
    DaemonLock(mine.lock).close()
    assert mine.path.is_relative_to(tmp_path / "mine")

    assert find_state_folder(place.root).path == place.state.path
    place.lock.close()
    assert find_state_folder(place.root).path == mine.path
    place.lock = DaemonLock(place.state.lock)
    capsys.readouterr()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody who may not look")
def test_what_may_not_be_read_is_a_sentence(place: Place) -> None:
    """For another user than the service's: who to ask as, and no traceback."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from colvi_edge.watch.service.retry import retry\n"
        "from colvi_edge.watch.service.status import gather_status\n"
        "from colvi_edge.errors import OutputError\n"
        "from colvi_edge.watch import state_folder\n"
        "state_folder.SERVICE_STATE = Path(sys.argv[2])\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for command in (gather_status, retry):\n"
        "    try:\n"
        "        command(Path(sys.argv[1]))\n"
        "    except OutputError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", code, str(place.root), str(place.state.path.parents[1])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout.count("Permission denied; ask as root, or as the user of the service") == 2


def test_a_folder_that_is_not_there(place: Place, tmp_path: Path) -> None:
    """Is not called one that nobody watches; one that was watched is away, and has its status."""
    wrong = tmp_path / "scpoe"
    asks: tuple[Callable[[], int], ...] = (
        lambda: tell_status(wrong, as_json=False),
        lambda: tell_retry(wrong),
    )
    for ask in asks:
        with pytest.raises(UsageError, match=r"scpoe does not exist, and nothing .*; check the name"):
            ask()

    assert not place.root.exists()
    assert tell_status(place.root, as_json=False) == 0
