"""How parameters are grouped for the optimiser, how the learning rate runs, what is averaged."""

from fcmae.optim.average import Average
from fcmae.optim.groups import adamw, parameter_groups
from fcmae.optim.layer_decay import layer_ids, layer_scales
from fcmae.optim.schedule import learning_rate, scaled_learning_rate

__all__ = [
    "Average",
    "adamw",
    "layer_ids",
    "layer_scales",
    "learning_rate",
    "parameter_groups",
    "scaled_learning_rate",
]
