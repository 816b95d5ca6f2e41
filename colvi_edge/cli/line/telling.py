"""How much a command tells: less, with -q, or more, with -v.

-q is an option of the commands that leave files, so that a job of cron is silent where all is well. What is
for people alone, such as `demo` or `status`, has none; nor has `watch`, whose log is sorted by its levels.
"""

from typing import Annotated

from colvi_edge.cli.line.options import option
from colvi_edge.errors import UsageError

QuietOption = Annotated[
    bool,
    option(
        "--quiet",
        "-q",
        help="Print warnings and errors, and no more than other options ask for.",
    ),
]
VerboseOption = Annotated[
    bool,
    option(
        "--verbose",
        "-v",
        help="Also tell, on standard error, model, engine and precision with the reason, the limits, and how "
        "long each image took.",
    ),
]


def refuse_both(quiet: bool, verbose: bool) -> None:
    """Refuse to tell less and more at once."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose: expected one of them")
