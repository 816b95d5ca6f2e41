"""Everything that the operator can put right, one class a cause; and how commands end.

The command line prints these as one sentence without a traceback: found, expected, remedy.
A bug stays an ordinary exception and keeps its traceback.
"""

from collections.abc import Sequence

EXIT_DONE = 0
"""Rejected images included."""
EXIT_UNJUDGED = 1
"""An image could not be read or judged, or its result not be written; the others were."""
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 3
"""A runtime or a device is missing."""
EXIT_BUNDLE = 4
EXIT_PARITY = 5
EXIT_BUDGET = 6
"""`bench --budget-ms` was missed."""
EXIT_AILING = 7
"""The daemon does not run, or something ails it: `status`."""
EXIT_INTERRUPTED = 130
"""By Ctrl-C."""


class ColviEdgeError(Exception):
    """Something the operator can put right."""

    exit_code: int = EXIT_UNJUDGED
    kind: str = "error"
    """Stable word for the cause; stands in `error.kind` of an error record."""

    def __init__(
        self, *words: object, command: Sequence[str] = (), options: Sequence[str] = (), subject: str = ""
    ) -> None:
        """Say what is wrong, and what to type, which the command line puts on a line of its own.

        Args:
            words: the sentence.
            command: another command that helps, word by word.
            options: words that the very command lacks.
            subject: the file, or the image of one, that the sentence is about, as lists name it; "" if it
                names what it is about itself, or that is not known here.
        """
        super().__init__(*words)
        self.command, self.options = tuple(command), tuple(options)
        self.subject = subject

    @property
    def words(self) -> str:
        """The sentence without its subject, for who has named that already."""
        return super().__str__()

    def __str__(self) -> str:
        """Return the sentence, which begins with its subject."""
        return f"{self.subject}: {self.words}" if self.subject else self.words


class UsageError(ColviEdgeError):
    """The options contradict each other, or name something that is not there."""

    exit_code = EXIT_USAGE
    kind = "usage"


class EngineUnavailableError(ColviEdgeError):
    """An engine's runtime is not installed, or finds no device that it can use."""

    exit_code = EXIT_UNAVAILABLE
    kind = "engine_unavailable"


class EngineLostError(EngineUnavailableError):
    """The device went away under a running engine (suspend, a fault of the GPU).

    Only a new process can open it again, and judges the image that this one was at.
    """

    kind = "engine_lost"


class BundleError(ColviEdgeError):
    """A bundle is incomplete, changed since it was made, or not one at all."""

    exit_code = EXIT_BUNDLE
    kind = "bundle_invalid"


class AcquisitionError(ColviEdgeError):
    """A raw file cannot be read as an image of the assay."""

    kind = "unreadable"


class NotAnImageError(AcquisitionError):
    """The file is not of a format that is read here, whatever its name says."""

    kind = "not_an_image"


class IncompleteFileError(AcquisitionError):
    """The file is empty, truncated or still being written: a later look may succeed."""

    kind = "incomplete"


class LastPlaneBlackError(IncompleteFileError):
    """The last plane holds nothing, in a file that looks finished: judged if the next look finds the same."""

    kind = "last_plane_black"


class UnsafeFileError(AcquisitionError):
    """The file's structure would make a reader hang, overrun or open other files."""

    kind = "unsafe"


class ImageTooLargeError(AcquisitionError):
    """The image declares more pixels, pages or bytes than the limits allow."""

    kind = "too_large"


class ImageTooSmallError(AcquisitionError):
    """The image holds not even one patch."""

    kind = "too_small"


class AxesError(AcquisitionError):
    """The file does not say clearly which axis is which, or has an axis the assay lacks."""

    kind = "axes"


class TimeSeriesError(AcquisitionError):
    """The file holds several time points; one image is one time point."""

    kind = "time_series"


class ScanModeError(AcquisitionError):
    """An image of another kind than the assay's: a lambda, XZ or tile scan, a lifetime measurement."""

    kind = "scan_mode"


class ChannelError(AcquisitionError):
    """The collagen or the nuclei channel cannot be found."""

    kind = "channels"


class NoRegionError(AcquisitionError):
    """The bundle sees only the regions of another one, which found none."""

    kind = "no_region"


class PixelTypeError(AcquisitionError):
    """The pixels are of a dtype, or hold values (NaN, infinity), that cannot be judged."""

    kind = "pixel_type"


class OutputError(ColviEdgeError):
    """A result cannot be written: the disk is full, the folder read-only or gone."""

    kind = "output"


class BlockedOutputError(OutputError):
    """A folder has the name of a file that is to be written. No later try can help before it is gone."""

    kind = "blocked_output"


class BlockedRecordError(BlockedOutputError):
    """Another one has that of the error record, so that nothing beside the raw file tells of it."""

    kind = "blocked_record"


class ModelError(ColviEdgeError):
    """A model file cannot be exported: of no known kind, unsafe to open, or not the network it should be."""

    exit_code = EXIT_USAGE
    kind = "model"


class ParityError(ColviEdgeError):
    """A network does not decide as the trained one does, on this runtime and device."""

    exit_code = EXIT_PARITY
    kind = "parity"
