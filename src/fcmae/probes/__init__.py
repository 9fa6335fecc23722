"""Probes: what features say of classes that they were not trained on.

`extract` computes features of whole image sets; `nearest_neighbours` and `fit_linear_probe` read
classes off them; `colour_histogram` is a control without a network; `difference` and `verdict` say
whether one is better than another. `knn_accuracy` is the quick one for a run that goes on.
"""

from fcmae.probes.comparison import Difference, Score, difference, score, verdict
from fcmae.probes.features import Features, Network, extract, pooled, standardise
from fcmae.probes.histogram import colour_histogram
from fcmae.probes.interim import Accuracy, knn_accuracy
from fcmae.probes.knn import nearest_neighbours
from fcmae.probes.linear import LinearProbe, fit, fit_linear_probe

__all__ = [
    "Accuracy",
    "Difference",
    "Features",
    "LinearProbe",
    "Network",
    "Score",
    "colour_histogram",
    "difference",
    "extract",
    "fit",
    "fit_linear_probe",
    "knn_accuracy",
    "nearest_neighbours",
    "pooled",
    "score",
    "standardise",
    "verdict",
]
