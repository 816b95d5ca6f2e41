"""tifffile without what is not read here, and with its warnings as errors.

A warning of tifffile's most often means that it put zeros where pixels were missing.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tifffile import TIFF, TiffFile

from colvi_edge.acquisition.refusals import DAMAGED
from colvi_edge.errors import AcquisitionError, IncompleteFileError

_OTHER_METADATA = re.compile(r"<tifffile\.TiffPage [0-9]+ @[0-9]+> <tifffile\.imagej_metadata> raised ")
"""A warning that tags of ImageJ cannot be read: files that are not its own have them from an earlier one."""


class GatedTiff(TiffFile):  # type: ignore[misc]  # final by decree; its keywords cannot switch all off
    """tifffile without the dialects that are not read here, some of which lead to other files."""

    checked_xml: str | None = None
    """OME-XML in place of the file's own, which tifffile never gets to see."""

    @property
    def ome_metadata(self) -> str | None:
        """What tifffile goes by."""
        return self.checked_xml

    @property
    def is_shaped(self) -> bool:
        """Whether tifffile's JSON counts: beside OME-XML it is a second description."""
        return not self.is_ome and self.pages.first.is_shaped


for _flag in TIFF.FILE_FLAGS - {"shaped", "ome", "imagej"}:
    setattr(GatedTiff, f"is_{_flag}", False)


@contextmanager
def strictly() -> Iterator[None]:
    """Turn whatever the reader raises or warns of into an error with a sentence."""
    _RECORDS.heard = []
    _FILTER.begin()
    try:
        yield
        if _RECORDS.heard:
            # Its words may quote the file's, so they stay out of the sentence.
            raise IncompleteFileError(f"the reader finds it inconsistent; {DAMAGED}") from ReaderWarning(
                _RECORDS.heard[0]
            )
    except (AcquisitionError, MemoryError):
        raise
    except Exception as error:  # tifffile and the codecs raise some twenty types for damaged files
        raise IncompleteFileError(f"its pixels cannot be decoded; {DAMAGED}") from error
    finally:
        _FILTER.end()
        _RECORDS.heard = None


def let_other_metadata_pass() -> None:
    """Forget the warnings so far that tags of ImageJ cannot be read, which are not those of the image."""
    _RECORDS.heard = [warning for warning in _RECORDS.heard if not _OTHER_METADATA.match(warning)]


class ReaderWarning(Exception):  # noqa: N818 - it is one, kept as the cause of an error
    """What tifffile logged."""


_RECORDS = threading.local()


def _overhear(record: logging.LogRecord) -> bool:
    """Keep what tifffile logs while this thread reads; let pass what it logs for anybody else."""
    heard = getattr(_RECORDS, "heard", None)
    if heard is None:
        return True
    if record.levelno >= logging.WARNING:
        heard.append(record.getMessage())
    return False


class _Filter:
    """`_overhear` on tifffile's logger, there from the first thread that reads until the last one is done."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("tifffile")
        self._changing = threading.Lock()
        self._readers = 0
        self._level = logging.NOTSET  # of the logger before

    def begin(self) -> None:
        with self._changing:
            self._readers += 1
            if self._readers == 1:
                self._level = self._logger.level
                self._logger.addFilter(_overhear)
            if not self._logger.isEnabledFor(logging.WARNING):
                self._logger.setLevel(logging.WARNING)  # quiet logs must not make a damaged file look whole

    def end(self) -> None:
        with self._changing:
            self._readers -= 1
            if not self._readers:
                self._logger.removeFilter(_overhear)
                self._logger.setLevel(self._level)


_FILTER = _Filter()
