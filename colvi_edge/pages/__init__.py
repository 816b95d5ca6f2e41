"""Helpers for pages of HTML that load nothing: their frame, their style, their pieces, parts of plots."""
