"""What an NVIDIA GPU needs, whatever runs on it: driver, thread, memory, graphs, the kernel that fits."""
