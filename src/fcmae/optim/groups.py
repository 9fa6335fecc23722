"""Which parameters decay."""

from typing import Any

from torch import nn

from fcmae.errors import unknown

EXEMPT = ("fixed", "paper-code")


def parameter_groups(
    module: nn.Module, weight_decay: float, *, exempt: str = "fixed"
) -> list[dict[str, Any]]:
    """Two groups for AdamW: what decays, and what does not.

    Biases, norms and LayerScale never decay. The authors' pre-training code exempts only 1-D
    parameters and biases, so that its GRN, (1, 1, 1, C), and its mask token, (1, C, 1, 1), decay;
    its author later advised against it.

    Args:
        module: the model.
        weight_decay: of what decays.
        exempt: "fixed" exempts GRN and the mask token as well, "paper-code" does not.

    Returns:
        Groups with "params", "weight_decay" and "names", the parameters' names.
    """
    if exempt not in EXEMPT:
        raise unknown("exempt", exempt, EXEMPT)
    decayed: dict[str, nn.Parameter] = {}
    spared: dict[str, nn.Parameter] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        special = ".grn." in name or name.endswith("mask_token")
        decays = exempt == "paper-code" if special else parameter.ndim > 1
        (decayed if decays else spared)[name] = parameter
    return [
        {"params": list(group.values()), "names": list(group), "weight_decay": decay}
        for group, decay in ((decayed, weight_decay), (spared, 0.0))
        if group
    ]
