"""The model that weights are of, by their shapes; what is in GRN's place they do not show."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fcmae.models.classifier import Classifier
from fcmae.models.responses import USUAL
from fcmae.sizes import SIZES, is_v2, total_stride
from fcmae.weights.dialects import few

STEM = "downsample_layers.0.0.weight"
FINAL = ("norm.", "head.")
NORM, HEAD = ({f"{name}weight", f"{name}bias"} for name in FINAL)


class Architecture(NamedTuple):
    """The arguments that build a model."""

    model: str
    in_channels: int
    stem_stride: int
    num_classes: int | None  # None: no head
    response: str

    @property
    def backbone(self) -> dict[str, Any]:
        """The arguments of an encoder or a bare backbone."""
        return {name: value for name, value in self._asdict().items() if name != "num_classes"}


def recognise(state: Mapping[str, Tensor], response: str = USUAL) -> Architecture:
    """The model that a state in our names is of, by its shapes, all of them.

    Args:
        state: in our names.
        response: what its blocks have in GRN's place, which shapes do not tell.

    Raises:
        ValueError: if there is none, or the state is not whole: a whole backbone, with a norm and
            a head or without.
    """
    stem, head = state.get(STEM), state.get("head.weight")
    if stem is None or stem.ndim != 4 or stem.shape[2] != stem.shape[3]:
        shape = "is absent" if stem is None else f"has shape {list(stem.shape)}"
        raise ValueError(f"its stem, {STEM}, {shape}: [width, channels, s, s] is needed")
    width, in_channels, _, stem_stride = stem.shape
    total_stride(stem_stride)  # refuses others
    blocks = {tuple(name.split(".")[1:3]) for name in state if name.startswith("stages.")}
    depths = tuple(sum(stage == str(number) for stage, *_ in blocks) for number in range(4))
    v2 = response != USUAL or any(".grn." in name for name in state)
    num_classes = None if head is None else head.shape[:1].numel()
    for name, size in SIZES.items():
        if (size.width, size.depths, is_v2(name)) == (width, depths, v2):
            architecture = Architecture(name, in_channels, stem_stride, num_classes, response)
            with torch.device("meta"):
                options = architecture._asdict() | {"num_classes": num_classes or 1}
                check_fit(state, Classifier(**options).state_dict())
            return architecture
    raise ValueError(
        f"no model {'with' if v2 else 'without'} GRN has width {width} and depths {depths}"
    )


def check_fit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that a state is a whole backbone, with a norm and a head or without.

    Args:
        state: what there is, in our names.
        expected: what there is to be, with the sizes.

    Raises:
        ValueError: if more than a head, or a head and its norm, is lacking, something is not
            expected, or a size differs.
    """
    lacking = expected.keys() - state.keys()
    if {name for name in lacking if name.startswith(FINAL)} in (HEAD, NORM | HEAD):
        lacking -= NORM | HEAD
    for what, names in (("lacks", lacking), ("has unknown", state.keys() - expected.keys())):
        if names:
            raise ValueError(f"it {what} {few(names)}")
    for name, value in state.items():
        if value.shape != expected[name].shape:
            sizes = f"{list(value.shape)}, {list(expected[name].shape)} is needed"
            raise ValueError(f"its {name} has shape {sizes}")
