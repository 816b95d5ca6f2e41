"""Write down which names each TensorRT has in Python, from its published bindings alone.

    pip download --no-deps --only-binary :all: -d wheels tensorrt-cu12-bindings==10.3.0   # and so on
    python tests/tools/tensorrt_names.py wheels/*.whl > tests/engines/tensorrt/tensorrt_names.json

The wheels hold the bindings without the libraries (gigabytes, and a GPU to start them). They
import all the same where the libraries' few entry points exist, so empty ones are compiled here.
Needs the Python that the wheels were made for, and a C compiler.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CLASSES = [
    "Builder",
    "BuilderFlag",
    "EngineInspector",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITensor",
    "LayerInformationFormat",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "ProfilingVerbosity",
    "Runtime",
    "TensorIOMode",
]

ENTRY_POINTS = [
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
]

PROBE = f"""
import json, tensorrt_bindings as trt
names = {{"trt": dir(trt)}} | {{c: dir(getattr(trt, c)) for c in {CLASSES} if hasattr(trt, c)}}
print(json.dumps([trt.__version__, names]))
"""


def names_in(wheel: Path) -> tuple[str, dict[str, list[str]]]:
    """Return the version of a bindings wheel, and the names in its module ("trt") and its classes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        source = folder / "empty.c"
        source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in ENTRY_POINTS))
        major = wheel.name.split("-")[1].split(".")[0]
        for library in ("nvinfer", "nvonnxparser", "nvinfer_plugin"):
            file = f"lib{library}.so.{major}"
            command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(folder / file), str(source)]
            subprocess.run(command, check=True)
        environment = os.environ | {"PYTHONPATH": str(folder), "LD_LIBRARY_PATH": str(folder)}
        done = subprocess.run(
            [sys.executable, "-c", PROBE], check=True, capture_output=True, text=True, env=environment
        )
    version, names = json.loads(done.stdout)
    return version, names


def main(wheels: list[str]) -> None:
    """Print the table: for each name of each class one letter a version, x for present."""
    found = [names_in(Path(wheel)) for wheel in wheels]
    found.sort(key=lambda pair: [int(part) for part in pair[0].split(".")])
    table = {
        where: {
            name: "".join("x" if name in names.get(where, []) else "." for _, names in found)
            for name in sorted({name for _, names in found for name in names.get(where, [])})
            if not name.startswith("_")
        }
        for where in ["trt", *CLASSES]
    }
    json.dump({"versions": [version for version, _ in found], "names": table}, sys.stdout, indent=0)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
