"""Open a patch table with napari's own reader, without a display; run in an environment that has napari.

Prints, as JSON, what the layer holds: its kind, the points (row, column) and every property.
"""

import json
import sys

import numpy as np
from napari.layers import Layer  # type: ignore[import-not-found]
from napari_builtins.io import csv_to_layer_data  # type: ignore[import-not-found]

layer = Layer.create(*csv_to_layer_data(sys.argv[1]))
layer.border_color = list(layer.features["band"])  # what docs/how-to/napari.md tells to type
held = {
    "kind": type(layer).__name__,
    "points": layer.data.tolist(),
    "properties": {name: np.asarray(values).tolist() for name, values in layer.features.items()},
    "colours": np.round(255 * layer.border_color[:, :3]).astype(int).tolist(),
}
sys.stdout.write(json.dumps(held))
