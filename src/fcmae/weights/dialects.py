"""Our names of weights, which are the authors', and those of timm and transformers: both ways.

Names and shapes alone: no value is changed, so that what goes there and back is the same, bit for
bit. The authors' pre-training code has names of its own, "sparse", which are read and not written:
the encoder under `encoder.`, with kernels in the order of their sparse-convolution library.
"""
# ruff: noqa: E501 (a row is a line)

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from fcmae.errors import unknown

Dialect = Literal["official", "sparse", "timm", "transformers"]
WRITTEN: tuple[Dialect, ...] = ("official", "timm", "transformers")
STEM, FIRST = "downsample_layers.0.0", "stages.0.0.dwconv"  # what no dialect goes without
NARROW = 80  # channels of Nano: up to it, timm has 1x1 convolutions for linear layers
SHOWN = 3  # names that a message lists

# fmt: off
NAMES = (  # s: stage, b: block, n: number, p: weight or bias
    # ours                            timm                                    transformers
    ("downsample_layers.0.0.{p}",     "stem.0.{p}",                           "embeddings.patch_embeddings.{p}"),
    ("downsample_layers.0.1.{p}",     "stem.1.{p}",                           "embeddings.layernorm.{p}"),
    ("downsample_layers.{s}.{n}.{p}", "stages.{s}.downsample.{n}.{p}",        "encoder.stages.{s}.downsampling_layer.{n}.{p}"),
    ("stages.{s}.{b}.dwconv.{p}",     "stages.{s}.blocks.{b}.conv_dw.{p}",    "encoder.stages.{s}.layers.{b}.dwconv.{p}"),
    ("stages.{s}.{b}.norm.{p}",       "stages.{s}.blocks.{b}.norm.{p}",       "encoder.stages.{s}.layers.{b}.layernorm.{p}"),
    ("stages.{s}.{b}.pwconv{n}.{p}",  "stages.{s}.blocks.{b}.mlp.fc{n}.{p}",  "encoder.stages.{s}.layers.{b}.pwconv{n}.{p}"),
    ("stages.{s}.{b}.grn.gamma",      "stages.{s}.blocks.{b}.mlp.grn.weight", "encoder.stages.{s}.layers.{b}.grn.weight"),
    ("stages.{s}.{b}.grn.beta",       "stages.{s}.blocks.{b}.mlp.grn.bias",   "encoder.stages.{s}.layers.{b}.grn.bias"),
    ("stages.{s}.{b}.grn.running_{m}", "", ""),  # of BatchNorm in its place, which they do not have
    ("stages.{s}.{b}.gamma",          "stages.{s}.blocks.{b}.gamma",          "encoder.stages.{s}.layers.{b}.layer_scale_parameter"),
    ("norm.{p}",                      "head.norm.{p}",                        "layernorm.{p}"),
    ("head.{p}",                      "head.fc.{p}",                          "classifier.{p}"),
)
# fmt: on
COLUMN = {"official": 0, "sparse": 0, "timm": 1, "transformers": 2}
PARTS = {"p": "weight|bias", "m": "mean|var", "s": r"\d", "b": r"\d+", "n": r"\d"}


class Translation(NamedTuple):
    """A state in our names and shapes."""

    state: dict[str, Tensor]
    reshaped: tuple[str, ...]  # our names of those that had another shape
    unknown: tuple[str, ...]  # their names of those that we have no name for


def our_name(name: str, dialect: Dialect) -> str | None:
    """Our name of what `dialect` calls `name`; None if that is no part of a classifier."""
    if dialect == "sparse":
        if not name.startswith("encoder."):
            return None
        name = re.sub(r"\.(ln|linear)\.", ".", name.removeprefix("encoder."))
        name = re.sub(r"\.kernel$", ".weight", name)
    if dialect == "transformers":  # the prefix is that of the model around the backbone
        name = re.sub(r"^convnext(v2)?\.", "", name)
    return _translated(name, COLUMN[dialect], COLUMN["official"])


def their_name(name: str, dialect: Dialect, *, v2: bool) -> str:
    """What `dialect` calls our `name`, in a model of version 2 or 1.

    Raises:
        ValueError: for a dialect that is not written, or a name that is not ours.
    """
    if dialect not in WRITTEN:
        raise unknown("dialect", dialect, WRITTEN)
    theirs = _translated(name, COLUMN["official"], COLUMN[dialect])
    if not theirs:
        raise ValueError(f"{name} is no weight of a classifier of {dialect}")
    if dialect == "transformers" and not name.startswith("head."):
        return ("convnextv2." if v2 else "convnext.") + theirs
    return theirs


def detect(names: Iterable[str]) -> Dialect:
    """The dialect of a state with these names.

    Raises:
        ValueError: if they are of none, or of several.
    """
    names = list(names)
    needed = {f"{STEM}.weight", f"{FIRST}.weight"}
    found: list[Dialect] = [
        dialect
        for dialect in get_args(Dialect)
        if needed <= {our_name(name, dialect) for name in names}
    ]
    if len(found) != 1:
        which = f"both {' and '.join(found)}" if found else f"none of {', '.join(COLUMN)}"
        raise ValueError(
            f"its names are of {which}: it has {few(names)}; give the weights of one ConvNeXt"
        )
    return found[0]


def to_ours(state: Mapping[str, Tensor], dialect: Dialect) -> Translation:
    """Bring a state of any dialect to our names and shapes.

    Raises:
        ValueError: if two tensors have the same name in ours, or a shape has no counterpart.
    """
    ours: dict[str, Tensor] = {}
    reshaped, strange = [], []
    for name, value in state.items():
        known = our_name(name, dialect)
        if known is None:
            strange.append(name)
            continue
        if known in ours:
            raise ValueError(f"two of its tensors are {known}, one of them called {name}")
        ours[known] = _our_shape(name, known, value)
        if ours[known].shape != value.shape:
            reshaped.append(known)
    return Translation(ours, tuple(reshaped), tuple(strange))


def from_ours(state: Mapping[str, Tensor], dialect: Dialect) -> dict[str, Tensor]:
    """Bring a state in our names to `dialect`, in the shapes of that library's models.

    Raises:
        ValueError: for a dialect that is not written, or a name that is not ours.
    """
    v2 = any(".grn." in name for name in state)
    theirs = {their_name(name, dialect, v2=v2): value for name, value in state.items()}
    if dialect == "timm":
        narrow = len(state[f"{STEM}.bias"]) <= NARROW
        for name, value in theirs.items():
            if ".grn." in name:
                theirs[name] = value.flatten()
            elif narrow and re.search(r"\.fc\d\.weight$", name):
                theirs[name] = value[:, :, None, None]
    return theirs


def few(names: Iterable[str]) -> str:
    """Names for a message: the first three, and how many more there are."""
    names = sorted(names)
    shown = ", ".join(names[:SHOWN]) or "nothing"
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def _translated(name: str, source: int, target: int) -> str | None:
    for row in NAMES:
        if match := _pattern(row[source]).fullmatch(name):
            return row[target].format(**match.groupdict())
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    for part, values in PARTS.items():
        pattern = pattern.replace(f"{{{part}}}", f"(?P<{part}>{values})")
    return re.compile(pattern)


def _our_shape(name: str, ours: str, value: Tensor) -> Tensor:
    """The same values in our shape."""
    if name.endswith(".kernel"):
        return _from_kernel(name, value)
    if ".pwconv" in ours and ours.endswith(".weight"):
        return value.flatten(1) if value.shape[2:] == (1, 1) else value
    if ours.endswith((".bias", ".gamma", ".beta")):
        if value.shape[-1:].numel() != value.numel():
            raise ValueError(f"{name} has shape {list(value.shape)}: one value a channel is needed")
        return value.reshape((1, 1, 1, -1) if ".grn." in ours else (-1,))
    return value


def _from_kernel(name: str, kernel: Tensor) -> Tensor:
    """A sparse convolution's kernel [k * k, in, out], or [k * k, C] depthwise, as [out, in, k, k].

    It counts its positions column by column (authors' code: remapping of checkpoints).
    """
    side = math.isqrt(len(kernel)) if kernel.ndim in (2, 3) else 0
    if side == 0 or side * side != len(kernel):
        raise ValueError(
            f"{name} has shape {list(kernel.shape)}: [k * k, in, out] or [k * k, C] is needed"
        )
    inputs = kernel.shape[1] if kernel.ndim == 3 else 1
    columns = kernel.reshape(side, side, inputs, -1)  # [column, row, in, out]
    return columns.permute(3, 2, 1, 0)
