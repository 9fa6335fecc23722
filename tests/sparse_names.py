"""Weights as the authors' pre-training code saves them: sparse kernels, and a decoder beside."""

import re

import torch
from torch import Tensor


def sparse_state(encoder: dict[str, Tensor]) -> dict[str, Tensor]:
    """An encoder's state in their names and shapes, with a few tensors of a decoder."""
    state = {"mask_token": torch.zeros(1, 512, 1, 1), "proj.weight": torch.zeros(512, 320, 1, 1)}
    for name, value in encoder.items():
        if name.startswith("downsample_layers.0."):  # the stem is dense there
            state[f"encoder.{name}"] = value
        elif value.ndim == 4 and name.endswith(".weight"):
            kernel = value.transpose(2, 3).flatten(2).permute(2, 1, 0)  # [k * k, in, out]
            kernel = kernel[:, 0] if value.shape[1] == 1 else kernel
            state[f"encoder.{name.removesuffix('weight')}kernel"] = kernel.clone()
        else:
            theirs = re.sub(r"\.(pwconv\d)\.", r".\1.linear.", name)
            theirs = re.sub(r"\.norm\.|(?<=downsample_layers\.\d\.0)\.", r"\g<0>ln.", theirs)
            grouped = theirs.endswith(("dwconv.bias", "1.bias", "gamma", "beta"))
            state[f"encoder.{theirs}"] = value.reshape(1, -1) if grouped else value
    return state | {"pred.bias": torch.zeros(3072), "decoder.0.grn.gamma": torch.zeros(1, 1, 1, 2)}
