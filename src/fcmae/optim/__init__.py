"""How parameters are grouped for the optimiser, and how the learning rate runs."""

from fcmae.optim.groups import parameter_groups
from fcmae.optim.schedule import learning_rate, scaled_learning_rate

__all__ = ["learning_rate", "parameter_groups", "scaled_learning_rate"]
