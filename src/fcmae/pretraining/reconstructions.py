"""A model as it learns: fixed images reconstructed, and the diversity of their features."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcmae.images.fixed_images import Pictures, show
from fcmae.inference.loop import evaluating
from fcmae.models.autoencoder import Autoencoder
from fcmae.models.encoder import Backbone
from fcmae.models.loss import denormalise, patchify, unpatchify
from fcmae.models.masks import enlarge, patch_grid, random_mask
from fcmae.probes.blocks import diversity
from fcmae.storage.atomic import write_text

COLUMNS = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # shares of the epochs
GREY = 0.5  # of masked patches


def epochs_to_observe(epochs: int) -> set[int]:
    """Before training, at the end, and ever more often towards the start."""
    return {round(share * epochs) for share in COLUMNS}


class Reconstructions:
    """Fixed images under fixed masks.

    Args:
        run: the run folder; pictures go to `reconstructions/`.
        pictures: the images, as `choose` gives them.
        mean: of each channel, in 0..1.
        std: of each channel.
        mask_ratio: share of patches to mask.
        patch_size: pixels a side of a patch.
    """

    def __init__(
        self,
        run: Path,
        pictures: Pictures,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        mask_ratio: float,
        patch_size: int,
    ) -> None:
        self.folder = run / "reconstructions"
        self.mean = torch.tensor(mean).view(1, -1, 1, 1)
        self.std = torch.tensor(std).view(1, -1, 1, 1)
        self.patch_size = patch_size
        self.names, self.pictures = pictures.names, torch.stack(pictures.images)  # [B, C, H, W]
        height, width = self.pictures.shape[2:]
        grid = patch_grid(height, width, patch_size)
        generator = torch.Generator().manual_seed(0)
        self.mask = random_mask(len(self.names), grid, mask_ratio, generator)  # [B, h, w]

    def observe(self, model: Autoencoder, epoch: int) -> dict[str, Any]:
        """Write the pictures of this epoch; return what belongs into the metrics."""
        self.folder.mkdir(exist_ok=True)
        if epoch == 0:
            write_text(
                self.folder / "images.json", json.dumps([{"name": name} for name in self.names])
            )
            hidden = enlarge(self.mask, self.patch_size).unsqueeze(1)  # [B, 1, H, W]
            self._write("input", self.pictures)
            self._write("masked", self.pictures.masked_fill(hidden, GREY))
        images = ((self.pictures - self.mean) / self.std).to(_device_of(model))
        with torch.no_grad(), evaluating(model):
            shown = reconstruct(model, images, self.mask.to(images.device))
        self._write(f"epoch-{epoch:04d}", shown.cpu() * self.std + self.mean)
        return diversity_of(model.encoder, images)

    def _write(self, name: str, pictures: Tensor) -> None:
        for index, picture in enumerate(pictures):
            show(picture).save(self.folder / f"{name}-{index}.webp", quality=90)


def diversity_of(encoder: Backbone, images: Tensor) -> dict[str, Any]:
    """The diversity of normalised images' features, block by block, for the metrics."""
    with torch.no_grad(), evaluating(encoder):
        found = diversity(encoder, images.to(_device_of(encoder)))
    return {"diversity": [{"block": name, "distance": value} for name, value in found.items()]}


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def reconstruct(model: Autoencoder, images: Tensor, mask: Tensor) -> Tensor:
    """Images with visible patches as they are, and in masked ones what the model predicts.

    Where targets are normalised in each cell, predictions get the mean and the deviation of the
    true cell: the model is not asked for them.

    Args:
        model: an autoencoder.
        images: [B, C, H, W], normalised, on its device.
        mask: bool [B, h, w], True where masked.

    Returns:
        [B, C, H, W], normalised likewise.
    """
    side = model.encoder.stride
    truth = patchify(images, side)  # [B, h, w, values]
    prediction = model(images, mask).prediction.float()
    if model.norm_pix:
        prediction = denormalise(prediction, truth)
    cells = model.encoder.cells(images, mask).unsqueeze(-1)
    return unpatchify(torch.where(cells, prediction, truth), side)
