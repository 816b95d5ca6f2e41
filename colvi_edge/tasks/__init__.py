"""What a bundle answers: from an engine's field to a result."""
