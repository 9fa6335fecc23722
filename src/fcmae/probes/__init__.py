"""Probes: how well features tell classes that they were not trained on.

`extract` computes features of whole image sets; `nearest_neighbours` and `fit_linear_probe` read
classes off them; `colour_histogram` is a control without a network; `difference` says whether one
is better than another. `knn_accuracy` is the quick one for a run in progress. `each_block`
measures inside a network, for `diversity` and class selectivity.
"""
