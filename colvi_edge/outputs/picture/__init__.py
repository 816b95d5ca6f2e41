"""The overlay as a picture."""
