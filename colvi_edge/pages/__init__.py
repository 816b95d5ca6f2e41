"""Helpers for pages of HTML that load nothing: their shell, their style, their pieces."""
