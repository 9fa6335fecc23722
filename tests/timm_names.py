"""timm's names of the same weights."""

import re

from torch import Tensor

RENAMED = (
    (r"^downsample_layers\.0\.", "stem."),
    (r"^downsample_layers\.(\d)\.", r"stages.\1.downsample."),
    (r"^stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"\.pwconv(\d)\.", r".mlp.fc\1."),
    (r"\.grn\.gamma$", ".mlp.grn.weight"),
    (r"\.grn\.beta$", ".mlp.grn.bias"),
    (r"^norm\.", "head.norm."),
    (r"^head\.(weight|bias)$", r"head.fc.\1"),
)


def timm_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights, not copied, under timm's names, GRN in timm's shape."""
    renamed = {}
    for name, value in state.items():
        theirs = name
        for pattern, replacement in RENAMED:
            theirs = re.sub(pattern, replacement, theirs)
        renamed[theirs] = value.flatten() if ".grn." in name else value
    return renamed
