"""What the views of a result show of the image itself."""

from typing import Any, NamedTuple

from numpy.typing import NDArray


class Shown(NamedTuple):
    """An image as it is drawn and stored beside its result.

    Attributes:
        projection: (C, H, W), the planes summed.
        roles: of each channel, as the bundle asks for them.
        pixel_height_um: edge of a pixel along a column; None where the file does not say.
    """

    projection: NDArray[Any]
    roles: tuple[str, ...]
    pixel_height_um: float | None = None

    def channel(self, role: str) -> NDArray[Any]:
        """Return the projection (H, W) of a role that is among them."""
        channel: NDArray[Any] = self.projection[self.roles.index(role)]
        return channel
