"""The optimiser: which parameters decay, whose learning rate is scaled, and AdamW of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fcmae.errors import unknown

EXEMPT = ("fixed", "paper-code", "nothing")


def parameter_groups(
    module: nn.Module,
    weight_decay: float,
    *,
    exempt: str = "fixed",
    scales: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Groups for AdamW: what decays, then what does not; with `scales`, one a multiplier of each.

    Biases, norms and LayerScale never decay. The authors' pre-training code exempts only 1-D
    parameters and biases, so that its GRN, (1, 1, 1, C), and its mask token, (1, C, 1, 1), decay;
    its author later advised against it. Their fine-tuning code exempts GRN: it is "fixed".

    Args:
        module: the model.
        weight_decay: of what decays.
        exempt: "fixed" exempts GRN and the mask token as well, "paper-code" does not; "nothing" is
            exempt in MoCo v3's code.
        scales: what the learning rate of each parameter is multiplied by, as of `layer_scales`.

    Returns:
        Groups with "params", "weight_decay", "names", the parameters' names, and, with `scales`,
        "scale", from the smallest to the largest.

    Raises:
        ValueError: for an unknown `exempt`; for a parameter that `scales` does not have.
    """
    if exempt not in EXEMPT:
        raise unknown("exempt", exempt, EXEMPT)
    groups: dict[tuple[bool, float], dict[str, nn.Parameter]] = {}  # by (spared, scale)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        special = ".grn." in name or name.endswith("mask_token")
        decays = exempt == "paper-code" if special else parameter.ndim > 1
        decays = decays or exempt == "nothing"
        if scales is not None and name not in scales:
            raise ValueError(f"scales has no multiplier for {name!r}: give each parameter one")
        scale = 1.0 if scales is None else scales[name]
        groups.setdefault((not decays, scale), {})[name] = parameter
    return [
        {
            "params": list(group.values()),
            "names": list(group),
            "weight_decay": 0.0 if spared else weight_decay,
        }
        | ({} if scales is None else {"scale": scale})
        for (spared, scale), group in sorted(groups.items())
    ]


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
