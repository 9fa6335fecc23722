"""The optimiser of every table of the paper."""

from collections.abc import Sequence
from typing import Any

import torch


def adamw(
    groups: Sequence[dict[str, Any]], momentum: tuple[float, float], device: torch.device
) -> torch.optim.AdamW:
    """AdamW (Tables 1 to 6), in one pass over the weights where PyTorch has such a kernel.

    A process's first one takes a second: PyTorch imports its compiler for it.

    Args:
        groups: as of `parameter_groups`; their learning rates are set before each step.
        momentum: β1 and β2.
        device: that of the parameters.
    """
    return torch.optim.AdamW(groups, betas=momentum, fused=device.type in ("cpu", "cuda"))
