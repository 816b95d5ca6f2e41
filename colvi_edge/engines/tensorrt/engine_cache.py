"""Engines that were built on this machine, kept because building them takes minutes on a small one.

    X.engine    what the runtime reads, nothing else
    X.json      what it was built from and for, and its SHA-256
    X.lock      held by the process that builds it

A bundle travels, an engine does not: whatever it depends on stands in its key, and an engine
whose key is not this machine's is built again.
"""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from colvi_edge.bundle import Precision
from colvi_edge.bundle.parts import Part
from colvi_edge.errors import OutputError
from colvi_edge.system.atomic import is_temporary_name, open_folder, write_atomically


@dataclass(frozen=True)
class BuiltEngine:
    """What a builder gives.

    Attributes:
        plan: the engine, in the runtime's own format.
        layers: its layers, then its inputs and outputs, in the runtime's words; empty where it lists none.
    """

    plan: bytes
    layers: tuple[str, ...]


class EngineKey(Part):
    """All that an engine depends on. Another value in any field is another engine."""

    model_sha256: str
    precision: Precision
    max_batch: int
    runtime: str
    runtime_version: str
    gpu: str
    compute_capability: str
    cuda_version: str
    driver: str
    os: str
    architecture: str


class _Record(Part):
    schema_version: Literal[1] = 1
    key: dict[str, str | int] = Field(min_length=1)  # an EngineKey of this version or another
    sha256: str
    layers: tuple[str, ...]


def cached_engine(
    folder: Path, key: EngineKey, build: Callable[[], BuiltEngine], tell: Callable[[str], None]
) -> Path:
    """Return the engine file of a key; build it if it is not there, damaged or made for another key.

    Of several processes that ask at once, one builds and the others wait for it.

    Args:
        folder: of the cache, on a local disk; made if need be.
        key: what the engine must have been built from and for.
        build: builds it.
        tell: is given the reason, in words, before a build or a wait.

    Raises:
        OutputError: the folder cannot be written.
    """
    engine = _file(folder, key)
    if not _reason_to_build(engine, key):
        return engine
    with _locked(engine.with_suffix(".lock"), tell):
        reason = _reason_to_build(engine, key)  # another process may have built it meanwhile
        if reason:
            tell(reason)
            _store(engine, key, build())
    return engine


def is_cached(folder: Path, key: EngineKey) -> bool:
    """Return whether `cached_engine` would find the engine of a key rather than build it."""
    return not _reason_to_build(_file(folder, key), key)


def _file(folder: Path, key: EngineKey) -> Path:
    return folder / f"{key.model_sha256[:16]}-{key.precision}-{key.runtime}.engine"


def _reason_to_build(engine: Path, key: EngineKey) -> str:
    """Return why an engine must be built, naming each field that differs, or "" if it need not be."""
    try:
        record = _Record.model_validate_json(engine.with_suffix(".json").read_bytes())
        found = hashlib.sha256(engine.read_bytes()).hexdigest()
    except FileNotFoundError:
        return f"{engine.name} was not built yet"
    except (ValidationError, OSError):
        return f"the record of {engine.name} is damaged"
    was, now = record.key, key.model_dump()
    changes = [
        f"{field} was {was.get(field, 'not told')}, is {now.get(field, 'not asked')}"
        for field in now | was
        if was.get(field) != now.get(field)
    ]
    if changes:
        return f"{engine.name} was built for something else: {'; '.join(changes)}"
    return "" if found == record.sha256 else f"{engine.name} is damaged"


def _store(engine: Path, key: EngineKey, built: BuiltEngine) -> None:
    record = _Record(key=key.model_dump(), sha256=hashlib.sha256(built.plan).hexdigest(), layers=built.layers)
    with _explained(engine.parent), open_folder(engine.parent) as folder_fd:
        fcntl.flock(folder_fd, fcntl.LOCK_EX)  # so that every draft in it is of a writer that was killed
        for path in engine.parent.iterdir():
            if is_temporary_name(path.name):
                path.unlink(missing_ok=True)
        write_atomically(folder_fd, engine.name, built.plan)
        write_atomically(folder_fd, f"{engine.stem}.json", record.model_dump_json(indent=2).encode())


@contextmanager
def _locked(lock: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that ends with the process, however that ends; its file stays."""
    with _explained(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = lock.open("ab")
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"another process builds {lock.stem}; waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot keep engines in {folder}: {error.strerror}; "
            "set STATE_DIRECTORY or XDG_STATE_HOME to a local folder that can be written"
        ) from error
