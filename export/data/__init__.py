"""Labelled images: where they are, which of them train and test, and their patches."""
