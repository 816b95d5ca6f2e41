"""All that is printed."""
