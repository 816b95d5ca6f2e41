"""What each of several bundles has of its own, and all of them together."""
