"""What networks that answer for each pixel need besides: their reach, windows for it, norms frozen."""
