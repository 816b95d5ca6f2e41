"""What uninstall-service takes away and leaves, below another root; the real thing under a real systemd."""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from colvi_edge.errors import UsageError
from colvi_edge.watch.service.paths import Service
from colvi_edge.watch.service.uninstall import plan_removal
from tests.tools.services import contents, escaped, install, make_root

pytestmark = pytest.mark.systemd

FOLDER, OTHER = Path("/srv/scope 1-left"), Path("/srv/lab/other")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of another system, whose folders hold raw files and results."""
    root = make_root(tmp_path / "image", FOLDER, OTHER)
    (root / "dev").mkdir()
    (root / "dev/nvidiactl").touch()  # so that the template has a drop-in
    for folder in (FOLDER, OTHER):
        for name in ("a.tif", "a.tif.colvi.json", ".colvi-edge.lock"):
            (root / str(folder)[1:] / name).write_text(f"{folder} {name}")
    return root


def live(folder: Path, root: Path) -> Service:
    """Install a service, enable it by the printed command, and leave what its daemon would."""
    lines = install(folder, root)
    (enable,) = (line for line in lines if "systemctl" in line)
    subprocess.run(shlex.split(enable), check=True, capture_output=True)
    service = Service(folder, root)
    service.state.mkdir(parents=True)
    (service.state / "ledger.sqlite").write_text("ledger")
    (root / "var/lib/colvi-edge/engines").mkdir(exist_ok=True)
    return service


def uninstall(folder: Path, root: Path, *, purge: bool = False) -> list[str]:
    """Take a service away and return what the operator was told."""
    planned = plan_removal(folder, purge=purge, root=root)
    planned.carry_out()
    return planned.told()


def told(state: str, lines: list[str], root: Path) -> set[str]:
    """Return the names, relative to a root, of all that has a state."""
    found = (line.split(maxsplit=1) for line in lines if line.startswith("  ") and line.strip()[0] != "(")
    return {what.removeprefix(f"{root}/") for word, what in found if word == state}


def test_purged_nothing_is_left(root: Path) -> None:
    """Every file and folder is as it was before the service came; only the folder stays, and is named."""
    before = contents(root)
    live(FOLDER, root)

    lines = uninstall(FOLDER, root, purge=True)

    assert contents(root) == before
    assert told("stays", lines, root) == {str(FOLDER)[1:]}


def test_what_is_left_is_what_is_said(root: Path) -> None:
    """Settings and state stay, and come back into use; all that goes is named, and nothing else goes."""
    before = contents(root)
    service = live(FOLDER, root)
    settings = f"etc/colvi-edge{FOLDER}.env"
    installed = contents(root)

    lines = uninstall(FOLDER, root)

    left = contents(root)
    files = {name for name, content in installed.items() if content is not None and name not in left}
    assert told("removed", lines, root) == files
    state = str(service.state.relative_to(root))
    assert set(left) - set(before) == {
        *("etc/colvi-edge", "etc/colvi-edge/srv", settings),
        *("var/lib/colvi-edge", "var/lib/colvi-edge/engines", "var/lib/colvi-edge/watch", state),
        f"{state}/ledger.sqlite",
    }
    assert told("stays", lines, root) == {settings, state, "var/lib/colvi-edge", str(FOLDER)[1:]}

    live_again = install(FOLDER, root)
    assert f"  unchanged   {root / settings}" in live_again
    uninstall(FOLDER, root, purge=True)
    assert contents(root) == before


@pytest.mark.parametrize("purge", [False, True])
def test_the_template_goes_with_the_last_folder(root: Path, purge: bool) -> None:
    """Of two services the second works on untouched, whatever becomes of the first."""
    before = contents(root)
    live(OTHER, root)
    with_other = contents(root)
    live(FOLDER, root)

    lines = uninstall(FOLDER, root, purge=purge)

    left = contents(root)
    assert {name: left[name] for name in with_other} == with_other
    assert not purge or left == with_other
    assert "etc/systemd/system/colvi-edge@.service" in told("stays", lines, root)
    assert f"used by colvi-edge@{escaped(OTHER)}.service" in "\n".join(lines)
    uninstall(OTHER, root, purge=purge)
    assert not list((root / "etc/systemd/system").iterdir())
    if purge:
        assert contents(root) == before


def test_the_ledger_of_a_folder_that_was_not_purged_outlives_the_last_purge(root: Path) -> None:
    """It was promised to stay."""
    kept = live(OTHER, root)
    uninstall(OTHER, root)
    live(FOLDER, root)

    lines = uninstall(FOLDER, root, purge=True)

    assert (kept.state / "ledger.sqlite").exists()
    assert "var/lib/colvi-edge" in told("stays", lines, root)


@pytest.mark.parametrize("gone", range(7))
def test_half_of_it_may_be_gone_already(root: Path, gone: int) -> None:
    """Each part in turn, and the folder itself; a second call finds nothing more to do."""
    before = contents(root)
    service = live(FOLDER, root)
    (link,) = service.links()
    parts = [service.template, service.template_drop_ins, service.drop_ins, service.environment, link.parent]
    parts += [service.state, service.below(FOLDER)]
    if parts[gone].is_dir():
        shutil.rmtree(parts[gone])
    else:
        parts[gone].unlink()

    uninstall(FOLDER, root, purge=True)

    raw = str(FOLDER)[1:]
    removed = {name for name in before if gone == 6 and name.startswith(raw)}
    assert set(contents(root)) == set(before) - removed
    with pytest.raises(UsageError, match="found no service of this folder"):
        uninstall(FOLDER, root, purge=True)


def test_a_change_of_the_operators_is_kept_until_purged(root: Path) -> None:
    """What 'systemctl edit' made, of the service and of the template."""
    service = live(FOLDER, root)
    mine = [folder / "override.conf" for folder in (service.drop_ins, service.template_drop_ins)]
    for path in mine:
        path.write_text("[Service]\nNice=1\n")

    lines = uninstall(FOLDER, root)

    assert all(path.exists() for path in mine)
    assert {str(path.relative_to(root)) for path in mine} <= told("stays", lines, root)
    install(OTHER, root)
    assert "used by" not in "\n".join(uninstall(OTHER, root))  # what was kept does not count as a service
    uninstall(FOLDER, root, purge=True)
    assert not list((root / "etc/systemd/system").iterdir())


def test_a_folder_without_a_service_is_refused_with_those_that_have_one(root: Path) -> None:
    """A slip of the finger must not end with 'removed nothing, all is well'."""
    live(OTHER, root)
    with pytest.raises(UsageError, match=r"expected one of colvi-edge@srv-lab-other\.service"):
        plan_removal(Path("/srv/lab/othr"), root=root)


def test_a_dry_run_removes_nothing(root: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """And says the same as the call that does, as what would be."""
    live(FOLDER, root)
    before = contents(root)
    command = ("uninstall-service", FOLDER, "--purge", "--prefix", root)

    code, out, _ = run(*command, "--dry-run")

    assert (code, contents(root)) == (0, before)
    done = run(*command)[1]
    words = (("removed   ", "would be removed"), ("stays     ", "would stay      "), (" " * 10, " " * 16))
    for does, would in words:
        done = done.replace(f"\n  {does}  ", f"\n  {would}  ")
    assert out == done + "\nNothing was removed: --dry-run.\n"
    assert "would be removed" in out
    assert "would stay" in out


def test_a_link_in_the_state_folder_leads_nowhere(root: Path, tmp_path: Path) -> None:
    """The daemon's user may put one there, and root removes: the link, and not what it names."""
    service = live(FOLDER, root)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (service.state / "link").symlink_to(tmp_path / "precious")
    uninstall(FOLDER, root, purge=True)
    assert (tmp_path / "precious/file").exists()

    live(FOLDER, root)
    shutil.rmtree(service.state)
    service.state.symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError, match="leads out of --prefix"):
        uninstall(FOLDER, root, purge=True)
    assert (tmp_path / "precious/file").exists()
    service.state.unlink()
    (root / "srv/precious").mkdir()
    service.state.symlink_to(root / "srv/precious")
    (service.state.parent / "other").mkdir()  # so that the whole is not removed with it
    uninstall(FOLDER, root, purge=True)
    assert (root / "srv/precious").exists()
    assert not service.state.is_symlink()
