"""Analyses: what trained models make of images, measured and shown (appendix C and D).

Each is a command, `fcmae analyze NAME`, and a function of the same name and options here.
"""

from fcmae.analyze.activations import activations
from fcmae.analyze.diversity import diversity
from fcmae.analyze.reconstruct import reconstruct
from fcmae.analyze.selectivity import selectivity

__all__ = ["activations", "diversity", "reconstruct", "selectivity"]
