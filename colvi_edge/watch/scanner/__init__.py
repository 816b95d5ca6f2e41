"""Looks at the watched folder and says which raw files are finished."""
