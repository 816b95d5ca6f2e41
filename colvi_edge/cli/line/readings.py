"""How the words that are given to options are read, or refused in a sentence."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from colvi_edge.choices import EngineName, Outputs, PrecisionChoice, Replace
from colvi_edge.errors import UsageError

if TYPE_CHECKING:
    from colvi_edge.outputs.named import Named

Chosen = TypeVar("Chosen", EngineName, PrecisionChoice)


def refuse_place(option: str, kind: "Named", path: Path | None) -> None:
    """Refuse a file to be written that is called like a raw file or a result, or would replace another's."""
    if path is None:
        return
    from colvi_edge.outputs.named import refuse_other
    from colvi_edge.outputs.names import is_output_name
    from colvi_edge.raw_files import is_raw_name

    if is_raw_name(path.name) or is_output_name(path.name):
        raise UsageError(f"{option} {path}: is called like a raw file or a result; choose another name")
    refuse_other(kind, path)


def roles_of(channels: str | None) -> list[str] | None:
    """Return the roles that --channels gives to the channels of files."""
    if channels is None:
        return None
    roles = words_of(channels) or []
    if sorted(set(roles) - {"other"}) != ["collagen", "nuclei"] or len(roles) - roles.count("other") != 2:
        raise UsageError(
            f"--channels {channels}: expected collagen and nuclei once each, 'other' for any more, "
            "in the order of the file, such as nuclei,collagen"
        )
    return roles


def replace_of(stale: bool, again: bool) -> Replace:
    """Return what --stale and --again say of results that stand."""
    if stale and again:
        raise UsageError("--stale and --again: expected one of them; --again judges what --stale does, too")
    return Replace.ALL if again else Replace.STALE if stale else Replace.OWN


def activation_of(outputs: str | None, activation: str | None) -> str | None:
    """Return what makes probabilities of a network's outputs: softmax, sigmoid, none; None if nobody says.

    Args:
        outputs: --outputs.
        activation: --activation, its old name.
    """
    if outputs is not None and activation is not None:
        raise UsageError(
            "--activation is the old name of --outputs, and both are given; leave --activation out"
        )
    known = {one.activation: one for one in Outputs}
    if activation is not None and activation not in known:
        raise UsageError(f"--activation {activation}: expected {', '.join(known)}; its new name is --outputs")
    if outputs is not None and outputs not in [one.value for one in Outputs]:
        kinds = "; ".join(f"{one.value} ({one.words})" for one in Outputs)
        raise UsageError(f"--outputs {outputs}: expected one of {kinds}")
    return activation if outputs is None else Outputs(outputs).activation


def words_of(given: str | None) -> list[str] | None:
    """Return the words of a list such as nuclei,collagen; None for an option that is not given."""
    return None if given is None else [word.strip().lower() for word in given.split(",")]


def several_of(choices: type[Chosen], option: str, given: str) -> list[Chosen]:
    """Return the choices of a list such as openvino,tensorrt."""
    try:
        return [choices(word) for word in words_of(given) or []]
    except ValueError:
        names = ", ".join(choice.value for choice in choices)
        raise UsageError(f"{option} {given}: expected one or more of {names}, separated by commas") from None


def numbers_of(settings: list[str] | None) -> dict[str, int]:
    """Return the numbers of settings such as pages=1000."""
    numbers = {}
    for setting in settings or []:
        name, _, number = setting.partition("=")
        if not number.isdecimal():
            raise UsageError(f"--limit {setting}: expected a name, '=', a whole number, such as pages=1000")
        numbers[name] = int(number)
    return numbers


def place_of(given: str | None) -> tuple[int, int] | None:
    """Return row and column of a place such as 3,12."""
    if given is None:
        return None
    row, comma, col = given.partition(",")
    if not (comma and row.strip().isdecimal() and col.strip().isdecimal()):
        raise UsageError(f"--patch {given}: expected row and column, counted from 0, such as 3,12")
    return int(row), int(col)
