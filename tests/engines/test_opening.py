"""A runtime that is there and does not load is a sentence, and no reason not to judge on another."""

import subprocess
import sys
from contextlib import closing
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from colvi_edge.bundle import Bundle
from colvi_edge.engines import open_engine

OPEN = (
    "from colvi_edge.bundle import open_bundle; from colvi_edge.engines import open_engine\n"
    "from colvi_edge.errors import ColviEdgeError\n"
    "try: print(open_engine(open_bundle('demo'), {engine!r}).info)\n"
    "except ColviEdgeError as error: print(error.exit_code, error)"
)
NO_LIBRARY = "libopenvino.so.2620: cannot open shared object file: No such file or directory"


def opened(path: Path, engine: str) -> str:
    """What comes of opening the demo where another folder of modules comes first."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(path)!r})\n{OPEN.format(engine=engine)}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("raised", [f"ImportError({NO_LIBRARY!r})", f"OSError({NO_LIBRARY!r})"])
def test_an_openvino_that_does_not_load_is_replaced(tmp_path: Path, raised: str) -> None:
    """By ONNX Runtime, with the reason; named, it is an error of the runtime: exit code 3."""
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text(f"raise {raised}\n")

    assert opened(tmp_path, "openvino") == (
        f"3 OpenVINO does not load ({NO_LIBRARY}); run: pip install --force-reinstall openvino"
    )
    found = opened(tmp_path, "auto")
    assert "runtime='onnxruntime'" in found
    assert f"reason='OpenVINO does not load ({NO_LIBRARY}) (TensorRT was not taken: " in found
    assert "passed_over=(PassedOver(runtime='tensorrt', why='" in found
    assert (
        f"PassedOver(runtime='openvino', why='OpenVINO does not load ({NO_LIBRARY}); run: pip install "
        "--force-reinstall openvino')"
    ) in found


def test_an_openvino_that_lacks_another_package_is_said_to(tmp_path: Path) -> None:
    """Not the same as one that is not installed."""
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("import no_such_package\n")

    assert "OpenVINO does not load (No module named 'no_such_package')" in opened(tmp_path, "openvino")


def test_what_was_passed_over_is_kept(demo_bundle: Bundle) -> None:
    """All of it, apart from the sentence; nothing where an engine was named."""
    with closing(open_engine(demo_bundle)) as first:
        in_turn = ["tensorrt", "openvino", "onnxruntime"]
        taken = in_turn.index(first.info.runtime.removesuffix("_rtx"))
        assert [passed.runtime for passed in first.info.passed_over] == in_turn[:taken]
    with closing(open_engine(demo_bundle, "onnxruntime")) as named:
        assert named.info.passed_over == ()
        with pytest.raises(FrozenInstanceError):
            named.info.reason = "another"  # type: ignore[misc] # which is what is tried
