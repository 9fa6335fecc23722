"""Checks of this installation and of weights: what runs here, and whether it is right."""
