"""Probes: how well features tell classes that they were not trained on.

`extract` computes features of whole image sets; `nearest_neighbours` and `fit_linear_probe` read
classes off them; `colour_histogram` is a control without a network; `difference` says whether one
is better than another. `knn_accuracy` is the quick one for a run in progress. `each_block`
measures inside a network, for `diversity` and class selectivity.
"""

from fcmae.probes.blocks import cosine_distances, diversity, each_block
from fcmae.probes.comparison import Score, difference, score
from fcmae.probes.features import Features, colour_histogram, extract, standardise
from fcmae.probes.knn import Accuracy, knn_accuracy, nearest_neighbours
from fcmae.probes.linear import LinearProbe, fit, fit_linear_probe

__all__ = [
    "Accuracy",
    "Features",
    "LinearProbe",
    "Score",
    "colour_histogram",
    "cosine_distances",
    "difference",
    "diversity",
    "each_block",
    "extract",
    "fit",
    "fit_linear_probe",
    "knn_accuracy",
    "nearest_neighbours",
    "score",
    "standardise",
]
