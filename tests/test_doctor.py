"""What the doctor says of a GPU whose packages are not there; that it finds them, tests/fake_cuda shows."""

import subprocess
import sys

EXAMINE = """
import sys
from colvi_edge.engines.cuda import gpu
gpu.find_gpu = lambda: gpu.Gpu("Orin", "8.7", "12.6")
sys.modules["pycuda"] = sys.modules["tensorrt"] = sys.modules["tensorrt_rtx"] = None  # as if not installed
from colvi_edge import doctor
doctor.machine_mark = lambda: "3f2a9c1b5d6e"
for finding in doctor.examine():
    print(finding.state, finding.what, finding.words, sep="|")
"""


def test_what_a_gpu_lacks_is_said_with_the_remedy() -> None:
    """Each missing package is a note, as the CPU judges without it; what is there is found."""
    done = subprocess.run([sys.executable, "-c", EXAMINE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = (line.split("|") for line in done.stdout.splitlines())
    told = {what: (state, words) for state, what, words in lines}

    assert told["machine"][1].endswith(" cores; 3f2a9c1b5d6e is its mark in the lock on shares")
    assert told["NVIDIA GPU"] == ("ok", "Orin, compute capability 8.7, CUDA 12.6")
    assert told["pycuda"][0] == "note"
    assert told["pycuda"][1].startswith("the GPU is not used: pycuda does not load (")
    assert "pip install 'colvi-edge[tensorrt]'" in told["pycuda"][1]
    assert told["TensorRT"][0] == "note"
    assert told["TensorRT"][1].startswith("the GPU is not used: ")
    assert told["CUDA kernels"] == ("ok", "sm_87 of the bundle colvi-edge synthetic demo model")
