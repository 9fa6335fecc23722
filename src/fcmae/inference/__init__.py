"""Trained networks over a whole image set: one way to read images in order."""
