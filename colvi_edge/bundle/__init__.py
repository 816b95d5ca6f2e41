"""The bundle on disk: its manifest, its arrays, and how it is opened."""

from colvi_edge.bundle.manifest import Config, Precision
from colvi_edge.bundle.opening import Bundle, demo_path, open_bundle
from colvi_edge.choices import DEMO, DEMO_NUCLEI, DEMOS

__all__ = ["DEMO", "DEMOS", "DEMO_NUCLEI", "Bundle", "Config", "Precision", "demo_path", "open_bundle"]
