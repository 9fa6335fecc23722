"""The exponential moving average of the weights ("ema" of Tables 2 to 6 of the paper)."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """A second set of weights that follows a model's, for evaluation.

    It starts as a copy and moves by (1 - decay) of the way at each update. 0.9999 needs some ten
    thousand updates to forget where it started; with `warmup`, update n decays by at most
    (1 + n) / (10 + n), so that short runs have an average of use too. The authors' code has none.

    Nothing but the weights is kept: to go on, load `module.state_dict()` and count on.

    Args:
        model: what to follow; not wrapped by DistributedDataParallel, for plain names.
        decay: share of the average that an update keeps, from 0 to 1.
        warmup: whether the first updates keep less.

    Attributes:
        module: the averaged model, in evaluation mode and without gradients.

    Raises:
        ValueError: for a decay that is no share.
    """

    def __init__(self, model: nn.Module, decay: float, *, warmup: bool) -> None:
        if not 0 <= decay <= 1:
            raise ValueError(f"ema {decay} is not between 0 and 1 (the paper's is 0.9999)")
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.warmup = decay, warmup

    def decay_at(self, update: int) -> float:
        """The share that an update keeps; updates are counted from 1."""
        return min(self.decay, (1 + update) / (10 + update)) if self.warmup else self.decay

    @torch.no_grad()
    def update(self, model: nn.Module, update: int) -> None:
        """Move towards the weights and buffers of `model`; what is not a float is copied.

        Args:
            model: the one that is followed, after an optimiser step.
            update: the number of this update, counted from 1, also after a resume.
        """
        ours, theirs = self.module.state_dict(), model.state_dict()
        assert ours.keys() == theirs.keys()
        floats = [name for name, value in ours.items() if value.is_floating_point()]
        move = get_ema_multi_avg_fn(self.decay_at(update))  # type: ignore[no-untyped-call]
        move([ours[name] for name in floats], [theirs[name] for name in floats], update)
        for name in ours.keys() - set(floats):
            ours[name].copy_(theirs[name])
