"""From a trained CNN to a bundle: what runs where the network was trained, with torch at hand.

The runtime never imports this package; only the command line does, inside the commands that need it.
"""
