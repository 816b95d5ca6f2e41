"""Single objects in a map of classes: labelled on the whole map, parted where they touch, and measured."""

from colvi_edge.tasks.objects.finding import find_objects
from colvi_edge.tasks.objects.model import ObjectMeasures, Objects, ObjectSummary, Spread, spread_of

__all__ = ["ObjectMeasures", "ObjectSummary", "Objects", "Spread", "find_objects", "spread_of"]
