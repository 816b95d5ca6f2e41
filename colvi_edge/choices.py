"""What can be chosen by name. Apart from the engines, so that `--help` loads none of them."""

from enum import Enum


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


class BuiltEngine(str, Enum):
    """The runtimes whose engines are built for one machine."""

    TENSORRT = "tensorrt"


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
