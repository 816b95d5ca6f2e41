"""A runtime that is there and does not load is a sentence, and no reason not to judge on another."""

import subprocess
import sys
from contextlib import closing
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from colvi_edge.bundle import Bundle, Precision, open_bundle
from colvi_edge.engines import open_engine
from colvi_edge.engines.precisions import doubt_of

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


def doubted(precision: Precision, *runtimes: str) -> Bundle:
    """Open a copy of the demo whose export found a fault in one precision on some runtimes."""
    bundle = open_bundle("demo")
    held = bundle.config.precisions[precision]
    parity = tuple(
        row.model_copy(update={"faults": ("95% of votes agree",) if row.runtime in runtimes else ()})
        for row in held.parity
    )
    precisions = bundle.config.precisions | {precision: held.model_copy(update={"parity": parity})}
    return replace(bundle, config=bundle.config.model_copy(update={"precisions": precisions}))


@pytest.mark.parametrize(
    ("runtimes", "reason"),
    [
        ((), ""),
        (("onnxruntime",), ", although it did not pass on onnxruntime at the export"),
        (("openvino",), ""),
    ],
)
def test_a_precision_that_is_named_is_said_not_to_have_passed(runtimes: tuple[str, ...], reason: str) -> None:
    """On this runtime; as it passes here, it runs, and without a fault the reason is as short as ever."""
    named = "onnxruntime was asked for; int8, here int8-cpu, was asked for"

    with closing(open_engine(doubted("int8-cpu", *runtimes), "onnxruntime", "int8")) as engine:
        assert engine.info.reason.partition(f"{named}{reason}")[:2] == ("", f"{named}{reason}")
        assert ("although" in engine.info.reason) == bool(reason)


def test_a_runtime_that_the_export_lacked_is_told_of_the_others() -> None:
    """An int8-trt is for TensorRT, and measured on what runs on a CPU."""
    held = doubted("int8-trt", "openvino", "onnxruntime").config.precisions["int8-trt"]

    assert doubt_of(held, "tensorrt") == "did not pass on openvino and onnxruntime at the export"
    assert doubt_of(open_bundle("demo").config.precisions["int8-trt"], "tensorrt_rtx") == ""


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
