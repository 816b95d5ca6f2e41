"""NVRTC from PyPI alone: the right release for each GPU, in its own package, and named when it is missing."""

import hashlib
import os
import re
import struct
import subprocess
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

from colvi_edge.errors import EngineUnavailableError
from colvi_edge.kernels.nvrtc import RELEASES, Nvrtc, Release

SOURCE = 'extern "C" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }'
OLD, NEW = RELEASES
CUBINS = [(release, target) for release in RELEASES for target in release.targets if target[:3] == "sm_"]


@pytest.mark.nvrtc
@pytest.mark.parametrize(("release", "target"), CUBINS, ids=lambda part: str(getattr(part, "package", part)))
def test_a_cubin_is_for_the_gpu_that_was_asked_for(release: Release, target: str) -> None:
    """The ELF header says CUDA and the compute capability, in the words of both of its layouts."""
    code, _ = Nvrtc(release).compile(SOURCE, "twice.cu", target, [])
    machine, flags = struct.unpack_from("<H", code, 18)[0], struct.unpack_from("<I", code, 48)[0]

    assert code[:4] == b"\x7fELF"
    assert machine == 190  # EM_CUDA
    assert (flags if release is OLD else flags >> 8) & 0xFF == int(target[3:])


@pytest.mark.nvrtc
def test_ptx_is_old_enough_for_the_driver_of_jetpack_6() -> None:
    """Drivers refuse newer PTX than their own: CUDA 12.6 knows 8.5. It ends with the driver's NUL."""
    code, _ = Nvrtc(OLD).compile(SOURCE, "twice.cu", "compute_75", [])
    text = code.decode("ascii")

    assert re.findall(r"^\.version (.+)$", text, re.MULTILINE) == ["8.5"]
    assert re.findall(r"^\.target (.+)$", text, re.MULTILINE) == ["sm_75"]
    assert text.index("\0") == len(text) - 1
    assert ".loc" not in text


@pytest.mark.nvrtc
def test_every_gpu_of_the_plan_is_compiled_for() -> None:
    """Turing to Blackwell, Orin (8.7) and Thor (11.0) among them; what 12.6 knows is 12.6's."""
    assert OLD.targets == ("compute_75", "sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90")
    assert NEW.targets == ("sm_110", "sm_120")
    assert version(OLD.package).startswith("12.6.")
    assert version(NEW.package).startswith("13.")


@pytest.mark.nvrtc
def test_a_fault_of_the_source_keeps_its_line() -> None:
    """It is a bug, so it has a traceback; the compiler's words say where."""
    with pytest.raises(
        RuntimeError, match=r"twice\.cu does not compile for sm_87: NVRTC_ERROR_COMPILATION"
    ) as bug:
        Nvrtc(OLD).compile("\nint f() { return x; }", "twice.cu", "sm_87", [])

    assert 'twice.cu(2): error: identifier "x" is undefined' in str(bug.value)


@pytest.mark.nvrtc
def test_no_other_cuda_has_a_say(tmp_path: Path) -> None:
    """No nvcc on the PATH, broken libraries on LD_LIBRARY_PATH: the same bytes, by PyPI's files."""
    for release in RELEASES:
        for file in distribution(release.package).files or ():
            if ".so." in file.name:
                (tmp_path / file.name).write_text("no library")
    code = f"""
import hashlib, pathlib
from colvi_edge.kernels.nvrtc import RELEASES, Nvrtc
for release in RELEASES:
    code, _ = Nvrtc(release).compile({SOURCE!r}, "twice.cu", release.targets[-1], [])
    print(hashlib.sha256(code).hexdigest())
mapped = {{line.split()[-1] for line in open("/proc/self/maps")}}
print(*sorted(file for file in mapped if "nvrtc" in file or "cuda" in file), sep="\\n")
"""
    environment = {**os.environ, "PATH": "", "LD_LIBRARY_PATH": str(tmp_path), "CUDA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (*hashes,) = done.stdout.splitlines()[:2]
    here = [Nvrtc(release).compile(SOURCE, "twice.cu", release.targets[-1], [])[0] for release in RELEASES]

    assert hashes == [hashlib.sha256(found).hexdigest() for found in here]
    loaded = {Path(line) for line in done.stdout.splitlines()[2:]}
    assert len(loaded) == 4
    own = {Path(str(f.locate())).resolve() for r in RELEASES for f in distribution(r.package).files or ()}
    assert loaded <= own


@pytest.mark.parametrize(
    ("release", "said"),
    [
        (
            Release("nvidia-no-such-package", "12.6.", ()),
            r"nvidia-no-such-package 12\.6\.\* is not installed; run: pip install 'colvi-edge\[kernels\]'",
        ),
        (
            Release("numpy", "0.", ()),
            r"found numpy [12]\.\S+, expected numpy 0\.\*; run: pip install 'colvi-edge\[kernels\]'",
        ),
        (
            Release("typer", "0.", ()),
            r"typer 0\.\S+ has no library that can be loaded \(.+\); install it again: pip install --force",
        ),
    ],
)
def test_what_cannot_be_loaded_is_named_with_its_remedy(release: Release, said: str) -> None:
    """Not installed, another version, or without its library: exit code 3 and a command to type."""
    with pytest.raises(EngineUnavailableError, match=said) as refusal:
        Nvrtc(release)

    assert "\n" not in str(refusal.value)
