"""Analyses: what trained models make of images, measured and shown (appendix C and D).

Each is a command, `fcmae analyze NAME`, and a function of the same name and options here.
"""

from fcmae.commands.analyze import activations, diversity, reconstruct, selectivity

__all__ = ["activations", "diversity", "reconstruct", "selectivity"]
