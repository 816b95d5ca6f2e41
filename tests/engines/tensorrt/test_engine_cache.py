"""Built engines are kept, never mistaken for another, and never half there."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from colvi_edge.engines.cuda.gpu import Gpu, driver_version, find_gpu
from colvi_edge.engines.tensorrt.engine_cache import BuiltEngine, EngineKey, cached_engine
from colvi_edge.errors import OutputError

KEY = EngineKey(
    model_sha256="0" * 64,
    precision="fp16",
    max_batch=256,
    runtime="tensorrt",
    runtime_version="10.3.0",
    gpu="Orin",
    compute_capability="8.7",
    cuda_version="12.6",
    driver="540.4.0, L4T R36.4.3",
    os="Linux",
    architecture="aarch64",
)
OTHER: dict[str, Any] = {
    "model_sha256": "0" * 63 + "1",
    "precision": "int8-trt",
    "max_batch": 16,
    "runtime": "tensorrt_rtx",
    "runtime_version": "10.7.0",
    "gpu": "NVIDIA GeForce RTX 4060",
    "compute_capability": "8.9",
    "cuda_version": "13.0",
    "driver": "580.65.06",
    "os": "Windows",
    "architecture": "x86_64",
}
ENGINE = BuiltEngine(b"plan" * 1000, ("Name: conv",))


class Build:
    """Builds an engine, and remembers what it and the cache were asked for and told."""

    def __init__(self, engine: BuiltEngine = ENGINE) -> None:
        self.engine = engine
        self.told: list[str] = []
        self.builds = 0

    def __call__(self) -> BuiltEngine:
        """Build."""
        self.builds += 1
        return self.engine


def get(folder: Path, key: EngineKey = KEY, engine: BuiltEngine = ENGINE) -> tuple[Path, Build]:
    """Ask the cache for an engine."""
    build = Build(engine)
    return cached_engine(folder, key, build, build.told.append), build


def in_background(code: str, **environment: str) -> "subprocess.Popen[str]":
    """Run code in another process, with what this module has imported."""
    head = """
        import os, sys, time
        from pathlib import Path
        from colvi_edge.engines.tensorrt.engine_cache import BuiltEngine, EngineKey, cached_engine
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"KEY": KEY.model_dump_json()} | environment,
    )


def test_an_engine_is_built_once(tmp_path: Path) -> None:
    """The first call says that there was none and builds; the second reads nothing but what is there."""
    first, building = get(tmp_path / "engines")
    second, found = get(tmp_path / "engines", engine=BuiltEngine(b"other", ()))

    assert (building.builds, found.builds, found.told) == (1, 0, [])
    assert building.told == [f"{first.name} was not built yet"]
    assert first == second
    assert first.read_bytes() == ENGINE.plan
    assert sorted(p.suffix for p in first.parent.iterdir()) == [".engine", ".json", ".lock"]


def test_every_field_of_the_key_is_tried_below() -> None:
    """A new field of the key needs a line here."""
    assert set(OTHER) == set(EngineKey.model_fields)
    assert all(OTHER[field] != getattr(KEY, field) for field in OTHER)


@pytest.mark.parametrize("field", OTHER)
def test_a_mismatch_is_named_and_built_again(field: str, tmp_path: Path) -> None:
    """The one field that differs is named with both values; the others are not; then the engine fits."""
    key = KEY.model_copy(update={field: OTHER[field]})
    was, _ = get(tmp_path / "was")
    there = tmp_path / "is" / get(tmp_path / "elsewhere", key)[0].name  # model, precision, runtime name it
    there.parent.mkdir()
    shutil.copy(was, there)
    shutil.copy(was.with_suffix(".json"), there.with_suffix(".json"))
    new = BuiltEngine(b"new", ())
    rebuilt, build = get(there.parent, key, new)

    assert build.told == [
        f"{there.name} was built for something else: {field} was {getattr(KEY, field)}, is {OTHER[field]}"
    ]
    assert (rebuilt.read_bytes(), get(there.parent, key)[1].builds) == (b"new", 0)


EARLIER: dict[str, Any] = KEY.model_dump(exclude={"cuda_version"}) | {"driver": "12.6"}
"""The key before the driver's version stood in it."""
LATER = {**KEY.model_dump(), "dla": 1}


@pytest.mark.parametrize(
    ("recorded", "changes"),
    [
        (EARLIER, "cuda_version was not told, is 12.6; driver was 12.6, is 540.4.0, L4T R36.4.3"),
        (LATER, "dla was 1, is not asked"),
    ],
)
def test_the_key_of_another_version_is_a_mismatch(
    recorded: dict[str, Any], changes: str, tmp_path: Path
) -> None:
    """Its engine is sound and its record whole, so what differs is named, and the engine is built again."""
    path, _ = get(tmp_path)
    record = path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"key": recorded}))

    assert get(tmp_path)[1].told == [f"{path.name} was built for something else: {changes}"]
    assert get(tmp_path)[1].builds == 0


def test_engines_of_two_precisions_stand_beside_each_other(tmp_path: Path) -> None:
    """And those of two models or runtimes: asking for one leaves the other."""
    keys = [KEY] + [
        KEY.model_copy(update={field: value})
        for field, value in (("precision", "fp32"), ("runtime", "tensorrt_rtx"), ("model_sha256", "1" * 64))
    ]
    for number, key in enumerate(keys):
        get(tmp_path, key, BuiltEngine(bytes([number]), ()))
    found = [get(tmp_path, key) for key in keys]

    assert [path.read_bytes() for path, _ in found] == [b"\0", b"\1", b"\2", b"\3"]
    assert [build.builds for _, build in found] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("suffix", "content", "reason"),
    [
        (".engine", b"plan" * 999, "is damaged"),
        (".engine", b"", "is damaged"),
        (".engine", b"plam" + b"plan" * 999, "is damaged"),
        (".engine", None, "was not built yet"),
        (".json", None, "was not built yet"),
        (".json", b"", "the record of"),
        (".json", b'{"schema_version": 1, "key": {}, "sha256": "", "layers": []}', "the record of"),
        (".json", b"\xff\xfe[[[", "the record of"),
    ],
)
def test_damage_is_answered_by_a_build(
    suffix: str, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    """Short, empty, changed or gone: the engine or its record; the reason says which."""
    path, _ = get(tmp_path)
    spoiled = path.with_suffix(suffix)
    spoiled.unlink()
    if content is not None:
        spoiled.write_bytes(content)
    rebuilt, build = get(tmp_path)

    assert build.builds == 1
    assert reason in build.told[0]
    assert rebuilt.read_bytes() == ENGINE.plan
    assert get(tmp_path)[1].builds == 0


def test_a_build_that_fails_keeps_nothing_and_blocks_nothing(tmp_path: Path) -> None:
    """Its error comes out as it is, and the next one builds."""

    def fail() -> BuiltEngine:
        raise OSError(5, "the builder's own")

    with pytest.raises(OSError, match="the builder's own") as raised:
        cached_engine(tmp_path, KEY, fail, lambda words: None)

    assert not isinstance(raised.value, OutputError)
    assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]
    assert get(tmp_path)[1].builds == 1


def test_of_processes_that_ask_at_once_one_builds(tmp_path: Path) -> None:
    """The others wait, say so, and get the same engine."""
    code = f"""
        folder = Path({str(tmp_path)!r})
        def note(name):
            with (folder / name).open("a") as file:
                file.write("x")
        def build():
            note("builds")
            end = time.monotonic() + 20
            while not (folder / "waits").exists() or (folder / "waits").stat().st_size < 2:
                assert time.monotonic() < end, "nobody waits"
                time.sleep(0.01)
            return BuiltEngine(b"by " + str(os.getpid()).encode(), ())
        def tell(words):
            print(words)
            if words.startswith("another process builds"):
                note("waits")
        print("ready", flush=True)
        sys.stdin.readline()
        key = EngineKey.model_validate_json(os.environ["KEY"])
        print(cached_engine(folder, key, build, tell).read_text())
    """
    processes = [in_background(code) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].splitlines() for process in processes]

    assert (tmp_path / "builds").read_text() == "x"
    assert len({lines[-1] for lines in said}) == 1
    assert sorted("was not built yet" in lines[0] for lines in said) == [False, False, True]
    assert [len(lines) for lines in said] == [2, 2, 2], "who has waited builds nothing"


@pytest.mark.parametrize("before", [None, BuiltEngine(b"old", ())])
def test_kill_in_the_middle_of_a_write(before: BuiltEngine | None, tmp_path: Path) -> None:
    """What was there is still there, or nothing; the next call builds, and no litter stays."""
    old = KEY.model_copy(update={"driver": "12.2"})
    if before:
        get(tmp_path, old, before)
    code = f"""
        def stop(descriptor):
            print("written", flush=True)
            time.sleep(60)
        os.fsync = stop  # the content is written, but not under its name
        key = EngineKey.model_validate_json(os.environ["KEY"])
        cached_engine(Path({str(tmp_path)!r}), key, lambda: BuiltEngine(b"n" * 2**20, ()), lambda words: None)
    """
    process = in_background(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    engines = [path.read_bytes() for path in tmp_path.glob("*.engine")]
    litter = [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]

    assert engines == ([before.plan] if before else [])
    assert len(litter) == 1, "the kill came too early or too late to show anything"
    if before:
        assert get(tmp_path, old)[1].builds == 0
    assert get(tmp_path)[0].read_bytes() == ENGINE.plan
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".engine", ".json", ".lock"]


def test_kill_between_engine_and_record(tmp_path: Path) -> None:
    """A new engine beside the old one's record fits no sum and is built again."""
    old = KEY.model_copy(update={"driver": "12.2"})
    path, _ = get(tmp_path, old, BuiltEngine(b"old", ()))
    path.write_bytes(ENGINE.plan)

    assert get(tmp_path, old, BuiltEngine(b"old", ()))[1].told == [f"{path.name} is damaged"]


def test_a_full_disk(tmp_path: Path) -> None:
    """One sentence with the remedy, and no litter where there was no room."""
    code = f"""
        import resource
        from colvi_edge.errors import OutputError
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))  # writes fail half way, as on a full disk
        key = EngineKey.model_validate_json(os.environ["KEY"])
        large = BuiltEngine(b"n" * 2**20, ())
        try:
            cached_engine(Path({str(tmp_path)!r}), key, lambda: large, lambda words: None)
        except OutputError as error:
            print(error)
    """
    said, _ = in_background(code).communicate(timeout=30)

    assert said.startswith(f"cannot keep engines in {tmp_path}: File too large; set STATE_DIRECTORY or ")
    assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]


def test_a_state_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """Said before the build, which takes minutes, and with the remedy."""
    (tmp_path / "file").write_text("in the way")
    build = Build()
    with pytest.raises(OutputError, match=r"cannot keep engines in .*: Not a directory; set STATE_DIRECTORY"):
        cached_engine(tmp_path / "file" / "engines", KEY, build, build.told.append)

    assert build.builds == 0


def test_an_engine_in_a_read_only_folder_is_used(tmp_path: Path) -> None:
    """Prepared once, then mounted read-only: what fits is taken without a lock."""
    path, _ = get(tmp_path)
    path.with_suffix(".lock").unlink()
    path.with_suffix(
        ".lock"
    ).mkdir()  # whoever is root may write anywhere, but cannot open a folder as a file

    assert get(tmp_path)[1].builds == 0


DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return flags == 0 ? INIT : 1; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return ordinal ? 101 : 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin", size); return device - 7; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
    return device - 7;
}
"""


MANAGEMENT = """
#include <string.h>
int ready;
int nvmlInit_v2(void) { ready = INIT == 0; return INIT; }
int nvmlSystemGetDriverVersion(char *version, unsigned size) {
    if (!ready) return 1;
    strncpy(version, "551.23", size);
    return 0;
}
int nvmlShutdown(void) { ready = 0; return 0; }
"""
FOUND = "from colvi_edge.engines.cuda.gpu import find_gpu; print(find_gpu())"
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def said_beside(folder: Path, code: str, libraries: dict[str, str], init: int = 0) -> str:
    """Return what code prints in a process that finds libraries of these sources."""
    for name, source in libraries.items():
        (folder / "source.c").write_text(source)
        made = [
            "cc",
            "-shared",
            "-fPIC",
            f"-DINIT={init}",
            "-o",
            str(folder / name),
            str(folder / "source.c"),
        ]
        subprocess.run(made, check=True)
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder)}
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return done.stdout.strip()


@needs_cc
@pytest.mark.parametrize("init", [0, 100])
def test_the_gpu_is_what_the_driver_says(init: int, tmp_path: Path) -> None:
    """Asked through a compiled library with the functions of CUDA's header; 100 is "no device"."""
    gpu = Gpu("Orin", "8.7", "12.6")

    assert said_beside(tmp_path, FOUND, {"libcuda.so.1": DRIVER}, init) == str(None if init else gpu)


PROPRIETARY = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  560.35.03  Fri Aug 16 21:39:15 UTC 2024
GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)
"""
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  (builder@host)\n"
L4T = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025\n"


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver")
@pytest.mark.parametrize(
    ("module", "l4t", "version"),
    [
        (PROPRIETARY, None, "560.35.03"),
        (OPEN, L4T, "540.4.0, L4T R36.4.3"),
        (OPEN, "unheard of\n", "540.4.0"),
        (None, L4T, "L4T R36.4.3"),
        ("", "", "unknown"),
        (None, None, "unknown"),
    ],
)
def test_the_drivers_version(module: str | None, l4t: str | None, version: str, tmp_path: Path) -> None:
    """The kernel module's own words, on a Jetson with those of its system."""
    for name, text in (("module", module), ("l4t", l4t)):
        if text is not None:
            (tmp_path / name).write_text(text)

    assert driver_version(tmp_path / "module", tmp_path / "l4t") == version


@needs_cc
@pytest.mark.parametrize(("init", "version"), [(0, "551.23"), (9, "unknown")])
def test_where_the_kernel_module_says_nothing_nvml_does(init: int, version: str, tmp_path: Path) -> None:
    """As under WSL, whose kernel has no such module; 9 is "driver not loaded"."""
    code = """
        import sys
        from pathlib import Path
        from colvi_edge.engines.cuda.gpu import driver_version
        print(driver_version(Path(sys.argv[1], "absent"), Path(sys.argv[1], "absent")))
    """
    found = said_beside(tmp_path, textwrap.dedent(code), {"libnvidia-ml.so.1": MANAGEMENT}, init)

    assert found == version


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver")
@pytest.mark.skipif("tegra" in platform.release(), reason="this machine is a Jetson")
def test_without_a_driver_there_is_no_gpu() -> None:
    """None, not an error."""
    assert find_gpu() is None
