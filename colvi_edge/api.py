"""What a notebook, a plugin or a microscope's own program calls: a bundle, opened once, and images judged.

    import colvi_edge

    with colvi_edge.Diagnoser.open("my.colvi") as diagnoser:
        result = diagnoser.diagnose("culture_07.tif")
        print(result.diagnosis, result.score)
        result.save("results")

Reading, judging and writing are those of `colvi-edge run` and `watch`, image after image instead of
overlapped: the same code, and so the same bits. What can be put right is raised as
`colvi_edge.errors.ColviEdgeError`, a sentence that says what was found, what was expected, and the remedy; a
bug stays an ordinary exception.
"""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from colvi_edge.acquisition import Acquisition, Limits, Refused
from colvi_edge.arguments import of_arguments
from colvi_edge.bundle import Bundle, open_bundle
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines import Engine, EngineInfo, open_engine
from colvi_edge.errors import AcquisitionError, ColviEdgeError, UsageError
from colvi_edge.pipeline import diagnoser as steps
from colvi_edge.pipeline.inputs import InputFile
from colvi_edge.result import Result

__all__ = ["Bundle", "Diagnoser", "Result", "open_bundle"]


class Diagnoser:
    """A bundle on an engine, ready to judge images.

    Opening takes a second: the bundle's hashes are checked, the network is compiled, and the engine repeats
    the trained network's votes on the bundle's own patches. So open it once, and judge many images. Use it in
    one thread at a time. In a `with` block it is closed at the end.

    Attributes:
        bundle: what judges.
    """

    def __init__(self, judge: steps.Diagnoser, engine: Engine) -> None:
        """Keep who judges, and the engine that is closed with it; see `open`."""
        self.bundle: Bundle = judge.bundle
        self._judge, self._engine = judge, engine

    @classmethod
    @of_arguments()
    def open(
        cls,
        bundle: "str | PathLike[str] | Bundle",
        *,
        engine: EngineName | str = EngineName.AUTO,
        precision: PrecisionChoice | str = PrecisionChoice.AUTO,
        channels: Sequence[str] | None = None,
        pixel_size_um: float | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> "Diagnoser":
        """Open a bundle on the engine that suits this machine, or on the one that is named.

        Args:
            bundle: a folder NAME.colvi; "demo" or "demo-nuclei" for a synthetic model that is shipped; or a
                bundle that is open already.
            engine: auto, openvino, onnxruntime or tensorrt.
            precision: auto, fp32, fp16 or int8.
            channels: role of each channel of the images, such as ("nuclei", "collagen"), "other" for those
                that do not matter; None to go by what files say.
            pixel_size_um: edge of a pixel of all images, whatever they say; None to go by what they say.
            limits: what a file may ask for, as `--limit`: such as {"pixels": 10**9}.

        Raises:
            BundleError: the bundle is incomplete, changed, or none.
            EngineUnavailableError: the engine that is named cannot be had on this machine.
            ParityError: it does not decide as the trained network does.
            UsageError: no engine, precision or limit is called so, or the bundle sees only the regions of
                another one, which `run` and `watch` take together.
        """
        opened = bundle if isinstance(bundle, Bundle) else open_bundle(Path(bundle))
        named = _named(EngineName, "engine", engine), _named(PrecisionChoice, "precision", precision)
        bounds = Limits.named(limits or {})
        judging = open_engine(opened, *named)
        try:
            judge = steps.Diagnoser(
                opened, judging, channels=channels, limits=bounds, pixel_size_um=pixel_size_um
            )
        except ColviEdgeError:
            judging.close()
            raise
        return cls(judge, judging)

    @property
    def engine(self) -> EngineInfo:
        """What runs the network: runtime, version, precision, device, and why these were taken."""
        return self._engine.info

    @of_arguments()
    def diagnose(self, path: "str | PathLike[str]") -> "Result":
        """Read and judge a file of one image.

        Args:
            path: a TIFF file, or a Leica container that holds one image; it is only read.

        Returns:
            The result, also of an image that was rejected: see `Result.status`. Nothing is written.

        Raises:
            AcquisitionError: the file cannot be read or judged as an image of the assay.
            UsageError: it holds several images; `diagnose_all` takes them.
        """
        file = _file(path)
        images = self._judge.read(file)
        image = next(images)
        other = next(images, None)
        if other is not None:
            raise UsageError(
                f"holds several images ({image.image_key}, {other.image_key} ...); expected one; take them "
                "one by one with diagnose_all",
                subject=file.name,
            )
        if isinstance(image, Refused):
            raise image.error
        return self._judged(image, file.name)

    def diagnose_all(self, path: "str | PathLike[str]") -> "Iterator[Result]":
        """Yield the result of each image of a file, one after the other; one is held in memory at a time.

        Args:
            path: a Leica container, or a TIFF file, which holds one image.

        Yields:
            A result for each image. Where one cannot be read or judged its `status` is "error", and the
            others follow.

        Raises:
            AcquisitionError: the file itself cannot be read.
        """
        with of_arguments():
            yield from self._each(_file(path))

    def _each(self, file: InputFile) -> "Iterator[Result]":
        for image in self._judge.read(file):
            if isinstance(image, Refused):
                yield Result(image, file.name)
                continue
            try:
                result = self._judged(image, file.name)
            except AcquisitionError as error:
                if not image.image_key:
                    raise
                result = Result(Refused(image.name, image.image_key, error, image.provenance), file.name)
            del image  # or it would be held while the next one is read
            yield result
            del result

    @of_arguments()
    def diagnose_array(
        self,
        planes: NDArray[Any],
        axes: str = "CYX",
        *,
        channels: Sequence[str] | None = None,
        pixel_size_um: float | None = None,
        name: str = "array",
    ) -> "Result":
        """Judge an image that is in memory already; no file is needed.

        Args:
            planes: pixels as they were acquired: uint8, uint16 or finite float32, or signed and 32-bit counts
                that one of these holds exactly. Planes of a Z-stack are summed.
            axes: what each axis is: Z planes, C channels, Y rows, X columns, S samples of an RGB picture
                (green collagen, blue nuclei), T of length 1.
            channels: role of each channel, such as ("collagen", "nuclei"); None for those of `open`, or,
                where those are None, too, the order nuclei, collagen, with the warning that it was assumed.
            pixel_size_um: edge of a pixel; None where it is not known, which warns.
            name: how records and errors call the image, and what its files are named after.

        Returns:
            The same as for a file that holds these pixels and says the same of them, but for what is said of
            the file: hash, length, time.

        Raises:
            AcquisitionError: the array is no image of the assay.
            UsageError: the name is no file's, or the pixel size no length.
        """
        if name in ("", "..") or name != Path(name).name or "\0" in name:
            raise UsageError(
                f"name={name!r}: expected the name of a file, without folders, such as 'culture_07'"
            )
        image = self._judge.acquire_array(planes, axes, channels, pixel_size_um, name)
        return self._judged(image, name)

    def close(self) -> None:
        """Free the engine; nothing can be judged any more."""
        self._engine.close()

    def __enter__(self) -> "Diagnoser":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        info = self.engine
        return f"<Diagnoser {self.bundle.label} on {info.runtime} {info.precision}>"

    def _judged(self, image: Acquisition, raw_name: str) -> "Result":
        return Result(self._judge.judge(image), raw_name, task=self.bundle.config.task.kind)


def _file(path: "str | PathLike[str]") -> InputFile:
    raw = Path(path)
    return InputFile(raw, raw.parent)


def _named(choices: type[Any], what: str, given: str) -> Any:
    try:
        return choices(given)
    except ValueError:
        names = ", ".join(choice.value for choice in choices)
        raise UsageError(f"{what}={given!r}: expected one of {names}") from None
