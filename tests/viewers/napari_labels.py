"""Open labels and objects' table with napari's own readers, without a display; run where napari is.

Prints, as JSON, what the layers hold: of the labels, as a user converts them, how many pixels have each
number; of the table its points and the properties.
"""

import json
import sys

import numpy as np
from napari.layers import Labels, Layer  # type: ignore[import-not-found]
from napari_builtins.io import csv_to_layer_data, magic_imread  # type: ignore[import-not-found]

layer = Labels(np.asarray(magic_imread([sys.argv[1]])))
numbers, pixels = np.unique(layer.data, return_counts=True)
points = Layer.create(*csv_to_layer_data(sys.argv[2]))
values = [layer.data[tuple(place)] for place in np.round(points.data).astype(int)]
held = {
    "shape": list(layer.data.shape),
    "pixels": dict(zip(numbers.tolist(), pixels.tolist(), strict=True)),
    "kind": type(points).__name__,
    "points": points.data.tolist(),
    "label_there": [int(value) for value in values],
    "properties": {name: np.asarray(values).tolist() for name, values in points.features.items()},
}
sys.stdout.write(json.dumps(held))
