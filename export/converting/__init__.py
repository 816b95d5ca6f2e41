"""From a trained network to a bundle: every precision, measured before it is believed."""
