"""Trained networks over a whole image set: evaluation, prediction, features, probes."""
