"""Which patches of each image are masked. A boolean mask is True where masked, here and everywhere.

A mask has one value a patch: `[B, H / patch_size, W / patch_size]`. Images of a batch may differ in
how many of their patches are visible.
"""

import torch
from torch import Tensor


def check_patch_size(patch_size: int | None, stride: int) -> int:
    """Pixels a side of what is masked together; None is the encoder's total stride.

    Raises:
        ValueError: unless it is a multiple of the total stride.
    """
    if patch_size is None:
        return stride
    if patch_size < stride or patch_size % stride:
        below = max(patch_size // stride, 1) * stride
        raise ValueError(
            f"patch_size {patch_size} is not a multiple of the encoder's total stride {stride} "
            f"(8 x stem_stride): try {below} or {below + stride}"
        )
    return patch_size


def patch_grid(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches.

    Raises:
        ValueError: if patches do not fill the image, naming the nearest sizes that they fill.
    """
    for value in (height, width):
        if value < patch_size or value % patch_size:
            below = value // patch_size * patch_size
            nearest = " or ".join(str(n) for n in (below, below + patch_size) if n > 0)
            raise ValueError(
                f"image size {height}x{width}: {value} is not a multiple of the patch size "
                f"{patch_size}; the nearest: {nearest}"
            )
    return height // patch_size, width // patch_size


def num_visible(patches: int, ratio: float) -> int:
    """How many of an image's patches stay visible: int(L (1 - r)), as the authors' code has it.

    The truncation makes the real masked share a little larger than `ratio`: 30 of 49 at 0.6.

    Raises:
        ValueError: if that leaves nothing visible or nothing masked.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"mask ratio {ratio} is not between 0 and 1 (the paper's is 0.6)")
    visible = int(patches * (1 - ratio))
    if visible == 0:
        raise ValueError(
            f"mask ratio {ratio} leaves none of the {patches} patches visible: lower it, "
            "or use larger images or smaller patches"
        )
    if visible == patches:
        raise ValueError(
            f"mask ratio {ratio} masks none of the {patches} patches: raise it, "
            "or use larger images or smaller patches"
        )
    return visible


def random_mask(
    batch: int,
    grid: tuple[int, int],
    ratio: float = 0.6,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Mask each image at random, every image with the same number of visible patches.

    Args:
        batch: number of images, B.
        grid: rows and columns of patches, (h, w).
        ratio: share of the patches to mask (section 3 of the paper: 0.6).
        generator: draws the noise; the same state gives the same mask on every device.
        device: where the mask is wanted.

    Returns:
        bool [B, h, w], True where masked.
    """
    rows, columns = grid
    visible = num_visible(rows * columns, ratio)
    noise = torch.rand(batch, rows * columns, generator=generator)  # [B, L], drawn on the CPU
    order = noise.argsort(dim=1, stable=True)
    mask = torch.ones(batch, rows * columns, dtype=torch.bool)
    mask.scatter_(1, order[:, :visible], False)
    return mask.view(batch, rows, columns).to(device)


def enlarge(mask: Tensor, factor: int) -> Tensor:
    """See a mask at a finer grid: [B, h, w] -> [B, h * factor, w * factor]."""
    return mask.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)


def check_mask(mask: Tensor, grid: tuple[int, int], batch: int) -> None:
    """Refuse a mask that is not bool [batch, *grid]."""
    if mask.dtype != torch.bool:
        raise ValueError(f"mask has dtype {mask.dtype}: it must be torch.bool, True where masked")
    if mask.shape != (batch, *grid):
        raise ValueError(
            f"mask has shape {list(mask.shape)}: {batch} images of {grid[0]} x {grid[1]} patches "
            f"need {[batch, *grid]}"
        )
