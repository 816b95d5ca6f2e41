"""The watched folder and that of its results: how all processes reach them, whatever is swapped or away."""
