"""How many photographs a core reads: Pillow's usual pipeline, and ours, exact and fast."""

import functools
import itertools
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision import transforms
from torchvision.transforms.v2 import functional as F

from fcmae.benchmarks import command
from fcmae.benchmarks.measuring import images_per_second, speedups, take_turns
from fcmae.benchmarks.photographs import make_photographs
from fcmae.commands.benchmark import BenchmarkImages, Rows
from fcmae.images import (
    EncodedSet,
    FileSource,
    RandomView,
    Unlabelled,
    Unreadable,
    decode,
    list_images,
    sample_seed,
)
from fcmae.images.jpeg import SUFFIXES, import_simplejpeg
from fcmae.images.loader import Batch, BatchReader, MicroBatch
from fcmae.images.transforms import random_window
from fcmae.images.views import DECODINGS
from fcmae.report.record import describe_run
from fcmae.training.devices import Runtime

if TYPE_CHECKING:
    from rich.table import Table

TOLERANCE = 1.0  # of the mean error, in levels of 255
CHECKED = 2  # rounds
CROP_SCALE, FLIP = (0.2, 1.0), 0.5  # of pre-training


def run_benchmark_images(options: BenchmarkImages) -> Rows:
    """Measure every size, or the photographs of `data`; show and write the rows."""
    command.check(options)
    if options.image_size < 1:
        raise ValueError(f"image_size: {options.image_size} is less than 1")
    for size in options.megapixels:
        if not 0.01 <= size <= 80:
            raise ValueError(f"megapixels: {size:g} is not from 0.01 to 80")
    runtime = Runtime(torch.device("cpu"), "fp32")
    rows = []
    with command.use_threads(1), command.progress() as status:
        described = describe_run(runtime.device)
        if options.data is not None:
            status.update(str(options.data))
            readers = Readers(_choose(Path(options.data), options.images), options.image_size)
            rows.append(_measure(str(options.data), readers, runtime, options.repeats))
        for size in options.megapixels if options.data is None else ():
            status.update(f"photographs of {size:g} megapixels")
            with tempfile.TemporaryDirectory() as folder:
                paths = make_photographs(Path(folder), options.images, size)
                readers = Readers(paths, options.image_size)
                rows.append(_measure("made", readers, runtime, options.repeats))
    heading = f"{described['machine']}; torch {torch.__version__}"
    command.show_and_write(heading, _table(rows), described, rows, options.json)
    return rows


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


def _choose(data: Path, number: int) -> list[Path]:
    """JPEGs at even distances in the order of their names."""
    paths = [path for path in list_images(data) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise ValueError(
            f"data {str(data)!r} holds no JPEG: give a folder with {' or '.join(SUFFIXES)} files"
        )
    number = min(number, len(paths))
    return [paths[index * len(paths) // number] for index in range(number)]


def _measure(source: str, readers: Readers, runtime: Runtime, repeats: int) -> dict[str, Any]:
    errors = readers.require_agreement()
    turns = itertools.count()
    seconds = take_turns(readers.pipelines, runtime, repeats, turns.__next__, warm_up=0)
    number = len(readers.paths)
    pairs = [(name, "pillow") for name in seconds if name != "pillow"]
    return {
        "photographs": source,
        "images": number,
        **readers.describe(),
        "image_size": readers.size[0],
        "decoder": "simplejpeg" if import_simplejpeg() else "Pillow",  # of exact and fast
        "images_per_second": images_per_second(seconds, number),
        **speedups(seconds, pairs),
        "pixel_error": errors,
        "seconds": seconds,
    }


def _table(rows: Rows) -> "Table":
    table = command.table_of(
        "Speed: of one core; ratio of images/s, the median over rounds and their range. "
        "Error: distance to a full decoding that is resized by antialiased bicubic interpolation, "
        "in levels of 255.",
        ("photographs", "pipeline"),
        ("images/s", "faster than\nPillow by", "error:\nmean", "\nmax"),
    )
    for row in rows:
        names = list(row["images_per_second"])
        table.add_row(
            f"{row['photographs']}\n{row['megapixels']:.2g} megapixels",
            "\n".join(names),
            "\n".join(f"{row['images_per_second'][name]:.1f}" for name in names),
            "\n".join(_times(row, f"{name} / pillow") for name in names),
            "\n".join(f"{row['pixel_error'][name]['mean']:.2f}" for name in names),
            "\n".join(f"{row['pixel_error'][name]['max']:.0f}" for name in names),
        )
        table.add_section()
    return table


def _times(row: dict[str, Any], pair: str) -> str:
    if pair not in row["speedup"]:
        return ""
    return command.ratio_cell(row["speedup"][pair], row["speedup_range"][pair])
