"""The CUDA kernel of the package: its source, its compilation without nvcc, and its launch with pycuda.

Lies at the root of the repository, is imported as `colvi_edge.kernels`.
"""
