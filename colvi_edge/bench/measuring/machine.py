"""The machine, as far as it tells: what somebody needs who reads a figure a year later."""

import os
import platform
import re
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from colvi_edge import __version__
from colvi_edge.bench.record import Clocks, Machine
from colvi_edge.system.mount_table import file_system, mountinfo

_PACKAGES = (
    "openvino", "onnxruntime", "tensorrt", "tensorrt_rtx_cu13", "pycuda", "numpy", "tifffile", "imagecodecs",
    "isal", "orjson", "pillow", "pydantic",
)  # fmt: skip
_GPU = "name,driver_version,vbios_version,power.limit,persistence_mode,clocks.max.sm,clocks.max.mem"
_GPU_NOW = "clocks.sm,clocks.mem,pstate,power.draw,temperature.gpu"
_LOOK_S = 0.5


def describe(workplace: Path, root: Path = Path("/")) -> Machine:
    """Return what the machine says of itself; watches for half a second what it does without us.

    Args:
        workplace: folder that results will be written to.
        root: of the file system that /proc and /sys are read from.
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    release = dict(re.findall(r'^(\w+)="?(.*?)"?$', _read(root / "etc/os-release"), re.MULTILINE))
    system = f"{release.get('PRETTY_NAME', platform.system())}, {platform.release()}, {platform.machine()}"
    return Machine(
        cpu=_cpu(cpuinfo, root),
        cores=len(os.sched_getaffinity(0)),
        governor=_governor(root),
        power_mode=_power_mode(),
        gpu=_nvidia_smi(_GPU),
        memory_gib=round(_kib(root, "MemTotal") / 2**20, 1),
        system=system,
        is_virtual=bool(re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE)),
        file_system=file_system(workplace, mountinfo()),
        load_average=round(os.getloadavg()[0], 2),
        busy=_busy(root),
        versions={
            "colvi-edge": __version__,
            "python": platform.python_version(),
            **{package: found for package in _PACKAGES if (found := _version(package))},
        },
    )


def clocks(when: str, root: Path = Path("/")) -> Clocks:
    """Return the clocks of this moment.

    Args:
        when: the moment, in words.
        root: of the file system that /proc and /sys are read from.
    """
    cores = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    khz = [_read(core).strip() for core in cores]
    mhz = [int(text) / 1000 for text in khz if text.isdecimal()] or [
        float(text)
        for text in re.findall(r"^cpu MHz\s*: ([\d.]+)", _read(root / "proc/cpuinfo"), re.MULTILINE)
    ]
    return Clocks(when=when, cpu_mhz=tuple(round(core) for core in mhz), gpu=_nvidia_smi(_GPU_NOW))


def _cpu(cpuinfo: str, root: Path) -> str:
    """Return the CPU's name; on Arm, whose kernel gives only numbers, the board's."""
    named = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    if named:
        model = dict(re.findall(r"^(cpu family|model|stepping)\s*: (\d+)$", cpuinfo, re.MULTILINE))
        # A virtual machine's name is often none: "Intel(R) Xeon(R) Processor".
        return f"{named[1].strip()} ({', '.join(f'{what} {number}' for what, number in model.items())})"
    board = _read(root / "proc/device-tree/model").strip("\0\n ")
    part = re.search(r"^CPU part\s*: (\w+)", cpuinfo, re.MULTILINE)
    return f"{board or platform.machine()}{f' (CPU part {part[1]})' if part else ''}"


def _governor(root: Path) -> str:
    policies = [
        path.parent for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    ]
    found = set()
    for policy in policies:
        low, high = (_read(policy / f"scaling_{end}_freq").strip() for end in ("min", "max"))
        span = f" {int(low) // 1000}-{int(high) // 1000} MHz" if low.isdecimal() and high.isdecimal() else ""
        found.add(_read(policy / "scaling_governor").strip() + span)
    return "; ".join(sorted(found))


def _power_mode() -> str:
    """Return a Jetson's power mode, such as "MAXN"."""
    return " ".join(re.findall(r"NV Power Mode: (\S+)", _told_by("nvpmodel", "-q")))


def _nvidia_smi(fields: str) -> str:
    """Return what nvidia-smi says of the first GPU, "name value unit" after each other; "" without one."""
    lines = _told_by("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader").splitlines()
    values = [value.strip() for value in lines[0].split(",")] if lines else []
    if len(values) != len(fields.split(",")):
        return ""
    return ", ".join(
        f"{field} {value}"
        for field, value in zip(fields.split(","), values, strict=True)
        if "N/A" not in value
    )


def _told_by(program: str, *arguments: str) -> str:
    """Return what a program of the system prints; "" if it is not there, fails or hangs."""
    found = shutil.which(program)
    if not found:
        return ""
    try:
        done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _busy(root: Path) -> float:
    """Return the share of the cores that is taken while we sleep, by other work or other virtual machines."""
    before = _ticks(root)
    time.sleep(_LOOK_S)
    passed = [now - then for now, then in zip(_ticks(root), before, strict=True)]
    idle = sum(passed[3:5])  # idle, and waiting for a disk
    return round(1 - idle / sum(passed), 3) if any(passed) else 0.0


def _ticks(root: Path) -> list[int]:
    """Return user, nice, system, idle, iowait, irq, softirq, steal of all cores since the start."""
    line = _read(root / "proc/stat").partition("\n")[0]
    return [int(ticks) for ticks in line.split()[1:9]] or [0] * 8


def _kib(root: Path, field: str) -> int:
    found = re.search(rf"^{field}:\s*(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) if found else 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
