"""What children that tell all they know have in common: they name what they read in every way there is.

Each is `python -m tests.watch.fakes.loud_ROLE HERE DESCRIPTOR SUPERVISOR_PID`; HERE is a folder of the test,
in which they note what befell them once already.
"""

import gc
import logging
import os
import sys
import threading
import warnings
from pathlib import Path

here = Path(sys.argv.pop(1))


def first_time(what: str) -> bool:
    """Return whether it is the first time, of all processes of this role and test."""
    try:
        (here / f"{Path(sys.argv[0]).stem}.{what}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def tell_all(name: str) -> None:
    """Name a file in warnings, logs, prints, other threads' exceptions and those of a destructor."""
    warnings.warn(f"odd: {name}", stacklevel=1)
    logging.getLogger("tifffile").error("damaged: %s", name)
    logging.warning("damaged: %s", name)
    print("reading", name, flush=True)  # noqa: T201 - as a library may
    for descriptor in (1, 2):  # as a library in C would
        os.write(descriptor, f"{name}: {name}\n".encode())

    def fail() -> None:
        raise KeyError(name)

    thread = threading.Thread(target=fail, name=name)
    thread.start()
    thread.join()

    class Unlucky:
        def __del__(self) -> None:
            raise ValueError(name)

    Unlucky()
    gc.collect()
