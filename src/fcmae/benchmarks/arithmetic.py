"""Multiply-adds of a step, from the sizes alone: what no implementation of the method can avoid.

Counted are convolutions and linear layers, as the paper counts "FLOPs"; normalisation, GELU, GRN
and the optimiser are not. A multiply-add is two operations.
"""

from dataclasses import dataclass

from fcmae.models.masks import num_visible
from fcmae.sizes import size_of, total_stride

DECODER_WIDTH, DECODER_DEPTH = 512, 1  # section 3
KERNEL = 7  # sites a side of the depthwise convolution
TILE = 8  # sites a side of a cell at the first stage
CLASSES = 1000
IN_CHANNELS, STEM_STRIDE = 3, 4


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Multiply-adds of a forward pass, by what does them."""

    stem: int
    linear: int  # downsampling, the two linear layers of each block, the decoder's, the head
    depthwise: int

    def __add__(self, other: "Arithmetic") -> "Arithmetic":
        return Arithmetic(
            self.stem + other.stem, self.linear + other.linear, self.depthwise + other.depthwise
        )

    @property
    def forward(self) -> int:
        """Multiply-adds of the forward pass."""
        return self.stem + self.linear + self.depthwise

    @property
    def step(self) -> int:
        """Multiply-adds of forward and backward.

        The backward pass multiplies twice: for the gradient of the weights and for that of the
        input, which is not needed where the input is the images.
        """
        return 3 * self.forward - self.stem


def encoder(model: str, cells: int) -> Arithmetic:
    """An encoder or backbone on so many cells: all of them when dense, the visible when tiled."""
    size = size_of(model)
    stem = linear = depthwise = 0
    before = 0
    for stage, (depth, width) in enumerate(zip(size.depths, size.widths, strict=True)):
        sites = cells * (TILE >> stage) ** 2
        if stage == 0:
            stem = sites * IN_CHANNELS * STEM_STRIDE**2 * width
        else:
            linear += sites * 4 * before * width
        block = _block(width)
        linear += sites * depth * block.linear
        depthwise += sites * depth * block.depthwise
        before = width
    return Arithmetic(stem, linear, depthwise)


def decoder(model: str, cells: int, visible: int) -> Arithmetic:
    """The decoder: projects visible cells, mixes all of them, predicts the masked ones."""
    values = total_stride(STEM_STRIDE) ** 2 * IN_CHANNELS
    block = _block(DECODER_WIDTH)
    ends = visible * size_of(model).widths[-1] + (cells - visible) * values
    mixed = cells * DECODER_DEPTH
    return Arithmetic(0, ends * DECODER_WIDTH + mixed * block.linear, mixed * block.depthwise)


def pretraining(model: str, image_size: int, mask_ratio: float, *, dense: bool) -> Arithmetic:
    """One square image, with the paper's decoder; a dense encoder computes hidden cells as well."""
    cells = (image_size // total_stride(STEM_STRIDE)) ** 2
    visible = num_visible(cells, mask_ratio)
    return encoder(model, cells if dense else visible) + decoder(model, cells, visible)


def classification(model: str, image_size: int, classes: int = CLASSES) -> Arithmetic:
    """One square image through the classifier."""
    cells = (image_size // total_stride(STEM_STRIDE)) ** 2
    return encoder(model, cells) + Arithmetic(0, size_of(model).widths[-1] * classes, 0)


def limit(model: str, image_size: int, mask_ratio: float) -> float:
    """How much faster tiled would be than dense if time were arithmetic."""
    dense, tiled = (
        pretraining(model, image_size, mask_ratio, dense=dense).step for dense in (True, False)
    )
    return dense / tiled


def _block(width: int) -> Arithmetic:
    """A block at one site."""
    return Arithmetic(0, 2 * 4 * width * width, KERNEL**2 * width)
