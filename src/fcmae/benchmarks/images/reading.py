"""The same crops of the same photographs, by three pipelines."""

import functools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision import transforms
from torchvision.transforms.v2 import functional as F

from fcmae.images import (
    EncodedSet,
    FileSource,
    RandomView,
    Unlabelled,
    Unreadable,
    decode,
    sample_seed,
)
from fcmae.images.loader import Batch, BatchReader, MicroBatch
from fcmae.images.transforms import random_window
from fcmae.images.views import DECODINGS

TOLERANCE = 1.0  # of the mean error, in levels of 255
CHECKED = 2  # rounds
CROP_SCALE, FLIP = (0.2, 1.0), 0.5  # of pre-training


class Readers:
    """Three ways to read a batch of random crops, each a function of the round's number.

    Args:
        paths: JPEG files.
        image_size: pixels a side of a crop.

    Raises:
        ValueError: if one of them cannot be read.
    """

    def __init__(self, paths: Sequence[Path], image_size: int) -> None:
        self.paths, self.size = list(paths), (image_size, image_size)
        self.pipelines: dict[str, Callable[[int], Tensor]] = {"pillow": self._pillow}
        for path in self.paths:
            try:
                decode(path, 3)
            except Unreadable as error:
                raise ValueError(f"data: {error}: repair or remove it") from error
        root = self.paths[0].parent
        for decoding in DECODINGS[::-1]:
            view = RandomView(self.size, CROP_SCALE, FLIP, decoding)
            reader = BatchReader(EncodedSet(FileSource(self.paths, root)), view, channels=3, seed=0)
            self.pipelines[decoding] = functools.partial(self._ours, reader)
        self._transform = transforms.Compose([
            transforms.RandomResizedCrop(
                self.size, CROP_SCALE, interpolation=transforms.InterpolationMode.BICUBIC
            ),
            transforms.RandomHorizontalFlip(FLIP),
            transforms.ToTensor(),
        ])  # fmt: skip

    def describe(self) -> dict[str, float]:
        """Mean size of a photograph, and of its file."""
        pixels = []
        for path in self.paths:
            with Image.open(path) as image:
                pixels.append(image.width * image.height)
        bits = 8 * sum(path.stat().st_size for path in self.paths)
        return {
            "megapixels": statistics.mean(pixels) / 1e6,
            "bits_per_pixel": bits / sum(pixels),
        }

    def require_agreement(self) -> dict[str, dict[str, float]]:
        """How far each pipeline is from a full decoding, resized by antialiased interpolation.

        Returns:
            By pipeline, "mean" and "max" of the absolute difference, in levels of 255.

        Raises:
            RuntimeError: unless exact is exact, and the others' mean error at most one level.
        """
        references = [self._reference(turn) for turn in range(CHECKED)]
        errors = {}
        for name, pipeline in self.pipelines.items():
            differences = [
                (pipeline(turn) - reference).abs() * 255
                for turn, reference in enumerate(references)
            ]
            error = torch.stack(differences)
            mean, largest = error.mean().item(), error.max().item()
            if not (largest == 0 if name == "exact" else mean <= TOLERANCE):  # NaN too
                raise RuntimeError(
                    f"{name}: its crops differ by {mean:.3f} levels of 255 on average from a full "
                    "decoding, resized; not timed, as it is not right"
                )
            errors[name] = {"mean": mean, "max": largest}
        return errors

    def _ours(self, reader: BatchReader[None, Unlabelled], turn: int) -> Tensor:
        batch = reader[MicroBatch(0, 0, [(turn, index) for index in range(len(self.paths))])]
        assert isinstance(batch, Batch)
        assert not batch.unreadable
        return batch.examples.image

    def _pillow(self, turn: int) -> Tensor:
        crops = []
        with torch.random.fork_rng(devices=[]):
            for index, path in enumerate(self.paths):
                torch.manual_seed(sample_seed(0, turn, index))
                with Image.open(path) as image:
                    ImageOps.exif_transpose(image, in_place=True)
                    crops.append(self._transform(image.convert("RGB")))
        return torch.stack(crops)

    def _reference(self, turn: int) -> Tensor:
        """By other code than the loader's decoding, windows and resizing, where there is other."""
        crops = []
        for index, path in enumerate(self.paths):
            with Image.open(path) as image:
                ImageOps.exif_transpose(image, in_place=True)
                whole = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
            generator = torch.Generator().manual_seed(sample_seed(0, turn, index))
            height, width = whole.shape[1:]
            window = random_window(height, width, CROP_SCALE, generator)
            crop = F.resized_crop(
                whole, *window, size=list(self.size), interpolation=F.InterpolationMode.BICUBIC
            )
            flipped = torch.rand(1, generator=generator).item() < FLIP
            crops.append(F.to_dtype(crop.flip(-1) if flipped else crop, torch.float32, scale=True))
        return torch.stack(crops)
