#!/usr/bin/env bash
# All that needs a GPU, on a machine that has one; leaves one JSON of results.
#
#     tests/gpu/run_all.sh [RESULTS.json]
#
# Needs Linux, NVIDIA's driver, Python 3.10 or newer with pip, and g++ where pycuda is not installed. What
# else is missing is installed into the Python environment that is active: from PyPI, or where there is no
# network from a folder of wheels that PIP_FIND_LINKS names, with PIP_NO_INDEX=1.
# TensorRT is not installed here: without it the kernel alone is tested.
set -euo pipefail
results=$(realpath -m "${1:-gpu-results.json}")
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"

has() { python3 -c "$1" 2>/dev/null; }
need() { has "import $1" || python3 -m pip install "${2:-$1}"; }

for package in numpy pydantic typer rich tifffile orjson onnxruntime pytest; do need "$package"; done
need yaml PyYAML
has 'from colvi_edge.engines.cuda.gpu import find_gpu; assert find_gpu()' || {
    echo "run_all.sh: found no GPU that its driver gives to CUDA; see nvidia-smi" >&2
    exit 3
}
has 'from pycuda import driver' || python3 tests/fake_cuda/build_pycuda.py
has 'from colvi_edge.kernels.nvrtc import *; Nvrtc(RELEASES[0])' ||
    has 'from colvi_edge.kernels.nvrtc import *; Nvrtc(RELEASES[1])' ||
    python3 -m pip install 'nvidia-cuda-nvrtc-cu12==12.6.*' 'nvidia-cuda-nvrtc>=13,<14'
has 'from colvi_edge.engines.tensorrt.installed import load; load()' ||
    echo "run_all.sh: TensorRT is not installed, so the kernel alone is tested"

export COLVI_EDGE_REQUIRE=gpu
if command -v compute-sanitizer >/dev/null; then
    compute-sanitizer --error-exitcode 9 python3 -m pytest -q -m gpu tests/gpu/test_kernel_on_gpu.py -k oracle
fi
code=0
COLVI_EDGE_GPU_RESULTS=$results python3 -m pytest -m gpu tests/gpu || code=$?
echo "run_all.sh: results are in $results"
exit $code
