"""What machines tell of themselves: this one, and others whose files and tools are laid out here."""

import os
import platform
from pathlib import Path

import pytest

from colvi_edge.bench.measuring.machine import clocks, describe

X86 = """\
processor\t: 0
cpu family\t: 26
model\t\t: 2
model name\t: A Processor 9000
stepping\t: 1
cpu MHz\t\t: 2599.998
flags\t\t: fpu vme hypervisor avx512_vnni

processor\t: 1
cpu MHz\t\t: 1200.4
"""
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n"


def lay_out(root: Path, files: dict[str, str]) -> Path:
    """Write files of /proc and /sys below a root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def install(folder: Path, name: str, script: str) -> None:
    """Put a program there that does what a script says."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose programs are the only ones that are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_this_machine_tells_what_it_is(tmp_path: Path) -> None:
    """Nothing that a reader needs is missing: processor, cores, memory, disk, versions."""
    found = describe(tmp_path)

    assert found.cpu
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.memory_gib == pytest.approx(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, rel=0.02, abs=0.1
    )
    assert platform.release() in found.system
    assert found.file_system
    assert 0 <= found.busy <= 1
    assert {"colvi-edge", "python", "numpy", "openvino", "tifffile"} <= set(found.versions)


def test_a_pc_with_an_nvidia_gpu(tmp_path: Path, tools: Path) -> None:
    """Processor, governor with its range, the hypervisor, and the GPU with its driver."""
    cpufreq = {
        "scaling_governor": "powersave\n",
        "scaling_min_freq": "800000\n",
        "scaling_max_freq": "4200000\n",
    }
    core = "sys/devices/system/cpu/cpu{}/cpufreq"
    root = lay_out(
        tmp_path / "root",
        {
            "proc/cpuinfo": X86,
            "proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n",
            "proc/stat": "cpu  1 2 3 4 5 6 7 8 0 0\n",
            "etc/os-release": 'ID=other\nPRETTY_NAME="An OS 12"\n',
            **{f"{core.format(n)}/{name}": text for n in (0, 1) for name, text in cpufreq.items()},
            f"{core.format(0)}/scaling_cur_freq": "3100000\n",
            f"{core.format(1)}/scaling_cur_freq": "800000\n",
        },
    )
    install(tools, "nvidia-smi", "echo 'NVIDIA RTX 4000, 570.1, 95.02, [N/A], Enabled, 2100 MHz, 7001 MHz'")

    found = describe(tmp_path, root)

    assert found.cpu == "A Processor 9000 (cpu family 26, model 2, stepping 1)"
    assert found.governor == "powersave 800-4200 MHz"
    assert found.is_virtual
    assert found.memory_gib == 16
    assert found.system.startswith("An OS 12, ")
    assert found.gpu.startswith(
        "name NVIDIA RTX 4000, driver_version 570.1, vbios_version 95.02, persistence"
    )
    assert found.power_mode == ""
    assert clocks("now", root).cpu_mhz == (3100, 800)


def test_a_jetson(tmp_path: Path, tools: Path) -> None:
    """An Arm kernel only numbers its processor, so the board names itself; nvpmodel tells the power mode."""
    root = lay_out(
        tmp_path / "root",
        {"proc/cpuinfo": ARM, "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0"},
    )
    install(tools, "nvpmodel", "echo 'NV Power Mode: MODE_30W'; echo 2")

    found = describe(tmp_path, root)

    assert found.cpu == "NVIDIA Jetson AGX Orin Developer Kit (CPU part 0xd42)"
    assert found.power_mode == "MODE_30W"
    assert not found.is_virtual
    assert found.governor == ""
    assert clocks("now", root).cpu_mhz == ()


@pytest.mark.parametrize("script", ["exit 9", "echo 'No devices were found'", "echo 'a, b'", ":"])
def test_a_tool_that_fails_tells_nothing(tmp_path: Path, tools: Path, script: str) -> None:
    """nvidia-smi without a driver prints a sentence, which is no name of a GPU; the bench goes on."""
    install(tools, "nvidia-smi", script)

    assert clocks("now", lay_out(tmp_path / "root", {"proc/cpuinfo": X86})) == clocks(
        "now", tmp_path / "root"
    )
    assert clocks("now", tmp_path / "root").gpu == ""
    assert clocks("now", tmp_path / "root").cpu_mhz == (2600, 1200)


def test_work_of_others_is_seen(tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 ticks 40 idle and 10 waiting for a disk: half of the cores was taken, stolen time included."""
    root = lay_out(tmp_path / "root", {"proc/stat": "cpu  100 0 0 1000 50 0 0 7 3 3\ncpu0 1\n"})

    def later(_: float) -> None:
        lay_out(root, {"proc/stat": "cpu  120 5 5 1040 60 0 0 27 3 3\ncpu0 1\n"})

    monkeypatch.setattr("time.sleep", later)

    assert describe(tmp_path, root).busy == 0.5
