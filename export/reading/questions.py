"""What a model file does not say of itself, asked for at once, with options that can be typed as they are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from colvi_edge.choices import Outputs
from colvi_edge.errors import UsageError
from colvi_edge.patches import PIXEL_TYPES, Normalisation, NormalisationKind

_PLAIN: tuple[NormalisationKind, ...] = ("patch", "patch-channel", "image", "image-range")
"""Kinds without parameters."""


def lacking_facts(
    path: Path, lacking: Mapping[str, str], counts: Sequence[int], *, normalisation_is_said: bool
) -> UsageError:
    """Return the error that asks for all that a file does not say.

    Args:
        path: of the file.
        lacking: options -> a value that may be right.
        counts: of channels that its network takes.
        normalisation_is_said: else the sentence says what it is taken to be.
    """
    kinds = ", ".join(f"{kind.value} if {kind.words}" for kind in Outputs)
    words = {
        "--network": "whose weights it holds (--network paper or published)",
        "--channels": f"which channel each input is (--channels; it takes {' or '.join(map(str, counts))})",
        "--classes": "which class each output is (--classes)",
        "--outputs": f"what its outputs are (--outputs: {kinds})",
    }
    asked = " nor ".join(words[option] for option in lacking)
    custom = (
        ""
        if normalisation_is_said
        else "; it is given patches of zero mean and unit variance, unless --normalisation says otherwise"
    )
    return UsageError(
        f"{path} does not say {asked}{custom}; say it, with your own values in:",
        options=[word for pair in lacking.items() for word in pair],
    )


@contextmanager
def asked_without_channels(path: Path) -> Iterator[None]:
    """Let a command read a model whose own --channels are those of raw files, not of the network."""
    try:
        yield
    except UsageError as error:
        if "--channels" not in error.options:
            raise
        raise UsageError(
            f"{path} does not say which of its inputs is which, and only colvi-edge export can be told, by "
            "its --channels; export it, and use its bundle"
        ) from error


def outputs_of(activation: str | None) -> str | None:
    """Return the new name of an activation."""
    return next((one.value for one in Outputs if one.activation == activation), None)


def normalisation_words(normalisation: Normalisation) -> str:
    """Return a normalisation as `parse_normalisation` reads it."""
    if normalisation.kind == "fixed":
        mean, std = (
            ",".join(f"{number}" for number in part) for part in (normalisation.mean, normalisation.std)
        )
        return f"fixed:{mean}:{std}"
    if normalisation.kind == "scale":
        return f"scale:{normalisation.divisor}:{normalisation.dtype}"
    return normalisation.kind


def parse_normalisation(text: str | None) -> Normalisation | None:
    """Return the normalisation that an option names; None for one that is not given.

    Args:
        text: `patch`, `patch-channel`, `image`, `image-range`, `fixed:MEAN,..:STD,..` or
            `scale:DIVISOR:DTYPE`.

    Raises:
        UsageError: the text is none of these.
    """
    if text is None:
        return None
    kind, *parameters = text.split(":")
    try:
        for plain in _PLAIN:
            if kind == plain and not parameters:
                return Normalisation(plain)
        if kind == "fixed":
            mean, std = (tuple(float(number) for number in part.split(",")) for part in parameters)
            return Normalisation("fixed", mean=mean, std=std)
        if kind == "scale":
            divisor, dtype = parameters
            if dtype in PIXEL_TYPES:
                return Normalisation("scale", divisor=float(divisor), dtype=dtype)
    except ValueError as error:
        raise UsageError(f"--normalisation {text}: {error}; see --help for the kinds") from error
    raise UsageError(
        f"--normalisation {text}: expected patch, patch-channel, fixed:MEAN,..:STD,.. or "
        "scale:DIVISOR:DTYPE; of whole images also image or image-range"
    )
