"""The one place that chooses an engine and imports its runtime."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines.base import Engine, PassedOver, Progress
from colvi_edge.engines.cuda.gpu import find_gpu
from colvi_edge.engines.precisions import check_held, doubt_of, precision_for
from colvi_edge.engines.verification import verify
from colvi_edge.errors import BundleError, ColviEdgeError, EngineUnavailableError, ParityError
from colvi_edge.printable import printable_name
from colvi_edge.tasks.task import task_of

_Make = Callable[[Bundle, Precision, str, Sequence[PassedOver]], Engine]
_TITLES = {
    EngineName.OPENVINO: "OpenVINO",
    EngineName.ONNXRUNTIME: "ONNX Runtime",
    EngineName.TENSORRT: "TensorRT",
}


def _silent(what: str, done: float) -> None:
    """Report the progress of a build to nobody."""


def open_engine(
    bundle: Bundle,
    engine: EngineName | str = EngineName.AUTO,
    precision: PrecisionChoice | str = PrecisionChoice.AUTO,
    progress: Progress = _silent,
) -> Engine:
    """Open a bundle on a runtime, and try it on the bundle's verification patches.

    "auto" takes TensorRT where an engine for this machine's GPU was built, else OpenVINO where it is
    installed, else ONNX Runtime; and the fastest precision that is trusted: FP16 on a GPU, INT8 on a
    CPU where the export measured it without fault, each only if it passes here, else FP32. What was
    taken, and why, stands in `info.reason`. What is named is taken or is an error, never replaced; a
    TensorRT engine that is named and missing is built.

    Args:
        bundle: what the engine is opened with.
        engine: what runs it.
        precision: a choice; int8 means the one made for the engine.
        progress: is told of a build, which may take minutes.

    Raises:
        BundleError: the runtime does not run the network.
        EngineUnavailableError: the runtime is not installed, does not load, or finds no device.
        ParityError: the precision that was named does not decide here as the trained network does.
        UsageError: the bundle does not hold the precision.
    """
    name, attempt = EngineName(engine), _Attempt(bundle, PrecisionChoice(precision), progress)
    if name is not EngineName.AUTO:
        return attempt.verified(name, f"{name.value} was asked for")
    *earlier, last = _IN_TURN
    for candidate in earlier:
        try:
            return candidate.open(attempt)
        except candidate.gives_way_on as error:
            attempt = attempt.passing_over(candidate.engine, error)
    return last.open(attempt)


def open_exactly(
    name: EngineName,
    bundle: Bundle,
    precision: Precision,
    reason: str,
    progress: Progress = _silent,
    passed_over: Sequence[PassedOver] = (),
) -> Engine:
    """Open a precision that the bundle holds on a runtime, unverified.

    Args:
        name: of the runtime.
        bundle: what the engine is opened with.
        precision: one of the bundle's.
        reason: why this one, for `EngineInfo`.
        progress: is told of a build.
        passed_over: which engines could not be had, for `EngineInfo`.

    Raises:
        EngineUnavailableError: the runtime is not installed, does not load, or finds no device.
    """
    with _import_explained(name):
        make = _imported(name, progress)
    return make(bundle, precision, reason, passed_over)


def _imported(name: EngineName, progress: Progress) -> _Make:
    match name:  # of all words, so that mypy names the one that is forgotten
        case EngineName.TENSORRT:
            from colvi_edge.engines.tensorrt.engine import TensorRtEngine

            return partial(TensorRtEngine, progress=progress)
        case EngineName.OPENVINO:
            from colvi_edge.engines.openvino import OpenVinoEngine

            return OpenVinoEngine
        case EngineName.ONNXRUNTIME:
            from colvi_edge.engines.onnxruntime import OnnxRuntimeEngine

            return OnnxRuntimeEngine
        case EngineName.AUTO:
            raise ValueError("auto is no runtime: open_engine chooses one")


@contextmanager
def _import_explained(name: EngineName) -> Iterator[None]:
    """Make a sentence of a runtime that is not there, or that is and lacks a library of its own."""
    try:
        yield
    except (ImportError, OSError) as error:
        module = error.name if isinstance(error, ImportError) else None
        if isinstance(error, ModuleNotFoundError) and module == name.value:
            why = f"is not installed; run: pip install {module}, or use --engine auto"
        elif str(module).startswith("colvi_edge"):
            raise
        else:
            why = f"does not load ({_in_one_line(error)}); run: pip install --force-reinstall {name.value}"
        raise EngineUnavailableError(f"{_TITLES[name]} {why}") from error


@dataclass(frozen=True)
class _Attempt:
    """What is to be opened, and what could not be had so far."""

    bundle: Bundle
    asked: PrecisionChoice
    progress: Progress
    passed_over: tuple[PassedOver, ...] = ()

    def passing_over(self, engine: EngineName, error: ColviEdgeError) -> "_Attempt":
        """Return the next attempt, after an engine that could not be had."""
        return replace(self, passed_over=(*self.passed_over, PassedOver(engine.value, str(error))))

    def verified(self, name: EngineName, why: str) -> Engine:
        """Open the first precision that is trusted, or the one that was asked for."""
        precision, precisions = precision_for(name, self.asked), self.bundle.config.precisions
        if self.asked is not PrecisionChoice.AUTO:
            check_held(precision, precisions, self.bundle.path)
            named = precision if precision == self.asked.value else f"{self.asked.value}, here {precision},"
            return self.tried(name, precision, f"{why}; {named} was asked for")
        held = precisions.get(precision)
        if held is None:
            doubt = f"the bundle holds no {precision}"
        elif precision == "int8-cpu" and not held.passed(name.value):
            doubt = f"{precision} did not pass on {name.value} at the export"
        else:
            try:
                return self.tried(name, precision, f"{why}; {precision} comes first, and passed here")
            except ParityError as error:
                doubt = str(error)
        return self.tried(name, "fp32", f"{why}; fp32, because {doubt}")

    def tried(self, name: EngineName, precision: Precision, reason: str) -> Engine:
        """Open a precision, and try it on the bundle's verification patches."""
        doubt = doubt_of(self.bundle.config.precisions[precision], name.value)
        if doubt and self.asked is not PrecisionChoice.AUTO:
            reason += f", although it {doubt}"
        with _network_explained(name, self.bundle, precision):
            engine = open_exactly(name, self.bundle, precision, reason, self.progress, self.passed_over)
            try:
                verify(engine, self.bundle, task_of(self.bundle.config.task))
            except BaseException:
                with suppress(Exception):  # the first error says more than what it does to the end
                    engine.close()
                raise
        return engine


def _built_tensorrt(attempt: _Attempt) -> Engine:
    """Open the TensorRT engine that was built for this machine; where there is none, raise why."""
    if find_gpu() is None:
        raise EngineUnavailableError("there is no NVIDIA GPU")
    from colvi_edge.engines.tensorrt.for_this_machine import is_built

    wanted = precision_for(EngineName.TENSORRT, attempt.asked)
    fitting: list[Precision] = [wanted, "fp32"] if attempt.asked is PrecisionChoice.AUTO else [wanted]
    for precision in fitting:
        if precision in attempt.bundle.config.precisions and is_built(attempt.bundle, precision):
            why = f"the {precision} engine that was built for this machine passed here"
            return attempt.tried(EngineName.TENSORRT, precision, why)
    raise EngineUnavailableError(f"no {wanted} engine was built for this machine; run: colvi-edge build")


def _openvino(attempt: _Attempt) -> Engine:
    (tensorrt,) = attempt.passed_over
    return attempt.verified(
        EngineName.OPENVINO, f"OpenVINO is the CPU default (TensorRT was not taken: {tensorrt.why})"
    )


def _onnxruntime(attempt: _Attempt) -> Engine:
    tensorrt, openvino = attempt.passed_over
    lacking = openvino.why.partition(";")[0]
    return attempt.verified(EngineName.ONNXRUNTIME, f"{lacking} (TensorRT was not taken: {tensorrt.why})")


class _Candidate(NamedTuple):
    """An engine that "auto" may take.

    Attributes:
        engine: its name.
        open: opens it, and tells what was passed over.
        gives_way_on: the errors with which the next candidate is tried; none after the last.
    """

    engine: EngineName
    open: Callable[[_Attempt], Engine]
    gives_way_on: type[ColviEdgeError] | tuple[()] = ()


_IN_TURN = (
    _Candidate(EngineName.TENSORRT, _built_tensorrt, ColviEdgeError),  # whatever it is, the CPU judges
    _Candidate(EngineName.OPENVINO, _openvino, EngineUnavailableError),
    _Candidate(EngineName.ONNXRUNTIME, _onnxruntime),
)


@contextmanager
def _network_explained(name: EngineName, bundle: Bundle, precision: Precision) -> Iterator[None]:
    """Make a sentence of what a runtime raises that does not take a network, or not its first patches."""
    try:
        yield
    except Exception as error:
        # OpenVINO raises RuntimeError; the exceptions of ONNX Runtime have no class of their own in common.
        if not isinstance(error, RuntimeError) and not type(error).__module__.startswith("onnxruntime"):
            raise
        file = printable_name(str(bundle.path / bundle.config.precisions[precision].file))
        raise BundleError(
            f"{_TITLES[name]} cannot run {file} ({_in_one_line(error)}); export the model again, "
            "or name another --precision or --engine"
        ) from error


def _in_one_line(error: Exception) -> str:
    return printable_name(" ".join(str(error).split()))[:300]
