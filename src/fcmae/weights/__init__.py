"""Weights: read from files of any dialect, put into a model with a report, written, converted.

What fits only in part is refused, in words; of a model's weights only a head and its norm may stay
fresh, and of a file's only those, and a decoder's, may be left out. The report says which.
"""

from fcmae.weights.load import FILE, LoadReport, load_weights, read_weights
from fcmae.weights.save import convert, save_weights

__all__ = ["FILE", "LoadReport", "convert", "load_weights", "read_weights", "save_weights"]
