"""How well patches and their images were judged."""
