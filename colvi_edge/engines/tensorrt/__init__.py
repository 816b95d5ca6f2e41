"""The engine on TensorRT: built on this machine, kept, and run."""
