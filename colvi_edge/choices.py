"""What can be chosen by name. Apart from the engines, so that `--help` loads none of them."""

import os
from enum import Enum
from pathlib import Path

from colvi_edge.printable import in_a_row

DEMO = "demo"
"""The word that stands for the shipped bundle wherever a bundle is asked for."""

DEMO_NUCLEI = "demo-nuclei"
"""The word that stands for the shipped bundle that outlines nuclei."""

DEMOS = (DEMO, DEMO_NUCLEI)
"""All shipped bundles: each is the folder of its name in the package."""


def bundles_in(setting: str, root: Path = Path("/")) -> list[str]:
    """Return the bundles that a variable names: one, if a path of that name is there, else as PATH is read.

    Args:
        setting: what the variable says.
        root: below which paths in full lie.
    """
    whole = root / setting.lstrip("/") if setting.startswith("/") else setting
    return [setting] if os.path.lexists(whole) else list(filter(None, setting.split(os.pathsep)))


class EngineName(str, Enum):
    """The runtimes that a bundle can be opened on."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TENSORRT = "tensorrt"


class PrecisionChoice(str, Enum):
    """The precisions that can be asked for; int8 means the one made for the engine."""

    AUTO = "auto"
    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


def words_in(choices: type[Enum]) -> str:
    """Return what can be chosen, as a sentence lists it: `auto, fp32, fp16 or int8`."""
    return in_a_row([choice.value for choice in choices])


class Outputs(str, Enum):
    """What the outputs of a network are, and so what makes probabilities of them."""

    PROBABILITIES = "probabilities"
    SOFTMAX_LOGITS = "softmax-logits"
    SIGMOID_LOGITS = "sigmoid-logits"

    @property
    def words(self) -> str:
        """What that means, in a sentence's part."""
        return {
            Outputs.PROBABILITIES: "the network itself ends in softmax or sigmoid",
            Outputs.SOFTMAX_LOGITS: "a softmax makes probabilities of them (trained with cross-entropy)",
            Outputs.SIGMOID_LOGITS: "a sigmoid makes one of each (trained with binary cross-entropy)",
        }[self]

    @property
    def activation(self) -> str:
        """The old name of the same: what makes probabilities of them."""
        return {
            Outputs.PROBABILITIES: "none",
            Outputs.SOFTMAX_LOGITS: "softmax",
            Outputs.SIGMOID_LOGITS: "sigmoid",
        }[self]


class OverlayChoice(str, Enum):
    """How the overlay is written: as a picture, or also as data with the frames as objects."""

    PNG = "png"
    OME_TIFF = "ome-tiff"


class Replace(str, Enum):
    """What is judged where a result of the same content stands; what has none, or failed, always is.

    OWN judges results of this very model again and keeps those of others; STALE judges those of other models
    and keeps this one's; ALL judges every one.
    """

    OWN = "own"
    STALE = "stale"
    ALL = "all"
