"""The command line starts light, and the runtime never needs torch."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import colvi_edge
from colvi_edge.bundle import demo_path
from colvi_edge.simulate import simulate_projection, write_imagej
from tests.tools.bundles import rename
from tests.tools.imports import Seen, seen_in, witnessed
from tests.tools.terminal import read_terminal

HEAVY = [
    "PIL",
    "imagecodecs",
    "liffile",
    "numpy",
    "onnxruntime",
    "openvino",
    "regex",
    "tifffile",
    "torch",
    "yaml",
]
"""Not pydantic, as typer itself has it: of a command, see `ours_with_pydantic`."""


def ours_with_pydantic() -> set[str]:
    """Return which modules of the package import pydantic as they are loaded, by their text."""
    root = Path(colvi_edge.__file__).parent
    found = {
        ".".join(file.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in root.rglob("*.py")
        if re.search(r"^(from|import) pydantic\b", file.read_text(), re.MULTILINE)
    }
    assert "colvi_edge.outputs.sidecar.records" in found
    return found


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after running code."""
    probe = f"{code}\nimport sys\nprint('\\n'.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else() -> None:
    """`import colvi_edge` does no work."""
    assert modules_after("import colvi_edge").isdisjoint({*HEAVY, "typer", "rich"})


def test_the_command_line_loads_the_export_only_when_asked() -> None:
    """Whoever asks for help pays for none of it, nor for what confines, reads, writes and hashes."""
    code = (
        "import importlib.util, sys\nimport colvi_edge.cli\n"
        "heavy = ('acquisition', 'bench', 'bundle', 'engines', 'export', 'outputs', 'pipeline', 'report',\n"
        "         'system', 'watch')\n"
        "for room in heavy:\n"
        "    assert not [name for name in sys.modules if name.startswith(f'colvi_edge.{room}')], room\n"
        "    assert importlib.util.find_spec(f'colvi_edge.{room}'), room\n"
    )

    modules_after(code)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["demo", "--help"], ["--version"]])
def test_help_needs_no_heavy_package(arguments: list[str]) -> None:
    """Help works anywhere and at once."""
    code = (
        "import contextlib, io, sys\n"
        f"sys.argv = ['colvi-edge', *{arguments!r}]\n"
        "from colvi_edge.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main()\n"
    )

    assert modules_after(code).isdisjoint(HEAVY)


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    """A folder with a raw file that has come to rest."""
    folder = tmp_path / "scope"
    folder.mkdir()
    raw = folder / "a.tif"
    write_imagej(raw, simulate_projection("patient", 1, size_px=128))
    os.utime(raw, (1e9, 1e9))
    raw.with_name("a.tif.done").touch()
    return folder


def watch_once(tmp_path: Path, folder: Path, *options: str, terminal: bool) -> tuple[Seen, Seen, str]:
    """Run `watch --once` to its end; return its supervisor, its scanner, and what the supervisor wrote."""
    imports = tmp_path / "imports"
    words = ["watch", str(folder), "--bundle", "demo", "--once", "--marker", ".done", *options]
    with read_terminal() as (end, seen):
        done = subprocess.run(
            [sys.executable, "-m", "colvi_edge", *words],
            env={**witnessed(imports), "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stderr=end if terminal else subprocess.PIPE,
            check=False,
        )
    said = b"".join(seen) if terminal else done.stderr
    assert done.returncode == 0, said
    assert (folder / "a.tif.colvi.json").exists(), said
    processes = {" ".join(process.command[1:4]): process for process in seen_in(imports)}
    (scanner,) = (one for words, one in processes.items() if "colvi_edge.watch.scanner" in words)
    (worker,) = (one for words, one in processes.items() if "colvi_edge.watch.worker" in words)
    assert worker.packages >= {"numpy", "openvino", "pydantic", "tifffile"}, "the witness is blind"
    return processes["-m colvi_edge watch"], scanner, said.decode()


def test_who_watches_on_a_terminal_loads_nothing_heavy(tmp_path: Path, scope: Path) -> None:
    """Neither for the bar, which is shown, nor to walk the folder; a crash of theirs would be a daemon's."""
    supervisor, scanner, said = watch_once(tmp_path, scope, terminal=True)

    assert "Diagnosing" in said
    assert "rich" in supervisor.packages
    assert supervisor.packages.isdisjoint(HEAVY)
    assert supervisor.modules.isdisjoint(ours_with_pydantic())
    assert "watchdog" in scanner.packages
    assert scanner.packages.isdisjoint({*HEAVY, "pydantic", "rich"})


def test_who_watches_with_several_bundles_opens_none(tmp_path: Path, scope: Path) -> None:
    """Their names are asked of a process of its own, which ends before anything is watched."""
    second = tmp_path / "second.colvi"
    shutil.copytree(demo_path(), second)
    rename(second, "second", "1.0")
    words = ["watch", str(scope), "--bundle", "demo", "--bundle", str(second), "--once", "--marker", ".done"]
    environment = witnessed(tmp_path / "seen") | {"STATE_DIRECTORY": str(tmp_path / "state")}
    command = [sys.executable, "-m", "colvi_edge", *words]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    (supervisor,) = (one for one in seen_in(tmp_path / "seen") if "watch" in one.command)

    assert supervisor.packages.isdisjoint({*HEAVY, "rich"})
    assert supervisor.modules.isdisjoint(ours_with_pydantic())


def test_who_watches_for_a_service_loads_not_even_a_bar(tmp_path: Path, scope: Path) -> None:
    """Whatever it keeps: numbers, a page, a state."""
    kept = ["--metrics", str(tmp_path / "numbers.prom"), "--report", str(tmp_path / "page.html")]

    supervisor, scanner, _ = watch_once(tmp_path, scope, *kept, terminal=False)

    assert (tmp_path / "page.html").exists()
    assert (tmp_path / "numbers.prom").exists()
    assert supervisor.packages.isdisjoint({*HEAVY, "watchdog"})
    assert supervisor.modules.isdisjoint(ours_with_pydantic())
    assert scanner.packages.isdisjoint({*HEAVY, "pydantic", "rich"})


def test_the_runtime_never_imports_torch() -> None:
    """What runs at the microscope needs nothing of what ran where the network was trained."""
    runtime = (
        "import colvi_edge.pipeline, colvi_edge.cli.demo, colvi_edge.doctor, colvi_edge.engines.openvino"
    )

    assert "torch" not in modules_after(runtime)
    assert "onnxruntime" not in modules_after(runtime)


def test_an_engine_that_is_not_installed_is_named_with_its_remedy() -> None:
    """Asked for a runtime that is not there: exit code 3's error, and no other engine in its place."""
    code = (
        "import sys\n"
        "sys.modules['onnxruntime'] = None\n"  # import raises ModuleNotFoundError, as if not installed
        "from colvi_edge.bundle import open_bundle\n"
        "from colvi_edge.engines import open_engine\n"
        "from colvi_edge.errors import EngineUnavailableError\n"
        "try:\n"
        "    open_engine(open_bundle('demo'), 'onnxruntime')\n"
        "except EngineUnavailableError as error:\n"
        "    assert error.exit_code == 3 and 'pip install' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('no error')\n"
    )

    modules_after(code)


def test_auto_falls_back_to_onnxruntime_and_says_so() -> None:
    """Without OpenVINO the reference engine is taken, and the reason says what is missing."""
    code = (
        "import sys\n"
        "sys.modules['openvino'] = None\n"
        "from colvi_edge.bundle import open_bundle\n"
        "from colvi_edge.engines import open_engine\n"
        "info = open_engine(open_bundle('demo')).info\n"
        "assert info.runtime == 'onnxruntime' and 'OpenVINO is not installed' in info.reason, info\n"
    )

    modules_after(code)


@pytest.mark.parametrize("missing", ["torch", "onnx", "scipy"])
def test_export_without_its_extra_says_what_to_install(missing: str) -> None:
    """The runtime is installed without them; asking it to export is exit code 3 and one sentence."""
    code = (
        "import sys\n"
        "class Without:\n"  # None in sys.modules would trip SciPy, which looks there for torch
        "    def find_spec(name, path, target=None):\n"
        f"        if name == '{missing}':\n"
        f"            raise ModuleNotFoundError('No module named {missing}', name='{missing}')\n"
        "sys.meta_path.insert(0, Without)\n"
        "sys.argv = ['colvi-edge', 'export', 'model.pt', '-o', 'x.colvi']\n"
        "from colvi_edge.cli import main\n"
        "main()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert "pip install 'colvi-edge[export]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_model_of_others_without_torch_says_what_to_install(command: str, tmp_path: Path) -> None:
    """It is read in a child process, which says the same sentence, whenever it is that torch is needed."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    model = tmp_path / "model.onnx"
    model.write_bytes(b"\x08\x08\x12\x04test")
    (tmp_path / "images").mkdir()
    words: dict[str, list[str | Path]] = {
        "evaluate": [tmp_path / "images"],
        "export": ["-o", tmp_path / "out" / "m.colvi"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "colvi_edge", command, model, *words[command]],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert "pip install 'colvi-edge[export]'" in done.stderr
    assert "Traceback" not in done.stderr
